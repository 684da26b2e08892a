"""State reads: what is asked, what a reply tells, and that nothing a replica says does harm."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, UNKNOWN, UNREADABLE, ZSET
from quorate.trusted.protocols.redis.framing import ReplyScanner, encode_request
from quorate.trusted.protocols.redis.state import (
    StateRead,
    canonical_unit,
    read_state,
    record_of,
    state_request,
    take_state,
)
from quorate.trusted.protocols.redis.values import array, bulk
from tests.trusted.redis.conversation import wire, words
from tests.trusted.redis.test_state_streams import REPLY as STREAM_REPLY

READS = {
    UNKNOWN: "TYPE k; PEXPIRETIME k",
    STRING: "TYPE k; PEXPIRETIME k; GET k",
    LIST: "TYPE k; PEXPIRETIME k; LRANGE k 0 -1",
    SET: "TYPE k; PEXPIRETIME k; SMEMBERS k",
    HASH: "TYPE k; PEXPIRETIME k; HGETALL k",
    ZSET: "TYPE k; PEXPIRETIME k; ZRANGE k 0 -1 WITHSCORES",
    STREAM: "TYPE k; PEXPIRETIME k; XINFO STREAM k FULL COUNT 0",
}
TYPES = {STRING: "string", LIST: "list", SET: "set", HASH: "hash", ZSET: "zset", STREAM: "stream"}
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


def unit(kind: int, value: bytes, deadline: int = -1) -> bytes:
    """What a server answers to one state read of this kind."""
    return f"+{TYPES[kind]}\r\n:{deadline}\r\n".encode() + value


@pytest.mark.parametrize("kind", READS)
def test_one_slot_asks_for_type_deadline_and_value(kind: int) -> None:
    raw, frames = state_request(b"k", kind)
    assert words(raw) == READS[kind]
    assert frames == READS[kind].count(";") + 1


@pytest.mark.parametrize(
    ("kind", "value", "record"),
    [
        (STRING, "$2 hi", ["s", "hi"]),
        (STRING, "$0 ", ["s", ""]),
        (LIST, "*3 $1 b $1 a $1 b", ["l", "b", "a", "b"]),
        (SET, "*3 $1 c $1 a $1 b", ["S", "a", "b", "c"]),
        (HASH, "*4 $1 g $1 1 $1 f $1 2", ["h", "f", "2", "g", "1"]),
        (ZSET, "*4 $1 b $1 1 $1 a $3 1.5", ["z", "b", "1", "a", "1.5"]),
        (STREAM, STREAM_REPLY, ["x", "3-1", "2-0", "5", "1", "3-1", "2", "f", "v", "0"]),
    ],
)
@pytest.mark.parametrize("deadline", [-1, 31556952000005])
def test_a_reply_becomes_a_record(kind: int, value: str, record: list[str], deadline: int) -> None:
    said = unit(kind, wire(value), deadline)
    wanted = encode_request([record[0].encode(), b"%d" % deadline, *[part.encode() for part in record[1:]]])
    assert record_of(kind, said) == (kind, wanted, True)


@pytest.mark.parametrize("kind", READS)
def test_what_is_absent_is_known_whatever_was_asked(kind: int) -> None:
    value = b"" if kind == UNKNOWN else b"-ERR no such key\r\n" if kind == STREAM else b"*0\r\n"
    assert record_of(kind, b"+none\r\n:-2\r\n" + value) == (UNKNOWN, None, True)


@pytest.mark.parametrize("hint", READS)
@pytest.mark.parametrize("kind", TYPES)
def test_a_wrong_hint_is_answered_with_the_right_one(hint: int, kind: int) -> None:
    if hint != kind:
        said = unit(kind, b"" if hint == UNKNOWN else WRONG_TYPE)
        assert record_of(hint, said) == (kind, None, False)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (STRING, b"+module-1\r\n:-1\r\n" + WRONG_TYPE),
        (UNKNOWN, b"+module-1\r\n:-1\r\n"),
        (STRING, unit(STRING, b"-OOM no\r\n")),
        (STRING, unit(STRING, b"$-1\r\n")),
        (STRING, b"+string\r\n+-1\r\n$1\r\na\r\n"),
        (STRING, b"+string\r\n:-2\r\n$1\r\na\r\n"),
        (STRING, b"+string\r\n:x\r\n$1\r\na\r\n"),
        (LIST, unit(LIST, b"$1\r\na\r\n")),
        (LIST, unit(LIST, b"*-1\r\n")),
        (LIST, unit(LIST, b"*0\r\n")),
        (ZSET, unit(ZSET, b"*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n")),
        (HASH, unit(HASH, b"*1\r\n$1\r\na\r\n")),
        (STREAM, unit(STREAM, b"*0\r\n")),
        (STREAM, unit(STREAM, b"-ERR no such thing\r\n")),
        (SET, b""),
        (SET, b"+set\r\n"),
        (STRING, b"+string"),
        (STRING, b"+string\r\n:-1\r\n"),
    ],
)
def test_what_no_server_says_is_unreadable(kind: int, said: bytes) -> None:
    assert record_of(kind, said) == (UNREADABLE, None, False)


@pytest.mark.parametrize("kind", READS)
@given(said=st.binary(max_size=60))
def test_no_bytes_do_harm(kind: int, said: bytes) -> None:
    told, record, is_settled = record_of(kind, said)
    assert is_settled == (record is not None or told == UNKNOWN)


LINES = st.sampled_from(
    [b"+a\r\n", b":1\r\n", b"-ERR\r\n", b"$-1\r\n", b"_\r\n", b"*-1\r\n", b"$1\r\na\r\n", b"$3\r\n1-1\r\n"]
)
NAMES = b"last-generated-id max-deleted-entry-id entries-added entries groups name pending consumers".split()
VALUES = st.recursive(
    st.one_of(LINES, st.sampled_from([bulk(name) for name in NAMES])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8).map(array),
        st.lists(inner, max_size=4).map(
            lambda parts: b"%%%d\r\n" % (len(parts) // 2) + b"".join(parts[: len(parts) & ~1])
        ),
    ),
    max_leaves=40,
)


@pytest.mark.parametrize("kind", [SET, HASH, STREAM])
@settings(max_examples=40)
@given(frames=st.lists(VALUES, min_size=3, max_size=3))
def test_whatever_a_replica_says_has_one_canonical_form(kind: int, frames: list[bytes]) -> None:
    said = b"".join(frames)
    form = StateRead([(0, b"k", kind)])
    canonical = form.canonical(said)
    scanner = ReplyScanner()
    assert scanner.scan(bytearray(canonical), 0, len(canonical), 1, 3) == 1
    assert scanner.end == len(canonical)
    take_state(form, 0, 1, canonical)


@given(st.lists(st.binary(max_size=6), min_size=1, unique=True), st.randoms(use_true_random=False))
def test_any_order_of_members_gives_one_record(members: list[bytes], chance: Random) -> None:
    pairs = [(member, b"%d" % number) for number, member in enumerate(members)]
    told = set()
    for _ in range(3):
        chance.shuffle(pairs)
        said = unit(SET, array([bulk(member) for member, _ in pairs]))
        fields = unit(HASH, array([bulk(part) for pair in pairs for part in pair]))
        told.add((record_of(SET, said)[1], record_of(HASH, fields)[1]))
        assert canonical_unit(SET, canonical_unit(SET, said)) == canonical_unit(SET, said)
    assert len(told) == 1


# Spans.


def test_neighbours_that_can_be_compared_as_they_come_share_a_span() -> None:
    items = [(0, b"a", STRING), (0, b"b", LIST), (0, b"c", ZSET), (1, b"d", STRING), (1, b"e", UNKNOWN)]
    items += [(1, b"f", UNKNOWN), (1, b"g", SET), (1, b"h", SET), (1, b"i", HASH), (1, b"j", STREAM), (1, b"k", STRING)]
    spans = read_state(items)
    assert [span.count for span in spans] == [3, 1, 2, 1, 1, 1, 1, 1]
    assert [span.frames for span in spans] == [3, 3, 2, 3, 3, 3, 3, 3]
    assert [span.is_exact for span in spans] == [True, True, True, False, False, False, False, True]
    assert [span.mode for span in spans] == [2 << 16] + [2 << 16 | 1] * 7
    assert all(span.owner is None and not span.is_write for span in spans)
    assert [request for span in spans for request in span.requests] == [
        state_request(key, kind)[0] for _, key, kind in items
    ]
    forms = [span.form for span in spans if isinstance(span.form, StateRead)]
    assert [item for form in forms for item in form.items] == items
    assert read_state([]) == []


def test_a_span_tells_of_its_keys_in_turn() -> None:
    form = StateRead([(0, b"gone", STRING), (0, b"a", STRING), (0, b"b", STRING), (0, b"c", LIST)])
    told = [unit(STRING, b"$1\r\n1\r\n"), unit(LIST, WRONG_TYPE), unit(LIST, b"*1\r\n$1\r\nx\r\n", 9)]
    assert [form.canonical(one) for one in told] == told
    parts = take_state(form, 1, 3, b"".join(told))
    assert [(part.database, part.key, part.kind, part.is_settled) for part in parts] == [
        (0, b"a", STRING, True),
        (0, b"b", LIST, False),
        (0, b"c", LIST, True),
    ]
    assert [part.record for part in parts] == [
        encode_request([b"s", b"-1", b"1"]),
        None,
        encode_request([b"l", b"9", b"x"]),
    ]


def test_a_span_of_unknown_kinds_tells_kinds() -> None:
    form = StateRead([(3, b"a", UNKNOWN), (3, b"b", UNKNOWN)])
    parts = take_state(form, 0, 2, b"+hash\r\n:-1\r\n+none\r\n:-2\r\n")
    assert [(part.kind, part.record, part.is_settled) for part in parts] == [(HASH, None, False), (UNKNOWN, None, True)]


def test_replicas_that_differ_in_order_only_agree() -> None:
    form = StateRead([(0, b"a", SET)])
    said = [unit(SET, wire(value)) for value in ("*2 $1 a $2 bb", "*2 $2 bb $1 a")]
    assert form.canonical(said[0]) == form.canonical(said[1])
    assert take_state(form, 0, 1, form.canonical(said[0]))[0].record == record_of(SET, said[1])[1]
