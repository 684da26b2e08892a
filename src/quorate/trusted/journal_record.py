"""The journal's records: what was ordered, as bytes, each record sealed and chained to the one before.

A record names its number, counted from 1, and the checksum of the record before; its own checksum, keyed with a secret
of the process that wrote it, covers all of it. So a record that is moved, dropped, repeated or altered ends the chain,
and no client can write bytes that pass for a record. It also names `synced`: how many records were durable, as far as
its writer knew, when it was made.
"""

from hashlib import blake2b
from struct import Struct
from typing import Final

from .errors import OperatorFault
from .limits import ADDITIONS_BYTES_MAX, ORDERED_BYTES_MAX

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

DAMAGED_HINT = (
    "restore the state directory from a copy; or move its journal away: the cell then starts from its last checkpoint, "
    "and what was written after that is lost"
)
NO_CHECKPOINT_HINT = (
    "there is no checkpoint before it: restore state store and journal from one copy; without one all is lost, and to "
    "begin empty, move their whole directory away"
)

# mark, length of all, kind, number, synced, time (ns), first slot, last slot, checksum of the record before
HEAD: Final = Struct("<8sIBQQQQQ8s")
# What a record has beside what it tells.
OVERHEAD: Final = HEAD.size + CHECKSUM_BYTES

# A record of writes tells three counts: of entries, requests and changes. Then, for each entry, its first slot, how
# many slots, mode, frames and how many changes; the lengths of all requests; of all changes the databases, the kinds,
# the lengths of their keys, and the keys; all requests. A tombstone tells its reason, a clean end nothing.
COUNTS: Final = Struct("<III")
ENTRY_NUMBERS: Final = 5

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


def mark_of(key: bytes) -> bytes:
    """What each record of a writer begins with. No client can know it, so none can write it into a request."""
    return blake2b(b"mark", digest_size=8, key=key).digest()


def keyed(key: bytes) -> blake2b:
    """The checksum of nothing so far, which only who knows `key` can make."""
    return blake2b(digest_size=CHECKSUM_BYTES, key=key)
