"""Streams as abstract state: what XINFO STREAM FULL tells without clocks, and the requests that make a stream so.

A record's elements are one flat list:

    last identifier, largest deleted one, entries ever added,
    entries:   how many, then for each its identifier, how many fields and values, and these
    groups:    how many, then for each its name, last delivered identifier, entries read (-1: not known),
               consumers: how many, their names;  pending: how many, then for each its identifier, consumer, deliveries

Left out: times of delivery and of consumers, each replica's own and shown to nobody; how nodes of a tree are packed;
what follows from the rest. Groups and consumers are in the order of their names, the pending of their identifiers.
"""

from .batches import batches
from .framing import encode_request
from .values import array, bulk, elements, integer_of, is_null, payload

_ZERO = b"0-0"
# How many pending entries one request makes. Its reply names them all, and acknowledges (state/expectations.py).
CLAIMS_MAX = 64


class Pending:
    """Delivered to `consumer`, `deliveries` times, and not acknowledged."""

    __slots__ = ("consumer", "deliveries", "identifier")

    def __init__(self, identifier: bytes, consumer: bytes, deliveries: bytes) -> None:
        self.identifier = identifier
        self.consumer = consumer
        self.deliveries = deliveries


class Group:
    """A consumer group."""

    __slots__ = ("consumers", "delivered", "entries_read", "name", "pending")

    def __init__(self, name: bytes, delivered: bytes, entries_read: bytes) -> None:
        self.name = name
        self.delivered = delivered
        self.entries_read = entries_read
        self.consumers: list[bytes] = []
        self.pending: list[Pending] = []


class Stream:
    """A stream; an entry is its identifier and its fields and values."""

    __slots__ = ("added", "entries", "groups", "largest_deleted", "last")

    def __init__(self, last: bytes, largest_deleted: bytes, added: bytes) -> None:
        self.last = last
        self.largest_deleted = largest_deleted
        self.added = added
        self.entries: list[tuple[bytes, list[bytes]]] = []
        self.groups: list[Group] = []


def order_of(identifier: bytes) -> tuple[int, int]:
    """An identifier as two numbers. Raises `ValueError` when it is none."""
    milliseconds, dash, sequence = identifier.partition(b"-")
    if not dash or not milliseconds.isdigit() or not sequence.isdigit():
        raise ValueError("no identifier")
    return int(milliseconds), int(sequence)


# From a reply.


def stream_of(reply: bytes) -> Stream:
    """The stream that a reply of XINFO STREAM key FULL COUNT 0 tells of. Raises `ValueError` at any other reply."""
    told = _named(reply)
    stream = Stream(
        _identifier(told, b"last-generated-id"),
        _identifier(told, b"max-deleted-entry-id"),
        _number(told, b"entries-added"),
    )
    for entry in elements(_value(told, b"entries")):
        parts = elements(entry)
        if len(parts) != 2:
            raise ValueError("an entry is a pair")
        stream.entries.append((payload(parts[0]), [payload(part) for part in elements(parts[1])]))
    stream.groups = [_group(part) for part in elements(_value(told, b"groups"))]
    stream.groups.sort(key=lambda group: group.name)
    return stream


def _group(reply: bytes) -> Group:
    told = _named(reply)
    group = Group(
        payload(_value(told, b"name")), _identifier(told, b"last-delivered-id"), _number(told, b"entries-read")
    )
    group.consumers = [payload(_value(_named(part), b"name")) for part in elements(_value(told, b"consumers"))]
    group.consumers.sort()
    group.pending = [_pending(elements(part)) for part in elements(_value(told, b"pending"))]
    group.pending.sort(key=lambda pending: order_of(pending.identifier))
    return group


def _pending(parts: list[bytes]) -> Pending:
    """Identifier, consumer, time of delivery, deliveries."""
    if len(parts) != 4 or integer_of(parts[3]) is None:
        raise ValueError("no pending entry")
    return Pending(payload(parts[0]), payload(parts[1]), payload(parts[3]))


def _named(reply: bytes) -> dict[bytes, bytes]:
    parts = elements(reply)
    return {payload(name): value for name, value in zip(parts[::2], parts[1::2], strict=True)}


def _value(told: dict[bytes, bytes], name: bytes) -> bytes:
    value = told.get(name)
    if value is None:
        raise ValueError("a part is missing")
    return value


def _identifier(told: dict[bytes, bytes], name: bytes) -> bytes:
    identifier = payload(_value(told, name))
    order_of(identifier)
    return identifier


def _number(told: dict[bytes, bytes], name: bytes) -> bytes:
    """A count; -1 where it is not known."""
    value = _value(told, name)
    if not is_null(value) and integer_of(value) is None:
        raise ValueError("no number")
    return b"-1" if is_null(value) else payload(value)


# To and from elements.


