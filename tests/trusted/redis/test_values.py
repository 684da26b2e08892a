"""Aggregates taken apart and the few replies that the coordinator writes itself; hiredis reads along."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.trusted.protocols.redis import values
from quorate.trusted.protocols.redis.values import (
    aggregate,
    array,
    bulk,
    elements,
    error,
    integer,
    integer_of,
    is_error,
    is_null,
    null,
    null_array,
    payload,
    value_end,
    with_elements,
)
from tests.trusted.redis.test_framing import ATTRIBUTED, REPLIES, ends_of


def read(data: bytes) -> object:
    """What another implementation makes of one reply."""
    reader = hiredis.Reader()
    reader.feed(data)
    return reader.gets()


def test_what_is_written_here_is_read_elsewhere() -> None:
    assert read(bulk(b"a\r\nb")) == b"a\r\nb"
    assert read(integer(-7)) == -7
    assert read(array([bulk(b"a"), integer(1)])) == [b"a", 1]
    assert read(null(2)) is read(null(3)) is read(null_array(2)) is read(null_array(3)) is None
    assert str(read(error("ERR no\r\n+OK"))) == "ERR no  +OK"
    assert str(read(error("ERR \u20ac"))) == "ERR ?"
    for constant, meaning in ((values.OK, b"OK"), (values.QUEUED, b"QUEUED"), (values.ZERO, 0), (values.ONE, 1)):
        assert read(constant) == meaning
    assert read(values.EMPTY_ARRAY) == []


@pytest.mark.parametrize(
    ("kind", "expected"), [(b"*", b"*2\r\n:1\r\n:2\r\n"), (b"~", b"~2\r\n:1\r\n:2\r\n"), (b"%", b"%1\r\n:1\r\n:2\r\n")]
)
def test_kinds_of_aggregates_exist_for_newer_connections_only(kind: bytes, expected: bytes) -> None:
    parts = [b":1\r\n", b":2\r\n"]
    assert aggregate(kind, 3, parts) == expected
    assert aggregate(kind, 2, parts) == array(parts)


@given(st.lists(REPLIES | ATTRIBUTED, max_size=5))
def test_an_array_comes_apart_into_what_it_was_made_of(parts: list[bytes]) -> None:
    data = array(parts)
    assert elements(data) == parts
    assert with_elements(data, parts) == data
    assert value_end(b"+before\r\n" + data + b"+after\r\n", 9) == 9 + len(data)


@given(REPLIES | ATTRIBUTED)
def test_a_value_ends_where_the_scanner_says(reply: bytes) -> None:
    assert value_end(reply, 0) == ends_of(reply, 1)[0] == len(reply)


def test_keys_and_values_of_a_map_come_in_turn() -> None:
    assert elements(b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n") == [b"+a\r\n", b":1\r\n", b"+b\r\n", b":2\r\n"]
    assert elements(b"*-1\r\n") == elements(b"$1\r\na\r\n") == elements(b"-ERR\r\n") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"$3\r\nabc\r\n", b"abc"),
        (b"$-1\r\n", b""),
        (b"=7\r\ntxt:abc\r\n", b"abc"),
        (b":12\r\n", b"12"),
        (b",1.5\r\n", b"1.5"),
        (b"+OK\r\n", b"OK"),
        (b"_\r\n", b""),
        (b"*-1\r\n", b""),
    ],
)
def test_a_values_payload(value: bytes, text: bytes) -> None:
    assert payload(value) == text


def test_errors_nulls_and_integers_are_told_apart() -> None:
    assert [is_error(value) for value in (b"-ERR\r\n", b"!3\r\nERR\r\n", b"+OK\r\n", b":1\r\n")] == [
        True,
        True,
        False,
        False,
    ]
    assert [is_null(value) for value in (b"$-1\r\n", b"*-1\r\n", b"_\r\n", b"$0\r\n\r\n")] == [True, True, True, False]
    assert integer_of(b":-5\r\n") == -5
    assert integer_of(b"$1\r\n5\r\n") is None
