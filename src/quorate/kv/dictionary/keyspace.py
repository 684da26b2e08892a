"""The sixteen databases: keys, values, deadlines, and who watches which key.

The only module that reads the clock; knows no command and no reply.
"""

import time
from collections import deque
from collections.abc import Container, Iterator
from typing import Protocol, TypeVar

from .errors import NO_SUCH_DATABASE, WRONG_TYPE
from .ranking import SortedSet

DATABASES = 16

Value = bytes | dict[bytes, bytes] | deque[bytes] | set[bytes] | SortedSet
Kind = TypeVar("Kind", bytes, dict[bytes, bytes], deque[bytes], set[bytes], SortedSet)

TYPE_NAMES: dict[type, bytes] = {bytes: b"string", dict: b"hash", deque: b"list", set: b"set", SortedSet: b"zset"}


class Watcher(Protocol):
    """Who wants to hear that a watched key changed."""

    stale: bool


def now_ms() -> int:
    """Wall-clock milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Database:
    """One database: every read drops a key whose deadline has passed, as Redis does lazily."""

    __slots__ = ("deadlines", "values", "watchers")

    def __init__(self) -> None:
        self.values: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self.watchers: dict[bytes, set[Watcher]] = {}

    def get(self, key: bytes) -> Value | None:
        """The key's value, or None."""
        if key in self.deadlines and now_ms() > self.deadlines[key]:
            self.remove(key)
        return self.values.get(key)

    def string(self, key: bytes) -> bytes | None:
        """The string at the key, or None; raises WRONGTYPE."""
        return self._typed(key, bytes)

    def hash(self, key: bytes) -> dict[bytes, bytes] | None:
        """The hash at the key, or None; raises WRONGTYPE."""
        return self._typed(key, dict)

    def list(self, key: bytes) -> deque[bytes] | None:
        """The list at the key, or None; raises WRONGTYPE."""
        return self._typed(key, deque)

    def set(self, key: bytes) -> set[bytes] | None:
        """The set at the key, or None; raises WRONGTYPE."""
        return self._typed(key, set)

    def sorted_set(self, key: bytes) -> SortedSet | None:
        """The sorted set at the key, or None; raises WRONGTYPE."""
        return self._typed(key, SortedSet)

    def put(self, key: bytes, value: Value) -> None:
        """Store a new value, which has no deadline."""
        self.deadlines.pop(key, None)
        self.change(key, value)

    def change(self, key: bytes, value: Value) -> None:
        """Store a value and leave the key's deadline."""
        self.values[key] = value
        if self.watchers:
            self.touch(key)

    def settle(self, key: bytes, value: Value) -> None:
        """Store a value that was changed; an empty one means that the key is gone."""
        if value:
            self.change(key, value)
        else:
            self.remove(key)

    def replace(self, key: bytes, value: Value) -> None:
        """Store a command's result in place of what was there; an empty one means that the key is gone."""
        if value:
            self.put(key, value)
        else:
            self.remove(key)

    def remove(self, key: bytes) -> bool:
        """Delete the key; whether it was there."""
        if key not in self.values:
            return False
        del self.values[key]
        self.deadlines.pop(key, None)
        if self.watchers:
            self.touch(key)
        return True

    def expire(self, key: bytes, deadline: int) -> None:
        """Give an existing key a deadline in milliseconds since 1970; one in the past deletes it."""
        if deadline <= now_ms():
            self.remove(key)
            return
        self.deadlines[key] = deadline
        self.touch(key)

    def live_keys(self) -> Iterator[bytes]:
        """The keys that have not expired."""
        now = now_ms()
        deadlines = self.deadlines
        return (key for key in self.values if key not in deadlines or deadlines[key] >= now)

    def live_count(self) -> int:
        """How many keys have not expired."""
        now = now_ms()
        return len(self.values) - sum(1 for deadline in self.deadlines.values() if deadline < now)

    def touch(self, key: bytes) -> None:
        """Tell those who watch the key that it changed."""
        for watcher in self.watchers.get(key, ()):
            watcher.stale = True

    def flush(self) -> None:
        """Delete every key."""
        self.touch_all(self.values)
        self.values, self.deadlines = {}, {}

    def swap(self, other: "Database") -> None:
        """Exchange the contents; those who watch keep watching the same database."""
        for database in (self, other):
            database.touch_all(self.values.keys() | other.values.keys())
        self.values, other.values = other.values, self.values
        self.deadlines, other.deadlines = other.deadlines, self.deadlines

    def touch_all(self, keys: Container[bytes]) -> None:
        """Tell those who watch any of these keys."""
        for key in [key for key in self.watchers if key in keys]:
            self.touch(key)

    def _typed(self, key: bytes, kind: type[Kind]) -> Kind | None:
        value = self.values.get(key) if key not in self.deadlines else self.get(key)
        if value is None or type(value) is kind:
            return value
        raise WRONG_TYPE


class Keyspace:
    """All databases of one store."""

    def __init__(self) -> None:
        self.databases = [Database() for _ in range(DATABASES)]

    def database(self, index: int) -> Database:
        """The database of this number; raises the refusal for a number out of range."""
        if not 0 <= index < DATABASES:
            raise NO_SUCH_DATABASE
        return self.databases[index]
