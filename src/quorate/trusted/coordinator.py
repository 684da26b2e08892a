"""The trusted coordinator: the five steps as one line. Every change of the core's state passes these entry methods.

    client's bytes ─ 1 protocol ─ 2 order ─ 3 distribute ─→ lanes ─→ 4 vote ─ 5 reply ─→ client's bytes

Each entry runs to completion and waits for nothing. What is to be sent collects in `distribute` (the same bytes for
every lane) and `reply` (by client); the shell drains both once per turn of its loop. Facts for observers collect in
`notices`. `now` is in nanoseconds and never runs backwards.
"""

from .changes import EXTRA
from .client import Client
from .distribute import Distribute
from .errors import invariant
from .joining import Joining
from .journal_record import Entry
from .judge import Judge, Reask, Sentence, Untold
from .limits import Limits
from .messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    ShadowFailed,
    Spared,
    StateUnreadable,
    Undecided,
    tell_closed,
)
from .order import Order
from .protocol import Protocol
from .quorum import seats_for, votes_needed
from .recording import Recording, span_of
from .recover import become
from .reply import Reply
from .span import Announcement, Answer, Close, Effect, Span
from .sweep import Sweep
from .tally import Tally
from .verdicts import Decision, Dissent
from .vote import Vote

QUORUM_LOST = "fewer than f+1 replicas vote"


