"""SCAN and its family: one voted snapshot, handed out page by page, within bounds."""

from dataclasses import replace

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Refusal
from quorate.trusted.protocols.redis.cursors import cursor_of
from quorate.trusted.protocols.redis.values import elements, payload
from tests.trusted.redis.conversation import Conversation, Talker, wire

LIMITS = Limits()
KEYS = "*5 $1 a $1 b $1 c $1 d $1 e"


def page(client: Talker) -> tuple[str, list[str]]:
    """The cursor and the elements that a client just heard."""
    number, found = elements(client.hears())
    return payload(number).decode(), [payload(part).decode() for part in elements(found)]


def begun(request: str = "SCAN 0 COUNT 2", limits: Limits = LIMITS) -> tuple[Conversation, Talker]:
    talk = Conversation(limits)
    client = talk.client()
    client.says(request)
    return talk, client


def test_a_scan_goes_through_one_snapshot() -> None:
    talk, client = begun()
    talk.orders("KEYS '*'", "*5 $1 e $1 d $1 c $1 b $1 a")
    cursor, found = page(client)
    assert found == ["a", "b"]
    client.says(f"SCAN {cursor} COUNT 2")
    cursor, more = page(client)
    assert more == ["c", "d"]
    client.says(f"SCAN {cursor} COUNT 2")
    assert page(client) == ("0", ["e"])
    assert not talk.spans
    assert len(talk.protocol.cursors) == 0


def test_what_fits_on_a_page_needs_no_cursor() -> None:
    talk, client = begun("SCAN 0")
    talk.orders("KEYS '*'", KEYS)
    assert page(client) == ("0", ["a", "b", "c", "d", "e"])
    assert talk.protocol.cursors.next_ns() == 0


@pytest.mark.parametrize(
    ("request_", "slot", "reply", "protocol", "found"),
    [
        ("SSCAN k 0 COUNT 1", "SMEMBERS k", "~2 $1 b $1 a", 3, ["a", "b"]),
        ("HSCAN k 0 COUNT 1", "HGETALL k", "%2 $1 b $1 2 $1 a $1 1", 3, ["a", "1", "b", "2"]),
        ("HSCAN k 0 MATCH b", "HGETALL k", "*4 $1 b $1 2 $1 a $1 1", 2, ["b", "2"]),
        ("ZSCAN k 0", "ZRANGE k 0 -1 WITHSCORES", "*2 *2 $1 b ,2 *2 $1 a ,inf", 3, ["b", "2", "a", "inf"]),
        ("ZSCAN k 0", "ZRANGE k 0 -1 WITHSCORES", "*2 $1 b $1 2", 2, ["b", "2"]),
        ("SSCAN k 0", "SMEMBERS k", "*0", 2, []),
        ("SCAN 0 match [ac]", "KEYS '*'", KEYS, 2, ["a", "c"]),
    ],
)
def test_a_small_collection_is_given_whole(
    request_: str, slot: str, reply: str, protocol: int, found: list[str]
) -> None:
    talk = Conversation()
    client = talk.client(protocol)
    client.says(request_)
    talk.orders(slot, reply)
    assert client.client.out[0].startswith(b"*2\r\n")
    assert page(client) == ("0", found)


def test_a_large_collection_comes_in_pages_of_whole_groups() -> None:
    talk, client = begun("HSCAN k 0 COUNT 100")
    fields = " ".join(f"$3 {number} $1 v" for number in range(100, 300))
    talk.orders("HGETALL k", f"*400 {fields}")
    cursor, found = page(client)
    client.says(f"HSCAN k {cursor} COUNT 1000")
    assert len(found) == 200
    assert page(client)[0] == "0"


def test_types_are_asked_for_page_by_page() -> None:
    talk, client = begun("SCAN 0 COUNT 2 TYPE STRING")
    talk.orders("KEYS '*'", "*3 $1 a $1 b $1 c")
    talk.orders("TYPE a; TYPE b", "+string +list")
    cursor, found = page(client)
    assert found == ["a"]
    client.says(f"SCAN {cursor} TYPE string MATCH x", f"SCAN {cursor} TYPE string", "PING")
    number, rest = elements(client.hears())
    assert (payload(number), rest) == (b"0", b"*0\r\n")


def test_a_later_page_waits_for_its_types() -> None:
    talk, client = begun("SCAN 0 COUNT 2")
    talk.orders("KEYS '*'", "*3 $1 a $1 b $1 c")
    cursor, _ = page(client)
    client.says(f"SCAN {cursor} TYPE string", "PING")
    talk.orders("TYPE c", "+string")
    assert client.hears() == wire("*2 $1 0 *1 $1 c +PONG")


