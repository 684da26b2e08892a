"""Bytes into requests and replies: wherever the network cuts a stream, it is framed alike."""

import hiredis
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.framing import (
    LINE_BYTES_MAX,
    ReplyScanner,
    RequestFault,
    RequestFramer,
    encode_request,
    parse_length,
    split_inline,
)

SMALL = Limits(request_bytes_max=100, inline_bytes_max=40, request_arguments_max=5)


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    stops = sorted(min(cut, len(stream)) for cut in cuts)
    return [stream[start:stop] for start, stop in zip([0, *stops], [*stops, len(stream)], strict=True)]


def requests_of(pieces: list[bytes], limits: Limits) -> tuple[list[list[bytes]], list[bytes], bytes]:
    """Arguments and raw bytes of all requests, and the fault that ended the stream."""
    framer = RequestFramer(limits)
    requests = []
    fault = b""
    for piece in pieces:
        try:
            requests += framer.feed(piece)
        except RequestFault as broken:
            requests += broken.requests
            fault = broken.answer
            break
    return [request.arguments for request in requests], [request.raw for request in requests], fault


# Requests.


def test_lengths_are_plain_decimal_numbers() -> None:
    assert [parse_length(token) for token in (b"0", b"7", b"1023", b"1024", b"9999999999")] == [
        0,
        7,
        1023,
        1024,
        9999999999,
    ]
    for token in (b"", b"-1", b"+1", b"01", b"00", b"1 ", b" 1", b"1_0", b"0x1", b"12345678901", b"\xb2"):
        assert parse_length(token) == -1, token


def test_requests_are_cut_exactly_and_nothing_is_encoded_anew() -> None:
    framer = RequestFramer(Limits())
    stream = encode_request([b"SET", b"a", b"\r\n*1\r\n"]) + encode_request([b"GET", b""])
    requests = framer.feed(stream)
    assert [request.arguments for request in requests] == [[b"SET", b"a", b"\r\n*1\r\n"], [b"GET", b""]]
    assert b"".join(request.raw for request in requests) == stream
    assert framer.waiting_bytes == 0


def test_half_a_request_waits_and_is_counted() -> None:
    framer = RequestFramer(Limits())
    stream = encode_request([b"SET", b"key", b"v" * 5000])
    assert framer.feed(stream[:40]) == []
    assert framer.waiting_bytes == 40
    for start in range(40, len(stream) - 1, 1000):
        assert framer.feed(stream[start : min(start + 1000, len(stream) - 1)]) == []
    assert framer.waiting_bytes == len(stream) - 1
    (request,) = framer.feed(stream[-1:])
    assert request.raw == stream
    assert framer.waiting_bytes == 0


def test_empty_requests_are_passed_over() -> None:
    assert requests_of([b"*0\r\n*-1\r\n\r\n\n   \r\n*1\r\n$4\r\nPING\r\n"], Limits())[0] == [[b"PING"]]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"*x\r\n", b"invalid multibulk length"),
        (b"*-2\r\n", b"invalid multibulk length"),
        (b"*01\r\n", b"invalid multibulk length"),
        (b"*6\r\n", b"invalid multibulk length"),
        (b"*" + b"1" * 14, b"too big mbulk count string"),
        (b"*1\r\n+PING\r\n", b"expected '$', got '+'"),
        (b"*1\r\n+", b"expected '$', got '+'"),
        (b"*1\r\n$" + b"1" * 14, b"too big bulk count string"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", b"invalid bulk length"),
        (b"*1\r\n$101\r\n", b"invalid bulk length"),
        (b"*2\r\n$60\r\n" + b"x" * 60 + b"\r\n$60\r\n", b"request is over the limit"),
        (b"*3\r\n$80\r\n" + b"x" * 80 + b"\r\n$5\r\nxxxxx\r\n$1\r\nx\r\n", b"request is over the limit"),
        (b"*1\r\n$4\r\nPING\n\n", b"bulk string does not end in CRLF"),
        (b"*1\r\n$4\r\nPING\rx", b"bulk string does not end in CRLF"),
        (b"x" * 41, b"too big inline request"),
        (b"x" * 41 + b"\n", b"too big inline request"),
        (b'SET a "b\r\n', b"unbalanced quotes in request"),
        (b'SET a "b"c\r\n', b"unbalanced quotes in request"),
        (b"SET a 'b\r\n", b"unbalanced quotes in request"),
        (b"POST / HTTP/1.1\r\n", b"this is HTTP, not Redis"),
        (b"Host: example\r\n", b"this is HTTP, not Redis"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(stream: bytes, why: bytes) -> None:
    good = encode_request([b"GET", b"a"])
    arguments, raw, fault = requests_of([good + stream], SMALL)
    assert (arguments, raw) == ([[b"GET", b"a"]], [good]), "what came before it is served"
    assert fault == b"-ERR Protocol error: " + why + b"\r\n"


REQUESTS = st.lists(
    st.lists(st.binary(max_size=12), min_size=1, max_size=4).map(encode_request)
    | st.sampled_from(
        [b"PING\r\n", b"set a 'b c'\n", b"*0\r\n", b"*1\r\n$1\r\n", b"*x\r\n", b'get "\\x41"\r\n', b"'\n"]
    )
    | st.binary(max_size=8),
    max_size=6,
).map(b"".join)
CUTS = st.lists(st.integers(0, 120), max_size=8)


@given(stream=REQUESTS, cuts=CUTS)
@example(stream=b"*1\r\n$60\r\n", cuts=[5, 6, 7])
@example(stream=b'*\x00\x00get "\\x41"\r\n', cuts=[14])
def test_any_cutting_of_any_bytes_yields_the_same_requests(stream: bytes, cuts: list[int]) -> None:
    whole = requests_of([stream], SMALL)
    assert requests_of(pieces_of(stream, cuts), SMALL) == whole
    assert requests_of([stream[at : at + 1] for at in range(len(stream))], SMALL) == whole


@given(st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=5), max_size=5))
def test_what_is_encoded_is_read_back(requests: list[list[bytes]]) -> None:
    arguments, raw, fault = requests_of([b"".join(map(encode_request, requests))], Limits())
    assert (arguments, raw, fault) == (requests, list(map(encode_request, requests)), b"")


