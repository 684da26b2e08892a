"""Evidence: the record of every dissent, every conviction and what was not decided, bounded, in SQLite.

Writing happens in one worker thread with its own connection, in batches, behind a bounded queue: a full disk or a
flood of dissents costs evidence, which is counted, and never the cell. Each batch is one transaction, so that a cell
killed at any moment leaves a readable store that lacks at most the last batch. Knows no cell and no configuration.
"""

import contextlib
import hashlib
import queue
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from ..trusted.messages import Cause, Dissented, Undecided

EVIDENCE_FILE = "evidence.sqlite3"
SCHEMA_VERSION = 2
BATCH_MAX = 256
QUEUE_ENTRIES_MAX = 4_096
QUEUE_BYTES_MAX = 67_108_864
CLOSE_SECONDS_MAX = 10.0

_SCHEMA = """
CREATE TABLE dissents (
    id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    replica TEXT NOT NULL, variant TEXT NOT NULL, dialect TEXT NOT NULL, is_write INTEGER NOT NULL,
    is_hashed INTEGER NOT NULL,
    request BLOB NOT NULL, agreed BLOB NOT NULL, dissenting BLOB NOT NULL,
    request_bytes INTEGER NOT NULL, agreed_bytes INTEGER NOT NULL, dissenting_bytes INTEGER NOT NULL
);
CREATE TABLE convictions (
    id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    replica TEXT NOT NULL, variant TEXT NOT NULL, cause TEXT NOT NULL
);
CREATE TABLE undecided (
    id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, count INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    dialect TEXT NOT NULL, is_write INTEGER NOT NULL, is_split INTEGER NOT NULL, is_hashed INTEGER NOT NULL,
    request BLOB NOT NULL, request_bytes INTEGER NOT NULL
);
"""
_INSERT_DISSENT = "INSERT INTO dissents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_CONVICTION = "INSERT INTO convictions VALUES (NULL, ?, ?, ?, ?, ?)"
_INSERT_UNDECIDED = "INSERT INTO undecided VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_OLDEST = (
    "DELETE FROM dissents WHERE id <= (SELECT max(id) FROM dissents) - ?",
    "DELETE FROM convictions WHERE id <= (SELECT max(id) FROM convictions) - ?",
    "DELETE FROM undecided WHERE id <= (SELECT max(id) FROM undecided) - ?",
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes of a request or a reply: the first of them, or the SHA-256 of all. `size` is the whole length."""

    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class DissentRecord:
    """One dissent. `time_ns` is UNIX time in nanoseconds; `dialect` names protocol and version."""

    slot: int
    time_ns: int
    replica: str
    variant: str
    dialect: str
    is_write: bool
    is_hashed: bool
    request: Payload
    agreed: Payload
    dissenting: Payload


@dataclass(frozen=True, slots=True)
class ConvictionRecord:
    """One conviction. `slot` is the one at which the replica was found out."""

    slot: int
    time_ns: int
    replica: str
    variant: str
    cause: str


@dataclass(frozen=True, slots=True)
class UndecidedRecord:
    """`count` slots from `slot` on that no f+1 equal replies decided. Nobody is accused: who is wrong is not known.

    `request` is that of the first. `is_split` says that all had replied and differed, else too few had replied.
    """

    slot: int
    count: int
    time_ns: int
    dialect: str
    is_write: bool
    is_split: bool
    is_hashed: bool
    request: Payload


Record = DissentRecord | ConvictionRecord | UndecidedRecord


class EvidenceStore:
    """Writes evidence to the directory of a cell's state.

    `is_hashed` keeps SHA-256 digests instead of payloads; else a payload is cut after `payload_bytes_max` bytes. Of
    dissents, of convictions and of what was not decided the newest `entries_max` are kept each.
    """

    def __init__(
        self, directory: Path, dialect: str, is_hashed: bool, entries_max: int, payload_bytes_max: int
    ) -> None:
        self._path = directory / EVIDENCE_FILE
        self._dialect = dialect
        self._is_hashed = is_hashed
        self._entries_max = entries_max
        self._payload_bytes_max = payload_bytes_max
        self._queue: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued_entries = 0
        self._queued_bytes = 0
        self._dropped = 0
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)

    @property
    def dropped(self) -> int:
        """How many records could not be kept, for want of room in the queue or because the disk refused them."""
        return self._dropped

    def start(self) -> None:
        """Start the worker. An unreadable store is put aside rather than stop the cell."""
        self._thread.start()

    def record_dissent(self, notice: Dissented, replica: str, variant: str) -> None:
        """Keep a dissent of `replica`, then running `variant`. Never waits, never fails."""
        payloads = [self._cut(payload) for payload in (notice.request, notice.agreed, notice.dissenting)]
        self._put(
            DissentRecord(
                notice.slot, notice.now, replica, variant, self._dialect, notice.is_write, self._is_hashed, *payloads
            )
        )

    def record_conviction(self, replica: str, variant: str, cause: Cause, slot: int, now: int) -> None:
        """Keep the conviction of `replica`. `now` is UNIX time in nanoseconds. Never waits, never fails."""
        self._put(ConvictionRecord(slot, now, replica, variant, cause.value))

    def record_undecided(self, notice: Undecided) -> None:
        """Keep which slots were not decided, and what was asked for. Never waits, never fails."""
        head = (notice.slot, notice.count, notice.now, self._dialect)
        self._put(UndecidedRecord(*head, notice.is_write, notice.is_split, self._is_hashed, self._cut(notice.request)))

    def flush(self, timeout: float = CLOSE_SECONDS_MAX) -> bool:
        """Wait until what was recorded so far is written; `timeout` is in seconds. Return whether it is."""
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout)

    def close(self) -> None:
        """Write what is queued and end the worker."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS_MAX)

    def _cut(self, payload: bytes) -> Payload:
        # A digest is made in the worker: hashing a long reply here would hold up the votes.
        return Payload(payload if self._is_hashed else payload[: self._payload_bytes_max], len(payload))

    def _put(self, record: Record) -> None:
        size = _size(record)
        with self._lock:
            is_full = self._queued_entries >= QUEUE_ENTRIES_MAX or self._queued_bytes + size > QUEUE_BYTES_MAX
            if is_full and self._queued_entries:
                self._dropped += 1
                return
            self._queued_entries += 1
            self._queued_bytes += size
        self._queue.put(record)

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        is_open = True
        while is_open:
            batch, flushed, is_open = self._take()
            if batch:
                connection = self._write(connection, batch)
                self._forget(batch)
            for event in flushed:
                event.set()
        if connection is not None:
            connection.close()

    def _take(self) -> tuple[list[Record], list[threading.Event], bool]:
        """Wait for something to do. Return the records, who waits for them, and whether to go on."""
        batch: list[Record] = []
        flushed: list[threading.Event] = []
        while len(batch) < BATCH_MAX:
            try:
                item = self._queue.get(block=not batch and not flushed)
            except queue.Empty:
                break
            if item is None:
                return batch, flushed, False
            if isinstance(item, threading.Event):
                flushed.append(item)
            else:
                batch.append(item)
        return batch, flushed, True

    def _forget(self, batch: list[Record]) -> None:
        with self._lock:
            self._queued_entries -= len(batch)
            self._queued_bytes -= sum(map(_size, batch))

    def _write(self, connection: sqlite3.Connection | None, batch: list[Record]) -> sqlite3.Connection | None:
        try:
            connection = connection or _open(self._path)
            with connection:
                connection.executemany(_INSERT_DISSENT, [_row(r) for r in batch if isinstance(r, DissentRecord)])
                convictions = [r for r in batch if isinstance(r, ConvictionRecord)]
                connection.executemany(
                    _INSERT_CONVICTION, [(r.slot, r.time_ns, r.replica, r.variant, r.cause) for r in convictions]
                )
                undecided = [_undecided_row(r) for r in batch if isinstance(r, UndecidedRecord)]
                connection.executemany(_INSERT_UNDECIDED, undecided)
                for delete in _DELETE_OLDEST:
                    connection.execute(delete, (self._entries_max,))
            self._is_failing = False
            return connection
        except (sqlite3.Error, OSError) as error:
            self._dropped += len(batch)
            if not self._is_failing:
                _log.error("evidence cannot be kept", path=str(self._path), error=str(error))
            self._is_failing = True
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            return None


