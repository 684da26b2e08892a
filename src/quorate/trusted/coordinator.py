"""The trusted coordinator: the five steps as one line. Every change of the core's state passes these entry methods.

    client's bytes ─ 1 protocol ─ 2 order ─ 3 distribute ─→ lanes ─→ 4 vote ─ 5 reply ─→ client's bytes

Each entry runs to completion and waits for nothing. What is to be sent collects in `distribute` (the same bytes for
every lane) and `reply` (by client); the shell drains both once per turn of its loop. Facts for observers collect in
`notices`. `now` is in nanoseconds and never runs backwards.
"""

from .client import Client
from .distribute import Distribute
from .judge import Judge, Reask, Sentence
from .limits import Limits
from .messages import Cause, Convicted, Dissented, Notice, QuorumLost, Retired, Role, Spared, Undecided
from .order import Order
from .protocol import Protocol
from .quorum import seats_for, votes_needed
from .reply import Reply
from .span import Answer, Close, Effect, Span
from .tally import Tally
from .vote import Decision, Dissent, Vote

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
        self.roles = [Role.BOOTING] * seats
        self.notices: list[Notice] = []
        self.readable: list[Client] = []
        self.is_lost = False
        self._held: list[Client] = []
        self._attended_at = 0

    # Clients.

    def client_connected(self, client: Client, now: int) -> None:
        """A client came."""
        self.protocol.connected(client, now)

    def client_sent(self, client: Client, data: bytes, now: int) -> None:
        """A client's bytes came. They wait in its inbox while too much is under way."""
        if client.is_gone or client.is_closing:
            return
        self._attend(now)
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

    def replica_joined(self, seat: int, now: int) -> bytes:
        """A replica's lane is open, before slot 1: it votes. Returns what its lane must be sent first."""
        setup, frames = self.protocol.setup()
        self.vote.joined(seat, frames, now)
        self.roles[seat] = Role.VOTING
        return setup

    def replica_answered(self, seat: int, data: bytes, now: int) -> None:
        """A replica's bytes came."""
        self._attend(now)
        self.vote.answered(seat, data, now)
        self._settle(now)

    def replica_lost(self, seat: int, cause: Cause, now: int) -> None:
        """A replica's lane broke, or its domain ended."""
        if self.roles[seat] is Role.VOTING:
            self._blame(seat, cause, self.vote.frontier, now)
            self._settle(now)

    def lane_is_full(self, seat: int) -> bool:
        """Whether to stop reading from this replica until others have caught up with it."""
        return self.vote.is_ahead(seat)

    # What is to be sent.

    def has_output(self, now: int) -> bool:
        """Whether anything is to be sent or told before the next entry."""
        return bool(self.reply.ready or self.readable or self.notices) or self.is_batch_due(now)

    def is_batch_due(self, now: int) -> bool:
        """Whether the requests that gathered are to be written to the lanes now."""
        return self.distribute.is_due(self.vote.frontier, now)

    # Time.

    def next_deadline(self) -> int:
        """When to call `woken` at the latest (ns), or 0: never."""
        due = self.vote.next_deadline()
        if due:
            due = min(due, self._attended_at + self.limits.attention_ns_max // 2)
        for other in (self.protocol.next_deadline(), self.distribute.next_deadline()):
            if other and (other < due or not due):
                due = other
        return due

    def woken(self, now: int) -> None:
        """Time passed."""
        self._attend(now)
        self.vote.expire(now)
        self._settle(now)
        self._perform(self.protocol.woken(now), now)
        self._resume(now)

    def _attend(self, now: int) -> None:
        """A cell that was itself stopped or starved has heard nobody: silence in that time is no one's fault."""
        if now - self._attended_at > self.limits.attention_ns_max:
            self.vote.excuse(now)
        self._attended_at = now

    # Steps 2 and 3 on the way in, 4 and 5 on the way out.

    def _perform(self, effects: list[Effect], now: int) -> None:
        for effect in effects:
            if isinstance(effect, Span):
                self._ask(effect, now)
            elif isinstance(effect, Answer):
                self.tally.answered_here += 1
                self.reply.answer(effect.client, effect.data)
            elif isinstance(effect, Close):
                self.reply.close(effect.client)
            elif effect.client.inbox:
                self._held.append(effect.client)

    def _ask(self, span: Span, now: int) -> None:
        if span.owner is not None:
            span.owner.asked += span.count
        self.tally.requests += span.count
        self.order.admit(span, now)
        self.distribute.send(span)
        self.vote.expect(span)

    def _settle(self, now: int) -> None:
        """Act on what the vote found: decisions first, then guilt, until nothing is left."""
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
        if self._held:
            self._resume(now)

    def _decided(self, decision: Decision, now: int) -> None:
        span = decision.span
        self.order.decided(span, decision.first, decision.count)
        data = self._told(decision, now)
        if span.owner is not None:
            self.reply.release(span.owner, data, decision.count)

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
            elif span.form is not None and not isinstance(span.form, Reask):
                data = self.protocol.finish(span, data, now, effects)
        if effects:
            self._perform(effects, now)
        return data

    def _undecided(self, decision: Decision, now: int, effects: list[Effect]) -> bytes:
        is_split = decision.reason == "split"
        self.tally.split += is_split
        self.tally.unanswered += not is_split
        request = decision.span.request_at(decision.first)
        self.notices.append(Undecided(decision.first, request, is_split, now))
        return self.protocol.abandon(decision.span, decision.first, decision.reason, now, effects)

    # Guilt.

    def _dissented(self, dissent: Dissent, now: int) -> None:
        span = dissent.span
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
        if self.roles[seat] is not Role.VOTING:
            return
        sentence = self.judge.sentence(cause, self.vote.voters())
        if sentence is Sentence.SPARE:
            self.notices.append(Spared(seat, cause, slot, now))
            self.vote.spared(seat, now)
            return
        if sentence is Sentence.RETIRE:
            self.roles[seat] = Role.RETIRED
            self.notices.append(Retired(seat, cause, slot, now))
        else:
            self.roles[seat] = Role.CONVICTED
            self.notices.append(Convicted(seat, cause, slot, now))
        self.vote.removed(seat, now)
        if self.vote.voters() < votes_needed(self.f) and not self.is_lost:
            self.is_lost = True
            self.notices.append(QuorumLost(self.vote.voters(), now))

    # Admission.

    def _must_wait(self, client: Client, now: int) -> bool:
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
