"""Keys of sixteen databases: finding, creating, expiring, renaming and deleting them, and who watches them.

Knows the tables and the time of the current request (`now`, milliseconds, set by the caller); knows no session and no
reply. A key whose deadline has passed is deleted when it is next looked for.
"""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

import itertools
import sqlite3
from dataclasses import dataclass
from typing import Protocol

from . import schema
from .errors import WRONG_TYPE, CommandError

DATABASES = 16
PURGE_MS = 1_000


class Watcher(Protocol):
    """Who wants to know that a key it watches was changed."""

    spoiled: bool


@dataclass(slots=True)
class Key:
    """The row of one key, as it was when it was looked up."""

    db: int
    name: bytes
    id: int
    kind: int
    size: int
    head: int
    deadline: int | None


class Keyspace:
    """All keys, on top of one SQLite connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.run = connection.execute
        self.run_many = connection.executemany
        self.now = 0
        self._ids = itertools.count(1)
        self._purge_at = 0
        self._watchers: dict[tuple[int, bytes], set[Watcher]] = {}

    # Finding.

    def find(self, db: int, name: bytes) -> Key | None:
        """The key called `name` in database `db`, None when there is none or its deadline has passed."""
        row = self.run(
            "SELECT id, kind, size, head, deadline FROM keys WHERE db = ? AND name = ?", (db, name)
        ).fetchone()
        if row is None:
            return None
        key = Key(db, name, *row)
        if key.deadline is not None and key.deadline < self.now:
            self.delete(key)
            return None
        return key

    def typed(self, db: int, name: bytes, kind: int) -> Key | None:
        """Like `find`; raises `CommandError` when the key is of another kind."""
        key = self.find(db, name)
        if key is not None and key.kind != kind:
            raise CommandError(WRONG_TYPE)
        return key

    def text(self, db: int, name: bytes) -> bytes | None:
        """The value of a string key, None when there is no such key; raises `CommandError` for another kind."""
        row = self.run(
            "SELECT kind, deadline, value FROM keys LEFT JOIN strings ON key = id WHERE db = ? AND name = ?", (db, name)
        ).fetchone()
        if row is None or (row[1] is not None and row[1] < self.now and self.find(db, name) is None):
            return None
        if row[0] != schema.STRING:
            raise CommandError(WRONG_TYPE)
        value: bytes = row[2]
        return value

    def names(self, db: int) -> list[bytes]:
        """The names of all keys in `db`."""
        living = "SELECT name FROM keys WHERE db = ? AND (deadline IS NULL OR deadline >= ?)"
        return [name for (name,) in self.run(living, (db, self.now))]

    def count(self, db: int) -> int:
        """How many keys `db` holds, with those whose deadline has passed unnoticed, as in Redis."""
        count: int = self.run("SELECT count(*) FROM keys WHERE db = ?", (db,)).fetchone()[0]
        return count

    # Changing.

    def create(self, db: int, name: bytes, kind: int, size: int = 0) -> Key:
        """A new key, which must not exist; its contents are for the caller to add."""
        key = Key(db, name, next(self._ids), kind, size, 0, None)
        self.run("INSERT INTO keys VALUES (?, ?, ?, ?, ?, 0, NULL)", (db, name, key.id, kind, size))
        return key

    def obtain(self, db: int, name: bytes, kind: int) -> Key:
        """The key of that name and kind, made when missing; raises `CommandError` when it is of another kind."""
        return self.typed(db, name, kind) or self.create(db, name, kind)

    def replace(self, db: int, name: bytes, kind: int, size: int) -> Key:
        """A new key in the place of whatever had this name."""
        self.discard(db, name)
        self.touch(db, name)
        return self.create(db, name, kind, size)

    def put_text(self, db: int, name: bytes, value: bytes, keep_deadline: bool = False) -> None:
        """Make `name` a string, whatever it was; its deadline goes unless it is to be kept."""
        key = self.find(db, name)
        if key is not None and key.kind == schema.STRING:
            self.run("UPDATE strings SET value = ? WHERE key = ?", (value, key.id))
            if key.deadline is not None and not keep_deadline:
                self.set_deadline(key, None)
            self.touch(db, name)
            return
        new = self.replace(db, name, schema.STRING, 1)
        self.run("INSERT INTO strings VALUES (?, ?)", (new.id, value))
        if key is not None and key.deadline is not None and keep_deadline:
            self.set_deadline(new, key.deadline)

    def resize(self, key: Key, size: int, head: int = 0) -> None:
        """Record how many rows the key has now; with none it is gone."""
        if not size:
            self.delete(key)
            return
        if size != key.size or head != key.head:
            self.run("UPDATE keys SET size = ?, head = ? WHERE db = ? AND name = ?", (size, head, key.db, key.name))
            key.size, key.head = size, head
        self.touch(key.db, key.name)

    def renumber(self, key: Key) -> int:
        """Give the key a fresh id, to which the caller moves its rows; returns it."""
        key.id = next(self._ids)
        self.run("UPDATE keys SET id = ? WHERE db = ? AND name = ?", (key.id, key.db, key.name))
        return key.id

    def delete(self, key: Key) -> None:
        """Delete the key and its contents."""
        self.run(f"DELETE FROM {schema.CONTENT_TABLES[key.kind]} WHERE key = ?", (key.id,))
        self.run("DELETE FROM keys WHERE db = ? AND name = ?", (key.db, key.name))
        self.touch(key.db, key.name)

    def discard(self, db: int, name: bytes) -> bool:
        """Delete the key called `name` if there is one; returns whether there was."""
        key = self.find(db, name)
        if key is None:
            return False
        self.delete(key)
        return True

    def set_deadline(self, key: Key, deadline: int | None) -> None:
        """Give the key a deadline (absolute milliseconds), or none."""
        self.run("UPDATE keys SET deadline = ? WHERE db = ? AND name = ?", (deadline, key.db, key.name))
        key.deadline = deadline
        self.touch(key.db, key.name)

    def move(self, key: Key, db: int, name: bytes) -> None:
        """Give the key another name or database, which must be free; contents and deadline stay with it."""
        self.run("UPDATE keys SET db = ?, name = ? WHERE db = ? AND name = ?", (db, name, key.db, key.name))
        self.touch(key.db, key.name)
        self.touch(db, name)

    def copy(self, key: Key, db: int, name: bytes) -> None:
        """Make a second key with the same contents and deadline under a name that must be free."""
        new = self.create(db, name, key.kind, key.size)
        self.run("UPDATE keys SET head = ?, deadline = ? WHERE db = ? AND name = ?", (key.head, key.deadline, db, name))
        columns = {schema.STRING: "value", schema.LIST: "position, value", schema.SET: "member"}
        columns |= {schema.SORTED_SET: "member, score", schema.HASH: "field, value"}
        table = schema.CONTENT_TABLES[key.kind]
        self.run(f"INSERT INTO {table} SELECT ?, {columns[key.kind]} FROM {table} WHERE key = ?", (new.id, key.id))
        self.touch(db, name)

    # Whole databases.

    def flush(self, databases: range) -> None:
        """Delete every key of `databases`."""
        self._touch_databases(databases)
        span = (databases.start, databases.stop)
        for table in schema.CONTENT_TABLES:
            self.run(f"DELETE FROM {table} WHERE key IN (SELECT id FROM keys WHERE db >= ? AND db < ?)", span)
        self.run("DELETE FROM keys WHERE db >= ? AND db < ?", span)

    def swap(self, first: int, second: int) -> None:
        """Exchange two databases."""
        if first == second:
            return
        self._touch_databases([first, second])
        # A primary key must be free at every step, so one database waits outside the sixteen.
        for new, old in ((DATABASES, first), (first, second), (second, DATABASES)):
            self.run("UPDATE keys SET db = ? WHERE db = ?", (new, old))
        self._touch_databases([first, second])

    def purge(self) -> None:
        """Delete every key whose deadline has passed."""
        passed = self.run("SELECT db, name FROM keys WHERE deadline < ?", (self.now,)).fetchall()
        for db, name in passed:
            self.discard(db, name)

    def purge_sometimes(self) -> None:
        """Purge when that was last done a while ago, so that keys nobody asks for leave as well."""
        if self.now >= self._purge_at:
            self._purge_at = self.now + PURGE_MS
            self.purge()

    # Watching.

    def watch(self, watcher: Watcher, db: int, name: bytes) -> None:
        """Set `watcher.spoiled` when that key changes, until it unwatches."""
        self._watchers.setdefault((db, name), set()).add(watcher)

    def unwatch(self, watcher: Watcher, db: int, name: bytes) -> None:
        """Forget one `watch`."""
        watchers = self._watchers.get((db, name))
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[db, name]

    def touch(self, db: int, name: bytes) -> None:
        """Say that a key was changed."""
        if self._watchers:
            for watcher in self._watchers.get((db, name), ()):
                watcher.spoiled = True

    def _touch_databases(self, databases: range | list[int]) -> None:
        for db, name in list(self._watchers):
            if db in databases and self.find(db, name) is not None:
                self.touch(db, name)