def read_dissents(directory: Path, limit: int) -> list[DissentRecord]:
    """The newest `limit` dissents, newest first; none when there is no store yet.

    Raises `sqlite3.Error` when the store cannot be read.
    """
    return [_dissent(row) for row in _read(directory, "SELECT * FROM dissents ORDER BY id DESC LIMIT ?", limit)]


def read_convictions(directory: Path, limit: int) -> list[ConvictionRecord]:
    """The newest `limit` convictions, newest first; none when there is no store yet.

    Raises `sqlite3.Error` when the store cannot be read.
    """
    rows = _read(directory, "SELECT * FROM convictions ORDER BY id DESC LIMIT ?", limit)
    return [ConvictionRecord(*row[1:]) for row in rows]


def read_undecided(directory: Path, limit: int) -> list[UndecidedRecord]:
    """The newest `limit` records of slots that were not decided, newest first; none when there is no store yet.

    Raises `sqlite3.Error` when the store cannot be read.
    """
    return [_undecided(row) for row in _read(directory, "SELECT * FROM undecided ORDER BY id DESC LIMIT ?", limit)]


def _undecided(row: tuple[Any, ...]) -> UndecidedRecord:
    _, slot, count, time_ns, dialect, is_write, is_split, is_hashed, request, size = row
    flags = (bool(is_write), bool(is_split), bool(is_hashed))
    return UndecidedRecord(slot, count, time_ns, dialect, *flags, Payload(request, size))