class Coordinator:
    """One cell's coordinator, between any number of clients and 2f+1 seats."""

    def __init__(self, f: int, protocol: Protocol, limits: Limits) -> None:
        seats = seats_for(f)
        self.f = f
        self.limits = limits
        self.protocol = protocol
        self.order = Order(limits)
        self.distribute = Distribute(protocol)
        self.vote = Vote(f, seats, protocol, limits)
        self.reply = Reply()
        self.judge = Judge(f, seats, limits.read_dissents_max)
        self.tally = Tally(seats)
        self.sweep = Sweep(protocol, limits)
        self.changes = protocol.changes
        self.recording = Recording(protocol.changes)
        # Whether all replicas are being rebuilt, or what they then did again is not read yet, so that clients wait.
        self.is_suspended = self.is_unread = False
        self._was_lost = False
        self._had_quorum = False  # since all replicas began: before that, none is lost
        # Whether so much waits to become durable that nothing more is taken in.
        self.is_stalled = False
        self.roles = [Role.BOOTING] * seats
        self.joining = Joining(protocol, self.vote, self.sweep, self.distribute)
        self.notices: list[Notice] = []
        self.readable: list[Client] = []
        self.is_lost = False
        self._held: list[Client] = []
        self._attended_at = self._looked_at = 0
        # Looked at whenever anything comes: an attribute of our own is found faster than one of `limits`.
        self._attention_ns_max = limits.attention_ns_max
        self._wait_ns_min = self.vote.patience.wait_ns_min(limits.attention_ns_max // 2)

    # Clients.

    def client_connected(self, client: Client, now: int) -> None:
        """A client came."""
        self.protocol.connected(client, now)

    def client_sent(self, client: Client, data: bytes, now: int) -> None:
        """A client's bytes came. They wait in its inbox while too much is under way."""
        if client.is_gone or client.is_closing:
            return
        if client.inbox or client.is_waiting:
            self._hold(client, data)
        elif self.is_lost:
            self._perform(self.protocol.refuse(client, data, QUORUM_LOST, now), now)
        elif self._must_wait(client, now):
            self._hold(client, data)
        else:
            self._perform(self.protocol.read(client, data, now), now)

    def client_left(self, client: Client, now: int) -> None:
        """A client went. What it asked is executed all the same; nobody is told."""
        client.is_gone = True
        client.inbox.clear()
        self.protocol.left(client, now)

    # Replicas.

    def replica_joined(self, seat: int, now: int, lane: int | None = None) -> bytes:
        """A replica's lane is open, before any slot is under way: it votes. Returns what its lane is sent first.

        `lane` is the lane's number, that of the seat unless another is given.
        """
        self._attend(now)
        setup, frames = self.protocol.setup()
        self.vote.joined(seat, seat if lane is None else lane, frames, now)
        self.roles[seat] = become(self.roles[seat], Role.VOTING)
        self._had_quorum = self._had_quorum or self._is_quorate()
        return setup

    def replica_answered(self, lane: int, data: bytes, now: int) -> None:
        """A replica's bytes came. A seat's first lane has its number."""
        self._attend(now)
        self.vote.answered(lane, data, now)
        self._settle(now)

    def replica_stopped(self, seat: int, now: int) -> None:
        """The operator's strategy stops this replica, to start its successor: it votes no more."""
        if self.roles[seat] is Role.VOTING:
            self._dismiss(seat, Retired(seat, Cause.RESTART, self.vote.frontier, now), now)
            self._settle(now)

    def replica_lost(self, lane: int, cause: Cause, now: int) -> None:
        """A replica's lane broke, or its domain ended."""
        seat = self.vote.lanes.get(lane)
        if seat is not None:
            self._blame(seat.index, cause, self.vote.frontier, now)
            self._settle(now)

    def lane_is_full(self, lane: int) -> bool:
        """Whether to stop reading from this replica until others have caught up with it."""
        return self.vote.is_ahead(lane)

    # Checkpoints, and shadows that join at one.

    def checkpoint_wanted(self, is_urgent: bool, now: int) -> None:
        """Have the state store brought to one slot, when there is time; `is_urgent`: a rebuild waits for it."""
        self.sweep.want(is_urgent)
        self.go_on(now)

    def state_is_miscounted(self, databases: list[int], now: int) -> None:
        """The store has not as many keys of these databases as the replicas: they are to be read whole."""
        self.sweep.miscounted(databases)
        self.go_on(now)

    def state_is_lost(self, now: int) -> None:
        """Nobody keeps state any more: nothing is noted, and there are no checkpoints."""
        self.changes.forget()
        self.sweep.stop()
        self._resume(now)

    def stalled(self, is_stalled: bool, now: int) -> None:
        """Whether what waits to become durable is over its limit."""
        self.is_stalled = is_stalled
        if not is_stalled:
            self._resume(now)

    def begin_at(self, slot: int) -> None:
        """The replicas hold the state of `slot`, and no client has come yet: the next slot is the one after it."""
        invariant(not self.vote.awaiting and slot + 1 >= self.order.next_slot, "a cell begins at one slot")
        self.order.next_slot = slot + 1
        self.vote.frontier = slot + 1

    def replay(self, entry: Entry, now: int) -> None:
        """Execute again what the journal holds, as slots of the cell's own, which are not journaled once more."""
        self.changes.note_again(entry.changes, sum(map(len, entry.requests)))
        for _, kind, extra in entry.changes:
            if kind == EXTRA:
                self.protocol.adopt_extra(extra)
        if entry.requests:
            self._ask(span_of(entry), now)

    def suspend(self, now: int) -> None:
        """All replicas are to be rebuilt: what is under way is closed, and clients wait until `resume`."""
        self.is_suspended = True
        self._was_lost, self.is_lost, self._had_quorum = self.is_lost, False, False
        # Nobody is to be dismissed for what closing brings about: all go.
        self.roles = [Role.BOOTING] * len(self.roles)
        while self.vote.awaiting:
            self.vote.close_all(now)
            self._settle(now)
        self.vote.restart()
        self.distribute.restart()
        self.sweep.restart()
        self.joining.clear()
        self.roles = [Role.BOOTING] * len(self.roles)
        self.judge.forgive_all()

    def lose(self, now: int) -> None:
        """The replicas could not be rebuilt: the cell cannot decide anything."""
        self.is_lost = True
        self.notices.append(QuorumLost(0, now))
        self.is_suspended = False
        self._resume(now)

    def resume(self, now: int) -> None:
        """The replicas hold the state of all that was decided: clients are served again."""
        self.is_suspended = False
        self._check_quorum(now)
        if self._was_lost and not self.is_lost:
            self.notices.append(QuorumRegained(self.vote.voters(), now))
        self._was_lost = False
        self._resume(now)

    def shadow_waits(self, lane: int, seat: int, now: int) -> None:
        """A shadow for `seat` has almost all state: what it is sent from the next checkpoint on is to be kept."""
        self.joining.wait(lane, seat)
        self.go_on(now)

    def shadow_sealed(self, lane: int, now: int) -> bytes:
        """The shadow holds the checkpoint's state, and is sent what was kept. Returns what goes before that."""
        self._attend(now)
        setup = self.joining.seal(lane, now)
        self.go_on(now)
        return setup

    def shadow_left(self, lane: int, seat: int, now: int) -> None:
        """The shadow for `seat` was given up before it voted."""
        self.joining.leave(lane, seat)
        self.go_on(now)

    def go_on(self, now: int) -> None:
        """Order the next state reads. Never while effects are being performed: writes are noted before their order."""
        sweep = self.sweep
        if not sweep.is_due(now) or self.is_lost or self.is_suspended:
            return
        spans = sweep.next_spans(now)
        for span in spans:
            self._ask(span, now)
        if sweep.is_closing():
            self.joining.begin(now)
        sweep.asked(spans, self.order.next_slot - 1)

    # What is to be sent.

    def has_output(self, now: int) -> bool:
        """Whether anything is to be sent or told before the next entry."""
        return bool(self.reply.ready or self.readable or self.notices or self.sweep.effects) or self.is_batch_due(now)

    def is_batch_due(self, now: int) -> bool:
        """Whether the requests that gathered are to be written to the lanes now."""
        return self.distribute.is_due(self.vote.frontier, now)

    # Time.

    def next_deadline(self, is_vote_known: bool = False) -> int:
        """When to call `woken` at the latest (ns), or 0: never. `is_vote_known`: leave out what the vote waits for."""
        due = 0 if is_vote_known else self.vote.next_deadline()
        if due:
            due = min(due, self._attended_at + self.limits.attention_ns_max // 2)
        if self.is_suspended:
            return due
        state_due = 0 if self.is_lost else self.joining.next_deadline()
        for other in (self.protocol.next_deadline(bool(self._lost())), self.distribute.next_deadline(), state_due):
            if other and (other < due or not due):
                due = other
        return due

    def deadline_before(self, wake_at: int) -> int:
        """As `next_deadline`, for a caller whom an earlier answer of this made wake at `wake_at` (ns; 0: at no time).

        What the vote began to wait for since needs no look before that: no wait is shorter than `_wait_ns_min`.
        """
        if wake_at and wake_at - self._looked_at <= self._wait_ns_min:
            return self.next_deadline(is_vote_known=True)
        self._looked_at = self._attended_at
        return self.next_deadline()

    def woken(self, now: int) -> None:
        """Time passed."""
        self._attend(now)
        self.vote.expire(now)
        self.joining.woken(now)
        self._settle(now)
        if not self.is_suspended:
            self._perform(self.protocol.woken(now, self._lost()), now)
            self._resume(now)
            self.go_on(now)

    def _lost(self) -> str:
        # Not before it is told: then it may turn out that all replicas begin anew, and clients wait.
        return QUORUM_LOST if self.is_lost and not self.notices else ""

    def _attend(self, now: int) -> None:
        """A cell that was itself stopped or starved has heard nobody: silence in that time is no one's fault."""
        if now - self._attended_at > self._attention_ns_max:
            self.vote.missed(now - self._attended_at - self._attention_ns_max)
        self._attended_at = now

    # Steps 2 and 3 on the way in, 4 and 5 on the way out.

    def _perform(self, effects: list[Effect], now: int) -> None:
        for effect in effects:
            if isinstance(effect, Span):
                self._ask(effect, now)
            elif isinstance(effect, Answer):
                self.tally.answered_here += 1
                self.reply.answer(effect.client, effect.data, effect.after)
            elif isinstance(effect, Announcement):
                self.reply.announce(effect)
            elif isinstance(effect, Close):
                self.reply.close(effect.client)
            elif effect.client.inbox:
                self._held.append(effect.client)

    def _ask(self, span: Span, now: int) -> None:
        if span.owner is not None:
            span.owner.asked += span.count
            self.tally.requests += span.count
        self._attend(now)
        self.order.admit(span, now)
        if span.is_write and not span.is_replayed:
            self.recording.wrote(span)
        self.distribute.send(span)
        self.vote.expect(span)

    def _settle(self, now: int) -> None:
        """Act on what the vote found: decisions first, then guilt, then who takes a seat, until nothing is left."""
        vote = self.vote
        while vote.decisions or vote.dissents or vote.faults:
            decisions, vote.decisions = vote.decisions, []
            for decision in decisions:
                self._decided(decision, now)
            dissents, vote.dissents = vote.dissents, []
            for dissent in dissents:
                self._dissented(dissent, now)
            faults, vote.faults = vote.faults, []
            for fault in faults:
                self._blame(fault.seat, fault.cause, fault.slot, now)
        if vote.shadows and self._seat_shadows(now):
            # Their votes may decide something.
            self._settle(now)
            return
        if self._held:
            self._resume(now)
        if self.sweep.is_wanted:
            self.go_on(now)

    def _decided(self, decision: Decision, now: int) -> None:
        span = decision.span
        self.order.decided(span, decision.first, decision.count)
        if span.owner is None and self.sweep.is_asking(span):
            self._swept(decision, now)
            return
        data = self._told(decision, now)
        if span.owner is not None:
            self.reply.release(span.owner, data, decision.count)

    def _swept(self, decision: Decision, now: int) -> None:
        """A state read was decided, or closed."""
        if decision.data is None:
            effects: list[Effect] = []
            self._undecided(decision, now, effects)
            self._perform(effects, now)
        self.sweep.told(decision.span, decision.first, decision.count, decision.data, now)
        for (database, key), reason in self.sweep.given_up():
            self.notices.append(StateUnreadable(database, key, reason, now))

    def _told(self, decision: Decision, now: int) -> bytes:
        """What the owner of decided slots is told."""
        span, data = decision.span, decision.data
        effects: list[Effect] = []
        if data is None:
            data = self._undecided(decision, now, effects)
        else:
            self.tally.answered(decision.count, now - span.ordered_at)
            if not data:
                data = self.protocol.abandon(span, decision.first, "its reply is over the limit", now, effects)
            elif span.form is not None and not isinstance(span.form, Untold):
                data = self.protocol.finish(span, data, now, effects)
        if effects:
            self._perform(effects, now)
        return data

    def _undecided(self, decision: Decision, now: int, effects: list[Effect]) -> bytes:
        is_split = decision.reason == "split"
        self.tally.closed(is_split)
        span, slot = decision.span, decision.first
        if not span.is_replayed:
            # Else it stands in the journal under another slot, and whoever asked it was told of success.
            self.recording.closed(slot, decision.reason, span.is_write, now)
        tell_closed(self.notices, Undecided(slot, span.request_at(slot), span.is_write, is_split, now))
        return self.protocol.abandon(span, slot, decision.reason, now, effects)

    # Guilt.

    def _dissented(self, dissent: Dissent, now: int) -> None:
        span = dissent.span
        if dissent.seat >= len(self.roles):
            self._fail_shadow(dissent.seat - len(self.roles), Cause.WRONG_SHADOW, dissent.slot, now)
            return
        request = span.request_at(dissent.slot)
        self.tally.dissents[dissent.seat] += 1
        self.notices.append(
            Dissented(dissent.slot, dissent.seat, request, dissent.agreed, dissent.reply, span.is_write, now)
        )
        if self.roles[dissent.seat] is not Role.VOTING:
            return
        cause = self.judge.weigh(dissent)
        if cause is not None:
            self._blame(dissent.seat, cause, dissent.slot, now)
        elif not isinstance(span.form, Reask):
            self.tally.reasked += 1
            self._ask(self.judge.reask(dissent), now)

    def _blame(self, seat: int, cause: Cause, slot: int, now: int) -> None:
        if seat >= len(self.roles):
            self._fail_shadow(seat - len(self.roles), cause, slot, now)
            return
        if self.roles[seat] is not Role.VOTING:
            return
        sentence = self.judge.sentence(cause, self.vote.voters())
        if sentence is Sentence.SPARE:
            self.notices.append(Spared(seat, cause, slot, now))
            self.vote.spared(seat, now)
            return
        is_retired = sentence is Sentence.RETIRE
        self._dismiss(seat, Retired(seat, cause, slot, now) if is_retired else Convicted(seat, cause, slot, now), now)

    def _dismiss(self, seat: int, notice: Retired | Convicted, now: int) -> None:
        self.roles[seat] = become(self.roles[seat], Role.RETIRING if isinstance(notice, Retired) else Role.CONVICTED)
        self.notices.append(notice)
        self.vote.removed(seat, now)
        if self._had_quorum:
            self._check_quorum(now)

    def _is_quorate(self) -> bool:
        return self.vote.voters() >= votes_needed(self.f)

    def _check_quorum(self, now: int) -> None:
        if not self._is_quorate() and not self.is_lost:
            self.is_lost = True
            self.notices.append(QuorumLost(self.vote.voters(), now))

    # Shadows.

    def _fail_shadow(self, seat: int, cause: Cause, slot: int, now: int) -> None:
        if self.vote.shadow_of(seat) is not None:
            self.vote.shadow_removed(seat)
            self.notices.append(ShadowFailed(seat, cause, slot, now))

    def _seat_shadows(self, now: int) -> bool:
        """Each shadow that has answered all that is decided, and always rightly, takes its seat; whether one did."""
        has_seated = False
        for shadow in list(self.vote.shadows):
            if not self.vote.is_level(shadow):
                continue
            has_seated = True
            slot = self.vote.frontier
            seat = self.vote.seated(shadow, now)
            self.roles[seat] = become(shadow.role(), Role.VOTING)
            self.judge.forgive(seat)
            self.notices.append(Seated(seat, slot, now))
            if self.is_lost and self._is_quorate():
                self.is_lost = False
                self.notices.append(QuorumRegained(self.vote.voters(), now))
        return has_seated

    # Admission.

    def _must_wait(self, client: Client, now: int) -> bool:
        if self.changes.size > self.limits.changes_bytes_max // 2:
            self.sweep.want(is_urgent=True)
        if self.is_suspended or self.is_stalled or self.is_unread:
            return True
        if self.changes.size > self.limits.changes_bytes_max or self.joining.slows(self.order, now):
            return True
        return self.order.is_full() or client.pending >= self.limits.client_pending_max or self.vote.is_throttled(now)

    def _hold(self, client: Client, data: bytes) -> None:
        if not client.inbox and not client.is_waiting:
            self._held.append(client)
        client.inbox.append(data)

    def _resume(self, now: int) -> None:
        """Read on from clients whose bytes had to wait, in the order in which they came to wait."""
        if self.order.is_full() and not self.is_lost:
            return
        held, self._held = self._held, []
        for client in held:
            if client.is_gone or client.is_waiting or not client.inbox:
                continue
            if self._must_wait(client, now) and not self.is_lost:
                self._held.append(client)
                continue
            data = b"".join(client.inbox)
            client.inbox.clear()
            self.readable.append(client)
            self.client_sent(client, data, now)
