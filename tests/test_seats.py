"""A seat, and who sits in it."""

import asyncio
from pathlib import Path

import pytest

from quorate.config import Replica, Variant
from quorate.domains.fake import FakeDomain
from quorate.drills import Mute
from quorate.lives import Life
from quorate.seats import Seat
from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.messages import Role

ONE, OTHER = (Variant(name=name, program="/bin/true", root=Path("/")) for name in ("one", "other"))


async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves nothing."""


def voting_seat() -> Seat:
    seat = Seat(1, Replica(name="b", variants=("one", "other")), ONE, FakeDomain(nobody), Life(rebuilds=3))
    seat.become(Role.VOTING)
    return seat


def test_who_takes_a_seat_begins_anew() -> None:
    """Nothing that was held against the one before is; what is told of the seat stays."""
    seat = voting_seat()
    first, second = seat.domain, FakeDomain(nobody)
    seat.become(Role.CONVICTED)
    seat.cause, seat.last_slot = "silence", 7
    seat.faults.add("mute")
    seat.drill = Mute()
    assert seat.take(OTHER, second, Role.VOTING) is first
    assert (seat.variant, seat.domain) == (OTHER, second)
    assert all((seat.role is Role.VOTING, not seat.cause, not seat.faults, seat.drill is None))
    assert (seat.index, seat.replica.name, seat.life.rebuilds) == (1, "b", 3)
    assert seat.retiring == [], "whose vote was lost was ended then"


def test_who_is_replaced_retires_until_its_domain_is_ended() -> None:
    seat = voting_seat()
    old = seat.take(OTHER, FakeDomain(nobody), Role.VOTING)
    assert seat.retiring == [old]
    asyncio.run(seat.end(old))
    assert (seat.retiring, seat.role) == ([], Role.VOTING)


def test_who_retires_in_its_seat_is_retired_when_its_domain_is_ended() -> None:
    seat = voting_seat()
    seat.retire()
    roles = [seat.role]
    asyncio.run(seat.end(seat.domain))
    assert [*roles, seat.role] == [Role.RETIRING, Role.RETIRED]


def test_who_was_convicted_stays_so() -> None:
    seat = voting_seat()
    seat.become(Role.CONVICTED)
    seat.retire()
    asyncio.run(seat.end(seat.domain))
    assert seat.role is Role.CONVICTED


def test_one_whose_domain_is_still_being_ended_may_be_replaced() -> None:
    seat = voting_seat()
    seat.retire()
    old = seat.take(OTHER, FakeDomain(nobody))
    assert (seat.role, seat.retiring) == (Role.BOOTING, [old])


def test_a_role_changes_as_the_table_has_it() -> None:
    seat = voting_seat()
    with pytest.raises(BrokenInvariant):
        seat.become(Role.BOOTING)
    assert seat.role is Role.VOTING
