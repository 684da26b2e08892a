"""The state store: the abstract state of the cell at its last checkpoint, on disk.

One writer. What is put and deleted is one transaction until `commit`, and one commit is one stable checkpoint: a
process killed at any moment leaves the last. Readers see committed state only. Each row carries a keyed digest, which
is checked whenever the row is read; the store's digest is kept with each change, never computed anew. What stands
beside the rows, the slot first of all, is under such a digest too: an altered one would lose writes, or repeat them.

After a `StateFault` the store may only be closed.
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from . import store_file
from .anchor import NO_ANCHOR, Anchor, Base
from .faults import damaged
from .rows import (
    DIGEST_BYTES,
    DIGEST_KEY_BYTES,
    DIGEST_MODULUS,
    Checkpoint,
    Row,
    Total,
    counts_of,
    damaged_row,
    digest_of,
)
from .snapshot import Snapshot
from .store_file import guarding

# What waits in memory before it is written in one go.
WAITING_ROWS_MAX = 4_096
WAITING_BYTES_MAX = 8 * 1_048_576
# Keys in one look-up: SQLite takes 32,766 parameters at most.
LOOK_UP_KEYS_MAX = 512
PAGE_BYTES_MAX = 16 * 1_048_576

_NO_ROWS = Total(0, 0)
_PUT = (
    "INSERT INTO row VALUES (?, ?, ?, ?) "
    "ON CONFLICT (database, key) DO UPDATE SET record = excluded.record, digest = excluded.digest"
)
_DELETE = "DELETE FROM row WHERE database = ? AND key = ?"
_LOOK_UP = "SELECT key, digest FROM row WHERE database = ? AND key IN ({})"
_READ = "SELECT record, digest FROM row WHERE database = ? AND key = ?"
_PAGE = "SELECT database, key, record, digest FROM row WHERE (database, key) > (?, ?) ORDER BY database, key LIMIT ?"
_PUT_TOTAL = "INSERT OR REPLACE INTO total VALUES (?, ?, ?)"


class StateStore:
    """The store in the file `path`, made when there is none.

    `protocol` and `service` must be those that it was made with. `key` is what row digests of a new store are keyed
    with, random by default. Raises `StateFault` when the file is damaged or is not this cell's.
    """

    def __init__(self, path: Path, protocol: str, service: str, key: bytes | None = None) -> None:
        self.path = path
        self._is_synchronous = False
        key = key or secrets.token_bytes(DIGEST_KEY_BYTES)
        with ExitStack() as undo:
            self._descriptor = store_file.open_file(path)
            undo.callback(os.close, self._descriptor)
            self._connection = store_file.open_writer(path, protocol, service, key)
            undo.callback(self._connection.close)
            self._reader = store_file.open_reader(path)
            undo.callback(self._reader.close)
            with guarding(path):
                kept = store_file.read_kept(self._connection, path)
                self._synchronise(is_durable=True)
            self._closing = undo.pop_all()
        self._base, self._extras, self._totals, self._row_digest = kept
        self._checkpoint = Checkpoint(self._base.slot, counts_of(self._totals), digest_of(self._totals))
        self._waiting: dict[tuple[int, bytes], bytes | None] = {}
        self._waiting_bytes = 0

    # The last checkpoint.

    @property
    def checkpoint(self) -> Checkpoint:
        """The last commit; of slot 0 when there was none."""
        return self._checkpoint

    @property
    def base(self) -> Base:
        """The last commit as a journal names it."""
        return self._base

    @property
    def extras(self) -> bytes:
        """What the last commit was given beside the rows."""
        return self._extras

    # Changes.

    def put(self, database: int, key: bytes, record: bytes) -> None:
        """`key` has this record from the next commit on."""
        self._wait(database, key, record, len(key) + len(record))

    def delete(self, database: int, key: bytes) -> None:
        """`key` is absent from the next commit on."""
        self._wait(database, key, None, len(key))

    def clear(self, database: int) -> None:
        """The database is empty from the next commit on, but for what is put after this."""
        self._flush()
        with guarding(self.path):
            self._begin()
            removed = self._connection.execute("DELETE FROM row WHERE database = ?", (database,)).rowcount
        if removed != self._totals.get(database, _NO_ROWS).rows:
            raise damaged(self.path, f"its index leads to {removed} rows of database {database}, and it has others")
        self._totals[database] = _NO_ROWS

    def miscounted(self, counts: dict[int, int]) -> list[int]:
        """The databases among these of which the next commit would have more or fewer rows than `counts` says."""
        self._flush()
        return [database for database, count in counts.items() if self._totals.get(database, _NO_ROWS).rows != count]

    def commit(self, slot: int, extras: bytes, is_durable: bool, anchor: Anchor = NO_ANCHOR) -> Checkpoint:
        """What was put and deleted since the last commit becomes the checkpoint of `slot`, whole or not at all.

        `is_durable` has it survive a loss of power. `anchor` is how the journal stands, if there is one beside.
        """
        self._flush()
        with guarding(self.path):
            self._begin()
            totals = [(database, count, _bytes(digest)) for database, (count, digest) in self._totals.items()]
            self._connection.executemany(_PUT_TOTAL, totals)
            seal = self._row_digest.seal(slot, extras, anchor.encode(), self._totals)
            meta = [(slot, "slot"), (extras, "extras"), (anchor.encode(), "anchor"), (seal, "seal")]
            self._connection.executemany("UPDATE meta SET value = ? WHERE name = ?", meta)
            self._connection.execute("COMMIT")
            self._synchronise(is_durable)
        self._base, self._extras = Base(slot, seal, anchor), extras
        self._checkpoint = Checkpoint(slot, counts_of(self._totals), digest_of(self._totals))
        return self._checkpoint

    def close(self) -> None:
        """Forget what is not committed."""
        self._closing.close()

    def _wait(self, database: int, key: bytes, record: bytes | None, size: int) -> None:
        self._waiting[(database, key)] = record
        self._waiting_bytes += size
        if len(self._waiting) >= WAITING_ROWS_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            self._flush()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _flush(self) -> None:
        """Write what waits in memory, in the order of keys, where it differs from what is there."""
        if not self._waiting:
            return
        puts: list[tuple[int, bytes, bytes, bytes]] = []
        deletions: list[tuple[int, bytes]] = []
        with guarding(self.path):
            self._begin()
            old = self._digests(self._waiting)
            for (database, key), record in sorted(self._waiting.items(), key=lambda item: item[0]):
                digest = b"" if record is None else self._row_digest.of(database, key, record)
                before = old.get((database, key), b"")
                if digest == before:
                    continue
                self._count(database, before, digest)
                if record is None:
                    deletions.append((database, key))
                else:
                    puts.append((database, key, record, digest))
            self._connection.executemany(_PUT, puts)
            self._connection.executemany(_DELETE, deletions)
        self._waiting = {}
        self._waiting_bytes = 0

    def _digests(self, wanted: Iterable[tuple[int, bytes]]) -> dict[tuple[int, bytes], bytes]:
        """The digests of those of the wanted rows that are there."""
        by_database: dict[int, list[bytes]] = {}
        for database, key in wanted:
            by_database.setdefault(database, []).append(key)
        found: dict[tuple[int, bytes], bytes] = {}
        for database, keys in by_database.items():
            if not self._totals.get(database, _NO_ROWS).rows:
                continue
            keys.sort()
            for start in range(0, len(keys), LOOK_UP_KEYS_MAX):
                some = keys[start : start + LOOK_UP_KEYS_MAX]
                question = _LOOK_UP.format(",".join("?" * len(some)))
                for key, digest in self._connection.execute(question, (database, *some)):
                    found[(database, key)] = digest
        return found

    def _count(self, database: int, before: bytes, after: bytes) -> None:
        count, digest = self._totals.get(database, _NO_ROWS)
        digest += int.from_bytes(after, "little") - int.from_bytes(before, "little")
        self._totals[database] = Total(count + bool(after) - bool(before), digest % DIGEST_MODULUS)

    def _synchronise(self, is_durable: bool) -> None:
        """After a commit: make it durable if it was made without, and have SQLite do as it is told from now on.

        Within a transaction SQLite does not let itself be told.
        """
        if is_durable == self._is_synchronous:
            return
        if is_durable:
            store_file.synchronise(self._descriptor, self.path)
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'OFF'}")
        self._is_synchronous = is_durable

    # Reading what is committed.

    def snapshot(self) -> Snapshot:
        """The last commit, to be read while further ones are made. The caller closes it."""
        return Snapshot(self.path)

    def read(self, database: int, key: bytes) -> bytes | None:
        """The committed record of `key`, or None."""
        with guarding(self.path):
            found = self._reader.execute(_READ, (database, key)).fetchone()
        if found is None:
            return None
        record: bytes = found[0]
        self._check(database, key, record, found[1])
        return record

    def page(self, after: tuple[int, bytes] | None, count: int) -> list[Row]:
        """Up to `count` committed rows in the order of (database, key) after the given one; none at the end.

        Fewer where they are long.
        """
        rows: list[Row] = []
        size = 0
        with guarding(self.path):
            cursor = self._reader.execute(_PAGE, (*(after or (-1, b"")), count))
            for database, key, record, digest in cursor:
                self._check(database, key, record, digest)
                rows.append((database, key, record))
                size += len(key) + len(record)
                if size >= PAGE_BYTES_MAX:
                    break
            cursor.close()
        return rows

    def _check(self, database: int, key: bytes, record: bytes, digest: bytes) -> None:
        if self._row_digest.of(database, key, record) != digest:
            raise damaged_row(self.path, database, key)


def _bytes(digest: int) -> bytes:
    return digest.to_bytes(DIGEST_BYTES, "little")
