"""Which keys have changed, for who must look at them again: keys, never values, within a bound."""

# A mark takes what its key takes, and about as much as this beside.
MARK_BYTES = 128
MARKS_BYTES_MAX = 512 * 1_048_576


class Marks:
    """Changed `keys`, and the databases that were `cleared` before what is marked in them. `size` is in bytes."""

    def __init__(self) -> None:
        self.keys: set[tuple[int, bytes]] = set()
        self.size = 0
        self.cleared: set[int] = set()

    def __len__(self) -> int:
        """How much there is to look at."""
        return len(self.keys) + len(self.cleared)

    @property
    def is_full(self) -> bool:
        """Whether there were more marks than may be kept: who needs them has to start anew."""
        return self.size > MARKS_BYTES_MAX

    def add(self, database: int, key: bytes) -> None:
        """This key was put or deleted."""
        known = len(self.keys)
        if not self.is_full:
            self.keys.add((database, key))
            self.size += (len(self.keys) - known) * (len(key) + MARK_BYTES)

    def clear(self, database: int) -> None:
        """All keys of the database are gone; nothing that was marked in it before matters."""
        if not self.is_full:
            self.keys = {mark for mark in self.keys if mark[0] != database}
            self.size = _size(self.keys)
            self.cleared.add(database)

    def join(self, later: "Marks") -> None:
        """What `later` has marked happened after what is marked here."""
        for database in sorted(later.cleared):
            self.clear(database)
        self.size += _size(later.keys - self.keys) if not later.is_full else later.size
        self.keys |= later.keys

    def take_cleared(self) -> list[int]:
        """The cleared databases, which are marked no more."""
        cleared = sorted(self.cleared)
        self.cleared.clear()
        return cleared

    def take(self) -> tuple[int, bytes] | None:
        """One key, which is marked no more; None when there is none."""
        if not self.keys:
            return None
        mark = self.keys.pop()
        self.size -= len(mark[1]) + MARK_BYTES
        return mark


def _size(keys: set[tuple[int, bytes]]) -> int:
    return sum(len(key) + MARK_BYTES for _, key in keys)
