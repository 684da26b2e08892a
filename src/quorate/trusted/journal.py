"""The journal's records: what was ordered, as bytes, each record sealed and chained to the one before. Pure: no disk.

`Journal` makes one record of the writes that one turn of the loop ordered; `JournalReader` reads records back. What
keeps them is no concern of this file.

A record names its number, counted from 1, and the checksum of the record before; its own checksum, keyed with a secret
of the process that wrote it, covers all of it. So a record that is moved, dropped, repeated or altered ends the chain,
and no client can write bytes that pass for a record. It also names `synced`: how many records were durable, as far as
its writer knew, when it was made.

The rule by which a torn tail is told from a corrupt middle: the chain ends at the first bytes that are not its next
record, and what follows is only looked through for intact records of the same writer. While nothing there says
otherwise, what is missing was never durable, hence never acknowledged: it is the torn tail of a crash, after which a
disk may have kept any part of what it was not yet asked to sync, later records before earlier ones too. But one that
names more records `synced` than the chain has proves that a durable record is lost. That is a corrupt middle, and
refused. Zeros, and what a reused segment held before, are no records: its numbers are older than the chain.
"""

from hashlib import blake2b
from struct import Struct, calcsize, pack, unpack
from typing import Final

from .errors import OperatorFault, invariant
from .limits import ADDITIONS_BYTES_MAX, ORDERED_BYTES_MAX
from .span import Span

# What a record tells.
WRITES = 1
TOMBSTONE = 2
ENDED = 3

KEY_BYTES = 16
CHECKSUM_BYTES = 8
NO_CHECKSUM = bytes(CHECKSUM_BYTES)
# The largest record, hence the largest span with all keys that it may change. MOVE names its key once, which is noted
# in two databases; a BLMOVE that is tried again names its source twice, and each key is noted once.
RECORD_BYTES_MAX = 3 * ORDERED_BYTES_MAX + ADDITIONS_BYTES_MAX
# What a turn ordered beyond this goes into a further record.
RECORD_BYTES_GOAL = 4 * 1024 * 1024
REASON_BYTES_MAX = 4 * 1024

DAMAGED_HINT = (
    "restore the state directory from a copy; or move its journal away: the cell then starts from its last checkpoint, "
    "and what was written after that is lost"
)
NO_CHECKPOINT_HINT = (
    "there is no checkpoint before it: restore state store and journal from one copy; without one all is lost, and to "
    "begin empty, move their whole directory away"
)

# mark, length of all, kind, number, synced, time (ns), first slot, last slot, checksum of the record before
_HEAD: Final = Struct("<8sIBQQQQQ8s")
# entries, requests, changes
_COUNTS: Final = Struct("<III")
_OVERHEAD: Final = _HEAD.size + CHECKSUM_BYTES

# What a record of one span has beside its requests and what they may change.
_ENTRY_BYTES: Final = _OVERHEAD + _COUNTS.size + 5 * 8
# What each request takes beside its bytes, and each change beside its key: lengths, the database, the kind.
_REQUEST_BYTES: Final = 4
_CHANGE_BYTES: Final = 7

# In an entry's mode: correct replies to it may hold the same elements in another order.
INEXACT = 1 << 32

# What a write may change: database, kind hint, key.
Change = tuple[int, int, bytes]


class JournalFault(OperatorFault):
    """The journal cannot be read or written: the cell must not go on as if it could. Says what to do about it."""


class Record:
    """One record: `data` is all of its bytes. `time` is that of the last write in it (ns)."""

    __slots__ = ("data", "first_slot", "kind", "last_slot", "number", "previous", "time")

    def __init__(self, kind: int, number: int, previous: bytes, first: int, last: int, time: int, data: bytes) -> None:
        self.kind: Final = kind
        self.number: Final = number
        self.previous: Final = previous
        self.first_slot: Final = first
        self.last_slot: Final = last
        self.time: Final = time
        self.data: Final = data

    @property
    def checksum(self) -> bytes:
        """What the next record names as the one before."""
        return self.data[-CHECKSUM_BYTES:]


class Entry:
    """One ordered span of writes, as it is to be executed again. `changes` are keys that it may have changed."""

    __slots__ = ("changes", "first", "frames", "mode", "requests")

    def __init__(self, first: int, mode: int, frames: int, changes: list[Change], requests: list[bytes]) -> None:
        self.first: Final = first
        self.mode: Final = mode
        self.frames: Final = frames
        self.changes: Final = changes
        self.requests: Final = requests

    @property
    def last(self) -> int:
        """Its last slot."""
        return self.first + len(self.requests) - 1

    def after(self, slot: int) -> "Entry":
        """What of it lies behind `slot`. It keeps all keys: which request changes which is not known."""
        if slot < self.first:
            return self
        return Entry(slot + 1, self.mode, self.frames, self.changes, self.requests[slot + 1 - self.first :])