def flat(stream: Stream) -> bytes:
    """The elements of a stream's record, encoded as an array."""
    parts = [stream.last, stream.largest_deleted, stream.added, b"%d" % len(stream.entries)]
    for identifier, fields in stream.entries:
        parts += (identifier, b"%d" % len(fields))
        parts += fields
    parts.append(b"%d" % len(stream.groups))
    for group in stream.groups:
        parts += (group.name, group.delivered, group.entries_read, b"%d" % len(group.consumers))
        parts += group.consumers
        parts.append(b"%d" % len(group.pending))
        for pending in group.pending:
            parts += (pending.identifier, pending.consumer, pending.deliveries)
    return array([bulk(part) for part in parts])


class Reader:
    """Takes the elements of a record one after the other."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._position = 0

    def take(self) -> bytes:
        """The next element."""
        self._position += 1
        return self._parts[self._position - 1]

    def count(self) -> int:
        """The next element as a number of elements to come."""
        return int(self.take())

    def many(self, count: int) -> list[bytes]:
        """The next `count` elements."""
        self._position += count
        return self._parts[self._position - count : self._position]


def unflat(parts: list[bytes]) -> Stream:
    """The stream that a record's elements tell of."""
    reader = Reader(parts)
    stream = Stream(reader.take(), reader.take(), reader.take())
    for _ in range(reader.count()):
        identifier = reader.take()
        stream.entries.append((identifier, reader.many(reader.count())))
    for _ in range(reader.count()):
        group = Group(reader.take(), reader.take(), reader.take())
        group.consumers = reader.many(reader.count())
        group.pending = [Pending(reader.take(), reader.take(), reader.take()) for _ in range(reader.count())]
        stream.groups.append(group)
    return stream


# The requests that make it.


def restore_stream(key: bytes, stream: Stream, request_bytes_max: int) -> list[bytes]:
    """Requests that make `key` this stream where it is absent, each with one reply.

    XCLAIM makes only entries pending that are there. So those that are gone are added first, made pending, and trimmed
    away: XDEL would be remembered as the largest deleted identifier, trimming is not.
    """
    here = {identifier: True for identifier, _ in stream.entries}
    gone = {pending.identifier: True for group in stream.groups for pending in group.pending}
    gone = {identifier: True for identifier in sorted(gone, key=order_of) if identifier not in here}
    requests = _beginning(key, stream)
    if gone:
        requests += [[b"XADD", key, identifier, b"-", b"-"] for identifier in gone]
        requests += _claims(key, stream, gone, request_bytes_max)
        requests += ([b"XTRIM", key, b"MAXLEN", b"0"], [b"XSETID", key, _ZERO])
    requests += [[b"XADD", key, identifier, *fields] for identifier, fields in stream.entries]
    requests += _claims(key, stream, here, request_bytes_max)
    requests += _ending(key, stream)
    return [encode_request(request) for request in requests]


def _beginning(key: bytes, stream: Stream) -> list[list[bytes]]:
    """The groups with their consumers; a stream without entries and groups comes from a group that goes again."""
    requests: list[list[bytes]] = []
    for group in stream.groups:
        requests.append([b"XGROUP", b"CREATE", key, group.name, _ZERO, b"MKSTREAM"])
        requests += [[b"XGROUP", b"CREATECONSUMER", key, group.name, consumer] for consumer in group.consumers]
    if not requests and not stream.entries:
        requests.append([b"XGROUP", b"CREATE", key, b"-", _ZERO, b"MKSTREAM"])
        requests.append([b"XGROUP", b"DESTROY", key, b"-"])
    return requests


def _claims(key: bytes, stream: Stream, wanted: dict[bytes, bool], request_bytes_max: int) -> list[list[bytes]]:
    """Make those of the `wanted` entries pending that are: neighbours with one consumer and count in one request."""
    requests: list[list[bytes]] = []
    for group in stream.groups:
        runs: dict[tuple[bytes, bytes], list[bytes]] = {}
        for pending in group.pending:
            if pending.identifier in wanted:
                runs.setdefault((pending.consumer, pending.deliveries), []).append(pending.identifier)
        for (consumer, deliveries), identifiers in runs.items():
            for batch in batches(identifiers, 1, CLAIMS_MAX, request_bytes_max):
                before = [b"XCLAIM", key, group.name, consumer, b"0"]
                requests.append([*before, *batch, b"RETRYCOUNT", deliveries, b"FORCE", b"JUSTID"])
    return requests


def _ending(key: bytes, stream: Stream) -> list[list[bytes]]:
    """What the stream and its groups remember.

    The last identifier may lie below the largest deleted one, but only an XSETID without the latter takes it then.
    """
    deleted = stream.largest_deleted
    is_below = order_of(stream.last) < order_of(deleted)
    last = deleted if is_below else stream.last
    requests = [[b"XSETID", key, last, b"ENTRIESADDED", stream.added, b"MAXDELETEDID", deleted]]
    if is_below:
        requests.append([b"XSETID", key, stream.last])
    for group in stream.groups:
        request = [b"XGROUP", b"SETID", key, group.name, group.delivered, b"ENTRIESREAD", group.entries_read]
        requests.append(request)
    return requests
