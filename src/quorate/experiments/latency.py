"""Latencies in bounded memory: a histogram whose buckets grow by a fixed share, so that every quantile is as exact.

Pure.
"""

import math
from collections import Counter
from typing import Any

# A quantile is told at most this share too high.
PRECISION = 0.02
_GROWTH = math.log1p(PRECISION)
SMALLEST_SECONDS = 1e-6


class Latencies:
    """How often each latency was seen: `counts` by bucket."""

    def __init__(self) -> None:
        self.max_seconds = 0.0
        self.counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more."""
        bucket = max(0, math.ceil(math.log(max(seconds, SMALLEST_SECONDS) / SMALLEST_SECONDS) / _GROWTH))
        self.counts[bucket] += 1
        self.max_seconds = max(self.max_seconds, seconds)

    def merge(self, other: "Latencies") -> None:
        """Add all that another one saw."""
        self.counts.update(other.counts)
        self.max_seconds = max(self.max_seconds, other.max_seconds)

    def quantile(self, share: float) -> float:
        """What so large a share of all latencies does not exceed, in seconds; 0 when there are none."""
        left = share * sum(self.counts.values())
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return min(self.max_seconds, SMALLEST_SECONDS * math.exp(bucket * _GROWTH))
        return self.max_seconds

    def summary(self) -> dict[str, float]:
        """The quantiles that are published, in milliseconds."""
        shares = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
        found = {name: self.quantile(share) for name, share in shares.items()} | {"max": self.max_seconds}
        return {name: round(seconds * 1_000, 3) for name, seconds in found.items()}

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {"max_seconds": self.max_seconds, "counts": sorted(self.counts.items())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Latencies":
        """What `to_json` wrote."""
        made = cls()
        made.max_seconds = float(data["max_seconds"])
        made.counts.update({int(bucket): int(count) for bucket, count in data["counts"]})
        return made
