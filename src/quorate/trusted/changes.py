"""Which keys ordered writes may have changed since the sweep last took them, and what the sweep found out about them.

Too many is right, too few wrong. Knows no command. A key comes with a *kind*, a hint at what it holds, so that one
request can read it.
"""

from typing import Final

UNKNOWN: Final = 0
STRING: Final = 1
LIST: Final = 2
SET: Final = 3
HASH: Final = 4
ZSET: Final = 5
STREAM: Final = 6
# No key, but all of a database.
WHOLE: Final = 7
# No key, but something that belongs to the state beside keys.
EXTRA: Final = 8
# No key, but a database in which a write may make and delete keys that nobody names.
HIDDEN: Final = 9
# What holds something that cannot be read as abstract state.
UNREADABLE: Final = -1

# What one key takes beside its bytes, roughly.
KEY_BYTES = 100

Change = tuple[int, bytes, int]


class Part:
    """What one slot told of one key: its `record`, the canonical form of what it holds, None when it is absent.

    Not `is_settled`: the hint was wrong, and `kind` is a better one.
    """

    __slots__ = ("database", "is_settled", "key", "kind", "record")

    def __init__(self, database: int, key: bytes, kind: int, record: bytes | None, is_settled: bool) -> None:
        self.database = database
        self.key = key
        self.kind = kind
        self.record = record
        self.is_settled = is_settled


class Clear:
    """Nothing is left in `database`."""

    __slots__ = ("database",)

    def __init__(self, database: int) -> None:
        self.database = database


class Checkpoint:
    """All that came before is the state at `slot`; `counts` says how many keys each database has there."""

    __slots__ = ("counts", "slot")

    def __init__(self, slot: int, counts: dict[int, int]) -> None:
        self.slot = slot
        self.counts = counts


StoreEffect = Part | Clear | Checkpoint


class Changes:
    """The changed keys by database, oldest first, each once, and the databases of which any key may have changed.

    `is_kept` says whether anybody takes them: else nothing is noted. `size` is in bytes. `hidden` are databases in
    which keys may have come and gone unnoted, so that their number must be looked at.
    """

    def __init__(self) -> None:
        self.is_kept = False
        self.is_journaled = False
        self.size = 0
        self.count = 0
        self._recent: list[tuple[int, int, bytes]] = []
        self.whole: list[int] = []
        self.hidden: dict[int, bool] = {}
        self._databases: dict[int, dict[bytes, int]] = {}

    def note(self, database: int, key: bytes, kind: int) -> None:
        """A write that was ordered, or is about to be in this turn, may change `key`."""
        if self.is_journaled:
            self._recent.append((database, kind, key))
        self.keep(database, key, kind)

    def keep(self, database: int, key: bytes, kind: int) -> None:
        """`key` is to be read, or read again, though no write that is ordered now changes it."""
        if not self.is_kept:
            return
        keys = self._databases.get(database)
        if keys is None:
            keys = self._databases[database] = {}
        if key not in keys:
            keys[key] = kind
            self.count += 1
            self.size += len(key) + KEY_BYTES
        elif kind != UNKNOWN:
            keys[key] = kind

    def note_whole(self, database: int) -> None:
        """A write may change any key of `database`."""
        if self.is_journaled:
            self._recent.append((database, WHOLE, b""))
        self.keep_whole(database)

    def keep_whole(self, database: int) -> None:
        """All keys of `database` are to be read, though no write that is ordered now changes them."""
        if self.is_kept and database not in self.whole:
            self.whole.append(database)

    def note_hidden(self, database: int) -> None:
        """A write may make or delete keys of `database` that it does not name."""
        if self.is_journaled:
            self._recent.append((database, HIDDEN, b""))
        self.hidden[database] = True

    def note_again(self, changes: list[tuple[int, int, bytes]]) -> None:
        """What `take_recent` gave earlier, for writes that are executed again."""
        for database, kind, key in changes:
            if kind == WHOLE:
                self.keep_whole(database)
            elif kind == HIDDEN:
                self.hidden[database] = True
            elif kind != EXTRA:
                self.keep(database, key, kind)

    def note_extra(self, extra: bytes) -> None:
        """A write brings this into the state, beside keys."""
        if self.is_journaled:
            self._recent.append((0, EXTRA, extra))

    def take_recent(self) -> list[tuple[int, int, bytes]]:
        """What was noted since this was asked last, for the journal: database, kind, key."""
        recent, self._recent = self._recent, []
        return recent

    def forget(self) -> None:
        """Nobody takes them any more."""
        self.is_kept = False
        self.size = self.count = 0
        self.whole = []
        self._databases = {}

    def first(self) -> tuple[int, bytes] | None:
        """One of the changed keys, if there is any."""
        for database, keys in self._databases.items():
            return database, next(iter(keys))
        return None

    def take(self, count: int) -> list[Change]:
        """Up to `count` keys, which are noted no more."""
        taken: list[Change] = []
        for database, keys in list(self._databases.items()):
            wanted = count - len(taken)
            found = list(keys) if len(keys) <= wanted else [key for key, _ in zip(keys, range(wanted), strict=False)]
            for key in found:
                taken.append((database, key, keys.pop(key)))
                self.size -= len(key) + KEY_BYTES
            if not keys:
                del self._databases[database]
        self.count -= len(taken)
        return taken

    def take_whole(self) -> int:
        """The first database of which any key may have changed, which is noted no more, with all keys noted in it."""
        database = self.whole.pop(0)
        for key in self._databases.pop(database, {}):
            self.count -= 1
            self.size -= len(key) + KEY_BYTES
        return database
