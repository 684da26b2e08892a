import dataclasses
from typing import get_args

import pytest

from quorate.trusted.messages import Cause, Notice, Role, Spared


def test_notices_are_frozen() -> None:
    spared = Spared(0, Cause.MUTE, 7, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spared.seat = 1  # type: ignore[misc]


def test_every_notice_says_when() -> None:
    for notice in get_args(Notice):
        assert "now" in {field.name for field in dataclasses.fields(notice)}


def test_causes_and_roles_are_told_apart_by_their_words() -> None:
    assert len({cause.value for cause in Cause}) == len(Cause)
    assert len({role.value for role in Role}) == len(Role)