class Journal:
    """Collects what the core orders; the shell takes it once a turn and writes it before anything is released.

    `key` is secret, and new for each process. `number`, `previous`, `last_slot` and `time` tell of the last record
    before. The shell sets `synced` to the number of the last record that is durable.
    """

    def __init__(
        self, key: bytes, number: int = 0, previous: bytes = NO_CHECKSUM, last_slot: int = 0, time: int = 0
    ) -> None:
        self._checksum = _keyed(key)
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
        size = len(payload) + _OVERHEAD
        invariant(size <= RECORD_BYTES_MAX, "what a turn orders at once fits into a record")
        head = _HEAD.pack(self._mark, size, kind, self.number, self.synced, self.time, first, last, previous)
        body = head + payload
        checksum = self._checksum.copy()
        checksum.update(body)
        self._previous = checksum.digest()
        self._records.append(Record(kind, self.number, previous, first, last, self.time, body + self._previous))


class JournalReader:
    """Reads records back, fed in pieces of any size. Whatever the bytes, it raises nothing but `JournalFault`.

    Call `resume` where a segment begins, the first included, `feed` with its bytes, and `finish` after the last.
    `number`, `previous`, `last_slot` and `time` tell of the last record of the chain. `has_ended` says that the chain
    ended: what is fed now is only looked through for proof that more had been durable.
    """

    def __init__(self) -> None:
        self.number = -1
        self.previous = b""
        self.last_slot = 0
        self.time = 0
        self.has_ended = False
        self._checksum = _keyed(bytes(KEY_BYTES))
        self._mark = b""
        self._buffer = bytearray()

    def resume(self, key: bytes, number: int, previous: bytes, synced: int) -> None:
        """A segment begins, written with `key` after record `number`, whose checksum is `previous`.

        Where `number` is that of the last record read, the chain goes on here, whatever stood behind that record: it
        was cut off before. Else records are missing between; raises `JournalFault` when some of them were `synced`.
        """
        self.finish()
        if self.number < 0:
            self.number = number
            self.previous = previous
        self._check_loss(synced)
        if number < self.number or (number == self.number and previous != self.previous):
            raise JournalFault(f"the journal continues twice after its record {number}", DAMAGED_HINT)
        self.has_ended = number > self.number
        self._checksum = _keyed(key)
        self._mark = mark_of(key)

    def feed(self, data: bytes) -> list[Record]:
        """The records of the chain that end in `data`, in order. Raises `JournalFault` on proof of loss."""
        self._buffer += data
        records: list[Record] = []
        start = 0
        while not self.has_ended:
            size = self._size_at(start)
            if not size:
                break
            record = self._next(start, size) if size > 0 else None
            if record is None:
                self.has_ended = True
            else:
                records.append(record)
                start += size
        if self.has_ended:
            start = self._look_for_loss(start, is_whole=False)
        del self._buffer[:start]
        return records

    def finish(self) -> None:
        """Nothing follows in this segment: what is incomplete is no record. Raises `JournalFault` on proof of loss."""
        if self._buffer:
            self.has_ended = True
            self._look_for_loss(0, is_whole=True)
            self._buffer.clear()

    def _size_at(self, at: int) -> int:
        """The bytes of the record at `at`; 0 when it is not all there yet; -1 when it is none."""
        available = len(self._buffer) - at
        if not self._mark.startswith(self._buffer[at : at + len(self._mark)]):
            return -1
        if available < _HEAD.size:
            return 0
        length = int(_HEAD.unpack_from(self._buffer, at)[1])
        if not _OVERHEAD <= length <= RECORD_BYTES_MAX:
            return -1
        return length if length <= available else 0

    def _next(self, at: int, size: int) -> Record | None:
        """The record at `at`, if it is intact and the next one of the chain."""
        _, _, kind, number, _, time, first, last, previous = _HEAD.unpack_from(self._buffer, at)
        if number != self.number + 1 or previous != self.previous or not self._is_intact(at, size):
            return None
        record = Record(kind, number, previous, first, last, time, bytes(self._buffer[at : at + size]))
        if kind == WRITES:
            is_sound = self.last_slot < first <= last
            self.last_slot = last
        else:
            is_sound = kind in (TOMBSTONE, ENDED)
        if not is_sound:
            raise _nonsense(number)
        self.number = number
        self.previous = record.checksum
        self.time = max(self.time, time)
        return record

    def _is_intact(self, at: int, size: int) -> bool:
        end = at + size - CHECKSUM_BYTES
        checksum = self._checksum.copy()
        checksum.update(self._buffer[at:end])
        return checksum.digest() == self._buffer[end : at + size]

    def _look_for_loss(self, start: int, is_whole: bool) -> int:
        """Look for an intact record that knows of more than the chain has. Returns where to look on.

        `is_whole` says that nothing follows, so that what is incomplete need not be waited for.
        """
        while True:
            at = self._buffer.find(self._mark, start)
            if at < 0:
                return max(start, len(self._buffer) - len(self._mark) + 1)
            size = self._size_at(at)
            if not size and not is_whole:
                return at
            start = at + 1
            if size > 0 and self._is_intact(at, size):
                start = at + size
                self._check_loss(int(_HEAD.unpack_from(self._buffer, at)[4]))

    def _check_loss(self, synced: int) -> None:
        """Something intact says that `synced` records were durable: they must be there."""
        if synced > self.number:
            raise JournalFault(
                f"the journal is corrupt: its records {self.number + 1} to {synced} are lost or damaged, "
                "although they were on disk",
                DAMAGED_HINT,
            )


