"""Counts for the observers: plain integers that the core adds to and never reads."""

# Upper bounds of the latency histogram, in nanoseconds: 16 µs, doubling, up to 8.4 s; one more bucket holds the rest.
LATENCY_BOUNDS_NS = tuple(16_000 << power for power in range(20))


class Tally:
    """What happened so far. Lists indexed by seat count things by replica."""

    def __init__(self, seats: int) -> None:
        self.requests = 0
        self.answered_here = 0
        self.refused = 0
        self.decided = 0
        self.split = 0
        self.unanswered = 0
        self.reasked = 0
        self.dissents = [0] * seats
        self.latency_counts = [0] * (len(LATENCY_BOUNDS_NS) + 1)
        self.latency_sum_ns = 0

    def answered(self, count: int, latency_ns: int) -> None:
        """`count` requests were answered `latency_ns` after they were ordered."""
        self.decided += count
        self.latency_sum_ns += count * latency_ns
        bucket = (latency_ns // 16_000).bit_length()
        self.latency_counts[min(bucket, len(LATENCY_BOUNDS_NS))] += count

    def closed(self, is_split: bool) -> None:
        """A slot was closed without f+1 equal replies, either because they differed or because they were too few."""
        self.split += is_split
        self.unanswered += not is_split
