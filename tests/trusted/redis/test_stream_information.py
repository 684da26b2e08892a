"""XINFO STREAM without what follows a replica's own history."""

import pytest

from quorate.trusted.protocols.redis.stream_information import Information, last_id
from tests.trusted.redis.conversation import wire

SHOWN = "*8 $6 length :1 $15 radix-tree-keys :%d $16 radix-tree-nodes :%d $17 last-generated-id $3 5-1"


def test_counts_of_tree_nodes_decide_nothing_and_are_told_as_zero() -> None:
    form = Information()
    assert not form.is_exact
    for reply in (SHOWN % (1, 2), SHOWN % (3, 4)):
        assert form.canonical(wire(reply)) == wire(SHOWN % (0, 0))


@pytest.mark.parametrize("reply", ["-ERR no such key", "*0", "*1 $1 a", "*2 $17 last-generated-id $1 x"])
def test_other_replies_stay(reply: str) -> None:
    assert Information().canonical(wire(reply)) == wire(reply)
    assert last_id(wire(reply)) == b"0-0"


def test_the_last_identifier_is_found() -> None:
    assert last_id(wire(SHOWN % (1, 2))) == b"5-1"