def mark_of(key: bytes) -> bytes:
    """What each record of a writer begins with. No client can know it, so none can write it into a request."""
    return blake2b(b"mark", digest_size=8, key=key).digest()


def entries_of(record: Record) -> list[Entry]:
    """The entries of a record of writes. Raises `JournalFault` when it holds anything else."""
    body = _Body(record)
    count, requests, changes = body.counts(3, "I")
    heads = body.counts(5 * count, "Q")
    body.begin(requests, changes)
    entries: list[Entry] = []
    slot = record.first_slot
    for at in range(0, len(heads), 5):
        first, slots, mode, frames, changed = heads[at : at + 5]
        if not slots or first < slot:
            raise body.fault()
        entries.append(Entry(first, mode, frames, body.next_changes(changed), body.next_requests(slots)))
        slot = first + slots
    if slot != record.last_slot + 1 or not body.is_used_up():
        raise body.fault()
    return entries


def reason_of(record: Record) -> str:
    """The reason that a tombstone gives."""
    return record.data[_HEAD.size : -CHECKSUM_BYTES].decode(errors="replace")


class _Body:
    """Takes a record of writes apart, front to back, within its bounds."""

    def __init__(self, record: Record) -> None:
        self._number = record.number
        self._data = record.data
        self._at = _HEAD.size
        self._end = len(record.data) - CHECKSUM_BYTES
        self._requests: list[bytes] = []
        self._changes: list[Change] = []
        self._request = 0
        self._change = 0

    def fault(self) -> JournalFault:
        return _nonsense(self._number)

    def begin(self, requests: int, changes: int) -> None:
        """Cut out this many requests and changes, to be handed out in order."""
        sizes = self.counts(requests, "I")
        databases = self.counts(changes, "H")
        kinds = self.counts(changes, "B")
        key_sizes = self.counts(changes, "I")
        keys = [self._take(size) for size in key_sizes]
        self._changes = list(zip(databases, kinds, keys, strict=True))
        self._requests = [self._take(size) for size in sizes]

    def counts(self, count: int, letter: str) -> tuple[int, ...]:
        """The next `count` numbers; `letter` says of which size, as in `struct`."""
        return unpack(f"<{count}{letter}", self._take(count * calcsize("<" + letter)))

    def next_requests(self, count: int) -> list[bytes]:
        start, self._request = self._request, self._request + count
        return self._requests[start : self._request]

    def next_changes(self, count: int) -> list[Change]:
        start, self._change = self._change, self._change + count
        return self._changes[start : self._change]

    def is_used_up(self) -> bool:
        """Whether all was handed out, and nothing that was not there."""
        return (self._at, self._request, self._change) == (self._end, len(self._requests), len(self._changes))

    def _take(self, size: int) -> bytes:
        start = self._at
        if size > self._end - start:
            raise self.fault()
        self._at = start + size
        return self._data[start : start + size]


def _pack_counts(entries: list[int], requests: list[bytes], changes: list[Change]) -> bytes:
    count = len(requests)
    head = _COUNTS.pack(len(entries) // 5, count, len(changes))
    return head + pack(f"<{len(entries)}Q{count}I", *entries, *map(len, requests))


def _size_of(changes: list[Change]) -> int:
    return _CHANGE_BYTES * len(changes) + sum([len(key) for _, _, key in changes])


def _pack_changes(changes: list[Change]) -> list[bytes]:
    databases, kinds, keys = zip(*changes, strict=True)
    count = len(changes)
    return [pack(f"<{count}H{count}B{count}I", *databases, *kinds, *map(len, keys)), *keys]


def _nonsense(number: int) -> JournalFault:
    """What is intact was written so: by a bug, or by another release."""
    return JournalFault(f"record {number} of the journal makes no sense", DAMAGED_HINT)


def _keyed(key: bytes) -> blake2b:
    return blake2b(digest_size=CHECKSUM_BYTES, key=key)
