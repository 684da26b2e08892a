"""Opening a journal: everything is looked at before anything is changed, then what a crash left is put in order."""

from dataclasses import dataclass
from pathlib import Path

from ..trusted.errors import OperatorFault
from ..trusted.journal_record import DAMAGED_HINT, JournalFault
from .anchor import Base
from .journal_belonging import check_belonging, origin_of
from .journal_disk import Disk
from .journal_recovery import Recovered, find_segments, scan
from .journal_segment import NEW_SUFFIX, PROTOCOL_BYTES_MAX, SERVICE_BYTES_MAX, Head, Segment, number_of

JOURNAL_DIRECTORY = "journal"
USE_HINT = "see that cell.state lies on a sound disk and is yours to write, and is no other cell's"


@dataclass(frozen=True, slots=True)
class Found:
    """An opened journal's files: `segments` of the chain, in order, and `spares`.

    `origin` is the slot before which it may lack something (journal_belonging.py).
    """

    directory: Path
    segments: list[Segment]
    spares: list[Segment]
    next_segment: int
    recovered: Recovered
    origin: int


def open_directory(disk: Disk, state: Path, blank: Head, segment_bytes: int, base: Base) -> Found:
    """Find, check and put in order the journal in the state directory `state`; make its directory if there is none.

    `blank` names protocol and service; a segment has `segment_bytes`; `base` is the checkpoint in the state store.
    Raises `JournalFault`; what is damaged or somebody else's is left as it was.
    """
    for what, name, size in (
        ("protocol", blank.protocol, PROTOCOL_BYTES_MAX),
        ("service", blank.service, SERVICE_BYTES_MAX),
    ):
        if len(name.encode()) > size:
            raise OperatorFault(f"the name of the {what} is longer than {size} bytes: {name!r}", "choose a shorter one")
    directory = state / JOURNAL_DIRECTORY
    try:
        disk.make_directory(directory)
        disk.sync_directory(state)
        return _open(disk, directory, blank, segment_bytes, base)
    except OSError as error:
        raise JournalFault(f"cannot use the journal {directory}: {error}", USE_HINT) from None


def _open(disk: Disk, directory: Path, blank: Head, segment_bytes: int, base: Base) -> Found:
    segments = find_segments(disk, directory, blank.protocol, blank.service)
    begun = [segment for segment in segments if segment.head.has_begun]
    for segment in begun:
        if segment.size < segment_bytes:  # all of it was allocated before anything was written to it
            raise JournalFault(f"the journal is corrupt: {segment.path} is cut short", DAMAGED_HINT)
    recovered, reached = scan(disk, [segment for segment in begun if not segment.head.is_volatile])
    end = reached[-1].head if reached else None
    if end is not None:
        check_belonging(directory, end, recovered.number, base)
    for segment in reached:
        _sync(disk, segment)
    _remove(disk, [segment for segment in begun if segment not in reached])
    last = number_of(begun[-1].path.name) if begun else 0
    spares = [segment for segment in segments if segment.size == segment_bytes and _is_spare(segment, last or 0)]
    _remove(disk, [segment for segment in segments if not segment.head.has_begun and segment not in spares])
    for name in disk.names(directory):
        if name.endswith(NEW_SUFFIX):
            disk.unlink(directory / name)
            disk.sync_directory(directory)
    next_segment = 1 + max([number_of(segment.path.name) or 0 for segment in segments], default=0)
    return Found(directory, reached, spares, next_segment, recovered, origin_of(end, recovered.number, base))


def _is_spare(segment: Segment, last: int) -> bool:
    """Whether a segment may be begun after segment `last`. One of a wrong name was on its way to become a spare."""
    number = number_of(segment.path.name)
    return not segment.head.has_begun and segment.head.segment == number and number > last


def _sync(disk: Disk, segment: Segment) -> None:
    """Make durable what was read: after a crash of the process alone, the disk may not have all of it yet."""
    descriptor = disk.open(segment.path)
    try:
        disk.sync(descriptor)
        segment.is_durable = True
    finally:
        disk.close(descriptor)


def _remove(disk: Disk, segments: list[Segment]) -> None:
    """Newest first, so that a crash meanwhile leaves no gap that is not one already."""
    for segment in reversed(segments):
        disk.unlink(segment.path)
        disk.sync_directory(segment.path.parent)
