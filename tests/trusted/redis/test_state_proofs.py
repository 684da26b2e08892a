"""Proofs: what is asked of a replica that was restored, and the only answer that does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.trusted.changes import HASH, SET, STREAM, UNKNOWN
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state_proofs import (
    FRAMES,
    NAMED_BYTES_MAX,
    NAMED_MAX,
    absence,
    canonical_answer,
    proof_of,
)
from quorate.trusted.protocols.redis.values import array, bulk, value_end
from tests.trusted.redis.conversation import wire, words
from tests.trusted.redis.test_state_streams import REPLY as STREAM_REPLY

ASKED = "PEXPIRETIME k; "


def record(kind: str, deadline: int, *parts: bytes) -> bytes:
    return encode_request([kind.encode(), b"%d" % deadline, *parts])


@pytest.mark.parametrize(
    ("kind", "parts", "asked", "value"),
    [
        ("s", [b"hi"], "GET k", "$2 hi"),
        ("s", [b""], "GET k", "$0 "),
        ("l", [b"b", b"a", b"b"], "LRANGE k 0 -1", "*3 $1 b $1 a $1 b"),
        ("z", [b"b", b"1", b"a", b"1.5"], "ZRANGE k 0 -1 WITHSCORES", "*4 $1 b $1 1 $1 a $3 1.5"),
        ("S", [b"a", b"b"], "SCARD k; SMISMEMBER k a b", ":2 *2 :1 :1"),
        ("h", [b"f", b"2", b"g", b"1"], "HLEN k; HMGET k f g", ":2 *2 $1 2 $1 1"),
    ],
)
@pytest.mark.parametrize("deadline", [-1, 31556952000005])
def test_nearly_every_answer_is_known_to_the_byte(
    kind: str, parts: list[bytes], asked: str, value: str, deadline: int
) -> None:
    request, answer, hint = proof_of(b"k", record(kind, deadline, *parts))
    assert words(request) == ASKED + asked
    assert answer == b":%d\r\n" % deadline + wire(value)
    assert hint == UNKNOWN


MANY = [b"%03d" % number for number in range(NAMED_MAX + 1)]
LONG = b"x" * NAMED_BYTES_MAX


def _frames(told: bytes) -> int:
    position = count = 0
    while position < len(told):
        position = value_end(told, position)
        count += 1
    return count


@pytest.mark.parametrize(
    ("kind", "hint", "parts", "asked"),
    [
        ("S", SET, MANY, "SMEMBERS k"),
        ("S", SET, [LONG], "SMEMBERS k"),
        ("h", HASH, [part for name in MANY for part in (name, b"v")], "HGETALL k"),
        ("h", HASH, [b"f", LONG], "HGETALL k"),
    ],
)
def test_what_is_long_is_told_in_any_order(kind: str, hint: int, parts: list[bytes], asked: str) -> None:
    request, answer, found = proof_of(b"k", record(kind, -1, *parts))
    assert words(request) == ASKED + asked
    assert answer == b":-1\r\n" + array([bulk(part) for part in parts])
    assert found == hint
    stride = 1 if hint == SET else 2
    backwards = [
        bulk(part) for start in range(len(parts) - stride, -1, -stride) for part in parts[start : start + stride]
    ]
    told = b":-1\r\n" + array(backwards)
    assert _frames(told) == FRAMES
    assert canonical_answer(hint, told) == answer
    assert canonical_answer(hint, told.replace(b":-1", b":9")) != answer
    assert canonical_answer(hint, b":-1\r\n" + array(backwards[stride:])) != answer


def test_a_stream_is_told_with_more_than_its_record_holds() -> None:
    parts = [b"3-1", b"2-0", b"5", b"1", b"3-1", b"2", b"f", b"v", b"0"]
    request, answer, hint = proof_of(b"k", record("x", -1, *parts))
    assert words(request) == ASKED + "XINFO STREAM k FULL COUNT 0"
    assert hint == STREAM
    assert canonical_answer(STREAM, b":-1\r\n" + wire(STREAM_REPLY)) == answer
    for other in (b"-ERR no such key\r\n", b"*0\r\n"):
        assert canonical_answer(STREAM, b":-1\r\n" + other) != answer


def test_absence_is_proved_by_the_deadline() -> None:
    request, answer = absence(b"k")
    assert words(request) == "PEXPIRETIME k"
    assert answer == b":-2\r\n"


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=NAMED_MAX, unique=True))
def test_members_and_fields_may_be_any_bytes(names: list[bytes]) -> None:
    _, answer, _ = proof_of(b"k", record("S", -1, *names))
    assert answer.count(b":1\r\n") - (len(names) == 1) == len(names)
    if len(names) <= NAMED_MAX // 2:
        fields = [part for name in names for part in (name, name + b"\r\n:1")]
        request, answer, _ = proof_of(b"k", record("h", -1, *fields))
        assert request.endswith(b"".join(bulk(name) for name in names))
        assert answer.endswith(array([bulk(name + b"\r\n:1") for name in names]))
