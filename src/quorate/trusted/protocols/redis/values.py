"""Values of the Redis protocol as raw bytes: taking aggregates apart, and writing the few that the coordinator makes.

An element is never decoded and encoded again: it is a slice of what a replica sent.
"""

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY_ARRAY = b"*0\r\n"

_AGGREGATES = frozenset(b"*~>%|")
_BULKS = frozenset(b"$=!")
_PAIRS = frozenset(b"%|")


def bulk(value: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def integer(value: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % value


def error(message: str) -> bytes:
    """An error; `message` begins with its code. Line breaks, which would end it early, become blanks."""
    return b"-" + message.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace") + b"\r\n"


def array(elements: list[bytes]) -> bytes:
    """An array of encoded values."""
    return b"*%d\r\n" % len(elements) + b"".join(elements)


def aggregate(kind: bytes, protocol: int, elements: list[bytes]) -> bytes:
    """An array `*`, set `~`, push `>` or map `%` (elements: key, value, …) for a connection of `protocol` 2 or 3."""
    if protocol == 2:
        return array(elements)
    count = len(elements) // 2 if kind == b"%" else len(elements)
    return b"%b%d\r\n" % (kind, count) + b"".join(elements)


def null(protocol: int) -> bytes:
    """The missing value."""
    return b"$-1\r\n" if protocol == 2 else b"_\r\n"


def null_array(protocol: int) -> bytes:
    """The missing array."""
    return b"*-1\r\n" if protocol == 2 else b"_\r\n"


def is_error(value: bytes) -> bool:
    """Whether a reply is an error."""
    return value.startswith((b"-", b"!"))


def value_end(data: bytes, position: int) -> int:
    """The offset after the complete value at `position`."""
    pending = 1
    while pending:
        stop = data.index(b"\r\n", position)
        kind = data[position]
        pending -= 1
        if kind in _BULKS:
            length = int(data[position + 1 : stop])
            position = stop + 2 if length < 0 else stop + length + 4
        else:
            if kind in _AGGREGATES:
                pending += _children(kind, max(int(data[position + 1 : stop]), 0))
            position = stop + 2
    return position


def _children(kind: int, length: int) -> int:
    if kind not in _PAIRS:
        return length
    return 2 * length + (1 if kind == 124 else 0)  # | an attribute is followed by the value that it belongs to


def elements(data: bytes) -> list[bytes]:
    """The elements of an aggregate, keys and values of a map in turn; none of anything else."""
    if data[0] not in _AGGREGATES:
        return []
    stop = data.index(b"\r\n")
    length = int(data[1:stop])
    position = stop + 2
    parts: list[bytes] = []
    for _ in range(_children(data[0], max(length, 0))):
        end = value_end(data, position)
        parts.append(data[position:end])
        position = end
    return parts


def with_elements(data: bytes, parts: list[bytes]) -> bytes:
    """The aggregate `data` with other elements, as many as before."""
    return data[: data.index(b"\r\n") + 2] + b"".join(parts)


def payload(value: bytes) -> bytes:
    """The bytes of a string value, of an integer's or double's text, or of a simple string; b"" of a null."""
    stop = value.index(b"\r\n")
    if value[0] not in _BULKS:
        return value[1:stop] if value[:1] not in (b"_", b"*") else b""
    if value[1:stop] == b"-1":
        return b""
    text = value[stop + 2 : -2]
    return text[4:] if value[0] == 61 else text  # = a verbatim string opens with its kind


def is_null(value: bytes) -> bool:
    """Whether a reply says that there is no value."""
    return value in (b"$-1\r\n", b"*-1\r\n", b"_\r\n")


def integer_of(value: bytes) -> int | None:
    """The number of an integer reply, or None of another."""
    return int(value[1:-2]) if value.startswith(b":") else None
