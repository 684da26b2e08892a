"""The abstract state of keys, read as ordinary slots (docs/adr/0009-state-by-vote.md).

One slot reads one key: its type, its deadline, and its value in the way that a hint at its kind calls for; nothing
comes between. Values that have an order are compared byte for byte, and many such keys share one span; a set's or a
hash's elements are sorted, a stream's are taken out of what servers tell beside them. What was agreed becomes a record
(state_records.py). What is not of one of these kinds, or not told as expected, is unreadable.
"""

from typing import Final

from ...changes import HASH, LIST, SET, STREAM, STRING, UNKNOWN, UNREADABLE, ZSET, Change, Part
from ...span import Span
from .base import Transform
from .state_reads import DEADLINE, canonical_value, is_exact, value_request
from .state_records import encode_record
from .values import bulk, value_end

PROTOCOL = 2

_TYPE: Final = b"*2\r\n$4\r\nTYPE\r\n"
_ABSENT: Final = b"+none\r\n"
_TYPES: Final = {
    STRING: b"+string\r\n",
    LIST: b"+list\r\n",
    SET: b"+set\r\n",
    HASH: b"+hash\r\n",
    ZSET: b"+zset\r\n",
    STREAM: b"+stream\r\n",
}
_KINDS = {name: kind for kind, name in _TYPES.items()}
_PAIRED = frozenset((HASH, ZSET))


# Asking.


def state_request(key: bytes, kind: int) -> tuple[bytes, int]:
    """What one state read of `key` sends on a lane, if it is of this kind, and how many reply frames that yields."""
    name = bulk(key)
    if kind == UNKNOWN:
        return b"%b%b%b%b" % (_TYPE, name, DEADLINE, name), 2
    return b"%b%b%b%b%b" % (_TYPE, name, DEADLINE, name, value_request(kind, name)), 3


class StateRead(Transform):
    """Reads of `items` (database, key, hint at its kind), one slot each, all with as many frames.

    `kind` is the hint where replies are not compared as they come; then there is one item.
    """

    def __init__(self, items: list[Change]) -> None:
        self.items = items
        # What clients may write must be readable, or there is no checkpoint.
        self.is_large = True
        self.is_exact = is_exact(items[0][2])
        self._kind = items[0][2]

    def canonical(self, reply: bytes) -> bytes:
        """Type and deadline as they came, and the value in the one order that it has for all."""
        return reply if self.is_exact else canonical_unit(self._kind, reply)


def read_state(items: list[Change]) -> list[Span]:
    """Spans of the cell's own that read the state of `items`, in this order."""
    spans: list[Span] = []
    group: list[Change] = []
    for item in items:
        if group and not _is_alike(group[0], item):
            spans.append(_span(group))
            group = []
        group.append(item)
    if group:
        spans.append(_span(group))
    return spans


def _is_alike(one: Change, other: Change) -> bool:
    """Whether both can be read in one span: in one database, compared as they come, with as many frames."""
    is_same = one[0] == other[0] and (one[2] == UNKNOWN) == (other[2] == UNKNOWN)
    return is_same and is_exact(one[2]) and is_exact(other[2])


def _span(items: list[Change]) -> Span:
    form = StateRead(items)
    requests = [state_request(key, kind)[0] for _, key, kind in items]
    span = Span(None, requests, PROTOCOL << 16 | items[0][0], False, form)
    span.frames = 2 if items[0][2] == UNKNOWN else 3
    return span


# Being told.


def take_state(form: StateRead, first: int, count: int, data: bytes) -> list[Part]:
    """What `data`, agreed for the slots of `count` items from index `first` on, tells of their keys."""
    parts: list[Part] = []
    position = 0
    items = form.items[first : first + count]
    for database, key, hint in items:
        end = len(data)
        if len(parts) + 1 < len(items):
            end = value_end(data, value_end(data, position))
            if hint != UNKNOWN:
                end = value_end(data, end)
        kind, record, is_settled = _told(hint, data[position:end])
        parts.append(Part(database, key, kind, record, is_settled))
        position = end
    return parts


def record_of(kind: int, unit: bytes) -> tuple[int, bytes | None, bool]:
    """What `unit`, all that a replica answered to `state_request` with this kind, tells: kind, record, whether settled.

    Settled without a record: the key is absent. Not settled: it is of the kind told, which was not asked for, or
    `UNREADABLE`. Bytes that no server sends are unreadable, or yield a record that is not the right one.
    """
    try:
        return _told(kind, unit if is_exact(kind) else canonical_unit(kind, unit))
    except (ValueError, IndexError):
        return UNREADABLE, None, False


def canonical_unit(kind: int, unit: bytes) -> bytes:
    """The answer to a read of a set, a hash or a stream, with its value in canonical form."""
    start = value_end(unit, value_end(unit, 0))
    return unit[:start] + canonical_value(kind, unit[start:])


def _told(hint: int, unit: bytes) -> tuple[int, bytes | None, bool]:
    """As `record_of`, from a unit in canonical form."""
    type_end = unit.index(b"\r\n") + 2
    name = unit[:type_end]
    if name == _ABSENT:
        return UNKNOWN, None, True
    kind = _KINDS.get(name, UNREADABLE)
    if kind != hint:
        return kind, None, False
    start = unit.index(b"\r\n", type_end) + 2
    deadline = unit[type_end + 1 : start - 2]
    if unit[type_end] != 58 or not (deadline == b"-1" or deadline.isdigit()):  # :
        return UNREADABLE, None, False
    record = _encoded(kind, deadline, unit, start)
    return UNREADABLE if record is None else kind, record, record is not None


def _encoded(kind: int, deadline: bytes, unit: bytes, start: int) -> bytes | None:
    """The record of a key whose value stands in `unit` from `start` on; None when that is no such value."""
    if kind == STRING:
        is_value = unit[start] == 36 and unit[start + 1] != 45  # $ and not -
        return encode_record(kind, deadline, 1, unit[start:]) if is_value else None
    head = unit.index(b"\r\n", start)
    digits = unit[start + 1 : head]
    if unit[start] != 42 or not digits.isdigit():  # *
        return None
    count = int(digits)
    if not count or (kind in _PAIRED and count % 2):
        return None
    return encode_record(kind, deadline, count, unit[head + 2 :])
