"""Records: the abstract state of one key as canonical bytes, the same whatever program holds it.

A record is a request-like array of bulk strings: a letter for the kind, the deadline as replicas hold it (ms, or -1),
then elements.

    s  the value                       S  members, in the order of their encoded bytes
    l  the elements, in list order     h  field, value, …, in that order too
    x  see state_streams.py            z  member, score, …, in the order of the sorted set

So what follows the deadline, the *body*, is what a server sends for these elements, and what it is sent to make them.
Knows no request and no reply.
"""

from typing import Final

from ...changes import HASH, LIST, SET, STREAM, STRING, ZSET

_LETTERS: Final = {STRING: b"s", LIST: b"l", SET: b"S", HASH: b"h", ZSET: b"z", STREAM: b"x"}
_KINDS: Final = {letter[0]: kind for kind, letter in _LETTERS.items()}
# What most records begin with: a string without a deadline. Its body follows.
LASTING_STRING: Final = b"*3\r\n$1\r\ns\r\n$2\r\n-1\r\n"


class Content:
    """A record taken apart: its kind, its deadline (ms in digits, or -1) and `count` elements, encoded, in `body`."""

    __slots__ = ("body", "count", "deadline", "kind")

    def __init__(self, record: bytes) -> None:
        # Only the body may hold ends of lines of its own. Each row of a store is cut here: one split is the fastest.
        lines = record.split(b"\r\n", 5)
        self.count = int(lines[0][1:]) - 2
        self.kind = _KINDS[lines[2][0]]
        self.deadline = lines[4]
        self.body = lines[5]

    def elements(self) -> list[bytes]:
        """The elements, encoded."""
        body = self.body
        parts: list[bytes] = []
        position = 0
        for _ in range(self.count):
            stop = body.index(b"\r\n", position)
            end = stop + 4 + int(body[position + 1 : stop])
            parts.append(body[position:end])
            position = end
        return parts


def encode_record(kind: int, deadline: bytes, count: int, body: bytes) -> bytes:
    """The record of a key of this kind whose `count` elements are, encoded, `body`."""
    return b"*%d\r\n$1\r\n%b\r\n$%d\r\n%b\r\n%b" % (count + 2, _LETTERS[kind], len(deadline), deadline, body)


def kind_of(record: bytes) -> int:
    """The kind of the key that a record tells of."""
    return _KINDS[record[record.index(b"\r\n") + 6]]


def deadline_of(record: bytes) -> int:
    """The deadline as replicas hold it (ms), or -1."""
    return int(record.split(b"\r\n", 5)[4])
