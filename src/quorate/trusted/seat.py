"""One seat: its replica's unread reply bytes, and the decided slots that it still owes a reply to."""

from collections import deque

from .messages import Role
from .protocol import Scanner
from .span import Span

# A reply over the limit. No reply is empty, so no replica can send these bytes.
OVERSIZED = b""
# A longer reply is voted on whole, once it is there: comparing streams at each arrival would cost its length squared.
STREAMED_REPLY_BYTES_MAX = 64 * 1024


class Segment:
    """Decided slots `first` … `first + count - 1` that a replica owes, and the `data` that was agreed for them.

    `data` is None for a slot that was closed without a decision: its late replies are consumed and not compared.
    `spans` are those that the slots belong to, in order. `decided_at` is in nanoseconds. `size` is what is kept for
    these slots while they are owed, in bytes: their requests, `asked` bytes of them, and what was agreed. `is_stream`
    says that `data` is what a correct replica sends; else it is canonical, and says nothing before a reply is whole.
    """

    __slots__ = ("count", "data", "decided_at", "first", "is_stream", "size", "spans")

    def __init__(
        self, first: int, count: int, data: bytes | None, spans: list[Span], asked: int, decided_at: int
    ) -> None:
        self.first = first
        self.count = count
        self.data = data
        self.spans = spans
        self.is_stream = bool(data) and spans[0].is_exact
        self.size = asked + len(data or b"")
        self.decided_at = decided_at

    def divided(self, scanner: Scanner) -> list["Segment"]:
        """The slots of this decided segment, one by one. `scanner` is fresh."""
        data = bytearray(self.data or b"")
        parts: list[Segment] = []
        start = 0
        slot = self.first
        for span in self.spans:
            # A span's end never moves; its beginning does, as its slots are decided.
            stop = min(span.first + span.count, self.first + self.count)
            while slot < stop:
                scanner.scan(data, start, len(data), 1, span.frames)
                reply = bytes(data[start : scanner.end])
                parts.append(Segment(slot, 1, reply, [span], len(span.request_at(slot)), self.decided_at))
                start = scanner.end
                slot += 1
        return parts


class Seat:
    """What the vote knows of one replica. A seat with nothing owed stands at the frontier, the first undecided slot.

    `is_garbled` says that what comes next in its buffer is no reply, `is_broken` that it was reported for what makes
    its lane useless; either way nothing more is read from it. `oldest` is the first *decided* segment that it owes.
    A shadow begins at slot `begins_at`; while it is held, its lane is not written to.
    `throttles_since` and `excused_at` are in the vote's time (ns): since when requests are held back for it (0: they
    are not), and from when on its silence counts. `slows_since` says since when clients are slowed for a shadow (ns).
    """

    def __init__(self, index: int, scanner: Scanner) -> None:
        self.index = index
        self.scanner = scanner
        self.buffer = bytearray()
        self.is_voting = False
        self.is_shadow = False
        self.is_held = False
        self.begins_at = 0
        self.is_garbled = False
        self.is_broken = False
        self.is_skipping = False
        self.setup_frames = 0
        self.owed: deque[Segment] = deque()
        self.owed_slots = 0
        self.owed_bytes = 0
        self.oldest: Segment | None = None
        self.heard_at = 0
        self.excused_at = 0
        self.throttles_since = 0
        self.slows_since = 0
        self._matched = 0
        self.reply: bytes | None = None
        self.reply_size = 0

    def role(self) -> Role:
        """Where a shadow stands: its lane is written to once it is proved to hold a checkpoint's state."""
        return Role.CATCHING_UP if self.is_held else Role.VERIFIED

    def is_heard(self) -> bool:
        """Whether what it sends next may be a reply to a slot."""
        return self.is_voting and not self.is_broken and not self.is_garbled and not self.setup_frames

    def is_ready(self) -> bool:
        """Whether it can vote at the frontier with what it has sent."""
        return not self.owed and not self.is_skipping and bool(self.buffer) and self.is_heard()

    def has_stream(self, span: Span, reply_bytes_max: int) -> bool:
        """Whether its stream, at a slot of `span`, is worth comparing: it does not begin with a long reply."""
        if len(self.buffer) <= STREAMED_REPLY_BYTES_MAX:
            return True
        return self.has_reply(span, reply_bytes_max) and 0 < self.reply_size <= STREAMED_REPLY_BYTES_MAX

    def has_reply(self, span: Span, reply_bytes_max: int) -> bool:
        """Whether its reply to one slot of `span`, next in its buffer, is complete; if so `reply` is canonical."""
        if self.reply is not None:
            return True
        if self.scanner.scan(self.buffer, 0, len(self.buffer), 1, span.frames):
            self.reply_size = self.scanner.end
            reply = bytes(self.buffer[: self.reply_size])
            if len(reply) > reply_bytes_max:
                self.reply = OVERSIZED
            else:
                self.reply = reply if span.form is None else span.form.canonical(reply)
            return True
        if self.scanner.is_garbage:
            self.is_garbled = True
        elif len(self.buffer) > reply_bytes_max:
            self.reply = OVERSIZED
            self.reply_size = 0
            return True
        return False

    def take_reply(self) -> None:
        """The reply was counted: its bytes go. Of an oversized reply, the rest is still to come."""
        if self.reply_size:
            self.take(self.reply_size)
        else:
            self.reply = None
            self.is_skipping = True
            self.skip()

    def take(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole replies, were counted or compared."""
        del self.buffer[:size]
        self.scanner.shift(size)
        self.reply = None
        self._matched = 0

    def agrees_with(self, data: bytes) -> bool:
        """Whether its buffer equals `data`, the oldest segment owed, as far as both go; no byte is compared twice."""
        end = min(len(self.buffer), len(data))
        if not data.startswith(self.buffer[self._matched : end], self._matched):
            return False
        self._matched = end
        return True

    def skip(self) -> None:
        """Throw away what has come of an oversized reply."""
        if self.scanner.skip(self.buffer):
            self.is_skipping = False
        elif self.scanner.is_garbage:
            self.is_garbled = True

    def owe(self, segment: Segment) -> None:
        """These slots were decided without its reply."""
        self.owed.append(segment)
        self.owed_slots += segment.count
        self.owed_bytes += segment.size
        if self.oldest is None and segment.data is not None:
            self.oldest = segment

    def paid(self) -> Segment:
        """The oldest segment owed was answered, rightly or not."""
        segment = self.owed.popleft()
        self._matched = 0
        self.owed_slots -= segment.count
        self.owed_bytes -= segment.size
        if segment is self.oldest:
            self.oldest = self._oldest_decided()
        return segment

    def divide(self) -> None:
        """Break the oldest segment owed, which was decided, up into its slots: somewhere in it lies a difference."""
        segment = self.paid()
        parts = segment.divided(self.scanner.fresh())
        self.owed.extendleft(reversed(parts))
        self.owed_slots += segment.count
        self.owed_bytes += sum(part.size for part in parts)
        self.oldest = parts[0]

    def _oldest_decided(self) -> Segment | None:
        for segment in self.owed:
            if segment.data is not None:
                return segment
        return None

    def clear(self) -> None:
        """It votes no more: nothing of it is kept."""
        self.is_voting = False
        self.is_shadow = False
        self.buffer = bytearray()
        self.owed.clear()
        self.owed_slots = 0
        self.owed_bytes = 0
        self.oldest = None
        self.throttles_since = 0
        self.reply = None
