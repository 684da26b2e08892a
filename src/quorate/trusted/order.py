"""Step 2, order: the next slot, and how much may be under way at once. Knows no replica and no reply."""

from .limits import Limits
from .span import Span


class Order:
    """Gives out slots 1, 2, 3 …, and says when to stop taking requests in."""

    def __init__(self, limits: Limits) -> None:
        self.next_slot = 1
        self.inflight_slots = 0
        self.inflight_bytes = 0
        self._slots_max = limits.inflight_slots_max
        self._bytes_max = limits.inflight_bytes_max

    def is_full(self) -> bool:
        """Whether requests must wait until slots under way are decided."""
        return self.inflight_slots >= self._slots_max or self.inflight_bytes >= self._bytes_max

    def admit(self, span: Span, now: int) -> None:
        """Give `span` the next slots."""
        span.first = self.next_slot
        span.ordered_at = now
        self.next_slot += span.count
        self.inflight_slots += span.count
        self.inflight_bytes += span.size

    def decided(self, span: Span, first: int, count: int) -> None:
        """`count` slots of `span` from `first` on are no longer under way; its bytes count until its last slot is."""
        self.inflight_slots -= count
        if first + count == span.first + span.count:
            self.inflight_bytes -= span.size
