"""Step 4, vote: f+1 equal replies decide a slot, in slot order (Diverse, section 3: LBFT2's reply certificate).

Theory of operation. Replies come as one stream of bytes per seat. The *frontier* is the first undecided slot. A seat is
either at the frontier, with the bytes that it sent beyond what is decided, or behind it, owing *segments* of decided
slots. At the frontier, the streams themselves are voted on: a prefix that f+1 of them share is framed once and
decided, however many replies it holds. Only where no f+1 streams agree, or replies must be compared in canonical form,
one slot is decided at a time by ballots. What a seat owes is compared when it comes, by whole segments, and frame by
frame at the first difference. So each byte is compared once and framed once, and the slowest seat is never waited for.

This file knows neither clients nor what follows from a verdict: it reports decisions, dissents and faults.
"""

from collections import deque

from .limits import Limits
from .messages import Cause
from .protocol import Protocol
from .quorum import is_split, votes_needed
from .seat import OVERSIZED, Seat, Segment
from .span import Span


class Decision:
    """`count` slots from `first` on, all of `span`, were decided as `data`; None when `reason` says why they were not."""

    __slots__ = ("count", "data", "first", "reason", "span")

    def __init__(self, span: Span, first: int, count: int, data: bytes | None, reason: str = "") -> None:
        self.span = span
        self.first = first
        self.count = count
        self.data = data
        self.reason = reason


class Dissent:
    """The reply of seat `seat` to `slot` differs from the `agreed` one."""

    __slots__ = ("agreed", "reply", "seat", "slot", "span")

    def __init__(self, seat: int, slot: int, span: Span, agreed: bytes, reply: bytes) -> None:
        self.seat = seat
        self.slot = slot
        self.span = span
        self.agreed = agreed
        self.reply = reply


class Fault:
    """Seat `seat` did what no correct replica does, or nothing for too long; `slot` is the one it was at."""

    __slots__ = ("cause", "seat", "slot")

    def __init__(self, seat: int, cause: Cause, slot: int) -> None:
        self.seat = seat
        self.cause = cause
        self.slot = slot


