"""The journal on disk: written at once, synced in groups by one thread, cut off behind checkpoints.

Rules. What a turn ordered is written in that turn. With sync `always` an `fdatasync` is under way as long as anything
is not durable, and what is written meanwhile waits for the next one: group commit. With `interval` there is one a
second, with `off` none. A failed write or sync is a crash, never tried again: the kernel may have thrown away what it
could not write, and says so only once. Each process begins a segment of its own with a key of its own, so that nothing
is ever written behind a torn tail.

Replies are not this file's to hold: `may_release` says which slots' may leave.
"""

import asyncio
import dataclasses
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..trusted.journal_record import KEY_BYTES, RECORD_BYTES_MAX, Entry, JournalFault, Record
from ..trusted.journal_writer import Journal
from .anchor import NO_WRITER, WRITER_BYTES, Anchor, Base
from .journal_disk import Disk
from .journal_opening import Found, open_directory
from .journal_recovery import replay
from .journal_segment import BODY_AT, Head, Segment, Sync
from .journal_space import Space

SEGMENT_BYTES = 64 * 1024 * 1024
# What may still be written when the cell is told to take no more.
RESERVE_BYTES = RECORD_BYTES_MAX
# So much of it, what is under way and what expires at once, is left when the cell is told to write nothing of its own.
SPENT_BYTES = 16 * 1024 * 1024
INTERVAL_SECONDS = 1.0

FAILED_HINT = "look to the disk; then start the cell again: nothing that was acknowledged is lost if the disk kept it"
_MACHINE = Disk()


class Group:
    """Records that become durable together: the lowest and highest slot in them, the last number, and their files."""

    __slots__ = ("first_slot", "last_slot", "number", "segments")

    def __init__(self, record: Record) -> None:
        self.first_slot = record.first_slot
        self.last_slot = record.last_slot
        self.number = record.number
        self.segments: list[Segment] = []

    def add(self, record: Record, segment: Segment) -> None:
        """`record` was written to `segment`."""
        self.first_slot = min(self.first_slot, record.first_slot)
        self.last_slot = max(self.last_slot, record.last_slot)
        self.number = record.number
        if segment not in self.segments:
            self.segments.append(segment)


