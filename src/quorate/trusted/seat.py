"""One seat: its replica's unread reply bytes, and the decided slots that it still owes a reply to."""

from collections import deque

from .protocol import Scanner
from .span import Span

# A reply over the limit. No reply is empty, so no replica can send these bytes.
OVERSIZED = b""


class Segment:
    """Decided slots `first` … `first + count - 1` that a replica owes, and the `data` that was agreed for them.

    `data` is None for a slot that was closed without a decision: its late replies are consumed and not compared.
    `spans` are those that the slots belong to, in order. `decided_at` is in nanoseconds.
    """

    __slots__ = ("count", "data", "decided_at", "first", "spans")

    def __init__(self, first: int, count: int, data: bytes | None, spans: list[Span], decided_at: int) -> None:
        self.first = first
        self.count = count
        self.data = data
        self.spans = spans
        self.decided_at = decided_at

    def span_of(self, slot: int) -> Span:
        """The span that `slot` belongs to. A span's end never moves, its beginning does as its slots are decided."""
        for span in self.spans:
            if slot < span.first + span.count:
                return span
        return self.spans[-1]

    def size(self) -> int:
        """The agreed bytes kept for this segment."""
        return len(self.data) if self.data is not None else 0


class Seat:
    """What the vote knows of one replica. A seat with nothing owed stands at the frontier, the first undecided slot."""

    def __init__(self, index: int, scanner: Scanner) -> None:
        self.index = index
        self.scanner = scanner
        self.buffer = bytearray()
        self.is_voting = False
        self.is_broken = False
        self.is_skipping = False
        self.setup_frames = 0
        self.owed: deque[Segment] = deque()
        self.owed_slots = 0
        self.owed_bytes = 0
        self.heard_at = 0
        self.ballot: bytes | None = None
        self.ballot_size = 0

    def is_ready(self) -> bool:
        """Whether it can vote at the frontier with what it has sent."""
        return self.is_voting and not self.owed and not self.is_broken and not self.is_skipping and bool(self.buffer)

    def has_ballot(self, span: Span, reply_bytes_max: int) -> bool:
        """Whether its reply to one slot of `span`, next in its buffer, is complete; if so `ballot` is canonical."""
        if self.ballot is not None:
            return True
        if self.scanner.scan(self.buffer, 0, len(self.buffer), 1, span.frames):
            self.ballot_size = self.scanner.end
            reply = bytes(self.buffer[: self.ballot_size])
            if len(reply) > reply_bytes_max:
                self.ballot = OVERSIZED
            else:
                self.ballot = reply if span.form is None else span.form.canonical(reply)
            return True
        if self.scanner.is_garbage:
            self.is_broken = True
        elif len(self.buffer) > reply_bytes_max:
            self.ballot = OVERSIZED
            self.ballot_size = 0
            return True
        return False

    def take_ballot(self) -> None:
        """The ballot was counted: its bytes go. Of an oversized reply, the rest is still to come."""
        if self.ballot_size:
            self.take(self.ballot_size)
        else:
            self.ballot = None
            self.is_skipping = True
            self.skip()

    def take(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole replies, were counted or compared."""
        del self.buffer[:size]
        self.scanner.shift(size)
        self.ballot = None

    def skip(self) -> None:
        """Throw away what has come of an oversized reply."""
        if self.scanner.skip(self.buffer):
            self.is_skipping = False
        elif self.scanner.is_garbage:
            self.is_broken = True

    def owe(self, segment: Segment) -> None:
        """These slots were decided without its reply."""
        self.owed.append(segment)
        self.owed_slots += segment.count
        self.owed_bytes += segment.size()

    def paid(self) -> Segment:
        """The oldest segment owed was answered, rightly or not."""
        segment = self.owed.popleft()
        self.owed_slots -= segment.count
        self.owed_bytes -= segment.size()
        return segment

    def clear(self) -> None:
        """It votes no more: nothing of it is kept."""
        self.is_voting = False
        self.buffer = bytearray()
        self.owed.clear()
        self.owed_slots = 0
        self.owed_bytes = 0
        self.ballot = None
