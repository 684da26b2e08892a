"""The SQLite file of a state store: made, opened, told from others. Knows tables, not what rows mean.

Two connections at most see a row differently: the one writer, and readers that see the last commit. In WAL mode
neither waits for the other, and a process killed at any moment leaves the last commit.

While a connection is open, this process must close no other descriptor of the file: by POSIX the locks of all go with
it, and whoever looks into the file from outside, and takes himself for the last, removes the write-ahead log.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from .anchor import ANCHOR_BYTES, NO_ANCHOR, Base, decode_anchor
from .faults import BEGIN_EMPTY, StateFault, damaged
from .rows import DIGEST_KEY_BYTES, RowDigest, Total

# What tells our files from other SQLite files: "quor", in the file's header.
APPLICATION_ID = 0x71756F72
FORMAT_VERSION = 3
# Rows of a few kilobytes stay out of overflow pages, and a scattered update rewrites no more than this for each row.
PAGE_BYTES = 8_192
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 8_192
BUSY_SECONDS_MAX = 5.0
# The write-ahead log is copied into the file beyond this size, and cut back to it.
LOG_PAGES = 4_096
LOG_BYTES_KEPT = LOG_PAGES * PAGE_BYTES

# No WITHOUT ROWID: that keeps rows in index pages, where each row of more than a quarter of a page takes pages of its
# own. Measured with rows of 1 KiB, it takes twice the time to write. The index alone gives the order of keys.
_SCHEMA = """
CREATE TABLE row (
    database INTEGER NOT NULL, key BLOB NOT NULL, record BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (database, key)
) STRICT;
CREATE TABLE total (database INTEGER PRIMARY KEY, count INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
"""


class Kept(NamedTuple):
    """What one commit keeps beside its rows: itself as others name it, extras, databases' totals; and what digests."""

    base: Base
    extras: bytes
    totals: dict[int, Total]
    row_digest: RowDigest


@contextmanager
def guarding(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of its disk into a `StateFault` about the store at `path` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise StateFault(
                f"the state store {path} cannot be written or read: {error}",
                "make room on its disk, and see that the disk is sound and the file ours to write",
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, error) from error
        raise StateFault(f"the state store {path} failed: {error}", "see whether another process uses it") from error
    except OSError as error:
        raise StateFault(
            f"the state store {path} cannot be synchronised: {error}", "see that its disk is sound"
        ) from error


def open_writer(path: Path, protocol: str, service: str, digest_key: bytes) -> sqlite3.Connection:
    """The writing connection to the store at `path`, made if there is none; `digest_key` is kept in a new one.

    Raises `StateFault` when what is there is of another version, protocol or service, or no store at all.
    """
    with guarding(path):
        connection = _connect(path, WRITER_CACHE_KIB)
        try:
            if _is_new(connection):
                _create(connection, protocol, service, digest_key)
            else:
                _check(connection, path, protocol, service)
            # Only after the checks: a file that is not ours is left as it was.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
            return connection
        except BaseException:
            connection.close()
            raise


def open_reader(path: Path) -> sqlite3.Connection:
    """A reading connection to the store at `path`, which exists."""
    with guarding(path):
        connection = _connect(path, READER_CACHE_KIB)
        connection.execute("PRAGMA query_only = ON")
        return connection


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of the file at `path`."""
    return path.with_name(path.name + "-wal")


def open_file(path: Path) -> int:
    """A descriptor of the file `path`, made if there is none: to be closed after all connections to it."""
    try:
        # SQLite gives its log the same rights as the file has.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "set cell.state to a directory that you may write"
        raise StateFault(f"cannot use the state store {path}: {error.strerror}", hint) from None


def claim(path: Path) -> None:
    """Wait until no other process has claimed the store at `path`, and claim it as long as this one lives.

    A keeper that was killed in the middle of a commit, on a slow disk, may end only when that is done. Who opened the
    store before would not see that commit, and go on from the one before it.
    """
    descriptor = open_file(path)  # never closed, for the sake of SQLite's locks too
    with suppress(OSError):  # a file system may have no such locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def synchronise(descriptor: int, path: Path) -> None:
    """See to it that what was written so far to the store at `path`, open as `descriptor`, survives a loss of power."""
    os.fsync(descriptor)
    for each in (log_of(path), path.parent):
        if each.exists():  # a log comes with the first write
            fsync(each)


def fsync(path: Path) -> None:
    """See to it that what was written to `path`, a file or a directory, survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_new(connection: sqlite3.Connection) -> bool:
    has_tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    return not has_tables and not _number(connection, "user_version") and not _number(connection, "application_id")


def _create(connection: sqlite3.Connection, protocol: str, service: str, digest_key: bytes) -> None:
    """All in one transaction: a process killed meanwhile leaves a file that is still new."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("BEGIN IMMEDIATE")
    for statement in filter(str.strip, _SCHEMA.split(";")):
        connection.execute(statement)
    meta = {"protocol": protocol, "service": service, "digest_key": digest_key, "slot": 0, "extras": b""}
    meta["anchor"] = NO_ANCHOR.encode()
    meta["seal"] = RowDigest(digest_key).seal(0, b"", NO_ANCHOR.encode(), {})
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path, protocol: str, service: str) -> None:
    if _number(connection, "application_id") != APPLICATION_ID:
        raise StateFault(f"{path} is no state store", "set cell.state to a directory of this cell's own")
    version = _number(connection, "user_version")
    if version != FORMAT_VERSION:
        raise StateFault(
            f"the state store {path} has format {version}; this release reads format {FORMAT_VERSION}",
            f"run it with the release that wrote it; or, {BEGIN_EMPTY}",
        )
    for name, wanted in (("protocol", protocol), ("service", service)):
        found = meta_value(connection, path, name)
        if found != wanted:
            raise StateFault(
                f"the state store {path} belongs to the {name} {found!r}, not {wanted!r}",
                f"set cell.state to a directory of this cell's own; or, {BEGIN_EMPTY}",
            )


def meta_value(connection: sqlite3.Connection, path: Path, name: str) -> object:
    """One value of the store's own. Raises `StateFault` when it is missing."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise damaged(path, f"its {name} is missing")
    value: object = found[0]
    return value


def read_kept(connection: sqlite3.Connection, path: Path) -> Kept:
    """What the last commit wrote beside its rows. Raises `StateFault` when that is not what is there."""
    slot, *others = (meta_value(connection, path, name) for name in ("slot", "extras", "anchor", "digest_key", "seal"))
    extras, anchor, key, seal = (value if isinstance(value, bytes) else b"" for value in others)
    if not isinstance(slot, int) or not all(isinstance(value, bytes) for value in others):
        raise damaged(path, "its slot, extras, anchor, key or seal is of a wrong type")
    rows = connection.execute("SELECT database, count, digest FROM total")
    totals = {database: Total(count, int.from_bytes(digest, "little")) for database, count, digest in rows}
    row_digest = RowDigest(key[:DIGEST_KEY_BYTES])
    if row_digest.seal(slot, extras, anchor, totals) != seal or len(anchor) != ANCHOR_BYTES:
        raise damaged(path, "its slot, extras, anchor, key or totals are not what was written")
    return Kept(Base(slot, seal, decode_anchor(anchor)), extras, totals, row_digest)
