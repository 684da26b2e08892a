"""Rows of the state store and their digests: a row's digest is keyed, a store's digest is the sum of its rows'.

The sum (modulo 2**128) does not depend on the order of rows and follows each change at once. The key is secret and
random, so that no client can choose rows whose digests add up to those of others; an exclusive or would be open to
that by linear algebra even so (Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997).
"""

import struct
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from .faults import StateFault, damaged

DIGEST_BYTES = 16
DIGEST_KEY_BYTES = 32
DIGEST_MODULUS = 1 << (8 * DIGEST_BYTES)
NAME_BYTES_MAX = 64

# One key's state: database, key, and its record, canonical bytes that the protocol's state functions understand. A
# plain tuple, because a store has millions.
Row = tuple[int, bytes, bytes]


# Before the key, so that no two rows are the same bytes: its database, any number that SQLite holds, and its length.
_pack_head = struct.Struct("<qI").pack


class Total(NamedTuple):
    """Of one database: how many rows, and the sum of their digests."""

    rows: int
    digest: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stable checkpoint: all state at `slot`. `counts` is rows by database, without empty ones."""

    slot: int
    counts: dict[int, int]
    digest: int


class RowDigest:
    """Digests rows, and what stands beside them, under one key."""

    def __init__(self, key: bytes) -> None:
        self._keyed_copy = blake2b(key=key, digest_size=DIGEST_BYTES).copy
        self._seal_copy = blake2b(key=key, digest_size=DIGEST_BYTES, person=b"checkpoint").copy

    def of(self, database: int, key: bytes, record: bytes) -> bytes:
        """The digest of one row."""
        digest = self._keyed_copy()
        digest.update(_pack_head(database, len(key)) + key)
        digest.update(record)
        return digest.digest()

    def seal(self, slot: int, extras: bytes, anchor: bytes, totals: dict[int, Total]) -> bytes:
        """The digest of what a checkpoint is beside its rows, for any numbers: databases without rows do not count."""
        kept = sorted((database, *total) for database, total in totals.items() if total.rows or total.digest)
        digest = self._seal_copy()
        digest.update(f"{slot} {kept} {len(anchor)}\n".encode())
        digest.update(anchor + extras)
        return digest.digest()


def damaged_row(path: Path, database: int, key: bytes) -> StateFault:
    """The fault of a row whose digest is not that of its bytes."""
    return damaged(path, f"{name_of(database, key)} is not what was written")


def digest_of(totals: dict[int, Total]) -> int:
    """The digest of all databases together."""
    return sum(total.digest for total in totals.values()) % DIGEST_MODULUS


def counts_of(totals: dict[int, Total]) -> dict[int, int]:
    """Rows by database, without empty ones."""
    return {database: total.rows for database, total in totals.items() if total.rows}


def name_of(database: int, key: bytes) -> str:
    """A key as people can read it in one line, whatever its bytes; long ones are cut."""
    cut = f"… ({len(key)} bytes)" if len(key) > NAME_BYTES_MAX else ""
    return f"database {database} key {repr(key[:NAME_BYTES_MAX])[1:]}{cut}"
