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
# From the end of a record's first line to its letter, and to the length of its deadline.
_TO_KIND: Final = len(b"\r\n$1\r\n")
_TO_DEADLINE: Final = len(b"\r\n$1\r\ns\r\n$")
_END_OF_LINE: Final = 13
_DIGIT_ZERO: Final = 48


class Content:
    """A record taken apart: its kind, its deadline (ms in digits, or -1) and `count` elements, encoded, in `body`."""

    __slots__ = ("body", "count", "deadline", "kind")

    def __init__(self, record: bytes) -> None:
        # Each row of a store is cut here: compiled, this takes half the time of a split.
        end, count = _number(record, 1)
        self.count = count - 2
        self.kind = _KINDS[record[end + _TO_KIND]]
        end, length = _number(record, end + _TO_DEADLINE)
        self.deadline = record[end + 2 : end + 2 + length]
        self.body = record[end + 2 + length + 2 :]

    def elements(self) -> list[bytes]:
        """The elements, encoded."""
        body = self.body
        parts: list[bytes] = []
        position = 0
        for _ in range(self.count):
            stop, length = _number(body, position + 1)
            end = stop + 2 + length + 2
            parts.append(body[position:end])
            position = end
        return parts


def _number(record: bytes, start: int) -> tuple[int, int]:
    """Where the digits from `start` on end, and the number."""
    number = 0
    while record[start] != _END_OF_LINE:
        number = 10 * number + record[start] - _DIGIT_ZERO
        start += 1
    return start, number


def encode_record(kind: int, deadline: bytes, count: int, body: bytes) -> bytes:
    """The record of a key of this kind whose `count` elements are, encoded, `body`."""
    return b"*%d\r\n$1\r\n%b\r\n$%d\r\n%b\r\n%b" % (count + 2, _LETTERS[kind], len(deadline), deadline, body)


def kind_of(record: bytes) -> int:
    """The kind of the key that a record tells of."""
    return _KINDS[record[record.index(b"\r\n") + _TO_KIND]]


def deadline_of(record: bytes) -> int:
    """The deadline as replicas hold it (ms), or -1."""
    return int(record.split(b"\r\n", 5)[4])
