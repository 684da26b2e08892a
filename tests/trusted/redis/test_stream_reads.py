"""XREAD and XREADGROUP: readers are parked on what they have read, and served one stream at a time."""

from dataclasses import replace

import pytest

from quorate.trusted.limits import Limits
from tests.trusted.redis.conversation import Conversation, Talker, wire

ENTRIES = "*1 *2 $1 s *1 *2 $3 5-1 *2 $1 a $1 b"
WRONG_TYPE = b"-WRONGTYPE x\r\n"


def said(request: str, limits: Limits | None = None) -> tuple[Conversation, Talker]:
    talk = Conversation(limits)
    client = talk.client()
    client.says(request)
    return talk, client


def added(talk: Conversation, key: str = "s") -> None:
    talk.client().says(f"XADD {key} 5-1 a b")
    talk.decide(wire("$3 5-1"))


def top(identifier: str) -> bytes:
    return wire(f"*2 $17 last-generated-id ${len(identifier)} {identifier}")


def test_entries_that_are_there_are_given_at_once() -> None:
    talk, client = said("XREAD COUNT 2 BLOCK 0 STREAMS s t 0 1-1")
    talk.orders("XREAD COUNT 2 STREAMS s t 0 1-1", ENTRIES)
    assert client.hears() == wire(ENTRIES)


def test_a_reader_is_served_by_the_stream_that_grew() -> None:
    talk, client = said("XREAD BLOCK 0 COUNT 2 STREAMS s t 0 1-1")
    talk.decide(wire("*-1"))
    added(talk, "t")
    talk.orders("XREAD COUNT 2 STREAMS t 1-1", ENTRIES)
    assert client.hears() == wire(ENTRIES)


def test_readers_do_not_compete() -> None:
    talk, first = said("XREAD BLOCK 0 STREAMS s 0")
    second = talk.client()
    second.says("XREAD BLOCK 0 STREAMS s 0")
    talk.decide(wire("*-1"))
    talk.decide(wire("*-1"))
    added(talk)
    for client in (first, second):
        talk.orders("XREAD STREAMS s 0", ENTRIES)
        assert client.hears() == wire(ENTRIES)


def test_a_key_of_another_type_has_nothing_yet() -> None:
    talk, client = said("XREAD BLOCK 1000 STREAMS s 0")
    talk.decide(wire("*-1"))
    talk.client().says("SET s x")
    talk.decide(b"+OK\r\n")
    talk.decide(WRONG_TYPE)
    assert client.hears() == b""
    talk.passes(1)
    assert client.hears() == wire("*-1")


def test_what_is_latest_is_looked_up_first() -> None:
    talk, client = said("XREAD BLOCK 0 STREAMS s t u '$' 0 '$'")
    assert talk.waiting() == ["XINFO STREAM s; XINFO STREAM u"]
    assert talk.spans[0].frames == 2
    talk.decide(top("5-1") + b"-ERR no such key\r\n")
    talk.orders("XREAD STREAMS s t u 5-1 0 0-0", "*-1")
    added(talk, "u")
    talk.orders("XREAD STREAMS u 0-0", ENTRIES)
    assert client.hears() == wire(ENTRIES)


def test_the_look_up_may_fail() -> None:
    talk, client = said("XREAD BLOCK 0 STREAMS s '$'", replace(Limits(), parked_keys_max=1))
    talk.decide(WRONG_TYPE)
    assert client.hears() == WRONG_TYPE
    client.says("XREAD BLOCK 0 STREAMS s '$'")
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")
    client.says("XREAD BLOCK 0 STREAMS s t '$' 0")
    talk.decide(top("5-1"))
    assert b"parked_keys_max" in client.hears()
    client.says("XREAD BLOCK 0 STREAMS s '$'")
    client.leaves()
    talk.decide(top("5-1"))
    assert not talk.spans


def test_without_block_or_inside_a_transaction_nobody_waits() -> None:
    talk, client = said("XREAD STREAMS s '$'")
    talk.orders("XREAD STREAMS s '$'", "*-1")
    assert client.hears() == wire("*-1")
    client.says("MULTI", "XREAD BLOCK 0 STREAMS s '$'", "EXEC")
    assert talk.waiting() == ["MULTI; XREAD STREAMS s '$'; EXEC"]


@pytest.mark.parametrize(
    ("request_", "slot"),
    [
        ("XREAD BLOCK 5 STREAMS s", "XREAD COUNT 1 STREAMS s"),
        ("XREAD BLOCK 5 FOO x", "XREAD COUNT 1 FOO x"),
        ("XREAD FOO BLOCK x", "XREAD FOO BLOCK x"),
        ("XREAD COUNT x BLOCK -1 STREAMS s 0", "XREAD COUNT x BLOCK -1 STREAMS s 0"),
        ("XREAD NOACK STREAMS s 0", "XREAD NOACK STREAMS s 0"),
        ("XREAD COUNT 5 COUNT 5", "XREAD COUNT 5 COUNT 5"),
        ("XREADGROUP GROUP g c BLOCK 5 GROUP g", "XREADGROUP GROUP g c COUNT 1 GROUP g"),
    ],
)
def test_wrong_requests_are_answered_by_the_replicas_and_block_none(request_: str, slot: str) -> None:
    talk, _ = said(request_)
    assert talk.waiting() == [slot]


def test_a_wrong_timeout_is_refused() -> None:
    talk, client = said("XREAD BLOCK x STREAMS s 0")
    assert client.hears() == b"-ERR timeout is not an integer or out of range\r\n"
    assert not talk.spans


def group(talk: Conversation, consumer: str) -> Talker:
    client = talk.client()
    client.says(f"XREADGROUP GROUP g {consumer} NOACK BLOCK 0 STREAMS s '>'")
    talk.orders(f"XREADGROUP GROUP g {consumer} NOACK STREAMS s '>'", "*-1")
    return client


def test_readers_of_a_group_compete() -> None:
    talk = Conversation()
    first, second = group(talk, "x"), group(talk, "y")
    added(talk)
    assert talk.waiting() == ["TYPE s; XREADGROUP GROUP g x NOACK STREAMS s '>'"]
    talk.decide(wire("+stream " + ENTRIES))
    assert first.hears() == wire(ENTRIES)
    talk.orders("TYPE s; XREADGROUP GROUP g y NOACK STREAMS s '>'", "+stream *-1")
    assert (second.hears(), talk.waiting()) == (b"", [])


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        ("+none -NOGROUP", b"-UNBLOCKED the stream key no longer exists\r\n"),
        ("+string -WRONGTYPE", b"-UNBLOCKED the stream key no longer exists\r\n"),
        ("+stream -NOGROUP", b"-NOGROUP the consumer group this client was blocked on no longer exists\r\n"),
    ],
)
def test_a_stream_or_group_that_goes_ends_the_wait_of_all(replies: str, answer: bytes) -> None:
    talk = Conversation()
    readers = [group(talk, "x"), group(talk, "y")]
    talk.client().says("DEL s")
    talk.decide(b":1\r\n")
    for reader in readers:
        talk.decide(wire(replies))
        assert reader.hears() == answer
