"""Which keys ordered writes may have changed since the sweep last took them, and what the sweep found out about them.

Too many is right, too few wrong. Knows no command. A key comes with a *kind*, a hint at what it holds, so that one
request can read it, and with what it may *weigh*: how many bytes its read may bring under way, name and reply, at most.
That is what was written to it since it was last read, and what it held then: keys that held much are remembered.
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
# What a key held is remembered from so many bytes on.
LARGE_BYTES: Final = 64 * 1024
# From when on the journal says that a write may leave so much, where its bytes do not tell.
TOLD_BYTES: Final = 1024 * 1024
# What a key that was said to be large may weigh: so much that it is read alone.
ALONE_BYTES: Final = 64 * 1024 * 1024
# How many large keys are remembered while nobody takes them, and so nobody learns which of them are gone.
UNKEPT_LARGE_MAX = 65_536
# No more is counted for one write.
_WRITE_BYTES_MAX: Final = 1 << 30
# A state read names its key three times. That counts twice: lanes have room for half of what may come back.
_NAMINGS: Final = 6
# A kind in the journal with this said: what the write leaves may be large, and its bytes do not tell.
_LARGE: Final = 16
_KIND_BITS: Final = 4
_KIND_MASK: Final = 15

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

    `is_kept` says whether anybody takes them: else nothing is noted. `size` is in bytes. `weight` is what all of them
    may weigh, and `longest` is as long as any element of a list may be. `hidden` are databases in which keys may have
    come and gone unnoted, so that their number must be looked at.
    """

    def __init__(self) -> None:
        self.is_kept = False
        self.is_journaled = False
        self.size = 0
        self.count = 0
        self.weight = 0
        self.longest = 0
        self._recent: list[tuple[int, int, bytes]] = []
        self.whole: list[int] = []
        self.hidden: dict[int, bool] = {}
        # For each key, what it may weigh, and below that its kind.
        self._databases: dict[int, dict[bytes, int]] = {}
        # What keys held when they were last read, if that was much, by database; and which of these may be gone.
        self._large: dict[bytes, dict[int, int]] = {}
        self._stale: dict[tuple[int, bytes], bool] = {}

    def note(self, database: int, key: bytes, kind: int, added: int = 0, least: int = 0) -> None:
        """A write that was ordered, or is about to be in this turn, may change `key`.

        It may add so many bytes to what the key held, and leave `least` at least.
        """
        if self.is_journaled:
            is_large = added >= LARGE_BYTES or least >= TOLD_BYTES
            self._recent.append((database, kind | _LARGE if is_large else kind, key))
        self.keep(database, key, kind, added, least)

    def keep(self, database: int, key: bytes, kind: int, added: int = 0, least: int = 0) -> None:
        """`key` is to be read, or read again, though no write that is ordered now changes it."""
        if not self.is_kept:
            if max(added, least) >= LARGE_BYTES and len(self._large) < UNKEPT_LARGE_MAX:
                # Whoever keeps state next has it read.
                self._remember(database, key, min(max(added, least), _WRITE_BYTES_MAX))
            return
        keys = self._databases.get(database)
        if keys is None:
            keys = self._databases[database] = {}
        noted = keys.get(key, -1)
        if noted < 0:
            before = 0
            weight = _NAMINGS * len(key) + (self._held(key) if self._large else 0)
            self.count += 1
            self.size += len(key) + KEY_BYTES
        else:
            before = weight = noted >> _KIND_BITS
            if kind == UNKNOWN:
                kind = noted & _KIND_MASK
        weight = max(weight + min(added, _WRITE_BYTES_MAX), min(least, _WRITE_BYTES_MAX))
        keys[key] = weight << _KIND_BITS | kind
        self.weight += weight - before

    def may_weigh(self, database: int, key: bytes) -> int:
        """How many bytes a read of `key` may bring under way, as far as is known."""
        noted = self._databases.get(database, {}).get(key, -1)
        return self._held(key) if noted < 0 else noted >> _KIND_BITS

    def element_of(self, database: int, source: bytes, target: bytes) -> int:
        """How much longer `target` may become by one element of `source`."""
        return 0 if source == target else min(self.longest, max(self.may_weigh(database, source), LARGE_BYTES))

    def _held(self, key: bytes) -> int:
        """What `key` held when it was last read, if it was much: in any database, since they may be exchanged."""
        return max(self._large.get(key, {0: 0}).values())

    def found(self, database: int, key: bytes, size: int) -> None:
        """`key` was read: it held so many bytes."""
        if key in self._large:
            self._correct(database, key, size)
        if size >= LARGE_BYTES:
            self._remember(database, key, size)
        elif key in self._large:
            self._lose(database, key)

    def _remember(self, database: int, key: bytes, size: int) -> None:
        self._large.setdefault(key, {})[database] = size
        self._stale.pop((database, key), None)

    def _correct(self, database: int, key: bytes, size: int) -> None:
        """What was written since `key` was asked for was added to what it might have held: it held so many bytes."""
        keys = self._databases.get(database, {})
        noted = keys.get(key, -1)
        if noted < 0:
            return
        before = noted >> _KIND_BITS
        weight = min(before, max(before - self._held(key) + size, size))
        keys[key] = weight << _KIND_BITS | noted & _KIND_MASK
        self.weight += weight - before

    def emptied(self, database: int) -> None:
        """Nothing is left in `database`, or not under these names: what it held may be elsewhere until all is read."""
        for key, held in self._large.items():
            if database in held:
                self._stale[database, key] = True

    def all_read(self) -> None:
        """Everything was read: what was not found again is gone."""
        stale, self._stale = self._stale, {}
        for database, key in stale:
            self._lose(database, key)

    def _lose(self, database: int, key: bytes) -> None:
        held = self._large.get(key, {})
        held.pop(database, None)
        if not held:
            self._large.pop(key, None)

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

    def note_again(self, changes: list[tuple[int, int, bytes]], written: int) -> None:
        """What `take_recent` gave earlier, for writes of so many bytes in all that are executed again."""
        added = written // max(len(changes), 1)
        self.longest = max(self.longest, LARGE_BYTES)
        for database, kind, key in changes:
            if kind == WHOLE:
                self.keep_whole(database)
            elif kind == HIDDEN:
                self.hidden[database] = True
            elif kind != EXTRA:
                self.keep(database, key, kind & _KIND_MASK, added, ALONE_BYTES if kind & _LARGE else 0)

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
        for database in list(self._databases):
            self._drop(database)
        self.whole = []

    def first(self) -> tuple[int, bytes] | None:
        """One of the changed keys, if there is any."""
        for database, keys in self._databases.items():
            return database, next(iter(keys))
        return None

    def take(self, count: int, weight_max: int) -> list[Change]:
        """Up to `count` keys, which are noted no more: as many as may not weigh more together, but one at least."""
        taken: list[Change] = []
        weight = 0
        for database, keys in list(self._databases.items()):
            wanted = count - len(taken)
            found = list(keys) if len(keys) <= wanted else [key for key, _ in zip(keys, range(wanted), strict=False)]
            for key in found:
                weight += keys[key] >> _KIND_BITS
                if taken and weight > weight_max:
                    return taken
                taken.append((database, key, self._take(database, keys, key)))
            if not keys:
                del self._databases[database]
        return taken

    def take_whole(self) -> int:
        """The first database of which any key may have changed, which is noted no more, with all keys noted in it."""
        database = self.whole.pop(0)
        self._drop(database)
        return database

    def _drop(self, database: int) -> None:
        """Nothing is noted of this database any more."""
        keys = self._databases.pop(database, {})
        for key in list(keys):
            self._take(database, keys, key)

    def _take(self, database: int, keys: dict[bytes, int], key: bytes) -> int:
        """`key` is noted no more; its kind. Until it was read it holds what it may hold."""
        noted = keys.pop(key)
        weight = noted >> _KIND_BITS
        self.count -= 1
        self.size -= len(key) + KEY_BYTES
        self.weight -= weight
        if weight >= LARGE_BYTES:
            self._remember(database, key, weight)
        return noted & _KIND_MASK