# Inline commands.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", []),
        (b"  PING \t ", [b"PING"]),
        (b"SET a 1", [b"SET", b"a", b"1"]),
        (b'SET a "b c"', [b"SET", b"a", b"b c"]),
        (b"SET a 'b c'", [b"SET", b"a", b"b c"]),
        (b'a""', [b"a"]),
        (b'""', [b""]),
        (b"''", [b""]),
        (b'"\\n\\r\\t\\b\\a\\q\\"\\\\"', [b'\n\r\t\b\aq"\\']),
        (b'"\\x41\\xfF\\xg1\\x4"', [b"A\xffxg1x4"]),
        (b"'\\n\\''", [b"\\n'"]),
        (b'"a\0b" c\0d', [b"a\0b", b"c", b"d"]),
    ],
)
def test_words_are_split_as_redis_splits_them(text: bytes, words: list[bytes]) -> None:
    assert split_inline(text) == words


def test_an_inline_command_goes_to_the_replicas_as_an_array() -> None:
    assert requests_of([b"set a 'b c'\r\n"], Limits())[1] == [encode_request([b"set", b"a", b"b c"])]


# Replies.

SCALARS = st.sampled_from(
    [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":12\r\n",
        b":-1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b",inf\r\n",
        b"(123456789012345678901234567890\r\n",
        b"=7\r\ntxt:a\r\r\r\n",
        b"$0\r\n\r\n",
        b"*0\r\n",
        b"%0\r\n",
    ]
) | st.binary(max_size=20).map(lambda value: b"$%d\r\n%b\r\n" % (len(value), value))


def _aggregates(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        lists.map(lambda parts: b"*%d\r\n" % len(parts) + b"".join(parts)),
        lists.map(lambda parts: b">%d\r\n" % (len(parts) + 1) + b"$1\r\nx\r\n" + b"".join(parts)),
        st.lists(inner, max_size=2).map(
            lambda parts: b"%%%d\r\n" % len(parts) + b"".join(b"+k\r\n" + p for p in parts)
        ),
    )


REPLIES = st.recursive(SCALARS, _aggregates, max_leaves=12)
ATTRIBUTED = st.tuples(REPLIES, REPLIES).map(lambda pair: b"|1\r\n+ttl\r\n" + pair[0] + pair[1])


def ends_of(stream: bytes, units: int, frames: int = 1) -> list[int]:
    """Where each unit ends, found one by one."""
    scanner = ReplyScanner()
    buffer = bytearray(stream)
    ends: list[int] = []
    start = 0
    while len(ends) < units and scanner.scan(buffer, start, len(buffer), 1, frames):
        start = scanner.end
        ends.append(start)
    return ends


@given(st.lists(REPLIES, min_size=1, max_size=5))
def test_replies_end_where_another_implementation_finds_their_ends(replies: list[bytes]) -> None:
    stream = b"".join(replies)
    sums = [sum(map(len, replies[: count + 1])) for count in range(len(replies))]
    assert ends_of(stream, len(replies)) == sums
    reader = hiredis.Reader()
    for reply, end in zip(replies, sums, strict=True):
        reader.feed(reply[:-1])
        assert reader.gets() is False, "not before its last byte"
        reader.feed(stream[end - 1 : end])
        assert reader.gets() is not False


@given(REPLIES | ATTRIBUTED)
def test_no_beginning_of_a_reply_is_a_reply_or_garbage(reply: bytes) -> None:
    scanner = ReplyScanner()
    buffer = bytearray()
    for position, byte in enumerate(reply):
        assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 0
        assert not scanner.is_garbage
        buffer.append(byte)
        assert len(buffer) == position + 1
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 1
    assert scanner.end == len(reply)


