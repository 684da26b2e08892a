"""Step 4, vote: f+1 equal replies decide a slot, in slot order (Diverse, section 3: LBFT2's reply certificate).

Theory of operation. Replies come as one stream of bytes per seat. The *frontier* is the first undecided slot. A seat is
either at the frontier, with the bytes that it sent beyond what is decided, or behind it, owing *segments* of decided
slots. At the frontier, the streams themselves are voted on: a prefix that f+1 of them share is framed once and
decided, however many replies it holds. Only where no f+1 streams agree, or replies must be compared in canonical form,
one slot is decided at a time by its ballot. What a seat owes is compared when it comes, by whole segments, and frame by
frame at the first difference. So each byte is compared once and framed once, and the slowest seat is never waited for.

This file knows neither clients nor what follows from a verdict: it reports decisions, dissents and faults. How much a
seat may owe, and for how long, is in `patience.py`.
"""

from collections import deque

from .errors import invariant
from .limits import Limits
from .messages import Cause
from .patience import Patience
from .protocol import Protocol
from .quorum import is_split, votes_needed
from .seat import OVERSIZED, Seat, Segment
from .span import Span
from .verdicts import Decision, Dissent, Fault


class Vote:
    """The ballots of all slots under way. Results collect in `decisions`, `dissents` and `faults`, for the caller."""

    def __init__(self, f: int, seats: int, protocol: Protocol, limits: Limits) -> None:
        self.f = f
        self.protocol = protocol
        self.limits = limits
        self.patience = Patience(limits)
        self.seats = [Seat(index, protocol.scanner()) for index in range(seats)]
        # Replicas that are prepared for a seat: what they say is compared, never counted.
        self.shadows: list[Seat] = []
        # Whom the bytes of a lane come from. A seat's first lane has its number.
        self.lanes = dict(enumerate(self.seats))
        # Where a shadow begins: no run of slots is decided across it.
        self.barrier = 0
        self.frontier = 1
        # What the cell missed counts for nobody: all times that are kept here are without it, and in nanoseconds.
        self.missed_ns = 0
        self.awaiting: deque[Span] = deque()
        self.decisions: list[Decision] = []
        self.dissents: list[Dissent] = []
        self.faults: list[Fault] = []

    # What comes in.

    def expect(self, span: Span) -> None:
        """`span` was ordered and distributed: its replies are awaited."""
        span.awaited_at = span.ordered_at - self.missed_ns
        self.awaiting.append(span)

    def joined(self, index: int, lane: int, setup_frames: int, now: int) -> None:
        """The replica of this seat votes from the next slot on, after the replies to its lane's setup."""
        invariant(not self.awaiting, "a replica joins while no slot is under way, or as a shadow")
        seat = self.lanes[lane] = self.seats[index]
        seat.is_voting = True
        seat.setup_frames = setup_frames
        seat.heard_at = now - self.missed_ns

    def answered(self, lane: int, data: bytes, now: int) -> None:
        """Bytes came from the replica at the end of this lane."""
        seat = self.lanes.get(lane)
        if seat is None or seat.is_broken or seat.is_garbled or not (seat.is_voting or seat.is_shadow):
            return
        seat.buffer += data
        seat.heard_at = now = now - self.missed_ns
        if seat.is_skipping:
            self._skip(seat)
        if seat.setup_frames and not self._finish_setup(seat):
            return
        if seat.owed:
            self._compare(seat)
        if not seat.owed:
            self._advance(now)

    def removed(self, index: int, now: int) -> None:
        """This seat's replica lost its vote; the slots under way are decided without it."""
        self.seats[index].clear()
        self._advance(now - self.missed_ns)

    def voters(self) -> int:
        """How many replicas vote."""
        return sum(seat.is_voting for seat in self.seats)

    def close_all(self, now: int) -> None:
        """None of the slots under way will be decided."""
        while self.awaiting:
            self._close_slot(self.awaiting[0], "unanswered", now - self.missed_ns)

    def restart(self) -> None:
        """All replicas are new ones, which join when they hold the state of all slots so far."""
        invariant(not self.awaiting, "replicas are exchanged while no slot is under way")
        self.seats = [Seat(index, self.protocol.scanner()) for index in range(len(self.seats))]
        self.shadows = []
        self.lanes = {}
        self.barrier = 0
        self.dissents = []
        self.faults = []

    # Shadows.

    def shadow_begins(self, lane: int, index: int, setup_frames: int, now: int) -> None:
        """The shadow for this seat is sent every slot from the next one to be ordered, its `barrier`, on."""
        self.shadow_removed(index)
        shadow = Seat(index + len(self.seats), self.protocol.scanner())
        shadow.is_shadow = True
        shadow.is_held = True
        shadow.setup_frames = setup_frames
        shadow.begins_at = self.frontier + sum(span.count for span in self.awaiting)
        shadow.heard_at = shadow.excused_at = now - self.missed_ns
        self.barrier = shadow.begins_at
        self.shadows.append(shadow)
        self.lanes[lane] = shadow

    def shadow_of(self, index: int) -> Seat | None:
        """The shadow for this seat, if there is one."""
        return next((shadow for shadow in self.shadows if shadow.index == index + len(self.seats)), None)

    def shadow_removed(self, index: int) -> None:
        """The shadow for this seat, if there is one, is thrown away."""
        shadow = self.shadow_of(index)
        if shadow is not None:
            shadow.clear()
            self.shadows.remove(shadow)
            self.lanes = {lane: seat for lane, seat in self.lanes.items() if seat is not shadow}

    def released(self, shadow: Seat, now: int) -> None:
        """What a shadow was to be sent so far is on its lane: from now on it is expected to answer."""
        shadow.is_held = False
        shadow.excused_at = now - self.missed_ns

    def is_level(self, shadow: Seat) -> bool:
        """Whether a shadow has answered all that is decided, and something at all unless nothing is under way."""
        if shadow.is_held or shadow.owed or shadow.setup_frames or shadow.is_broken or shadow.is_garbled:
            return False
        return self.frontier > shadow.begins_at or not self.awaiting

    def seated(self, shadow: Seat, now: int) -> int:
        """The shadow takes its seat, between two slots: it votes from the frontier on. Returns the seat's number."""
        index = shadow.index - len(self.seats)
        old = self.seats[index]
        self.shadows.remove(shadow)
        self.lanes = {lane: seat for lane, seat in self.lanes.items() if seat is not old}
        shadow.index = index
        shadow.is_shadow = False
        shadow.is_voting = True
        self.seats[index] = shadow
        self._advance(now - self.missed_ns)
        return index

    def _follow(self, segment: Segment) -> None:
        """These slots were decided, or closed: shadows owe them too."""
        for shadow in self.shadows:
            if segment.first >= shadow.begins_at and not shadow.is_broken:
                shadow.owe(segment)
                if self.patience.is_beyond(shadow):
                    self._fault(shadow, Cause.LAG)

    # Deciding at the frontier.

    def _advance(self, now: int) -> None:
        """Decide all that can be decided."""
        while self.awaiting:
            if self._must_wait() or not (self._decide_stream(now) or self._decide_slot(now)):
                return
            self._compare_owed()
        for seat in self.seats:
            if seat.is_ready():
                self._fault(seat, Cause.UNASKED)
        for shadow in self.shadows:
            if shadow.buffer and not (shadow.owed or shadow.setup_frames or shadow.is_skipping):
                self._fault(shadow, Cause.UNASKED)

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
        if self.shadows:
            self._follow(segment)
        return True

    def _agreeing(self, ready: list[Seat]) -> tuple[list[Seat], int]:
        """Seats whose streams agree, the one with the frames first, and the bytes that at least f+1 of them share.

        No more of them than one reply may have are looked at: what does not end within is left to their ballots.
        """
        needed = votes_needed(self.f)
        if len(ready) >= needed and _are_equal(ready):
            return ready, min(len(ready[0].buffer), self.limits.reply_bytes_max)
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
            if not span.is_exact or (spans and span.first == self.barrier):
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
            if seat.is_ready() and seat.has_reply(span, self._bytes_max(span)):
                groups.setdefault(seat.reply or OVERSIZED, []).append(seat)
            elif seat.is_voting and not seat.is_broken and not seat.is_garbled:
                outstanding += 1
        agreed = max(groups, key=lambda reply: len(groups[reply]), default=None)
        largest = len(groups[agreed]) if agreed is not None else 0
        if agreed is not None and largest >= votes_needed(self.f):
            self._settle_slot(span, agreed, groups[agreed], now)
            return True
        if is_split(largest, outstanding, self.f):
            self._close_slot(span, "split" if len(groups) > 1 and not outstanding else "unanswered", now)
            return True
        return False

    def _must_wait(self) -> bool:
        """Whether too few have sent anything, and enough still may: nothing can be decided, and nothing is split.

        What may be over the limit is looked at when it comes: from then on, the rest of it counts no more.
        """
        size_max = self._bytes_max(self.awaiting[0])
        ready = 0
        outstanding = 0
        for seat in self.seats:
            if seat.is_ready():
                ready += 1
                if len(seat.buffer) > size_max:
                    return False
            elif seat.is_voting and not seat.is_broken and not seat.is_garbled:
                outstanding += 1
        return ready <= self.f < outstanding

    def _bytes_max(self, span: Span) -> int:
        """What one reply may have. Bringing one into canonical order takes many times its bytes, hence less there."""
        limits = self.limits
        if span.form is None or span.form.is_exact or span.form.is_large:
            return limits.reply_bytes_max
        return min(limits.unordered_bytes_max, limits.reply_bytes_max)

    def _settle_slot(self, span: Span, agreed: bytes, winners: list[Seat], now: int) -> None:
        segment = Segment(self.frontier, 1, agreed, [span], len(span.request_at(self.frontier)), now)
        for seat in self.seats:
            if seat in winners:
                self._take_reply(seat)
            elif seat.is_voting:
                self._owe(seat, segment)
        if self.shadows:
            self._follow(segment)
        self._decided(span, 1, agreed)

    def _close_slot(self, span: Span, reason: str, now: int) -> None:
        """No f+1 equal replies will come in time: the slot is closed, and nobody is guilty of it."""
        segment = Segment(self.frontier, 1, None, [span], len(span.request_at(self.frontier)), now)
        for seat in self.seats:
            if seat.is_ready() and seat.has_reply(span, self._bytes_max(span)):
                self._take_reply(seat)
            elif seat.is_voting:
                seat.owe(segment)
                # Nobody is judged for what was not decided, but what is kept for a replica has a bound all the same.
                if self.patience.is_beyond(seat):
                    self._fault(seat, Cause.BACKLOG)
        if self.shadows:
            self._follow(segment)
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
        if not seat.throttles_since and self.patience.is_beyond(seat):
            seat.throttles_since = segment.decided_at

    def _take_reply(self, seat: Seat) -> None:
        seat.take_reply()
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
        for shadow in self.shadows:
            if shadow.owed and shadow.buffer:
                self._compare(shadow)

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
        if seat.throttles_since and not self.patience.lags(seat):
            seat.throttles_since = 0

    def _compare_one(self, seat: Seat, segment: Segment) -> bool:
        """Compare one owed reply in canonical form; whether it was complete."""
        span = segment.spans[0]
        if not seat.has_reply(span, self._bytes_max(span)):
            if seat.is_garbled:
                if segment.data is not None:
                    self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, bytes(seat.buffer)))
                self._fault(seat, Cause.GARBAGE)
            return False
        reply = seat.reply or OVERSIZED
        if segment.data is not None and reply != segment.data:
            self.dissents.append(Dissent(seat.index, segment.first, span, segment.data, reply))
            if reply == OVERSIZED:
                self._fault(seat, Cause.FLOOD)
        self._take_reply(seat)
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

    def missed(self, gap: int) -> None:
        """The cell itself was not attending for `gap` ns: that is nobody's silence, and all deadlines move by it."""
        self.missed_ns += gap

    def spared(self, index: int, now: int) -> None:
        """This seat's replica was reported and keeps its vote: its silence counts anew from `now` on."""
        self.seats[index].excused_at = now - self.missed_ns

    def is_throttled(self, now: int) -> bool:
        """Whether a voter lags so far behind that no more should be asked for a while.

        Where nothing can be decided without everybody, nobody is left behind, and holding back would help nobody.
        """
        if not any(seat.oldest is not None and self.patience.lags(seat) for seat in self.seats):
            return False
        if self.voters() <= votes_needed(self.f):
            return False
        for seat in self.seats:
            if seat.oldest is not None and self.patience.lags(seat):
                seat.throttles_since = seat.throttles_since or now - self.missed_ns
        return True

    def is_ahead(self, lane: int) -> bool:
        """Whether this lane's replica is at the frontier and should not be read: it sent much, or another owes much."""
        seat = self.lanes.get(lane)
        if seat is None or seat.owed:
            return False
        if len(seat.buffer) > self.limits.reply_bytes_max:
            return True
        return any(other.owed_slots and self.patience.is_beyond(other) for other in self.seats)

    def next_deadline(self) -> int:
        """When silence or lateness must next be judged (ns), or 0."""
        deadline = self.patience.decision_due(self.awaiting[0]) if self.awaiting else 0
        for seat in (*self.seats, *self.shadows):
            due = self.patience.due(seat)
            if due:
                deadline = min(deadline, due) if deadline else due
        return deadline + self.missed_ns if deadline else 0

    def expire(self, now: int) -> None:
        """Judge who was silent or late for too long, and close slots that wait for too long."""
        now -= self.missed_ns
        while self.awaiting and now >= self.patience.decision_due(self.awaiting[0]):
            self._close_slot(self.awaiting[0], "unanswered", now)
        self._compare_owed()
        for seat in (*self.seats, *self.shadows):
            due = self.patience.due(seat)
            if due and now >= due:
                self._report(seat, self.patience.cause(seat, now))
        self._advance(now)


def _are_equal(seats: list[Seat]) -> bool:
    """Whether all streams are the same, which is how it mostly is."""
    stream = seats[0].buffer
    return all(seat.buffer == stream for seat in seats[1:])


def _agree(one: bytearray, other: bytearray) -> bool:
    """Whether two streams are equal as far as both go."""
    return one.startswith(other) if len(one) >= len(other) else other.startswith(one)
