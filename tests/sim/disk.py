"""The journal's disk: what is written, what of it is durable, and what a crash leaves.

Stands where `quorate.state.journal_file` does. Records are made and read by the core's own code. A crash keeps all that
was synced, and any part of what was not: records in the middle may be gone, and one may be torn. A sync that fails is
such a crash: the cell must not go on as if it could write. A disk that is full refuses clients' writes for a while.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from quorate.trusted.journal_reader import JournalReader, entries_of, reason_of
from quorate.trusted.journal_record import KEY_BYTES, NO_CHECKSUM, TOMBSTONE, WRITES, Entry, Record
from quorate.trusted.journal_writer import Journal
from quorate.trusted.tombstones import Tombstones
from tests.sim.timeline import MILLISECOND_NS, Timeline

# How long a sync takes, at most, and how often one is begun where nothing waits for it.
SYNC_NS_MAX = 20 * MILLISECOND_NS
INTERVAL_NS = 100 * MILLISECOND_NS


@dataclass(slots=True)
class Segment:
    """What one process wrote, after record `number` with checksum `previous`."""

    key: bytes
    number: int
    previous: bytes
    data: bytes = b""


@dataclass(slots=True)
class Found:
    """What a crash left: the last record of the chain, and what is not to be executed again."""

    number: int = 0
    previous: bytes = NO_CHECKSUM
    last_slot: int = 0
    time: int = 0
    tombstones: Tombstones = field(default_factory=Tombstones)

    @property
    def highest_slot(self) -> int:
        """What is ordered from now on comes behind it."""
        return max(self.last_slot, self.tombstones.last_slot())


class SimulatedJournal:
    """One process's journal on this disk. `sync` is always, interval or off. `on_synced` hears of what is durable."""

    def __init__(self, timeline: Timeline, sync: str, segments: list[Segment], found: Found) -> None:
        self.is_full = False
        self.is_short = False
        self.is_spent = False
        self.durable_slot = found.last_slot
        self.durable_tombstones = {
            slot for first, last, _ in found.tombstones.ranges for slot in range(first, last + 1)
        }
        self.on_synced: Callable[[], None] = lambda: None
        # Whether this sync fails; if so, all has ended.
        self.fails: Callable[[], bool] = lambda: False
        self.is_over = False
        self._timeline = timeline
        self._sync = sync
        self._older = segments
        key = timeline.chance.randbytes(KEY_BYTES)
        self._segment = Segment(key, found.number, found.previous)
        self.journal = Journal(key, found.number, found.previous, found.last_slot, found.time)
        self._records: list[Record] = []
        self._is_syncing = False
        self.recovered = found
        if sync == "interval":
            timeline.after(INTERVAL_NS, self._sync_again)

    # What the shell asks.

    def begin(self, synced: Callable[[], None], failed: Callable[[str], None], has_room: Callable[[], None]) -> None:
        """Write on. Who is told is set already."""

    def write(self) -> None:
        """Write what the core appended in this turn."""
        self._records += self.journal.take()
        if self._sync == "always":
            self._begin_sync()

    def may_release(self, slot: int) -> bool:
        """Whether replies to slots up to `slot` may leave."""
        if self._sync != "always":
            return True
        waiting = self._records[self.journal.synced - self._segment.number :]
        return all(record.first_slot > slot for record in waiting)

    def _begin_sync(self) -> None:
        number = self._segment.number + len(self._records)
        if self._is_syncing or number == self.journal.synced or self.is_over:
            return
        self._is_syncing = True
        self._timeline.after(self._timeline.chance.randint(1, SYNC_NS_MAX), lambda: self._synced(number))

    def _synced(self, number: int) -> None:
        if self.is_over:
            return
        if self.fails():
            return
        self._is_syncing = False
        for record in self._records[self.journal.synced - self._segment.number : number - self._segment.number]:
            if record.kind == WRITES:
                self.durable_slot = record.last_slot
            elif record.kind == TOMBSTONE:
                self.durable_tombstones.update(range(record.first_slot, record.last_slot + 1))
        self.journal.synced = number
        self._timeline.note(f"the journal is durable up to record {number}, slot {self.durable_slot}")
        self.on_synced()
        if self._sync == "always":
            self._begin_sync()

    def _sync_again(self) -> None:
        if not self.is_over:
            self._begin_sync()
            self._timeline.after(INTERVAL_NS, self._sync_again)

    def truncate(self, slot: int) -> None:
        """A checkpoint holds all up to `slot`: older processes' segments go, and what is durable of our own."""
        gone = 0
        for record in self._records[: self.journal.synced - self._segment.number]:
            if record.last_slot > slot:
                break
            gone += 1
        if gone and all(part_of(segment, slot) for segment in self._older):
            last = self._records[gone - 1]
            self._older = []
            self._segment.number, self._segment.previous = last.number, last.checksum
            del self._records[:gone]

    # What is read.

    def entries(self, after: int) -> Iterator[Entry]:
        """What was ordered behind slot `after`, as far as it was written."""
        data = b"".join(record.data for record in self._records)
        segment = Segment(self._segment.key, self._segment.number, self._segment.previous, data)
        return entries_in([*self._older, segment], after)

    # The end of the process.

    def crash(self, chance: Random) -> list[Segment]:
        """All processes end: what is found on the disk afterwards."""
        self.is_over = True
        durable = self.journal.synced - self._segment.number
        data = b"".join(record.data for record in self._records[:durable])
        for record in self._records[durable:]:
            fate = chance.random()
            if fate < 0.6:
                data += record.data
            elif fate < 0.8:
                data += record.data[: chance.randrange(len(record.data))].ljust(len(record.data), b"\0")
            else:
                data += bytes(len(record.data))
        own = Segment(self._segment.key, self._segment.number, self._segment.previous, data)
        return [*self._older, own]


def part_of(segment: Segment, slot: int) -> bool:
    """Whether all writes of this segment lie up to `slot`."""
    return all(record.last_slot <= slot for record in _records([segment]))


def find(segments: list[Segment]) -> Found:
    """Follow the chain through all segments, and cut each off behind its last record of the chain."""
    found = Found()
    if segments:
        found.number, found.previous = segments[0].number, segments[0].previous
    reader = JournalReader()
    for segment in segments:
        reader.resume(segment.key, segment.number, segment.previous, segment.number)
        records = reader.feed(segment.data)
        segment.data = b"".join(record.data for record in records)
        for record in records:
            if record.kind == TOMBSTONE:
                found.tombstones.bury(record.first_slot, record.last_slot, reason_of(record))
    reader.finish()
    if segments:
        found.number, found.previous = reader.number, reader.previous
        found.last_slot, found.time = reader.last_slot, reader.time
    return found


def entries_in(segments: list[Segment], after: int) -> Iterator[Entry]:
    """The entries behind slot `after` in segments whose ends are sound."""
    for record in _records(segments):
        if record.kind == WRITES and record.last_slot > after:
            yield from (entry.after(after) for entry in entries_of(record) if entry.last > after)


def _records(segments: list[Segment]) -> list[Record]:
    reader = JournalReader()
    records: list[Record] = []
    for segment in segments:
        reader.resume(segment.key, segment.number, segment.previous, segment.number)
        records += reader.feed(segment.data)
    reader.finish()
    return records