class Vote:
    """The ballots of all slots under way. Results collect in `decisions`, `dissents` and `faults`, for the caller."""

    def __init__(self, f: int, seats: int, protocol: Protocol, limits: Limits) -> None:
        self.f = f
        self.protocol = protocol
        self.limits = limits
        self.seats = [Seat(index, protocol.scanner()) for index in range(seats)]
        self.frontier = 1
        self.excused_at = 0
        self.throttled_at = 0
        self.awaiting: deque[Span] = deque()
        self.decisions: list[Decision] = []
        self.dissents: list[Dissent] = []
        self.faults: list[Fault] = []

    # What comes in.

    def expect(self, span: Span) -> None:
        """`span` was ordered and distributed: its replies are awaited."""
        self.awaiting.append(span)

    def joined(self, index: int, setup_frames: int, now: int) -> None:
        """The replica of this seat votes from the next slot on, after the replies to its lane's setup."""
        seat = self.seats[index]
        seat.is_voting = True
        seat.setup_frames = setup_frames
        seat.heard_at = now

    def answered(self, index: int, data: bytes, now: int) -> None:
        """Bytes came from this seat's replica."""
        seat = self.seats[index]
        if not seat.is_voting or seat.is_broken:
            return
        seat.buffer += data
        seat.heard_at = now
        if seat.is_skipping:
            seat.skip()
        if seat.setup_frames and not self._finish_setup(seat):
            return
        if seat.owed:
            self._compare(seat)
        if not seat.owed:
            self.advance(now)

    def removed(self, index: int, now: int) -> None:
        """This seat's replica lost its vote; the slots under way are decided without it."""
        self.seats[index].clear()
        self.advance(now)

    def voters(self) -> int:
        """How many replicas vote."""
        return sum(seat.is_voting for seat in self.seats)

    # Deciding at the frontier.

    def advance(self, now: int) -> None:
        """Decide all that can be decided."""
        while self.awaiting:
            if not (self._decide_stream(now) or self._decide_slot(now)):
                return
            for seat in self.seats:
                if seat.owed and seat.is_voting and seat.buffer:
                    self._compare(seat)
        for seat in self.seats:
            if seat.is_ready():
                self._fault(seat, Cause.UNASKED)

    def _decide_stream(self, now: int) -> bool:
        span = self.awaiting[0]
        if span.form is not None and not span.form.is_exact:
            return False
        ready = [seat for seat in self.seats if seat.is_ready()]
        members, shared = self._agreeing(ready)
        if not shared:
            return False
        segment = self._cut(members[0], shared, now)
        if segment is None:
            return False
        size = segment.size()
        for seat in self.seats:
            if seat in members:
                seat.take(size)
            elif seat.is_voting:
                seat.owe(segment)
        return True

    def _agreeing(self, ready: list[Seat]) -> tuple[list[Seat], int]:
        """Seats whose streams agree, the one with the frames first, and the bytes that at least f+1 of them share."""
        needed = votes_needed(self.f)
        for reference in ready[: len(ready) - self.f]:
            stream = reference.buffer
            members = [reference]
            for seat in ready:
                if seat is not reference and _agree(seat.buffer, stream):
                    members.append(seat)
            if len(members) >= needed:
                sizes = sorted((len(seat.buffer) for seat in members), reverse=True)
                shared = min(len(stream), sizes[needed - 1])
                return [seat for seat in members if len(seat.buffer) >= shared], shared
        return [], 0

    def _cut(self, reference: Seat, limit: int, now: int) -> Segment | None:
        """Decide each slot whose reply lies whole in the first `limit` bytes of an agreed stream."""
        first = self.frontier
        start = 0
        spans: list[Span] = []
        while self.awaiting:
            span = self.awaiting[0]
            if span.form is not None and not span.form.is_exact:
                break
            found = reference.scanner.scan(reference.buffer, start, limit, span.count, span.frames)
            if not found:
                break
            end = reference.scanner.end
            self._decided(span, found, bytes(reference.buffer[start:end]))
            spans.append(span)
            start = end
            if span.count:
                break
        if not start:
            return None
        data = self.decisions[-1].data if len(spans) == 1 else bytes(reference.buffer[:start])
        return Segment(first, self.frontier - first, data, spans, now)

    def _decide_slot(self, now: int) -> bool:
        span = self.awaiting[0]
        groups: dict[bytes, list[Seat]] = {}
        outstanding = 0
        for seat in self.seats:
            if seat.is_ready() and seat.has_ballot(span, self.limits.reply_bytes_max):
                groups.setdefault(seat.ballot or OVERSIZED, []).append(seat)
            elif seat.is_voting and not seat.is_broken:
                outstanding += 1
        agreed = max(groups, key=lambda ballot: len(groups[ballot]), default=None)
        largest = len(groups[agreed]) if agreed is not None else 0
        if agreed is not None and largest >= votes_needed(self.f):
            self._settle_slot(span, agreed, groups[agreed], now)
            return True
        if is_split(largest, outstanding, self.f):
            self._close_slot(span, "split" if not outstanding else "unanswered", now)
            return True
        return False

    def _settle_slot(self, span: Span, agreed: bytes, winners: list[Seat], now: int) -> None:
        segment = Segment(self.frontier, 1, agreed, [span], now)
        for seat in self.seats:
            if seat in winners:
                seat.take_ballot()
            elif seat.is_voting:
                seat.owe(segment)
        self._decided(span, 1, agreed)

    def _close_slot(self, span: Span, reason: str, now: int) -> None:
        """No f+1 equal replies will come in time: the slot is closed, and nobody is guilty of it."""
        segment = Segment(self.frontier, 1, None, [span], now)
        for seat in self.seats:
            if seat.is_ready() and seat.ballot is not None:
                seat.take_ballot()
            elif seat.is_voting:
                seat.owe(segment)
        self._decided(span, 1, None, reason)

    def _decided(self, span: Span, count: int, data: bytes | None, reason: str = "") -> None:
        self.decisions.append(Decision(span, span.first, count, data, reason))
        span.first += count
        span.count -= count
        self.frontier += count
        if not span.count:
            self.awaiting.popleft()

    # Comparing what comes late.

    def _compare(self, seat: Seat) -> None:
        while seat.owed and not seat.is_skipping:
            segment = seat.owed[0]
            if segment.data:
                if seat.buffer.startswith(segment.data):
                    seat.take(len(segment.data))
                    seat.paid()
                    continue
                if segment.data.startswith(seat.buffer):
                    return
                if segment.count > 1:
                    self._explode(seat)
                    continue
            if not self._compare_one(seat, segment):
                return

    def _compare_one(self, seat: Seat, segment: Segment) -> bool:
        """Compare one owed reply in canonical form; whether it was complete."""
        span = segment.span_of(segment.first)
        if not seat.has_ballot(span, self.limits.reply_bytes_max):
            if seat.is_broken and segment.data is not None:
                self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, bytes(seat.buffer)))
                self._fault(seat, Cause.GARBAGE)
            return False
        reply = seat.ballot or OVERSIZED
        if segment.data is not None and reply != segment.data:
            self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, reply))
            if reply == OVERSIZED:
                self._fault(seat, Cause.FLOOD)
        seat.take_ballot()
        seat.paid()
        return True

    def _explode(self, seat: Seat) -> None:
        """Break the oldest owed segment up into its slots: somewhere in it lies a difference."""
        segment = seat.paid()
        data = bytearray(segment.data or b"")
        scanner = seat.scanner.fresh()
        parts: list[Segment] = []
        start = 0
        for slot in range(segment.first, segment.first + segment.count):
            span = segment.span_of(slot)
            scanner.scan(data, start, len(data), 1, span.frames)
            parts.append(Segment(slot, 1, bytes(data[start : scanner.end]), [span], segment.decided_at))
            start = scanner.end
        seat.owed.extendleft(reversed(parts))
        seat.owed_slots += segment.count
        seat.owed_bytes += segment.size()

    def _finish_setup(self, seat: Seat) -> bool:
        while seat.setup_frames and seat.scanner.scan(seat.buffer, 0, len(seat.buffer), 1, 1):
            reply = bytes(seat.buffer[: seat.scanner.end])
            seat.take(seat.scanner.end)
            seat.setup_frames -= 1
            if self.protocol.is_refusal(reply):
                self._fault(seat, Cause.REFUSED)
                return False
        if seat.scanner.is_garbage:
            self._fault(seat, Cause.GARBAGE)
            return False
        return not seat.setup_frames

    def _fault(self, seat: Seat, cause: Cause) -> None:
        seat.is_broken = True
        slot = seat.owed[0].first if seat.owed else self.frontier
        self.faults.append(Fault(seat.index, cause, slot))

    # Time.

    def excuse(self, now: int) -> None:
        """The cell itself was not attending: nobody's silence before `now` counts."""
        self.excused_at = now

    def is_throttled(self, now: int) -> bool:
        """Whether the slowest voter lags so far behind that no more should be asked for a while."""
        lags = any(self._lags(seat) for seat in self.seats)
        if not lags:
            self.throttled_at = 0
        elif not self.throttled_at:
            self.throttled_at = now
        return lags

    def next_deadline(self) -> int:
        """When silence or lateness must next be judged (ns), or 0."""
        deadline = self._decision_due() if self.awaiting else 0
        for seat in self.seats:
            if seat.owed and seat.is_voting:
                due = self._patience(seat)
                deadline = min(deadline, due) if deadline else due
        return deadline

    def expire(self, now: int) -> None:
        """Judge who was silent or late for too long, and close slots that wait for too long."""
        while self.awaiting and now >= self._decision_due():
            self._close_slot(self.awaiting[0], "unanswered", now)
        for seat in self.seats:
            if seat.owed and seat.is_voting and not seat.is_broken and now >= self._patience(seat):
                self._fault(seat, Cause.MUTE if now >= self._silence_due(seat) else Cause.LAG)
        self.advance(now)

    def _decision_due(self) -> int:
        return max(self.awaiting[0].ordered_at, self.excused_at) + self.limits.decision_ns_max

    def _patience(self, seat: Seat) -> int:
        """When the silence or the lag of a seat that owes something has lasted too long."""
        due = min(self._silence_due(seat), self._owed_since(seat) + self.limits.lag_ns_max)
        if self.throttled_at and self._lags(seat):
            due = min(due, max(self.throttled_at, self.excused_at) + self.limits.throttle_ns_max)
        return due

    def _lags(self, seat: Seat) -> bool:
        limits = self.limits
        return seat.owed_slots * 2 > limits.lag_slots_max or seat.owed_bytes * 2 > limits.lag_bytes_max

    def _silence_due(self, seat: Seat) -> int:
        return max(self._owed_since(seat), seat.heard_at) + self.limits.silence_ns_max

    def _owed_since(self, seat: Seat) -> int:
        return max(seat.owed[0].decided_at, self.excused_at)


def _agree(one: bytearray, other: bytearray) -> bool:
    """Whether two streams are equal as far as both go."""
    return one.startswith(other) if len(one) >= len(other) else other.startswith(one)
