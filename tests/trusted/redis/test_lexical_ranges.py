"""Lexical ranges: read where all scores are equal, an error elsewhere; never written."""

import pytest

from quorate.trusted.protocols.redis.lexical_ranges import UNEQUAL
from tests.trusted.redis.conversation import Conversation, wire

ENDS = "ZRANGE z 0 0 WITHSCORES; ZRANGE z -1 -1 WITHSCORES; "


def told(request: str, reply: str, protocol: int = 2) -> bytes:
    talk = Conversation()
    client = talk.client(protocol)
    client.says(request)
    assert talk.spans[0].frames == 3
    talk.orders(ENDS + request, reply)
    return client.hears()


@pytest.mark.parametrize("request_", ["ZRANGEBYLEX z - +", "ZREVRANGEBYLEX z + -", "ZRANGE z - + bylex LIMIT 0 1"])
def test_a_range_is_read_where_the_scores_are_equal(request_: str) -> None:
    assert told(request_, "*2 $1 a $1 0 *2 $1 b $1 0 *2 $1 a $1 b") == wire("*2 $1 a $1 b")
    assert told(request_, "*1 *2 $1 a ,0 *1 *2 $1 b ,0 *1 $1 a", 3) == wire("*1 $1 a")
    assert told(request_, "*2 $1 a $1 0 *2 $1 b $1 1 *2 $1 a $1 b") == UNEQUAL
    assert told(request_, "*1 *2 $1 a ,0 *1 *2 $1 b ,1 *1 $1 a", 3) == UNEQUAL


def test_a_missing_or_wrong_key_answers_as_ever() -> None:
    assert told("ZLEXCOUNT z - +", "*0 *0 :0") == wire(":0")
    assert told("ZLEXCOUNT z - +", "-WRONGTYPE -WRONGTYPE -WRONGTYPE") == wire("-WRONGTYPE")


def test_replicas_that_find_different_ranges_agree_on_the_error() -> None:
    talk = Conversation()
    talk.client().says("ZLEXCOUNT z - +")
    form = talk.spans[0].form
    assert form is not None
    assert not form.is_exact
    ends = wire("*2 $1 a $1 0 *2 $1 b $1 1")
    assert form.canonical(ends + b":3\r\n") == form.canonical(ends + b":0\r\n") == UNEQUAL


def test_other_ranges_are_plain() -> None:
    talk = Conversation()
    lines = ["ZRANGE z 0 -1", "ZRANGE z 0 -1 WITHSCORES", "ZRANGESTORE a z 0 -1", "ZRANGESTORE a z 0 -1 REV"]
    talk.client().says(*lines)
    assert talk.waiting() == lines
    assert all(span.form is None for span in talk.spans)


def test_no_lexical_range_is_written() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("ZRANGESTORE a z - + BYLEX", "ZREMRANGEBYLEX z - +")
    assert talk.waiting() == []
    assert client.hears().count(b"each replica would find its own range") == 2
