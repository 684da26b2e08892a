"""Replies as bytes, in RESP2 and RESP3. Pure functions: they know nothing of commands and sessions.

`protocol` is 2 or 3 everywhere. Elements of aggregates are replies already encoded.
"""

from collections.abc import Iterable, Sequence

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY_BULK = b"$0\r\n\r\n"
EMPTY_ARRAY = b"*0\r\n"

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def bulk(value: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def integer(value: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % value


def error(text: bytes) -> bytes:
    """An error of one line, whatever `text` holds."""
    return b"-%s\r\n" % text.strip(b"\r\n").translate(_LINE_ENDS)


def null(protocol: int) -> bytes:
    """The missing value."""
    return b"$-1\r\n" if protocol == 2 else b"_\r\n"


def null_array(protocol: int) -> bytes:
    """The missing array."""
    return b"*-1\r\n" if protocol == 2 else b"_\r\n"


def optional(protocol: int, value: bytes | None) -> bytes:
    """A bulk string, or the missing value for None."""
    return null(protocol) if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(elements: Sequence[bytes]) -> bytes:
    """An array."""
    return b"*%d\r\n" % len(elements) + b"".join(elements)


def bulks(values: Iterable[bytes]) -> bytes:
    """An array of bulk strings."""
    return array([b"$%d\r\n%s\r\n" % (len(value), value) for value in values])


def unordered(protocol: int, values: Sequence[bytes]) -> bytes:
    """A set of bulk strings."""
    kind = b"*" if protocol == 2 else b"~"
    return kind + bulks(values)[1:]


def mapping(protocol: int, elements: Sequence[bytes]) -> bytes:
    """A map, from keys and values in turn."""
    if protocol == 2:
        return array(elements)
    return b"%%%d\r\n" % (len(elements) // 2) + b"".join(elements)


def double(protocol: int, value: float) -> bytes:
    """A score: a bulk string in RESP2, a double in RESP3."""
    if protocol == 2:
        return bulk(b"%.17g" % value)
    return b",%.17g\r\n" % value


def scored(protocol: int, pairs: Iterable[tuple[bytes, float]], nested: bool) -> bytes:
    """Members with their scores, each pair as an array of its own when `nested`."""
    if nested:
        return array([b"*2\r\n" + bulk(member) + double(protocol, score) for member, score in pairs])
    return array([part for member, score in pairs for part in (bulk(member), double(protocol, score))])
