"""When keys may expire: for each key of each database, the *candidates* for its deadline, known at order time.

The candidates of a key are a superset of what its true deadline may be, whatever the replies still under way will say.
A candidate that was none costs a harmless look at the key. One that is missing would keep the key for ever, so what is
uncertain stays in. Knows times in milliseconds and no command; nothing here asks or waits for a replica.

The heap has one valid entry per key, not later than its earliest candidate. It is put right when it comes up, so a
deadline that only moves on, as a cache's do, costs no heap operation. Overtaken entries are skipped, and swept when
they are the majority.
"""

from heapq import heapify, heappop, heappush

from ...limits import Limits
from .base import Refusal
from .scripts import DEADLINE_OFFSET_MS

# Replicas hold deadlines plus the offset, and Lua's numbers are exact up to here.
DEADLINE_MS_MAX = 2**53 - 1 - DEADLINE_OFFSET_MS

_SLACK = 1_024
_MILLISECOND_NS = 1_000_000


class Candidate:
    """What a key's deadline may be (ms). `born` grows with the order in which candidates came.

    `claims` counts who says so: what is certain, and each change whose reply is under way. It goes with the last one.
    """

    __slots__ = ("born", "claims", "deadline")

    def __init__(self, born: int, deadline: int) -> None:
        self.born = born
        self.deadline = deadline
        self.claims = 1


class Space:
    """The keys of one database that may have a deadline. SWAPDB exchanges the `database` numbers of two."""

    __slots__ = ("database", "entries")

    def __init__(self, database: int) -> None:
        self.database = database
        self.entries: dict[bytes, Entry] = {}


class Entry:
    """One key's candidates. `ticket` marks its valid entry on the heap, which is there for `heaped`; 0: none is."""

    __slots__ = ("candidates", "heaped", "key", "space", "ticket")

    def __init__(self, space: Space, key: bytes) -> None:
        self.space = space
        self.key = key
        self.candidates: list[Candidate] = []
        self.heaped = 0
        self.ticket = 0

    @property
    def is_alive(self) -> bool:
        """Whether it still stands for its key."""
        return self.space.entries.get(self.key) is self


class Change:
    """A change of a deadline that a reply decides: it brought `candidates`; what is born before `first` is older."""

    __slots__ = ("candidates", "entry", "first")

    def __init__(self, entry: Entry, first: int, candidates: list[Candidate]) -> None:
        self.entry = entry
        self.first = first
        self.candidates = candidates


