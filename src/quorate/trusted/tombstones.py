"""Slots that nobody executes again, as ranges: with one poison tens of thousands of its neighbours may be closed."""

from bisect import bisect_left, insort


class Tombstones:
    """Buried slots, in ranges of neighbours that were buried for one reason. No two ranges overlap."""

    def __init__(self) -> None:
        # First slot, last slot and reason of each, in the order of slots.
        self.ranges: list[tuple[int, int, str]] = []

    def bury(self, first: int, last: int, reason: str) -> None:
        """Nobody executes `first` … `last` again, for this reason; what is buried already keeps its own."""
        for begin, end in self.within(first, last):
            if first < begin:
                self._add(first, begin - 1, reason)
            first = end + 1
        if first <= last:
            self._add(first, last, reason)

    def _add(self, first: int, last: int, reason: str) -> None:
        if self.would_grow(first, reason):
            first = self.ranges.pop()[0]
        insort(self.ranges, (first, last, reason))

    def would_grow(self, slot: int, reason: str) -> bool:
        """Whether `slot` stands right behind what was buried for the same reason, so that it costs nothing to add."""
        return bool(self.ranges) and self.ranges[-1][1] == slot - 1 and self.ranges[-1][2] == reason

    def within(self, first: int, last: int) -> list[tuple[int, int]]:
        """The buried slots among `first` … `last`, as ranges in their order."""
        found: list[tuple[int, int]] = []
        # The range before may reach this far.
        for at in range(max(bisect_left(self.ranges, (first, 0, "")) - 1, 0), len(self.ranges)):
            begin, end, _ = self.ranges[at]
            if begin > last:
                break
            if end >= first:
                found.append((max(begin, first), min(end, last)))
        return found

    def last_slot(self) -> int:
        """The highest slot that is buried, 0 where none is."""
        return max([last for _, last, _ in self.ranges], default=0)

    def forget(self, slot: int) -> None:
        """Nobody will be asked to execute anything up to `slot`."""
        self.ranges = [one for one in self.ranges if one[1] > slot]
