"""Time and chance of one simulated run: an integer clock, a queue of things to come, one seeded source of numbers.

Two things at the same time happen in the order in which they were planned. Every line of the trace goes through
`note`, so that the hash of a run covers all that was seen to happen.
"""

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
STEPS_AT_ONE_TIME_MAX = 50_000
START_NS = 1_700_000_000 * SECOND_NS


class TimeStandsStill(Exception):
    """The core asks to be woken again and again at one and the same time."""


class Timeline:
    """`now` is in nanoseconds; `requests` counts what replicas were asked, for the simulator's own speed."""

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        self.chance = Random(seed)
        self.now = START_NS
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._planned = 0
        self._steps = 0
        self._show = show
        self._hash = blake2b(digest_size=16)

    def after(self, delay_ns: int, act: Callable[[], None]) -> None:
        """Plan `act` for `delay_ns` from now."""
        self._planned += 1
        heapq.heappush(self._queue, (self.now + max(delay_ns, 0), self._planned, act))

    def step(self) -> bool:
        """Let the next thing happen; whether there was one."""
        if not self._queue:
            return False
        due, _, act = heapq.heappop(self._queue)
        self._steps = self._steps + 1 if due <= self.now else 0
        if self._steps > STEPS_AT_ONE_TIME_MAX:
            raise TimeStandsStill
        self.now = max(self.now, due)
        act()
        return True

    def run_until(self, end: int) -> None:
        """Let everything happen that is due before `end` (ns)."""
        while self._queue and self._queue[0][0] < end:
            self.step()
        if end > self.now:
            self.now = end
            self._steps = 0

    def jump(self, size_ns: int) -> None:
        """The machine stood still: the clock has moved on, and nobody was heard meanwhile."""
        self.now += size_ns

    def note(self, line: str) -> None:
        """One line of the trace."""
        text = f"{(self.now - START_NS) / MILLISECOND_NS:12.3f}  {line}"
        self._hash.update(text.encode() + b"\n")
        if self._show is not None:
            self._show(text)

    def trace_hash(self) -> str:
        """What all lines so far come to."""
        return self._hash.hexdigest()
