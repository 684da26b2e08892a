"""The index: sixteen key spaces over one log, with deadlines and the marks that WATCH needs.

Knows no request and no reply.
"""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Protocol, TypeVar

from .faults import WrongKind
from .ranking import Ranking
from .records import RecordLog
from .sequence import Sequence
from .values import Fields, Members, Text

SPACES = 16
# A collection up to this size is released at once; a larger one little by little, so that nobody waits for it.
RELEASED_AT_ONCE_MAX = 64

Value = Text | Fields | Members | Sequence | Ranking
Contents = tuple[dict[bytes, Value], dict[bytes, int]]
V = TypeVar("V", Text, Fields, Members, Sequence, Ranking)
C = TypeVar("C", Fields, Members, Sequence, Ranking)


class Watcher(Protocol):
    """Whoever wants to know that a watched key was written."""

    def note_write(self) -> None:
        """A watched key was written."""


def now_ms() -> int:
    """This store's own wall clock, in milliseconds."""
    return time.time_ns() // 1_000_000


class Keyspace:
    """One selectable database: key → value, and key → deadline in milliseconds."""

    def __init__(self, log: RecordLog) -> None:
        self.log = log
        self._values: dict[bytes, Value] = {}
        self._deadlines: dict[bytes, int] = {}
        self._watchers: dict[bytes, set[Watcher]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> Iterator[bytes]:
        """Every key whose deadline has not passed."""
        return (key for key in self._values if not self.is_expired(key))

    def find(self, key: bytes) -> Value | None:
        """The key's value; a key whose deadline has passed is removed first, and is not there."""
        if key in self._deadlines and self.is_expired(key):
            self._forget(key)
            self._tell(key)
        return self._values.get(key)

    def find_as(self, key: bytes, kind: type[V]) -> V | None:
        """The key's value, or None. Raises WrongKind when the key holds another kind."""
        value = self.find(key)
        if value is None or isinstance(value, kind):
            return value
        raise WrongKind

    def open(self, key: bytes, kind: type[C]) -> C:
        """The key's collection, made if there is none. Raises WrongKind when the key holds another kind."""
        value = self.find_as(key, kind)
        if value is None:
            value = kind(self.log)
            self._values[key] = value
        return value

    def put(self, key: bytes, value: Value, *, keep_deadline: bool = False) -> None:
        """Give the key another value; its deadline goes, unless it is to be kept. A void value removes the key."""
        deadline = self.deadline(key) if keep_deadline else None
        self._forget(key)
        self._values[key] = value
        if deadline is not None:
            self._deadlines[key] = deadline
        self.note_write(key)

    def remove(self, key: bytes) -> bool:
        """Remove the key; returns whether it was there."""
        if self.find(key) is None:
            return False
        self._forget(key)
        self.note_write(key)
        return True

    def note_write(self, key: bytes) -> None:
        """The key's value was written: if nothing is left of it the key goes, and whoever watches it is told."""
        value = self._values.get(key)
        if value is not None and value.is_void:
            self._forget(key)
        self._tell(key)

    def take(self, key: bytes) -> tuple[Value, int | None]:
        """Remove the key, which must be there, but keep its records; returns its value and its deadline."""
        value = self._values.pop(key)
        deadline = self._deadlines.pop(key, None)
        self.note_write(key)
        return value, deadline

    def deadline(self, key: bytes) -> int | None:
        """The key's deadline in milliseconds, or None."""
        return self._deadlines.get(key)

    def set_deadline(self, key: bytes, deadline: int | None) -> None:
        """Give the key, which must be there, a deadline, or none."""
        if deadline is None:
            self._deadlines.pop(key, None)
        else:
            self._deadlines[key] = deadline

    def is_expired(self, key: bytes) -> bool:
        """Whether the key is there with a deadline that has passed."""
        deadline = self._deadlines.get(key)
        return deadline is not None and deadline < now_ms()

    def clear(self) -> None:
        """Remove every key."""
        for key in [key for key in self._watchers if key in self._values]:
            self._tell(key)
        self.log.abandon(chain.from_iterable(value.handles() for value in self._values.values()))
        self._values = {}
        self._deadlines = {}

    def trade(self, values: dict[bytes, Value], deadlines: dict[bytes, int]) -> Contents:
        """Hold other keys from now on; returns what was held before. Watches stay."""
        for key in self._watchers:
            if key in self._values or key in values:
                self._tell(key)
        held = self._values, self._deadlines
        self._values, self._deadlines = values, deadlines
        return held

    def watch(self, key: bytes, watcher: Watcher) -> None:
        """Tell the watcher about every write to the key from now on."""
        self._watchers.setdefault(key, set()).add(watcher)

    def unwatch(self, key: bytes, watcher: Watcher) -> None:
        """Tell the watcher nothing more about the key."""
        watchers = self._watchers.get(key, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(key, None)

    def _tell(self, key: bytes) -> None:
        for watcher in self._watchers.get(key, ()):
            watcher.note_write()

    def _forget(self, key: bytes) -> None:
        value = self._values.pop(key, None)
        self._deadlines.pop(key, None)
        if value is None:
            return
        if isinstance(value, Text) or len(value) <= RELEASED_AT_ONCE_MAX:
            for handle in value.handles():
                self.log.release(handle)
        else:
            self.log.abandon(value.handles())


class Index:
    """Everything that the store holds: one log, sixteen key spaces, and the scripts it was shown."""

    def __init__(self) -> None:
        self.log = RecordLog()
        self.spaces = [Keyspace(self.log) for _ in range(SPACES)]
        self.scripts: dict[bytes, bytes] = {}

    def clear(self) -> None:
        """Remove every key of every key space."""
        for space in self.spaces:
            space.clear()

    def swap(self, first: int, second: int) -> None:
        """Exchange the keys of two key spaces, by number."""
        if first != second:
            former = self.spaces[first].trade(*self.spaces[second].trade({}, {}))
            self.spaces[second].trade(*former)
