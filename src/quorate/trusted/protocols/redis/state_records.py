"""Records: the abstract state of one key as canonical bytes, the same whatever program holds it.

A record is a request-like array of bulk strings: a letter for the kind, the deadline as replicas hold it (ms, or -1),
then elements.

    s  the value                       S  members, in the order of their encoded bytes
    l  the elements, in list order     h  field, value, …, in that order too
    x  see state_streams.py            z  member, score, …, in the order of the sorted set

So what follows the deadline, the *body*, is what a server sends for these elements, and what it is sent to make them.
Knows no request and no reply.
"""

from ...changes import HASH, LIST, SET, STREAM, STRING, ZSET

_LETTERS = {STRING: b"s", LIST: b"l", SET: b"S", HASH: b"h", ZSET: b"z", STREAM: b"x"}
_KINDS = {letter[0]: kind for kind, letter in _LETTERS.items()}
# What most records begin with: a string without a deadline. Its body follows.
LASTING_STRING = b"*3\r\n$1\r\ns\r\n$2\r\n-1\r\n"

_FOREVER = b"$2\r\n-1\r\n"
# From the end of the first line, past the letter.
_TO_DEADLINE = 9


class Content:
    """A record taken apart: its kind, its deadline (ms in digits, or -1) and `count` elements, encoded, in `body`."""

    __slots__ = ("body", "count", "deadline", "kind")

    def __init__(self, record: bytes) -> None:
        head = record.index(b"\r\n")
        self.count = int(record[1:head]) - 2
        self.kind = _KINDS[record[head + 6]]
        start = head + _TO_DEADLINE
        self.deadline, end = _deadline(record, start)
        self.body = record[end:]


def _deadline(record: bytes, start: int) -> tuple[bytes, int]:
    """The deadline that stands at `start`, and where it ends."""
    if record.startswith(_FOREVER, start):
        return b"-1", start + len(_FOREVER)
    stop = record.index(b"\r\n", start)
    end = stop + 2 + int(record[start + 1 : stop])
    return record[stop + 2 : end], end + 2


def encode_record(kind: int, deadline: bytes, count: int, body: bytes) -> bytes:
    """The record of a key of this kind whose `count` elements are, encoded, `body`."""
    return b"*%d\r\n$1\r\n%b\r\n$%d\r\n%b\r\n%b" % (count + 2, _LETTERS[kind], len(deadline), deadline, body)


def kind_of(record: bytes) -> int:
    """The kind of the key that a record tells of."""
    return _KINDS[record[record.index(b"\r\n") + 6]]


def deadline_of(record: bytes) -> int:
    """The deadline as replicas hold it (ms), or -1."""
    return int(_deadline(record, record.index(b"\r\n") + _TO_DEADLINE)[0])