def test_the_last_page_may_be_asked_for_again_until_the_next_but_one() -> None:
    talk, client = begun("SCAN 0 COUNT 1")
    talk.orders("KEYS '*'", KEYS)
    first, _ = page(client)
    client.says(f"SCAN {first} COUNT 1")
    second, found = page(client)
    client.says(f"SCAN {first} COUNT 1")
    third, again = page(client)
    assert again == found
    assert len({first, second, third}) == 3
    client.says(f"SCAN {first} COUNT 1")
    assert client.hears().startswith(b"-ERR invalid cursor")


def test_a_cursor_belongs_to_its_collection_not_to_its_connection() -> None:
    talk, client = begun()
    talk.orders("KEYS '*'", KEYS)
    cursor, _ = page(client)
    client.leaves()
    other = talk.client()
    other.says(f"SSCAN k {cursor}")
    assert other.hears().startswith(b"-ERR invalid cursor:")
    other.says(f"SCAN {cursor}")
    assert page(other) == ("0", ["c", "d", "e"])


def test_an_idle_snapshot_is_forgotten() -> None:
    talk, client = begun()
    talk.orders("KEYS '*'", KEYS)
    cursor, _ = page(client)
    assert talk.protocol.next_deadline() == talk.now + LIMITS.cursor_idle_ns_max
    talk.passes(299)
    assert len(talk.protocol.cursors) == 1
    talk.passes(1)
    assert len(talk.protocol.cursors) == 0
    client.says(f"SCAN {cursor}")
    assert client.hears().startswith(b"-ERR invalid cursor:")


@pytest.mark.parametrize(
    ("limit", "limits"),
    [
        ("cursor_bytes_max", replace(LIMITS, cursor_bytes_max=8)),
        ("cursors_max", replace(LIMITS, cursors_max=1)),
        ("cursors_bytes_max", replace(LIMITS, cursor_bytes_max=30, cursors_bytes_max=30)),
    ],
)
def test_past_a_limit_a_scan_is_refused_and_the_others_go_on(limit: str, limits: Limits) -> None:
    talk, client = begun(limits=limits)
    talk.orders("KEYS '*'", KEYS)
    first = client.hears()
    client.says("SCAN 0 COUNT 2")
    talk.orders("KEYS '*'", KEYS)
    assert limit.encode() in client.hears()
    if limit != "cursor_bytes_max":
        client.says(f"SCAN {payload(elements(first)[0]).decode()}")
        assert page(client) == ("0", ["c", "d", "e"])
        client.says("SCAN 0 COUNT 2")
        talk.orders("KEYS '*'", KEYS)
        assert page(client)[0] != "0"


def test_a_page_and_a_pattern_are_bounded() -> None:
    talk, client = begun("SCAN 0 COUNT 1000", replace(LIMITS, scan_page_max=2, pattern_bytes_max=3))
    talk.orders("KEYS '*'", KEYS)
    cursor, found = page(client)
    assert len(found) == 2
    client.says(f"SCAN {cursor} MATCH abcd")
    assert b"pattern_bytes_max" in client.hears()


@pytest.mark.parametrize(
    "request_",
    [
        "SCAN 0 FOO 1",
        "SCAN 0 COUNT 0",
        "SCAN 0 COUNT x",
        "SCAN 0 COUNT",
        "SSCAN k 0 TYPE set",
    ],
)
def test_wrong_options_are_answered_by_the_replicas(request_: str) -> None:
    talk, client = begun(request_)
    assert talk.waiting() == [request_]
    talk.decide(b"-ERR syntax error\r\n")
    assert client.hears() == b"-ERR syntax error\r\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"0", 0), (b"", 0), (b"00", 0), (b"+7", 7), (b"-1", 2**64 - 1), (b"-0", 0), (b"18446744073709551615", 2**64 - 1)],
)
def test_a_cursor_is_read_as_in_redis(text: bytes, number: int) -> None:
    assert cursor_of(text) == number


@pytest.mark.parametrize("text", [b"x", b" 0", b"+", b"-", b"1x", b"18446744073709551616", b"0" * 100])
def test_what_is_no_cursor_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal, match=r"^ERR invalid cursor$"):
        cursor_of(text)


def test_errors_and_slots_without_a_decision_end_the_wait() -> None:
    talk, client = begun("SSCAN k 0")
    talk.decide(b"-WRONGTYPE wrong\r\n")
    assert client.hears() == b"-WRONGTYPE wrong\r\n"
    client.says("SCAN 0")
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")
    client.says("SCAN 0 TYPE set")
    talk.orders("KEYS '*'", KEYS)
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")


def test_nothing_is_kept_for_a_client_that_left() -> None:
    talk, client = begun()
    client.leaves()
    talk.orders("KEYS '*'", KEYS)
    assert len(talk.protocol.cursors) == 0
