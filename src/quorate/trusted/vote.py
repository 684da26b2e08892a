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

from .errors import invariant
from .limits import Limits
from .messages import Cause
from .protocol import Protocol
from .quorum import is_split, votes_needed
from .seat import OVERSIZED, Seat, Segment
from .span import Span


class Decision:
    """`count` slots from `first` on, all of `span`, were decided as `data`; None where `reason` says why not."""

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
        self.awaiting: deque[Span] = deque()
        self.decisions: list[Decision] = []
        self.dissents: list[Dissent] = []
        self.faults: list[Fault] = []

    # What comes in.

    def expect(self, span: Span) -> None:
        """`span` was ordered and distributed: its replies are awaited."""
        self.awaiting.append(span)

    def joined(self, index: int, setup_frames: int, now: int) -> None:
        """The replica of this seat votes from slot 1 on, after the replies to its lane's setup."""
        invariant(self.frontier == 1 and not self.awaiting, "a replica joins before slot 1")
        seat = self.seats[index]
        seat.is_voting = True
        seat.setup_frames = setup_frames
        seat.heard_at = now

    def answered(self, index: int, data: bytes, now: int) -> None:
        """Bytes came from this seat's replica."""
        seat = self.seats[index]
        if not seat.is_voting or seat.is_broken or seat.is_garbled:
            return
        seat.buffer += data
        seat.heard_at = now
        if seat.is_skipping:
            self._skip(seat)
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
            self._compare_owed()
        for seat in self.seats:
            if seat.is_ready():
                self._fault(seat, Cause.UNASKED)

    def _decide_stream(self, now: int) -> bool:
        span = self.awaiting[0]
        if not span.is_exact:
            return False
        size_max = self.limits.reply_bytes_max
        ready = [seat for seat in self.seats if seat.is_ready() and seat.has_stream(span, size_max)]
        members, shared = self._agreeing(ready)
        if not shared:
            return False
        segment = self._cut(members[0], shared, now)
        if segment is None:
            return False
        size = len(segment.data or b"")
        for seat in self.seats:
            if seat in members:
                seat.take(size)
            elif seat.is_voting:
                self._owe(seat, segment)
        return True

    def _agreeing(self, ready: list[Seat]) -> tuple[list[Seat], int]:
        """Seats whose streams agree, the one with the frames first, and the bytes that at least f+1 of them share.

        No more of them than one reply may have are looked at: what does not end within is left to the ballots.
        """
        needed = votes_needed(self.f)
        for reference in ready[: len(ready) - self.f]:
            stream = reference.buffer
            members = [reference]
            members += [seat for seat in ready if seat is not reference and _agree(seat.buffer, stream)]
            if len(members) >= needed:
                sizes = sorted((len(seat.buffer) for seat in members), reverse=True)
                shared = min(len(stream), sizes[needed - 1], self.limits.reply_bytes_max)
                return [seat for seat in members if len(seat.buffer) >= shared], shared
        return [], 0

    def _cut(self, reference: Seat, limit: int, now: int) -> Segment | None:
        """Decide each slot whose reply lies whole in the first `limit` bytes of an agreed stream."""
        first = self.frontier
        start = 0
        asked = 0
        spans: list[Span] = []
        while self.awaiting:
            span = self.awaiting[0]
            if not span.is_exact:
                break
            found = reference.scanner.scan(reference.buffer, start, limit, span.count, span.frames)
            if not found:
                break
            end = reference.scanner.end
            asked += span.size * found // len(span.requests)
            self._decided(span, found, bytes(reference.buffer[start:end]))
            spans.append(span)
            start = end
            if span.count:
                break
        if not start:
            return None
        data = self.decisions[-1].data if len(spans) == 1 else bytes(reference.buffer[:start])
        return Segment(first, self.frontier - first, data, spans, asked, now)

    def _decide_slot(self, now: int) -> bool:
        span = self.awaiting[0]
        groups: dict[bytes, list[Seat]] = {}
        outstanding = 0
        for seat in self.seats:
            if seat.is_ready() and seat.has_ballot(span, self._bytes_max(span)):
                groups.setdefault(seat.ballot or OVERSIZED, []).append(seat)
            elif seat.is_voting and not seat.is_broken and not seat.is_garbled:
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

    def _bytes_max(self, span: Span) -> int:
        """What one reply may have. Bringing one into canonical order takes many times its bytes, hence less there."""
        limits = self.limits
        return limits.reply_bytes_max if span.is_exact else min(limits.unordered_bytes_max, limits.reply_bytes_max)

    def _settle_slot(self, span: Span, agreed: bytes, winners: list[Seat], now: int) -> None:
        segment = Segment(self.frontier, 1, agreed, [span], len(span.request_at(self.frontier)), now)
        for seat in self.seats:
            if seat in winners:
                self._take_ballot(seat)
            elif seat.is_voting:
                self._owe(seat, segment)
        self._decided(span, 1, agreed)

    def _close_slot(self, span: Span, reason: str, now: int) -> None:
        """No f+1 equal replies will come in time: the slot is closed, and nobody is guilty of it."""
        segment = Segment(self.frontier, 1, None, [span], len(span.request_at(self.frontier)), now)
        for seat in self.seats:
            if seat.is_ready() and seat.ballot is not None:
                self._take_ballot(seat)
            elif seat.is_voting:
                seat.owe(segment)
                # Nobody is judged for what was not decided, but what is kept for a replica has a bound all the same.
                if self._is_beyond(seat):
                    self._fault(seat, Cause.BACKLOG)
        self._decided(span, 1, None, reason)

    def _decided(self, span: Span, count: int, data: bytes | None, reason: str = "") -> None:
        self.decisions.append(Decision(span, span.first, count, data, reason))
        span.first += count
        span.count -= count
        self.frontier += count
        if not span.count:
            self.awaiting.popleft()

    def _owe(self, seat: Seat, segment: Segment) -> None:
        seat.owe(segment)
        if not seat.throttles_since and self._is_beyond(seat):
            seat.throttles_since = segment.decided_at

    def _take_ballot(self, seat: Seat) -> None:
        seat.take_ballot()
        if seat.is_garbled:
            self._fault(seat, Cause.GARBAGE)

    def _skip(self, seat: Seat) -> None:
        seat.skip()
        if seat.is_garbled:
            self._fault(seat, Cause.GARBAGE)

    # Comparing what comes late.

    def _compare_owed(self) -> None:
        """Slots were closed: what seats had sent for them already is compared now, not when they next send."""
        for seat in self.seats:
            if seat.owed and seat.buffer:
                self._compare(seat)

    def _compare(self, seat: Seat) -> None:
        while seat.owed and not seat.is_skipping and not seat.is_broken and not seat.setup_frames:
            segment = seat.owed[0]
            if segment.data and segment.is_stream:
                if seat.agrees_with(segment.data):
                    if len(seat.buffer) < len(segment.data):
                        break
                    seat.take(len(segment.data))
                    seat.paid()
                    continue
                if segment.count > 1:
                    seat.divide()
                    continue
            if not self._compare_one(seat, segment):
                break
        if seat.throttles_since and not self._lags(seat):
            seat.throttles_since = 0

    def _compare_one(self, seat: Seat, segment: Segment) -> bool:
        """Compare one owed reply in canonical form; whether it was complete."""
        span = segment.spans[0]
        if not seat.has_ballot(span, self._bytes_max(span)):
            if seat.is_garbled:
                if segment.data is not None:
                    self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, bytes(seat.buffer)))
                self._fault(seat, Cause.GARBAGE)
            return False
        reply = seat.ballot or OVERSIZED
        if segment.data is not None and reply != segment.data:
            self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, reply))
            if reply == OVERSIZED:
                self._fault(seat, Cause.FLOOD)
        self._take_ballot(seat)
        seat.paid()
        return True

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
        if seat.setup_frames and len(seat.buffer) > self.limits.reply_bytes_max:
            self._fault(seat, Cause.FLOOD)
        return not seat.setup_frames

    def _fault(self, seat: Seat, cause: Cause) -> None:
        """Report what makes the lane useless, once: nothing more is read from this seat."""
        if not seat.is_broken:
            seat.is_broken = True
            self._report(seat, cause)

    def _report(self, seat: Seat, cause: Cause) -> None:
        slot = seat.owed[0].first if seat.owed else self.frontier
        self.faults.append(Fault(seat.index, cause, slot))

    # Time.

    def excuse(self, now: int) -> None:
        """The cell itself was not attending: nobody's silence before `now` counts."""
        self.excused_at = now
        for seat in self.seats:
            seat.excused_at = now

    def spared(self, index: int, now: int) -> None:
        """This seat's replica was reported and keeps its vote: its silence counts anew from `now` on."""
        self.seats[index].excused_at = now

    def is_throttled(self, now: int) -> bool:
        """Whether a voter lags so far behind that no more should be asked for a while.

        Where nothing can be decided without everybody, nobody is left behind, and holding back would help nobody.
        """
        lagging = [seat for seat in self.seats if seat.oldest is not None and self._lags(seat)]
        if not lagging or self.voters() <= votes_needed(self.f):
            return False
        for seat in lagging:
            seat.throttles_since = seat.throttles_since or now
        return True

    def is_ahead(self, index: int) -> bool:
        """Whether this seat is at the frontier and should not be read: it has sent much, or another owes too much."""
        seat = self.seats[index]
        if seat.owed:
            return False
        return len(seat.buffer) > self.limits.reply_bytes_max or any(self._is_beyond(other) for other in self.seats)

    def next_deadline(self) -> int:
        """When silence or lateness must next be judged (ns), or 0."""
        deadline = self._decision_due() if self.awaiting else 0
        for seat in self.seats:
            due = self._patience(seat)
            if due:
                deadline = min(deadline, due) if deadline else due
        return deadline

    def expire(self, now: int) -> None:
        """Judge who was silent or late for too long, and close slots that wait for too long."""
        while self.awaiting and now >= self._decision_due():
            self._close_slot(self.awaiting[0], "unanswered", now)
        self._compare_owed()
        for seat in self.seats:
            due = self._patience(seat)
            if due and now >= due:
                self._report(seat, Cause.MUTE if now >= self._silence_due(seat) else Cause.LAG)
        self.advance(now)

    def _decision_due(self) -> int:
        return max(self.awaiting[0].ordered_at, self.excused_at) + self.limits.decision_ns_max

    def _patience(self, seat: Seat) -> int:
        """When the silence or the lag of a seat that owes decided slots has lasted too long; 0 if it owes none."""
        if seat.oldest is None or seat.is_broken:
            return 0
        due = min(self._silence_due(seat), self._owed_since(seat) + self.limits.lag_ns_max)
        if seat.throttles_since:
            due = min(due, max(seat.throttles_since, seat.excused_at) + self.limits.throttle_ns_max)
        return due

    def _is_beyond(self, seat: Seat) -> bool:
        return seat.owed_slots > self.limits.lag_slots_max or seat.owed_bytes > self.limits.lag_bytes_max

    def _lags(self, seat: Seat) -> bool:
        limits = self.limits
        return seat.owed_slots * 2 > limits.lag_slots_max or seat.owed_bytes * 2 > limits.lag_bytes_max

    def _silence_due(self, seat: Seat) -> int:
        return max(self._owed_since(seat), seat.heard_at) + self.limits.silence_ns_max

    def _owed_since(self, seat: Seat) -> int:
        decided_at = seat.oldest.decided_at if seat.oldest is not None else 0
        return max(decided_at, seat.excused_at)


def _agree(one: bytearray, other: bytearray) -> bool:
    """Whether two streams are equal as far as both go."""
    return one.startswith(other) if len(one) >= len(other) else other.startswith(one)