class Deadlines:
    """The index of all candidates. What would pass a limit raises `Refusal`, and changes nothing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._spaces: dict[int, Space] = {}
        self._heap: list[tuple[int, int, Entry]] = []
        self._births = 0
        self._tickets = 0
        self._keys = 0
        self._key_bytes = 0
        self._candidates = 0

    def __len__(self) -> int:
        """How many keys may have a deadline."""
        return self._keys

    def candidates(self, database: int, key: bytes) -> list[int]:
        """What the deadline of `key` may be (ms), oldest first."""
        entry = self._space(database).entries.get(key)
        return [] if entry is None else [candidate.deadline for candidate in entry.candidates]

    # What is certain.

    def set(self, database: int, key: bytes, deadline: int) -> Change:
        """The deadline of `key` is certainly this (ms), if the key is there: settle it when that is not certain."""
        entry = self._space(database).entries.get(key) or self._room(database, key, 1)
        candidate = self._born(deadline)
        self._replace(entry, [candidate])
        return Change(entry, candidate.born, [candidate])

    def clear(self, database: int, key: bytes) -> None:
        """`key` certainly has no deadline."""
        entry = self._space(database).entries.get(key)
        if entry is not None:
            self._replace(entry, [])

    def swap(self, first: int, second: int) -> None:
        """SWAPDB: all keys of one database change places with those of the other."""
        left, right = self._space(first), self._space(second)
        self._spaces[first], self._spaces[second] = right, left
        left.database, right.database = second, first

    def flush(self, database: int | None) -> None:
        """No key of `database`, or of any (None), is left."""
        spaces = list(self._spaces.values()) if database is None else [self._space(database)]
        for space in spaces:
            for entry in space.entries.values():
                self._keys -= 1
                self._key_bytes -= len(entry.key)
                self._candidates -= len(entry.candidates)
            space.entries = {}
        self._sweep()

    # What a reply will tell.

    def add(self, database: int, key: bytes, deadline: int) -> Change:
        """The deadline of `key` may become this (ms)."""
        entry = self._space(database).entries.get(key)
        if entry is not None and entry.candidates[-1].deadline == deadline:
            # Many clients may try the same in one millisecond: they share a candidate.
            candidate = entry.candidates[-1]
            candidate.claims += 1
            # Who claimed it first may be settled by a change in between, which must not take the later claim with it.
            self._births += 1
            candidate.born = self._births
        else:
            entry = self._room(database, key, 1)
            candidate = self._born(deadline)
            self._replace(entry, [*entry.candidates, candidate])
        return Change(entry, candidate.born, [candidate])

    def copy(self, source: tuple[int, bytes], target: tuple[int, bytes], later_ms: int = 0) -> Change | None:
        """The deadline of `target` may become that of `source` plus `later_ms`; None when that has none."""
        deadlines = [deadline + later_ms for deadline in self.candidates(*source)]
        if not deadlines:
            return None
        if max(deadlines) > DEADLINE_MS_MAX:
            raise Refusal("ERR quorate: the deadline is too far away")
        entry = self._room(*target, len(deadlines))
        born = [self._born(deadline) for deadline in deadlines]
        self._replace(entry, [*entry.candidates, *born])
        return Change(entry, born[0].born, born)

    def leave(self, database: int, key: bytes) -> Change | None:
        """`key` may go, with its deadline; None when it has none."""
        entry = self._space(database).entries.get(key)
        return None if entry is None else Change(entry, self._births + 1, [])

    def settle(self, change: Change, was_made: bool) -> None:
        """A reply told whether `change` was made: then what was older is wrong, else what it brought is."""
        entry = change.entry
        if not entry.is_alive:
            return
        if was_made:
            kept = [candidate for candidate in entry.candidates if candidate.born >= change.first]
        else:
            for candidate in change.candidates:
                candidate.claims -= 1
            kept = [candidate for candidate in entry.candidates if candidate.claims]
        if len(kept) < len(entry.candidates):
            self._replace(entry, kept)

    # What is due. Redis says: expired when now is later than the deadline.

    def is_due(self, now_ms: int) -> bool:
        """Whether a candidate may have passed."""
        return bool(self._heap) and self._heap[0][0] < now_ms

    def next_ns(self) -> int:
        """When the next candidate may have passed (ns), or 0."""
        return (self._heap[0][0] + 1) * _MILLISECOND_NS if self._heap else 0

    def due(self, now_ms: int) -> list[tuple[int, list[bytes]]]:
        """The keys, by database, of which a candidate has passed. Those candidates are forgotten."""
        found: dict[int, list[bytes]] = {}
        while self.is_due(now_ms):
            _, ticket, entry = heappop(self._heap)
            if ticket != entry.ticket or not entry.is_alive:
                continue
            entry.ticket = 0
            kept = [candidate for candidate in entry.candidates if candidate.deadline >= now_ms]
            if len(kept) < len(entry.candidates):
                found.setdefault(entry.space.database, []).append(entry.key)
            self._replace(entry, kept)
        return list(found.items())

    # Within.

    def _space(self, database: int) -> Space:
        space = self._spaces.get(database)
        if space is None:
            space = self._spaces[database] = Space(database)
        return space

    def _born(self, deadline: int) -> Candidate:
        self._births += 1
        return Candidate(self._births, deadline)

    def _room(self, database: int, key: bytes, count: int) -> Entry:
        """The entry for `key`, after making sure that `count` more candidates fit."""
        space = self._space(database)
        entry = space.entries.get(key)
        limits = self._limits
        if self._candidates + count > limits.deadlines_max:
            raise Refusal("ERR quorate: too many keys with a deadline (deadlines_max)")
        if entry is None:
            if self._key_bytes + len(key) > limits.deadline_bytes_max:
                raise Refusal("ERR quorate: the keys with a deadline are over the limit (deadline_bytes_max)")
            entry = Entry(space, key)
        if len(entry.candidates) + count > limits.deadlines_per_key_max:
            raise Refusal("ERR quorate: too many unsettled deadlines of one key (deadlines_per_key_max)")
        return entry

    def _replace(self, entry: Entry, candidates: list[Candidate]) -> None:
        """Give `entry` these candidates, and its place in the index and on the heap; without any it goes."""
        if not entry.is_alive:
            entry.space.entries[entry.key] = entry
            self._keys += 1
            self._key_bytes += len(entry.key)
        self._candidates += len(candidates) - len(entry.candidates)
        entry.candidates = candidates
        if not candidates:
            del entry.space.entries[entry.key]
            self._keys -= 1
            self._key_bytes -= len(entry.key)
            self._sweep()
            return
        earliest = min([candidate.deadline for candidate in candidates])
        if not entry.ticket or earliest < entry.heaped:
            self._tickets += 1
            entry.ticket = self._tickets
            entry.heaped = earliest
            heappush(self._heap, (earliest, entry.ticket, entry))
            self._sweep()

    def _sweep(self) -> None:
        """Take overtaken entries off the heap when they are the majority."""
        if len(self._heap) > 2 * self._keys + _SLACK:
            self._heap = [item for item in self._heap if item[1] == item[2].ticket and item[2].is_alive]
            heapify(self._heap)
