"""Writes the journal's records: one, most often, for all that one turn of the loop ordered. Pure: no disk."""

from struct import pack
from typing import Final

from .errors import invariant
from .journal_record import (
    COUNTS,
    ENDED,
    ENTRY_NUMBERS,
    HEAD,
    INEXACT,
    NO_CHECKSUM,
    OVERHEAD,
    RECORD_BYTES_MAX,
    TOMBSTONE,
    WRITES,
    Change,
    Record,
    keyed,
    mark_of,
)
from .span import Span

# What a turn ordered beyond this goes into a further record.
RECORD_BYTES_GOAL = 4 * 1024 * 1024
REASON_BYTES_MAX = 4 * 1024

# What a record of one span has beside its requests and what they may change.
_ENTRY_BYTES: Final = OVERHEAD + COUNTS.size + ENTRY_NUMBERS * 8
# What each request takes beside its bytes, and each change beside its key: lengths, the database, the kind.
_REQUEST_BYTES: Final = 4
_CHANGE_BYTES: Final = 7


class Journal:
    """Collects what the core orders; the shell takes it once a turn and writes it before anything is released.

    `key` is secret, and new for each process. `number`, `previous`, `last_slot` and `time` tell of the last record
    before. The shell sets `synced` to the number of the last record that is durable.
    """

    def __init__(
        self, key: bytes, number: int = 0, previous: bytes = NO_CHECKSUM, last_slot: int = 0, time: int = 0
    ) -> None:
        self._checksum = keyed(key)
        self._mark = mark_of(key)
        self._previous = previous
        self.number = number
        self.synced = number
        self.last_slot = last_slot
        self.time = time
        self._records: list[Record] = []
        # What the next record of writes will hold. `_entries` has for each: first slot, slots, mode, frames, keys.
        self._entries: list[int] = []
        self._requests: list[bytes] = []
        self._changes: list[Change] = []
        self._size = 0
        # What was noted for spans that are appended later in this turn.
        self._ahead: list[Change] = []
        # Neighbouring slots whose one tombstone is not made yet, since they may become more: first, last, reason.
        self._buried: tuple[int, int, str] | None = None

    def append(self, span: Span, changes: list[Change]) -> None:
        """`span`, all writes, was ordered; it may change the keys of `changes`.

        These may include what later spans of this turn may change, in their order. What of that a record has no room
        for beside this span is kept for the next ones, so that each change stands no later than the span that makes it.
        """
        first = span.first
        mode = span.mode if span.is_exact else span.mode | INEXACT
        invariant(first > self.last_slot, "slots are journaled in their order")
        if self._buried is not None:
            self._finish_tombstone()
        entries = self._entries
        size = span.size + _REQUEST_BYTES * span.count
        changed = _size_of(changes)
        if self._ahead or size + changed > RECORD_BYTES_MAX - _ENTRY_BYTES:
            changes = self._fitting(RECORD_BYTES_MAX - _ENTRY_BYTES - size, changes)
            changed = _size_of(changes)
        size += changed
        if entries and self._size + size > RECORD_BYTES_GOAL:
            self._finish_writes()
        if entries and first == self.last_slot + 1 and mode == entries[-3] and span.frames == entries[-2]:
            # Neighbours share an entry, whoever asked: most turns are one entry.
            entries[-4] += span.count
            entries[-1] += len(changes)
        else:
            entries += (first, span.count, mode, span.frames, len(changes))
        self._requests += span.requests
        self._changes += changes
        self._size += size
        self.last_slot = first + span.count - 1
        self.time = span.ordered_at

    def tombstone(self, slot: int, reason: str, now: int) -> None:
        """`slot` is executed as if it had never been asked: its owner will be told the error `reason`."""
        self._begin_note(now)
        buried = self._buried
        if buried is not None and buried[1] == slot - 1 and buried[2] == reason:
            self._buried = (buried[0], slot, reason)
            return
        if buried is not None:
            self._finish_tombstone()
        self._buried = (slot, slot, reason)

    def end(self, now: int) -> None:
        """A clean end, after which nothing follows: a last record that says how much is durable."""
        self._begin_note(now)
        if self._buried is not None:
            self._finish_tombstone()
        self._finish(ENDED, self.last_slot, self.last_slot, [])

    @property
    def pending_bytes(self) -> int:
        """What was collected and not taken yet, in bytes, roughly."""
        return self._size + sum(len(record.data) for record in self._records)

    def take(self) -> list[Record]:
        """The records of this turn, most often one, in order; they are handed out once."""
        if self._entries:
            self._finish_writes()
        if self._buried is not None:
            self._finish_tombstone()
        records, self._records = self._records, []
        return records

    def _fitting(self, room: int, changes: list[Change]) -> list[Change]:
        """The first of what is ahead and of `changes`, as many as so many bytes hold; the others are ahead then."""
        noted = self._ahead + changes
        count = 0
        for change in noted:
            room -= _CHANGE_BYTES + len(change[2])
            if room < 0:
                break
            count += 1
        self._ahead = noted[count:]
        return noted[:count]

    def _finish_writes(self) -> None:
        first = self._entries[0]
        parts = [_pack_counts(self._entries, self._requests, self._changes)]
        if self._changes:
            parts += _pack_changes(self._changes)
        parts += self._requests
        self._finish(WRITES, first, self.last_slot, parts)
        self._entries.clear()
        self._requests.clear()
        self._changes.clear()
        self._size = 0

    def _begin_note(self, now: int) -> None:
        if self._entries:
            self._finish_writes()
        self.time = now

    def _finish_tombstone(self) -> None:
        assert self._buried is not None
        first, last, reason = self._buried
        self._buried = None
        self._finish(TOMBSTONE, first, last, [reason.encode()[:REASON_BYTES_MAX]])

    def _finish(self, kind: int, first: int, last: int, parts: list[bytes]) -> None:
        """Make a record of `parts`."""
        self.number += 1
        previous = self._previous
        payload = b"".join(parts)
        size = len(payload) + OVERHEAD
        invariant(size <= RECORD_BYTES_MAX, "what a turn orders at once fits into a record")
        head = HEAD.pack(self._mark, size, kind, self.number, self.synced, self.time, first, last, previous)
        body = head + payload
        checksum = self._checksum.copy()
        checksum.update(body)
        self._previous = checksum.digest()
        self._records.append(Record(kind, self.number, previous, first, last, self.time, body + self._previous))


def _pack_counts(entries: list[int], requests: list[bytes], changes: list[Change]) -> bytes:
    count = len(requests)
    head = COUNTS.pack(len(entries) // ENTRY_NUMBERS, count, len(changes))
    return head + pack(f"<{len(entries)}Q{count}I", *entries, *map(len, requests))


def _size_of(changes: list[Change]) -> int:
    return _CHANGE_BYTES * len(changes) + sum([len(key) for _, _, key in changes])


def _pack_changes(changes: list[Change]) -> list[bytes]:
    databases, kinds, keys = zip(*changes, strict=True)
    count = len(changes)
    return [pack(f"<{count}H{count}B{count}I", *databases, *kinds, *map(len, keys)), *keys]