@given(stream=st.lists(REPLIES | ATTRIBUTED | st.binary(max_size=4), max_size=8).map(b"".join), cuts=CUTS)
@settings(max_examples=300)
def test_any_cutting_of_any_bytes_yields_the_same_replies(stream: bytes, cuts: list[int]) -> None:
    whole = ReplyScanner()
    buffer = bytearray(stream)
    units = whole.scan(buffer, 0, len(buffer), len(stream) + 1, 1)
    found, read = 0, 0
    scanner = ReplyScanner()
    buffer = bytearray()
    for piece in pieces_of(stream, cuts):
        buffer += piece
        while scanner.scan(buffer, 0, len(buffer), 1, 1):
            found += 1
            read += scanner.end
            del buffer[: scanner.end]
            scanner.shift(scanner.end)
        if scanner.is_garbage:
            break
    assert (found, read, scanner.is_garbage) == (units, whole.end, whole.is_garbage)


@given(replies=st.lists(REPLIES, min_size=6, max_size=6), limit=st.integers(0, 200))
def test_a_limit_hides_what_comes_after_it(replies: list[bytes], limit: int) -> None:
    stream = b"".join(replies)
    assert ends_of(stream, 2, frames=3) == [len(b"".join(replies[:3])), len(stream)]
    limited, cut = ReplyScanner(), ReplyScanner()
    found = limited.scan(bytearray(stream), 0, min(limit, len(stream)), 2, 3)
    assert (found, limited.end) == (cut.scan(bytearray(stream[:limit]), 0, min(limit, len(stream)), 2, 3), cut.end)
    limited.shift(limited.end)
    rest = bytearray(stream[limited.end :])
    assert limited.scan(rest, 0, len(rest), 2, 3) == 2 - found
    assert limited.end == len(rest)


@pytest.mark.parametrize(
    "stream",
    [
        b"what\r\n",
        b"\r\n",
        b"x",
        b"$x\r\n",
        b"$-2\r\n",
        b"$01\r\n",
        b"*-2\r\n",
        b"%-1\r\n",
        b"=-1\r\n",
        b"$1\r\nabc",
        b"*1\r\nx\r\n",
        b"$" + b"1" * (LINE_BYTES_MAX + 1),
    ],
)
def test_what_no_reply_begins_with_is_garbage(stream: bytes) -> None:
    scanner = ReplyScanner()
    assert scanner.scan(bytearray(stream), 0, len(stream), 1, 1) == 0
    assert scanner.is_garbage


def test_a_fresh_scanner_has_read_nothing() -> None:
    scanner = ReplyScanner()
    buffer = bytearray(b"*2\r\n+1\r\n")
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 0
    assert scanner.fresh().scan(bytearray(b"+1\r\n"), 0, 4, 1, 1) == 1


@given(replies=st.lists(REPLIES, min_size=3, max_size=3), head=st.integers(0, 40), cuts=CUTS)
def test_skipping_ends_where_the_unit_ends(replies: list[bytes], head: int, cuts: list[int]) -> None:
    """A unit under way is thrown away in any pieces; what comes behind it is framed as if it had never been."""
    unit = b"".join(replies[:2])
    head = min(head, len(unit) - 1)
    scanner = ReplyScanner()
    buffer = bytearray(unit[:head])
    assert scanner.scan(buffer, 0, head, 1, 2) == 0
    is_done = scanner.skip(buffer)
    for piece in pieces_of(unit[head:] + replies[2], cuts):
        assert len(buffer) < 64 or is_done, "nothing is kept but what cannot be told yet"
        buffer += piece
        if not is_done:
            is_done = scanner.skip(buffer)
    assert is_done
    assert buffer == replies[2]
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 1


def test_a_long_string_is_skipped_as_it_comes() -> None:
    scanner = ReplyScanner()
    buffer = bytearray(b"*2\r\n$9")
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 0
    assert not scanner.skip(buffer)
    assert buffer == b"$9"
    for piece in (b"9\r\n" + b"x" * 50, b"x" * 49, b"\r\n:"):
        buffer += piece
        assert not scanner.skip(buffer)
    assert buffer == b":"
    buffer += b"1\r\n+next\r\n"
    assert scanner.skip(buffer)
    assert buffer == b"+next\r\n"


def test_skipping_may_end_with_a_long_string() -> None:
    scanner = ReplyScanner()
    buffer = bytearray(b"$99\r\n")
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 0
    assert not scanner.skip(buffer)
    buffer += b"x" * 99 + b"\r\n+next\r\n"
    assert scanner.skip(buffer)
    assert buffer == b"+next\r\n"


def test_garbage_ends_skipping() -> None:
    scanner = ReplyScanner()
    buffer = bytearray(b"*3\r\n:1\r\n")
    assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 0
    assert not scanner.skip(buffer)
    buffer += b"what\r\n"
    assert not scanner.skip(buffer)
    assert scanner.is_garbage