class JournalFile:
    """The journal of one cell.

    `journal` is what the core appends to, `recovered` what was there at the start. `synced_slot` is the highest slot of
    what is durable. Call `begin` in the event loop, then `write` once a turn, and `close` at a clean end.
    """

    def __init__(self, disk: Disk, begun: Head, sync: Sync, space: Space, found: Found, covered: int) -> None:
        recovered = found.recovered
        self._disk = disk
        self._begun = begun
        self._space = space
        self._segments = found.segments
        self._predecessor = found.segments[-1].head.writer if found.segments else NO_WRITER
        # Of how many records the checkpoint may hold the writes, though they are lost themselves.
        self._covered = covered if found.segments else 0
        self._current: Segment | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._loop: asyncio.AbstractEventLoop
        self._on_synced: Callable[[int], None]
        self._on_failed: Callable[[str], None]
        self._timer: asyncio.TimerHandle | None = None
        # What is written and not durable: under way to the disk, and waiting for the next sync.
        self._under_way: asyncio.Future[None] | None = None
        self._syncing: Group | None = None
        self._waiting: Group | None = None
        self._synced = recovered.number
        self._number = recovered.number
        self._last_slot = recovered.last_slot
        self._time = recovered.time
        self._readers = 0
        self._has_begun = False
        self.sync = sync
        self.reserve_bytes = RESERVE_BYTES
        self.spent_bytes = SPENT_BYTES
        self.is_failed = False
        self.recovered = recovered
        self.synced_slot = recovered.last_slot
        self.journal = Journal(begun.key, recovered.number, recovered.previous, recovered.last_slot, recovered.time)

    @classmethod
    def open(
        cls,
        directory: Path,
        protocol: str,
        service: str,
        sync: Sync,
        base: Base,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk = _MACHINE,
    ) -> "JournalFile":
        """The journal in the state directory `directory`, made if there is none; what it holds is durable after this.

        `base` is the checkpoint in the state store. Raises `JournalFault` when the journal is corrupt, of another
        release, protocol or service, does not belong to that store, or cannot be used. Where it was written with sync
        `off`, what it holds is void, and thrown away.
        """
        blank = Head(protocol, service, 0, is_volatile=sync == "off")
        found = open_directory(disk, directory, blank, segment_bytes, base)
        # Zeros written once make each later sync twice as fast; without syncs that is worth nothing.
        is_filled = sync == "always"
        space = Space(disk, found.directory, blank, segment_bytes, is_filled, found.next_segment)
        try:
            for spare in found.spares:
                space.adopt(spare)
            space.prepare_now()
        except OSError as error:
            raise JournalFault(f"cannot use the journal {found.directory}: {error}", FAILED_HINT) from None
        begun = dataclasses.replace(
            blank,
            has_begun=True,
            key=os.urandom(KEY_BYTES),
            writer=os.urandom(WRITER_BYTES),
            base=base.name,
            origin=found.origin,
        )
        return cls(disk, begun, sync, space, found, base.anchor.number)

    def begin(
        self, on_synced: Callable[[int], None], on_failed: Callable[[str], None], on_room: Callable[[], None]
    ) -> None:
        """The cell starts. From now on say what became durable, why the disk failed, and when there is room again."""
        self._loop = asyncio.get_running_loop()
        self._on_synced = on_synced
        self._on_failed = on_failed
        self._has_begun = True
        self._space.start(on_room, self._fail)

    # Once a turn.

    def write(self) -> None:
        """Write what the core appended in this turn. Raises `JournalFault`, and has said so, when the disk fails."""
        records = self.journal.take()
        if not records:
            return
        if self.is_failed:
            raise JournalFault("the journal has failed", FAILED_HINT)
        try:
            for record in records:
                self._write(record)
        except OSError as error:
            reason = f"the journal cannot be written: {error}"
            self._fail(reason)
            raise JournalFault(reason, FAILED_HINT) from error
        self._sync_later()

    def may_release(self, slot: int) -> bool:
        """Whether replies to slots up to `slot` may leave: with sync `always`, when all earlier writes are durable."""
        if self.sync != "always":
            return True
        groups = (self._syncing, self._waiting)
        return not self.is_failed and all(group is None or group.first_slot > slot for group in groups)

    @property
    def room_bytes(self) -> int:
        """What can surely be written, whatever becomes of the disk meanwhile."""
        room = self._current.room if self._current is not None else 0
        return max(room, self._space.size - BODY_AT) if self._space.has_spare else room

    @property
    def is_short(self) -> bool:
        """Whether requests must wait, because room is only being made."""
        return self.room_bytes < self.reserve_bytes

    @property
    def is_full(self) -> bool:
        """Whether writes must be refused, because the disk has no room. Ends by itself when it has."""
        return self._space.lacks_room and self.is_short

    @property
    def is_spent(self) -> bool:
        """Whether of the reserve, too, little is left."""
        return self.room_bytes < self.spent_bytes

    def _write(self, record: Record) -> None:
        segment = self._current
        if segment is None or segment.room < len(record.data):
            segment = self._begin_segment(record)
        self._disk.write(segment.descriptor, record.data, segment.position)
        segment.position += len(record.data)
        segment.last_slot = max(segment.last_slot, record.last_slot)
        self._number = record.number
        self._last_slot = max(self._last_slot, record.last_slot)
        self._time = record.time
        if self.sync == "off":
            segment.is_durable = True  # as far as this sync has anything durable
            return
        if self._waiting is None:
            self._waiting = Group(record)
        self._waiting.add(record, segment)

    def _begin_segment(self, record: Record) -> Segment:
        """The spare becomes the segment that `record` is the first of."""
        segment = self._space.take()
        head = segment.head = dataclasses.replace(
            self._begun,
            segment=segment.head.segment,
            number=self._number,
            synced=self._synced,
            last_slot=self._last_slot,
            time=self._time,
            previous=record.previous,
        )
        segment.position = BODY_AT
        segment.last_slot = self._last_slot
        if segment.room < len(record.data):
            raise OSError(errno.EFBIG, "a record is larger than a segment")
        self._disk.write(segment.descriptor, head.encode(), 0)
        if not self._segments:
            # The first segment there is must be durable: else the next one alone might be found, and look like a loss.
            self._disk.sync(segment.descriptor)
        self._segments.append(segment)
        old, self._current = self._current, segment
        if old is not None:
            self._close_if_durable(old)
        return segment

    # Syncing.

    def _sync_later(self) -> None:
        if self.sync == "always":
            self._sync_now()
        elif self.sync == "interval" and self._timer is None:
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._sync_now()

    def _sync_now(self) -> None:
        if self._syncing is not None or self._waiting is None or self.is_failed:
            return
        group, self._waiting = self._waiting, None
        self._syncing = group
        descriptors = [segment.descriptor for segment in group.segments]
        self._under_way = self._loop.run_in_executor(self._pool, self._sync_each, descriptors)
        self._under_way.add_done_callback(self._synced_group)

    def _sync_each(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            self._disk.sync(descriptor)

    def _synced_group(self, done: asyncio.Future[None]) -> None:
        group, self._syncing = self._syncing, None
        error = done.exception()
        if error is not None or group is None:
            self._fail(f"the journal cannot be synced: {error}")
            return
        self.journal.synced = self._synced = group.number
        self.synced_slot = max(self.synced_slot, group.last_slot)
        for segment in group.segments:
            segment.is_durable = True
            self._close_if_durable(segment)
        self._on_synced(self.synced_slot)
        if self._waiting is not None:
            self._sync_later()

    def _close_if_durable(self, segment: Segment) -> None:
        """A segment that is complete is closed once nothing of it waits to be durable."""
        groups = (self._syncing, self._waiting)
        if segment is not self._current and not any(group and segment in group.segments for group in groups):
            segment.close(self._disk)

    def _fail(self, reason: str) -> None:
        if not self.is_failed:
            self.is_failed = True
            self._on_failed(reason)

    # Behind a checkpoint, and back from one.

    @property
    def anchor(self) -> Anchor:
        """What a checkpoint that is asked for now says of the journal. It stays right when the journal has failed."""
        covered = max(self._covered, self.journal.number)
        return Anchor(self._begun.writer, self._predecessor, self.recovered.number, self._synced, covered)

    def truncate(self, slot: int) -> None:
        """A durable checkpoint holds all up to `slot`: give back the segments that hold nothing else.

        What remains begins with a durable segment, so that a journal that lost its beginning is told from one that was
        cut off here. While `entries` are being read all stay, until the next checkpoint; before `begin` too.
        """
        if self._readers or not self._has_begun:
            return
        segments = self._segments
        gone = []
        while len(segments) > 1 and segments[0].is_given_up(slot) and segments[1].is_durable:
            gone.append(segments.pop(0))
        self._space.give_back(gone)

    def entries(self, after: int) -> Iterator[Entry]:
        """What was ordered behind slot `after` and written so far, in order, read piece by piece.

        Raises `JournalFault` when the journal does not reach back to that slot, or can no longer be read.
        """
        self._readers += 1
        try:
            if self._segments:
                yield from replay(self._disk, list(self._segments), after, self._number)
        except OSError as error:
            raise JournalFault(f"the journal cannot be read: {error}", FAILED_HINT) from error
        finally:
            self._readers -= 1

    async def bury(self, slot: int, reason: str, now: int) -> None:
        """Nobody executes `slot` again, neither now nor at a later start. Raises `JournalFault` when the disk fails."""
        self.journal.tombstone(slot, reason, now)
        self.write()
        await self._settle()
        if self.is_failed:
            raise JournalFault("the journal has failed", FAILED_HINT)

    # The end.

    async def close(self) -> None:
        """A clean end: what was appended is written and durable, and said to be, so that any damage will show."""
        try:
            await self._finish()
        finally:
            self._pool.shutdown(wait=True)
            self._space.close()
            if self._timer is not None:
                self._timer.cancel()
            for segment in self._segments:
                segment.close(self._disk)

    async def _finish(self) -> None:
        if not self.is_failed:
            self.write()
            await self._settle()
        if self._current is not None and self.sync != "off" and not self.is_failed:
            self.journal.end(self._time)
            self.write()
            await self._settle()

    async def _settle(self) -> None:
        while not self.is_failed and (self._syncing or self._waiting):
            self._sync_now()
            assert self._under_way is not None
            await asyncio.wait([self._under_way])
