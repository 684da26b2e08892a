"""The index of one sorted set: records hold the scores, a sorted list holds the order. Knows the log only."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import ClassVar

from .records import RecordLog

Ranked = tuple[float, bytes]

_SCORE = Struct("<d")


class Ranking:
    """A sorted set; `order` is every (score, member), ascending, and is for reading only."""

    __slots__ = ("_log", "_records", "order")
    kind: ClassVar[bytes] = b"zset"

    def __init__(self, log: RecordLog, scores: Mapping[bytes, float] | None = None) -> None:
        self._log = log
        self._records: dict[bytes, int] = {}
        self.order: list[Ranked] = []
        if scores:
            self.order = sorted((score + 0.0, member) for member, score in scores.items())
            self._records = {member: log.append(_SCORE.pack(score)) for score, member in self.order}

    def __len__(self) -> int:
        return len(self.order)

    def __contains__(self, member: bytes) -> bool:
        return member in self._records

    @property
    def is_void(self) -> bool:
        """Whether no member is left."""
        return not self.order

    def score(self, member: bytes) -> float | None:
        """The member's score, or None."""
        handle = self._records.get(member)
        if handle is None:
            return None
        score: float = _SCORE.unpack(self._log.read(handle))[0]
        return score

    def rank(self, member: bytes) -> int | None:
        """The member's place from the lowest, counted from 0, or None."""
        score = self.score(member)
        return None if score is None else bisect_left(self.order, (score, member))

    def put(self, member: bytes, score: float) -> None:
        """Add the member, or give it another score."""
        self.remove(member)
        score += 0.0  # no negative zero: Redis stores one as zero
        self._records[member] = self._log.append(_SCORE.pack(score))
        insort(self.order, (score, member))

    def remove(self, member: bytes) -> bool:
        """Remove the member; returns whether it was there."""
        rank = self.rank(member)
        if rank is None:
            return False
        del self.order[rank]
        self._log.release(self._records.pop(member))
        return True

    def remove_between(self, start: int, stop: int) -> list[Ranked]:
        """Remove and return the places from `start` up to, not including, `stop`."""
        removed = self.order[start:stop]
        del self.order[start:stop]
        for _, member in removed:
            self._log.release(self._records.pop(member))
        return removed

    def first_from(self, score: float, *, excluding: bool) -> int:
        """The first place whose score is not below `score`, or is above it when `excluding`."""
        if excluding:
            return bisect_right(self.order, score, key=_score_of)
        return bisect_left(self.order, score, key=_score_of)

    def handles(self) -> Iterable[int]:
        """The records that the sorted set is made of."""
        return self._records.values()

    def duplicate(self) -> "Ranking":
        """An independent copy, in records of its own."""
        return Ranking(self._log, {member: score for score, member in self.order})


def _score_of(ranked: Ranked) -> float:
    return ranked[0]
