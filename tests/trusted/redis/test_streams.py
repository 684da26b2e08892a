"""Adding to streams by ordered time, trimming exactly, and refusing what shows a replica's clock."""

from dataclasses import replace

import pytest

from quorate.trusted.limits import Limits
from tests.trusted.redis.conversation import Conversation, wire

TOP_IS_LATER = b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"
NO_SUCH_KEY = b"-ERR no such key\r\n"
NOW = "1000000-*"  # the conversation's time, in milliseconds


def top(identifier: str) -> bytes:
    return wire(f"*4 $6 length :1 $17 last-generated-id ${len(identifier)} {identifier}")


@pytest.mark.parametrize(
    ("request_", "slot"),
    [
        ("XADD s * a b", f"XADD s '{NOW}' a b"),
        ("XADD s 5-1 a b", "XADD s 5-1 a b"),
        ("XADD s 5-* a b", "XADD s '5-*' a b"),
        ("XADD s nomkstream MAXLEN 5 * a b", f"XADD s nomkstream MAXLEN 5 '{NOW}' a b"),
        ("XADD s MAXLEN ~ 5 LIMIT 3 * a b", f"XADD s MAXLEN = 5 '{NOW}' a b"),
        ("XADD s LIMIT 0 MINID ~ 5 5-1 a b", "XADD s MINID = 5 5-1 a b"),
        ("XADD s MAXLEN = 5 LIMIT 3 5-1 a b", "XADD s MAXLEN = 5 LIMIT 3 5-1 a b"),
        ("XADD s MAXLEN ~ 5 LIMIT x * a b", f"XADD s MAXLEN = 5 LIMIT x '{NOW}' a b"),
        ("XADD s MAXLEN ~ 5 LIMIT -1 * a b", f"XADD s MAXLEN = 5 LIMIT -1 '{NOW}' a b"),
        ("XADD s MAXLEN ~ 5", "XADD s MAXLEN = 5"),
    ],
)
def test_what_becomes_of_adding(request_: str, slot: str) -> None:
    talk = Conversation()
    talk.client().says(request_)
    assert talk.waiting() == [slot]


@pytest.mark.parametrize(
    ("request_", "slot"),
    [
        ("XTRIM s MAXLEN ~ 5 LIMIT 3", "XTRIM s MAXLEN = 5"),
        ("XTRIM s MAXLEN 5 LIMIT", "XTRIM s MAXLEN 5 LIMIT"),
        ("XTRIM s MAXLEN 5", "XTRIM s MAXLEN 5"),
    ],
)
def test_trimming_is_exact(request_: str, slot: str) -> None:
    talk = Conversation()
    talk.client().says(request_)
    assert talk.waiting() == [slot]


def test_an_addition_is_one_slot_and_nobody_waits_for_it() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("XADD s * a b", "XADD s * c d")
    assert len(talk.waiting()) == 2
    talk.decide(wire("$9 1000000-0"))
    talk.decide(TOP_IS_LATER)
    assert client.hears() == wire("$9 1000000-0")


def test_a_stream_whose_top_is_in_the_future_continues_from_there() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    assert client.hears() == b""
    assert talk.waiting() == ["XINFO STREAM s"]
    talk.decide(top("2000000-7"))
    assert talk.spans[0].is_write
    talk.orders("XADD s '2000000-*' a b", "$9 2000000-8")
    assert client.hears() == wire("$9 2000000-8")


@pytest.mark.parametrize(
    ("identifier", "slot"),
    [
        ("2000000-18446744073709551615", "XADD s '2000001-*' a b"),
        ("18446744073709551615-18446744073709551615", "XADD s '18446744073709551615-*' a b"),
        ("5-18446744073709551615", f"XADD s '{NOW}' a b"),
    ],
)
def test_a_full_millisecond_is_left_for_the_next(identifier: str, slot: str) -> None:
    talk = Conversation()
    talk.client().says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    talk.decide(top(identifier))
    assert talk.waiting() == [slot]


def test_a_stream_that_is_gone_meanwhile_begins_now() -> None:
    talk = Conversation()
    talk.client().says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    talk.decide(NO_SUCH_KEY)
    assert talk.waiting() == [f"XADD s '{NOW}' a b"]


def test_a_top_that_keeps_moving_is_followed_so_many_times() -> None:
    talk = Conversation(replace(Limits(), step_retries_max=2))
    client = talk.client()
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    for _ in range(2):
        talk.decide(top("2000000-7"))
        talk.decide(TOP_IS_LATER)
    assert client.hears() == TOP_IS_LATER
    assert not talk.spans


def test_an_answer_that_others_wait_behind_cannot_be_held_back() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("XADD s * a b", "GET x")
    talk.decide(TOP_IS_LATER)
    assert client.hears() == TOP_IS_LATER
    talk.decide(b"$-1\r\n")
    client.says("XADD s * a b", "PING")
    talk.decide(TOP_IS_LATER)
    assert client.hears() == wire("$-1") + TOP_IS_LATER + b"+PONG\r\n"
    client.says("XADD s * a b", "BLPOP k 0")
    talk.decide(TOP_IS_LATER)
    assert client.hears() == TOP_IS_LATER


def test_inside_a_transaction_and_for_a_client_that_left_the_error_stays() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("MULTI", "XADD s * a b", "EXEC")
    client.hears()
    talk.decide(wire("+OK +QUEUED *1") + TOP_IS_LATER)
    assert client.hears() == b"*1\r\n" + TOP_IS_LATER
    client.says("XADD s * a b")
    client.leaves()
    talk.decide(TOP_IS_LATER)
    assert not talk.spans


def test_the_search_for_the_top_may_fail() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    talk.decide(b"-WRONGTYPE x\r\n")
    assert client.hears() == b"-WRONGTYPE x\r\n"
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    talk.decide(top("2000000-7"))
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")
    client.says("XADD s * a b")
    talk.decide(TOP_IS_LATER)
    client.leaves()
    talk.decide(top("2000000-7"))
    assert not talk.spans


@pytest.mark.parametrize(
    "request_",
    [
        "XINFO STREAM s",
        "XINFO STREAM s x",
        "XPENDING s g",
        "XPENDING s g 1",
        "XCLAIM s g c 0 1-1",
        "XCLAIM s g c -5 1-1 IDLE 5",
        "XCLAIM s g c x 1-1",
        "XAUTOCLAIM s g c 0 0",
        "XREAD STREAMS s 0",
        "XREADGROUP GROUP g c STREAMS s '>'",
    ],
)
def test_what_no_clock_shows_in_passes(request_: str) -> None:
    talk = Conversation()
    talk.client().says(request_)
    assert talk.waiting() == [request_]


@pytest.mark.parametrize(
    "request_",
    [
        "XINFO STREAM s FULL",
        "XPENDING s g - + 10",
        "XPENDING s g IDLE 5 - + 10 c",
        "XCLAIM s g c 5 1-1",
        "XAUTOCLAIM s g c 5 0",
    ],
)
def test_what_shows_delivery_times_is_refused_with_the_reason(request_: str) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(request_)
    assert b"delivery times" in client.hears()
    assert not talk.spans