def _dissent(row: tuple[Any, ...]) -> DissentRecord:
    _, slot, time_ns, replica, variant, dialect, is_write, is_hashed, *payloads = row
    request, agreed, dissenting = map(Payload, payloads[:3], payloads[3:])
    return DissentRecord(
        slot, time_ns, replica, variant, dialect, bool(is_write), bool(is_hashed), request, agreed, dissenting
    )


def _read(directory: Path, query: str, limit: int) -> list[tuple[Any, ...]]:
    path = directory / EVIDENCE_FILE
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        version = _version(connection)
        if version == 0:  # the cell is just making it
            return []
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"{path} was written by another release")
        return connection.execute(query, (limit,)).fetchall()


def _open(path: Path) -> sqlite3.Connection:
    """Open the store for writing, creating it; an unreadable one, or one of another release, is put aside."""
    try:
        return _connect(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = path.with_suffix(".aside")
        _log.warning("evidence put aside", path=str(aside), error=str(error))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(aside)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=True)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A batch may be lost with the machine's power, never with the process: evidence is no journal.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        version = _version(connection)
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"schema version {version}, not {SCHEMA_VERSION}")
        return connection
    except BaseException:
        connection.close()
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _size(record: Record) -> int:
    if isinstance(record, ConvictionRecord):
        return 0
    if isinstance(record, UndecidedRecord):
        return len(record.request.data)
    return len(record.request.data) + len(record.agreed.data) + len(record.dissenting.data)


def _row(record: DissentRecord) -> tuple[int | str | bytes, ...]:
    payloads = (record.request, record.agreed, record.dissenting)
    kept = [_kept(payload, record.is_hashed) for payload in payloads]
    sizes = [p.size for p in payloads]
    head = (record.slot, record.time_ns, record.replica, record.variant, record.dialect)
    return (*head, record.is_write, record.is_hashed, *kept, *sizes)


def _undecided_row(record: UndecidedRecord) -> tuple[int | str | bytes, ...]:
    head = (record.slot, record.count, record.time_ns, record.dialect, record.is_write, record.is_split)
    return (*head, record.is_hashed, _kept(record.request, record.is_hashed), record.request.size)


def _kept(payload: Payload, is_hashed: bool) -> bytes:
    return hashlib.sha256(payload.data).digest() if is_hashed else payload.data
