"""When what happens in VM-FIT's experiment (section 3.2), and how much faster it happens here. Pure.

Times are of two kinds: those of the paper, and ours, which are `scale` times shorter. Only the interval in which the
client counts is the same in both.
"""

from dataclasses import dataclass
from typing import Any

# What the client counts by; never scaled, so that an interruption has the same weight as in the paper.
INTERVAL_SECONDS = 0.25

# The paper's times, in its own seconds.
PAPER_SECONDS = 1_800
PAPER_FAULTS = (600, 1_000, 1_400)
PAPER_WINDOWS = ((100, 400), (650, 950), (1_050, 1_350), (600, 1_800))
# Strategy D recovers all replicas so often; B and C one after the other, so that each has its turn as often.
PAPER_EVERY = 300

STRATEGIES = {"A": "none", "B": "restart", "C": "shadow", "D": "shadow-all"}

# A scale that divides the recovery interval into whole seconds, from the paper's own pace to one that can be watched.
SCALES = (1, 2, 3, 5, 6, 10, 15, 20, 30, 60)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The paper's schedule, `scale` times faster. `silence_seconds` is how long a mute replica is waited for."""

    scale: int
    silence_seconds: int

    @property
    def seconds(self) -> float:
        """How long the run of one strategy takes, in our seconds."""
        return self.ours(PAPER_SECONDS)

    @property
    def every_seconds(self) -> int:
        """How often each replica is recovered, in our seconds."""
        return PAPER_EVERY // self.scale

    @property
    def faults(self) -> tuple[float, ...]:
        """When the replicas become malicious, one after the other, in our seconds."""
        return tuple(map(self.ours, PAPER_FAULTS))

    @property
    def windows(self) -> tuple[tuple[float, float], ...]:
        """The times that Table 1 averages over, in our seconds."""
        return tuple((self.ours(begin), self.ours(end)) for begin, end in PAPER_WINDOWS)

    @property
    def intervals(self) -> int:
        """How many intervals the client counts in."""
        return round(self.seconds / INTERVAL_SECONDS)

    def ours(self, paper_seconds: float) -> float:
        """A time of the paper's, in our seconds."""
        return paper_seconds / self.scale

    def papers(self, our_seconds: float) -> float:
        """One of our times, in the paper's seconds."""
        return our_seconds * self.scale

    def to_json(self) -> dict[str, Any]:
        """What a result says of its schedule."""
        return {
            "scale": self.scale,
            "seconds": self.seconds,
            "interval_seconds": INTERVAL_SECONDS,
            "each_replica_recovered_every_seconds": self.every_seconds,
            "faults_at_seconds": list(self.faults),
            "windows_seconds": [list(window) for window in self.windows],
            "silence_seconds": self.silence_seconds,
            "reactive": "in B, C and D",
        }
