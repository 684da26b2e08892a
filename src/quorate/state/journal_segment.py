"""A segment: one file of the journal, of fixed size, with a head that says what it continues. Knows no policy.

A segment is a *spare*, which holds room and nothing else, or it has *begun*. The head is one sector, which a disk
writes whole or not at all (as SQLite, too, assumes), so that a head that is neither is damage, never a crash's doing.
Records begin behind it. Beyond the last of them stands anything: zeros, or what the file held in an earlier life.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Literal

from ..trusted.journal_record import CHECKSUM_BYTES, DAMAGED_HINT, KEY_BYTES, JournalFault
from .anchor import NO_SEAL, NO_WRITER, SEAL_BYTES, WRITER_BYTES
from .journal_disk import Disk

Sync = Literal["off", "interval", "always"]

MAGIC = b"quorateJ"
FORMAT_VERSION = 2
SECTOR_BYTES = 512
# Records begin on a page of their own.
BODY_AT = 4096
PROTOCOL_BYTES_MAX = 32
SERVICE_BYTES_MAX = 64
# What a spare is called while it is being made.
NEW_SUFFIX = ".new"

_PREFIX = Struct("<8sH")
# has begun, was never synced, protocol, service, segment, key, number, synced, last slot, time (ns), previous checksum,
# writer, base, origin
_HEAD = Struct(
    f"<BB{PROTOCOL_BYTES_MAX}s{SERVICE_BYTES_MAX}sQ{KEY_BYTES}sQQQQ{CHECKSUM_BYTES}s{WRITER_BYTES}s{SEAL_BYTES}sQ"
)
_SEAL_BYTES = 16
_HEAD_BYTES = _PREFIX.size + _HEAD.size + _SEAL_BYTES


@dataclass(frozen=True, slots=True)
class Head:
    """What a segment says of itself.

    `number`, `previous`, `last_slot` and `time` are those of the last record before its own; `synced` is how many
    records were durable when it began. `key` seals its records. `is_volatile` says that it was written with sync
    `off`, so that it holds only as long as its writer lived. `writer`, `base` and `origin` say which state store it
    belongs to: journal_belonging.py.
    """

    protocol: str
    service: str
    segment: int
    has_begun: bool = False
    is_volatile: bool = False
    key: bytes = bytes(KEY_BYTES)
    number: int = 0
    synced: int = 0
    last_slot: int = 0
    time: int = 0
    previous: bytes = bytes(CHECKSUM_BYTES)
    writer: bytes = NO_WRITER
    base: bytes = NO_SEAL
    origin: int = 0

    def encode(self) -> bytes:
        """The sector at the front of the segment."""
        data = _PREFIX.pack(MAGIC, FORMAT_VERSION) + _HEAD.pack(
            self.has_begun,
            self.is_volatile,
            self.protocol.encode(),
            self.service.encode(),
            self.segment,
            self.key,
            self.number,
            self.synced,
            self.last_slot,
            self.time,
            self.previous,
            self.writer,
            self.base,
            self.origin,
        )
        return (data + _seal(data)).ljust(SECTOR_BYTES, b"\0")


def decode_head(data: bytes, path: Path) -> Head:
    """The head of the segment at `path`, whose first sector is `data`.

    Raises `JournalFault` when it is damaged, no journal of ours, or another release's.
    """
    if len(data) < SECTOR_BYTES:
        raise JournalFault(f"the journal is corrupt: {path} is cut short", DAMAGED_HINT)
    magic, version = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise JournalFault(f"{path} is damaged, or no segment of a journal", DAMAGED_HINT)
    if version != FORMAT_VERSION:
        raise JournalFault(
            f"the journal {path.parent} has format {version}; this release reads format {FORMAT_VERSION}",
            "run it with the release that wrote it, or set cell.state to another directory",
        )
    end = _HEAD_BYTES - _SEAL_BYTES
    if data[end:_HEAD_BYTES] != _seal(data[:end]) or data[_HEAD_BYTES:SECTOR_BYTES].strip(b"\0"):
        raise JournalFault(f"the journal is corrupt: the head of {path} is damaged", DAMAGED_HINT)
    begun, volatile, protocol, service, *rest = _HEAD.unpack_from(data, _PREFIX.size)
    names = [name.rstrip(b"\0").decode(errors="replace") for name in (protocol, service)]
    return Head(names[0], names[1], rest[0], bool(begun), bool(volatile), *rest[1:])


def _seal(data: bytes) -> bytes:
    return blake2b(data, digest_size=_SEAL_BYTES).digest()


class Segment:
    """One segment's file. `descriptor` is -1 while it is closed; `position` is where the next record goes.

    `last_slot` is the highest slot in it, or before it when it holds none. `is_durable` says that its head is, and
    with it all that was written before.
    """

    def __init__(self, path: Path, head: Head, size: int, descriptor: int = -1) -> None:
        self.path = path
        self.head = head
        self.size = size
        self.descriptor = descriptor
        self.position = BODY_AT
        self.last_slot = head.last_slot
        self.is_durable = False

    @property
    def room(self) -> int:
        """The bytes still free behind its records."""
        return self.size - self.position

    def is_given_up(self, slot: int) -> bool:
        """Whether nothing in it lies behind `slot`, and nobody writes or syncs it."""
        return self.descriptor < 0 and self.last_slot <= slot

    def close(self, disk: Disk) -> None:
        """Close its file, if it is open."""
        if self.descriptor >= 0:
            disk.close(self.descriptor)
            self.descriptor = -1


def path_of(directory: Path, segment: int) -> Path:
    """Where the segment of this number lies."""
    return directory / f"{segment:08}.journal"


def number_of(name: str) -> int | None:
    """The number of the segment in the file of this name; None for another file."""
    digits, dot, suffix = name.partition(".")
    return (
        int(digits)
        if dot and suffix == "journal" and digits.isascii() and len(digits) >= 8 and digits.isdigit()
        else None
    )
