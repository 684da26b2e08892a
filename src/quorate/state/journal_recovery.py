"""Reading a journal back: which segments there are, where the chain ends, and what is to be executed again.

Reads only. Memory holds one piece of a segment, and one record, at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..trusted.journal_reader import JournalReader, entries_of, reason_of
from ..trusted.journal_record import (
    DAMAGED_HINT,
    NO_CHECKPOINT_HINT,
    NO_CHECKSUM,
    TOMBSTONE,
    WRITES,
    Entry,
    JournalFault,
    Record,
)
from ..trusted.tombstones import Tombstones
from .journal_disk import Disk
from .journal_segment import BODY_AT, SECTOR_BYTES, Segment, decode_head, number_of

PIECE_BYTES = 1024 * 1024
TOMBSTONES_MAX = 65_536


@dataclass(slots=True)
class Recovered:
    """What the journal holds: `number`, `previous`, `last_slot` and `time` (ns) are those of its last record.

    `is_new` says that there was no journal. `tombstones` are slots that are not to be executed again, with reasons.
    """

    is_new: bool = True
    number: int = 0
    previous: bytes = NO_CHECKSUM
    last_slot: int = 0
    time: int = 0
    tombstones: Tombstones = field(default_factory=Tombstones)

    @property
    def highest_slot(self) -> int:
        """The highest slot that is known to have been given away, whether or not it is to be executed again."""
        return max(self.last_slot, self.tombstones.last_slot())


def find_segments(disk: Disk, directory: Path, protocol: str, service: str) -> list[Segment]:
    """All segments in order, spares included. Raises `JournalFault` for what is damaged or belongs to another cell."""
    numbered = ((number_of(name), name) for name in disk.names(directory))
    segments = [_look(disk, directory / name) for number, name in sorted(pair for pair in numbered if pair[0])]
    for segment in segments:
        head = segment.head
        for what, found, wanted in (("protocol", head.protocol, protocol), ("service", head.service, service)):
            if found != wanted:
                raise JournalFault(
                    f"the journal {directory} belongs to the {what} {found!r}, not {wanted!r}",
                    "set cell.state to a directory of this cell's own",
                )
        if head.has_begun and head.segment != number_of(segment.path.name):
            raise JournalFault(
                f"{segment.path} is the journal's segment {head.segment} under a wrong name", DAMAGED_HINT
            )
    return segments


def scan(disk: Disk, segments: list[Segment]) -> tuple[Recovered, list[Segment]]:
    """Follow the chain through all begun `segments`. Returns what it holds, and the segments that it reaches.

    Raises `JournalFault` for a corrupt middle; a torn tail is no part of the chain.
    """
    recovered = Recovered()
    if not segments:
        return recovered, []
    reader = _reader_from(segments[0])
    reached = []
    for segment in segments:
        _resume(reader, segment)
        if not reader.has_ended:
            reached.append(segment)
        for record in _records(disk, segment, reader):
            segment.last_slot = max(segment.last_slot, record.last_slot)
            if record.kind == TOMBSTONE:
                _bury(recovered.tombstones, record)
    with _naming(segments[-1]):
        reader.finish()
    recovered.is_new = False
    recovered.number, recovered.previous = reader.number, reader.previous
    recovered.last_slot, recovered.time = reader.last_slot, reader.time
    return recovered, reached


def replay(disk: Disk, segments: list[Segment], after: int, number: int) -> Iterator[Entry]:
    """What was ordered behind slot `after`, up to record `number`, in order.

    Raises `JournalFault` when the journal does not reach back to that slot, or can no longer be read.
    """
    if segments[0].head.last_slot > after:
        raise JournalFault(
            f"the journal {segments[0].path.parent} begins behind slot {segments[0].head.last_slot}, "
            f"but the last checkpoint is of slot {after}: what was written between is lost",
            DAMAGED_HINT if after else NO_CHECKPOINT_HINT,
        )
    needed = max(index for index, segment in enumerate(segments) if segment.head.last_slot <= after)
    reader = _reader_from(segments[needed])
    for segment in segments[needed:]:
        _resume(reader, segment)
        for record in _records(disk, segment, reader):
            if record.kind == WRITES and record.last_slot > after:
                yield from (entry.after(after) for entry in entries_of(record) if entry.last > after)
            if record.number == number:
                return
    if reader.number < number:
        raise JournalFault(f"the journal {segments[0].path.parent} can no longer be read to its end", DAMAGED_HINT)


def _look(disk: Disk, path: Path) -> Segment:
    descriptor = disk.open(path)
    try:
        head = decode_head(disk.read(descriptor, SECTOR_BYTES, 0), path)
        return Segment(path, head, disk.size(descriptor))
    finally:
        disk.close(descriptor)


def _reader_from(segment: Segment) -> JournalReader:
    reader = JournalReader()
    reader.last_slot = segment.head.last_slot
    reader.time = segment.head.time
    return reader


def _resume(reader: JournalReader, segment: Segment) -> None:
    head = segment.head
    with _naming(segment):
        reader.resume(head.key, head.number, head.previous, head.synced)


def _records(disk: Disk, segment: Segment, reader: JournalReader) -> Iterator[Record]:
    descriptor = disk.open(segment.path)
    try:
        position = BODY_AT
        while piece := disk.read(descriptor, PIECE_BYTES, position):
            with _naming(segment):
                records = reader.feed(piece)
            yield from records
            position += len(piece)
    finally:
        disk.close(descriptor)


@contextmanager
def _naming(segment: Segment) -> Iterator[None]:
    """Say in which file a fault was found."""
    try:
        yield
    except JournalFault as fault:
        raise JournalFault(f"{fault} (found in {segment.path})", fault.hint) from None


def _bury(tombstones: Tombstones, record: Record) -> None:
    if len(tombstones.ranges) >= TOMBSTONES_MAX:
        raise JournalFault(f"the journal holds more than {TOMBSTONES_MAX} tombstones", DAMAGED_HINT)
    tombstones.bury(record.first_slot, record.last_slot, reason_of(record))
