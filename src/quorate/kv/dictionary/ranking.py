"""A sorted set: members by score. Knows no key, no reply and no text of a number."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

Entry = tuple[float, bytes]


class SortedSet:
    """A dict from member to score beside the entries in order: a rank is a binary search.

    A score of -0 is kept as 0. Redis keeps its sign in a set that was large once, which nothing else of the set shows.
    """

    __slots__ = ("entries", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.entries: list[Entry] = []

    @classmethod
    def of(cls, scores: dict[bytes, float], *, is_stored: bool = True) -> "SortedSet":
        """A sorted set made at once; one that is not stored, but told, keeps -0."""
        made = cls()
        made.scores = {member: score + 0.0 for member, score in scores.items()} if is_stored else dict(scores)
        made.entries = sorted((score, member) for member, score in made.scores.items())
        return made

    def __len__(self) -> int:
        return len(self.entries)

    def copy(self) -> "SortedSet":
        """The same entries, to be changed apart."""
        made = SortedSet()
        made.scores, made.entries = self.scores.copy(), self.entries.copy()
        return made

    def add(self, member: bytes, score: float) -> None:
        """Give the member this score, whether it was there or not."""
        former = self.scores.get(member)
        if former is not None:
            del self.entries[bisect_left(self.entries, (former, member))]
        score += 0.0
        self.scores[member] = score
        insort(self.entries, (score, member))

    def remove(self, member: bytes) -> bool:
        """Take the member out; whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.entries[bisect_left(self.entries, (score, member))]
        return True

    def remove_between(self, start: int, stop: int) -> list[Entry]:
        """Take out the entries of these ranks and return them."""
        removed = self.entries[start:stop]
        del self.entries[start:stop]
        for _, member in removed:
            del self.scores[member]
        return removed

    def rank(self, member: bytes) -> int | None:
        """The member's place, from 0, or None."""
        score = self.scores.get(member)
        return None if score is None else bisect_left(self.entries, (score, member))

    def between_scores(self, low: tuple[float, bool], high: tuple[float, bool]) -> tuple[int, int]:
        """The ranks [start, stop) of the scores within bounds, each a number and whether it is excluded."""
        start = _past(self.entries, low[0]) if low[1] else bisect_left(self.entries, (low[0], b""))
        stop = bisect_left(self.entries, (high[0], b"")) if high[1] else _past(self.entries, high[0])
        return start, max(start, stop)

    def between_members(
        self, low: "MemberBound", high: "MemberBound", skip: int = 0, *, is_reversed: bool = False
    ) -> tuple[int, int]:
        """The ranks [start, stop) of the members within bounds, without the first `skip` in the direction of reading.

        Meant for equal scores; with different ones Redis walks, blind to the bounds while it skips, and so do we.
        """
        entries = self.entries
        if not entries or not low.admits_from(entries[-1][1]) or not high.admits_to(entries[0][1]):
            return 0, 0
        if entries[0][0] == entries[-1][0]:
            start, stop = low.first(entries), high.past(entries)
            return skipped(start, max(start, stop), skip, is_reversed=is_reversed)
        if not is_reversed:
            return _walked(entries, low.admits_from, high.admits_to, skip)
        start, stop = _walked(entries[::-1], high.admits_to, low.admits_from, skip)
        return len(entries) - stop, len(entries) - start


class MemberBound:
    """One end of a range of members; `text` None is beyond all of them, on the side that `sign` says."""

    __slots__ = ("is_excluded", "sign", "text")

    def __init__(self, text: bytes | None, *, is_excluded: bool = False, sign: int = 0) -> None:
        self.text = text
        self.is_excluded = is_excluded
        self.sign = sign

    def admits_from(self, member: bytes) -> bool:
        """Whether the member is not below this lower end."""
        if self.text is None:
            return self.sign < 0
        return member > self.text or (member == self.text and not self.is_excluded)

    def admits_to(self, member: bytes) -> bool:
        """Whether the member is not above this upper end."""
        if self.text is None:
            return self.sign > 0
        return member < self.text or (member == self.text and not self.is_excluded)

    def first(self, entries: list[Entry]) -> int:
        """The rank of the first entry not below this end, all scores being equal."""
        if self.text is None:
            return 0 if self.sign < 0 else len(entries)
        return (bisect_right if self.is_excluded else bisect_left)(entries, (entries[0][0], self.text))

    def past(self, entries: list[Entry]) -> int:
        """The rank after the last entry not above this end, all scores being equal."""
        if self.text is None:
            return len(entries) if self.sign > 0 else 0
        return (bisect_left if self.is_excluded else bisect_right)(entries, (entries[0][0], self.text))


def _past(entries: list[Entry], score: float) -> int:
    return bisect_right(entries, score, key=_score)


def _score(entry: Entry) -> float:
    return entry[0]


def skipped(start: int, stop: int, skip: int, *, is_reversed: bool) -> tuple[int, int]:
    """The ranks [start, stop) without the first `skip` in the direction of reading."""
    skip = min(skip, stop - start)
    return (start, stop - skip) if is_reversed else (start + skip, stop)


def _walked(
    entries: list[Entry], is_past_first: Callable[[bytes], bool], is_within_last: Callable[[bytes], bool], skip: int
) -> tuple[int, int]:
    length = len(entries)
    start = next((at for at in range(length) if is_past_first(entries[at][1])), length)
    if start == length or not is_within_last(entries[start][1]):
        return 0, 0
    start = min(start + skip, length)
    stop = next((at for at in range(start, length) if not is_within_last(entries[at][1])), length)
    return start, stop
