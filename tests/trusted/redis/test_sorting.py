"""SORT: what Redis leaves open is settled here, the same for all replicas; the rest is theirs."""

import pytest

from quorate.trusted.protocols.redis.sorting import Sorting
from tests.trusted.redis.conversation import Conversation, wire


def told(request: str, slot: str, reply: str, protocol: int = 2) -> bytes:
    """What a client hears when this request becomes that slot."""
    talk = Conversation()
    client = talk.client(protocol)
    client.says(request)
    talk.orders(slot, reply)
    return client.hears()


@pytest.mark.parametrize(
    "request_",
    [
        "SORT l",
        "SORT l DESC LIMIT 0 5 GET '#' GET 'x_*'",
        "SORT_RO l BY 'w_*'",
        "SORT l BY nosort STORE k",
        "SORT l ALPHA STORE k",
        "SORT l BY 'w_*' STORE k",
        "SORT l NOPE",
        "SORT l LIMIT 0",
        "SORT l LIMIT a 1",
        "SORT l ALPHA LIMIT 0 a",
        "SORT l BY",
        "SORT_RO l ALPHA STORE k",
    ],
)
def test_what_is_certain_or_wrong_goes_as_it_came(request_: str) -> None:
    assert told(request_, request_, "*1 $1 a") == wire("*1 $1 a")


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ("", "*3 $1 a $1 b $1 c"),
        (" DESC", "*3 $1 c $1 b $1 a"),
        (" DESC ASC", "*3 $1 a $1 b $1 c"),
        (" LIMIT 1 1", "*1 $1 b"),
        (" LIMIT -5 2", "*2 $1 a $1 b"),
        (" LIMIT 1 -1", "*2 $1 b $1 c"),
        (" LIMIT 9 9", "*0"),
        (" DESC LIMIT 0 1", "*1 $1 c"),
    ],
)
@pytest.mark.parametrize("alpha", ["ALPHA", "alpha"])
def test_words_are_sorted_by_their_bytes(options: str, answer: str, alpha: str) -> None:
    slot = "SORT l BY nosort GET '#'"
    assert told(f"SORT l {alpha}{options}", slot, "*3 $1 b $1 c $1 a") == wire(answer)


def test_equal_weights_are_sorted_by_element_and_none_comes_first() -> None:
    slot = "SORT l BY nosort GET '#' GET 'w_*'"
    reply = "*8 $1 d $1 x $1 b $1 x $1 a $1 y $1 c $-1"
    assert told("SORT l ALPHA BY 'w_*'", slot, reply) == wire("*4 $1 c $1 b $1 d $1 a")
    assert told("SORT l ALPHA BY 'w_*'", slot, reply.replace("$-1", "_"), 3) == wire("*4 $1 c $1 b $1 d $1 a")
    assert told("SORT l ALPHA BY 'w_*' DESC LIMIT 1 2", slot, reply) == wire("*2 $1 d $1 b")


def test_what_is_to_be_got_comes_with_each_element() -> None:
    slot = "SORT l BY nosort GET '#' GET 'w_*' GET 'x_*' GET '#'"
    reply = "*8 $1 b $1 1 $1 B $1 b $1 a $1 2 $-1 $1 a"
    assert told("SORT l BY 'w_*' ALPHA GET 'x_*' GET '#'", slot, reply) == wire("*4 $1 B $1 b $-1 $1 a")


def test_a_set_in_no_order_has_a_canonical_one() -> None:
    slot = "TYPE s; SORT s BY nosort"
    assert told("SORT s BY nosort", slot, "+set *3 $1 c $1 a $1 b") == wire("*3 $1 a $1 b $1 c")
    assert told("SORT s BY nosort LIMIT 1 1", slot, "+set *3 $1 c $1 a $1 b") == wire("*1 $1 b")
    assert told("SORT s BY x BY 'w_*' ALPHA", slot, "+set *2 $1 b $1 a") == wire("*2 $1 a $1 b")


def test_a_list_in_no_order_keeps_its_own() -> None:
    slot = "TYPE l; SORT l BY nosort GET 'x_*' GET '#' DESC"
    reply = "+list *6 $1 X $1 c $1 Y $1 a $-1 $1 b"
    assert told("SORT l BY x GET 'x_*' GET '#' LIMIT 1 2 DESC", slot, reply) == wire("*4 $1 Y $1 a $-1 $1 b")


@pytest.mark.parametrize(
    ("request_", "slot", "reply"),
    [
        ("SORT k ALPHA", "SORT k BY nosort GET '#'", "-WRONGTYPE"),
        ("SORT k BY x", "TYPE k; SORT k BY nosort", "+string -WRONGTYPE"),
    ],
)
def test_errors_are_passed_on(request_: str, slot: str, reply: str) -> None:
    assert told(request_, slot, reply) == b"-WRONGTYPE\r\n"


def test_elements_of_equal_weight_are_not_stored_in_a_replica_s_own_order() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SORT l BY 'w_*' ALPHA STORE k")
    assert talk.waiting() == []
    assert client.hears().startswith(b"-ERR quorate refuses SORT")


def test_a_pattern_ends_at_a_zero_byte() -> None:
    assert Sorting([b"SORT", b"k", b"BY", b"x\0*"], is_read_only=False).is_constant
    assert not Sorting([b"SORT", b"k", b"BY", b"x*"], is_read_only=False).is_constant
