"""What of the journal may be the end of f+1 replicas a moment after it was executed, and how it is narrowed down.

A write that was decided is executed again whenever all begin anew. One that ends replicas only after they replied, by a
timer of their own, say, does that each time, before a checkpoint lies behind it. Where all began anew several times in
a row, what is suspected is executed in few parts, with a wait and a question after each. The part that they do not
survive is suspected alone the next time, until it is one slot, and they do not survive that once more. Nothing is
buried for it: somebody was told that it succeeded, so that leaving it out is the operator's to decide.

Knows slots, neither replicas nor files.
"""

# How many times in a row all begin anew, without a checkpoint between, before anything is suspected.
TIMES_MIN = 3
PARTS_MAX = 8
# After each part it is waited twice as long as the replicas lived the last time, within these.
WAIT_SECONDS_MIN = 0.1
WAIT_SECONDS_MAX = 2.0

Part = tuple[int, int]


class Suspects:
    """Slots `first` … `last` of the journal, 0 where none is suspected; `wait_seconds` is how long each part has."""

    def __init__(self) -> None:
        self.first = self.last = 0
        self.wait_seconds = 0.0

    def __bool__(self) -> bool:
        """Whether any slot is suspected."""
        return self.first > 0

    def suspect(self, first: int, last: int, lived_seconds: float) -> None:
        """The replicas lived so long after all of these slots were executed."""
        self.first, self.last = first, last
        # Where a look at all found nothing, each part had too little time.
        wanted = max(2 * lived_seconds, 2 * self.wait_seconds, WAIT_SECONDS_MIN)
        self.wait_seconds = min(wanted, WAIT_SECONDS_MAX)

    def narrow(self, part: Part | None) -> bool:
        """The replicas did not survive this part. Whether there is less to look at than before."""
        before = self.first, self.last
        if part is None or part == before:
            return False
        self.first, self.last = part
        return True

    def absolve(self) -> None:
        """The replicas survived all of them."""
        self.first = self.last = 0

    def clear(self) -> None:
        """What was suspected lies behind a checkpoint, or is long ago."""
        self.absolve()
        self.wait_seconds = 0.0

    def part_of(self, slot: int) -> int:
        """The number of the part that `slot` is in, from 1 on; 0 where it is not suspected."""
        if not (self and self.first <= slot <= self.last):
            return 0
        slots = -(-(self.last - self.first + 1) // PARTS_MAX)
        return (slot - self.first) // slots + 1

    def is_within(self, first: int, last: int) -> bool:
        """Whether any of these slots is suspected."""
        return bool(self) and first <= self.last and last >= self.first
