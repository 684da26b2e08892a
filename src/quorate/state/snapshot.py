"""One commit of the state store, read in full while later commits are made."""

from collections.abc import Iterator
from pathlib import Path

from . import store_file
from .faults import damaged
from .rows import DIGEST_MODULUS, Row, Total, counts_of, damaged_row
from .store_file import guarding

_ROWS = "SELECT database, key, record, digest FROM row"
# How many rows the index is held against at once: what else the keeper has to do waits meanwhile.
SLICE_ROWS = 10_000
# Of a slice of the table: how many rows, how many of them the index leads to, and where the next slice begins.
_INDEXED = """
SELECT count(*), total(EXISTS (
    SELECT 1 FROM row AS found INDEXED BY sqlite_autoindex_row_1
    WHERE found.database = slice.database AND found.key = slice.key AND found.rowid = slice.rowid
)), max(slice.rowid)
FROM (SELECT rowid, database, key FROM row NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ?) AS slice
"""
_INDEX_ROWS = "SELECT count(*) FROM row INDEXED BY sqlite_autoindex_row_1"


class Snapshot:
    """The last commit of the store at `path`, as it is now, until closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = store_file.open_reader(path)
        try:
            with guarding(path):
                self._connection.execute("BEGIN")  # deferred: the first read fixes what is seen
                kept = store_file.read_kept(self._connection, path)
                self.slot, self.extras = kept.base.slot, kept.extras
                self._totals, self._row_digest = kept.totals, kept.row_digest
        except BaseException:
            self.close()
            raise

    @property
    def counts(self) -> dict[int, int]:
        """Rows by database, without empty ones."""
        return counts_of(self._totals)

    @property
    def rows_total(self) -> int:
        """How many rows there are."""
        return sum(total.rows for total in self._totals.values())

    def rows(self) -> Iterator[Row]:
        """Every row, in no order that means anything, each checked.

        Raises `StateFault` at a damaged row, which it names, and at the end when rows are missing or too many.
        """
        found: dict[int, Total] = {}
        count = digest_sum = 0
        database_before = -1
        digest_of_row = self._row_digest.of
        with guarding(self._path):
            for database, key, record, digest in self._connection.execute(_ROWS):
                if digest_of_row(database, key, record) != digest:
                    raise damaged_row(self._path, database, key)
                if database != database_before:
                    _add(found, database_before, count, digest_sum)
                    count = digest_sum = 0
                    database_before = database
                count += 1
                digest_sum += int.from_bytes(digest, "little")
                yield database, key, record
        _add(found, database_before, count, digest_sum)
        self._check_totals(found)

    def check_index(self) -> Iterator[None]:
        """See to it, a slice at a time, that the index leads to every row, and to nothing else.

        A file that is put beside another's log opens as if nothing were wrong: the table is one's, the index the
        other's. Raises `StateFault`.
        """
        found, after = 0, -1
        while True:
            with guarding(self._path):
                rows, indexed, last = self._connection.execute(_INDEXED, (after, SLICE_ROWS)).fetchone()
            if rows != indexed:
                raise damaged(self._path, f"its index does not lead to {rows - int(indexed)} of its rows")
            if not rows:
                break
            found, after = found + rows, last
            yield
        with guarding(self._path):
            entries = self._connection.execute(_INDEX_ROWS).fetchone()[0]
        if entries != found:
            raise damaged(self._path, f"its index leads to {entries} rows, not to {found}")

    def _check_totals(self, found: dict[int, Total]) -> None:
        for database in sorted(self._totals.keys() | found.keys()):
            kept = self._totals.get(database, Total(0, 0))
            seen = found.get(database, Total(0, 0))
            if kept != seen:
                raise damaged(self._path, f"database {database} has {seen.rows} rows, not the {kept.rows} written")

    def close(self) -> None:
        """Let the store forget what only this snapshot needs. Idempotent."""
        self._connection.close()


def _add(found: dict[int, Total], database: int, count: int, digest: int) -> None:
    before = found.get(database, Total(0, 0))
    found[database] = Total(before.rows + count, (before.digest + digest) % DIGEST_MODULUS)
