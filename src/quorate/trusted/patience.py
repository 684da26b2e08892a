"""How much a replica may owe, how long it may keep silent, and how long a slot may wait.

Judges one seat, or one slot, and changes nothing: whoever is at fault is reported by the vote. All times are the vote's
(ns): they leave out what the cell itself missed. Silence and lag count from the first *decided* slot that is owed:
nobody is late for what was not decided.
"""

from .limits import Limits
from .messages import Cause
from .seat import Seat
from .span import Span


class Patience:
    """What the vote puts up with, by the limits of the cell."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wait_ns_min(self, most: int) -> int:
        """How long every wait takes at least, but not over `most` (ns): no deadline lies nearer when it is set."""
        limits = self._limits
        return min(most, limits.throttle_ns_max, limits.silence_ns_max, limits.lag_ns_max, limits.decision_ns_max)

    def decision_due(self, span: Span) -> int:
        """When the first slot of `span` has waited too long to be decided."""
        return span.awaited_at + self._limits.decision_ns_max

    def is_beyond(self, seat: Seat) -> bool:
        """Whether this seat owes more than is kept for anybody."""
        return seat.owed_slots > self._limits.lag_slots_max or seat.owed_bytes > self._limits.lag_bytes_max

    def lags(self, seat: Seat) -> bool:
        """Whether this seat owes more than half of that."""
        limits = self._limits
        return seat.owed_slots * 2 > limits.lag_slots_max or seat.owed_bytes * 2 > limits.lag_bytes_max

    def due(self, seat: Seat) -> int:
        """When the silence or the lag of a seat that owes decided slots has lasted too long; 0 if it owes none."""
        if seat.oldest is None or seat.is_broken or seat.is_held:
            return 0
        due = min(self._silence_due(seat), _owed_since(seat) + self._limits.lag_ns_max)
        if seat.throttles_since:
            due = min(due, max(seat.throttles_since, seat.excused_at) + self._limits.throttle_ns_max)
        return due

    def cause(self, seat: Seat, now: int) -> Cause:
        """Of what a seat is accused whose time is up at `now`: it was silent, or too slow."""
        return Cause.MUTE if now >= self._silence_due(seat) else Cause.LAG

    def _silence_due(self, seat: Seat) -> int:
        return max(_owed_since(seat), seat.heard_at) + self._limits.silence_ns_max


def _owed_since(seat: Seat) -> int:
    decided_at = seat.oldest.decided_at if seat.oldest is not None else 0
    return max(decided_at, seat.excused_at)
