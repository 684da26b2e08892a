"""Reads the journal's records back, as far as they are one chain, and takes them apart. Pure: no disk.

The rule by which a torn tail is told from a corrupt middle: the chain ends at the first bytes that are not its next
record, and what follows is only looked through for intact records of the same writer. While nothing there says
otherwise, what is missing was never durable, hence never acknowledged: it is the torn tail of a crash, after which a
disk may have kept any part of what it was not yet asked to sync, later records before earlier ones too. But one that
names more records `synced` than the chain has proves that a durable record is lost. That is a corrupt middle, and
refused. Zeros, and what a reused segment held before, are no records: its numbers are older than the chain.
"""

from struct import calcsize, unpack

from .journal_record import (
    CHECKSUM_BYTES,
    DAMAGED_HINT,
    ENDED,
    ENTRY_NUMBERS,
    HEAD,
    KEY_BYTES,
    OVERHEAD,
    RECORD_BYTES_MAX,
    TOMBSTONE,
    WRITES,
    Change,
    Entry,
    JournalFault,
    Record,
    keyed,
    mark_of,
)


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
        self._checksum = keyed(bytes(KEY_BYTES))
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
        self._checksum = keyed(key)
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
        if available < HEAD.size:
            return 0
        length = int(HEAD.unpack_from(self._buffer, at)[1])
        if not OVERHEAD <= length <= RECORD_BYTES_MAX:
            return -1
        return length if length <= available else 0

    def _next(self, at: int, size: int) -> Record | None:
        """The record at `at`, if it is intact and the next one of the chain."""
        _, _, kind, number, _, time, first, last, previous = HEAD.unpack_from(self._buffer, at)
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
                self._check_loss(int(HEAD.unpack_from(self._buffer, at)[4]))

    def _check_loss(self, synced: int) -> None:
        """Something intact says that `synced` records were durable: they must be there."""
        if synced > self.number:
            raise JournalFault(
                f"the journal is corrupt: its records {self.number + 1} to {synced} are lost or damaged, "
                "although they were on disk",
                DAMAGED_HINT,
            )


def entries_of(record: Record) -> list[Entry]:
    """The entries of a record of writes. Raises `JournalFault` when it holds anything else."""
    body = _Body(record)
    count, requests, changes = body.counts(3, "I")
    heads = body.counts(ENTRY_NUMBERS * count, "Q")
    body.begin(requests, changes)
    entries: list[Entry] = []
    slot = record.first_slot
    for at in range(0, len(heads), ENTRY_NUMBERS):
        first, slots, mode, frames, changed = heads[at : at + ENTRY_NUMBERS]
        if not slots or first < slot:
            raise body.fault()
        entries.append(Entry(first, mode, frames, body.next_changes(changed), body.next_requests(slots)))
        slot = first + slots
    if slot != record.last_slot + 1 or not body.is_used_up():
        raise body.fault()
    return entries


def reason_of(record: Record) -> str:
    """The reason that a tombstone gives."""
    return record.data[HEAD.size : -CHECKSUM_BYTES].decode(errors="replace")


class _Body:
    """Takes a record of writes apart, front to back, within its bounds."""

    def __init__(self, record: Record) -> None:
        self._number = record.number
        self._data = record.data
        self._at = HEAD.size
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


def _nonsense(number: int) -> JournalFault:
    """What is intact was written so: by a bug, or by another release."""
    return JournalFault(f"record {number} of the journal makes no sense", DAMAGED_HINT)
