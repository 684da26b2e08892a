"""One run of one seed: the real core and the real dialect in a world of faults; then quiet; then the last questions.

Time passes in two phases. In the first, faults happen and clients ask. In the second, faults have stopped and nobody
asks anything new: what is under way must be answered, a newcomer must be served, and all must be the same everywhere.
"""

from collections import deque
from collections.abc import Callable

from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.limits import Limits
from quorate.trusted.messages import Convicted, Notice, Retired, Role
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.values import array, bulk
from quorate.trusted.quorum import seats_for
from quorate.trusted.span import Effect, Span
from quorate.trusted.verdicts import Decision
from tests.sim.clients import Caller, Guest, Listener, Mover, Rogue
from tests.sim.errands import ERRANDS_BEGIN, POOL, Errand, Pusher, Question, Scanner, Taker, Waiter
from tests.sim.invariants import ALL, Invariant, Violation, Watch
from tests.sim.ledger import Ledger, NoReply, Slot
from tests.sim.machine import Machine, store_in_simulation
from tests.sim.reference import Expectation, Reference
from tests.sim.replica import MERELY_LATE, Replica
from tests.sim.shell import SimulatedShell
from tests.sim.swarm import Character, Phase, Swarm, Theme, draw
from tests.sim.timeline import MILLISECOND_NS, SECOND_NS, Timeline

MOVERS_BEGIN = 500
QUIET_NS_MAX = {Phase.WITHIN: 120 * SECOND_NS, Phase.BEYOND: 4_000 * SECOND_NS}


class WatchedProtocol(RedisProtocol):
    """The real dialect; the world sees what it is given."""

    def __init__(self, limits: Limits, seed: bytes, world: "World") -> None:
        super().__init__(limits, Settings(), seed)
        self._world = world

    def read(self, client: Client, data: bytes, now: int) -> list[Effect]:
        """As the dialect, once the reference has heard it."""
        self._world.read(client, data, now)
        effects = super().read(client, data, now)
        widest = sum(effect.count for effect in effects if isinstance(effect, Span))
        self._world.widest_read = max(self._world.widest_read, widest)
        return effects

    def left(self, client: Client, now: int) -> None:
        """As the dialect."""
        self._world.reference.left(client.number)
        super().left(client, now)

    def refuse(self, client: Client, data: bytes, reason: str, now: int) -> list[Effect]:
        """As the dialect."""
        self._world.refused(client, data)
        return super().refuse(client, data, reason, now)


class WatchedCoordinator(Coordinator):
    """The real core; the world sees what it orders and decides."""

    world: "World"

    def _attend(self, now: int) -> None:
        if now < self.world.latest:
            raise Violation(f"time ran backwards by {self.world.latest - now} ns")
        self.world.latest = now
        super()._attend(now)

    def _ask(self, span: Span, now: int) -> None:
        super()._ask(span, now)
        self.world.ordered(span)

    def _dismiss(self, seat: int, notice: Retired | Convicted, now: int) -> None:
        self.world.dismissed_at[seat] = self.vote.frontier
        super()._dismiss(seat, notice, now)

    def client_sent(self, client: Client, data: bytes, now: int) -> None:
        """As the core; the world knows from whom the next spans are."""
        self.world.is_admitting = True
        super().client_sent(client, data, now)
        self.world.is_admitting = False

    def _decided(self, decision: Decision, now: int) -> None:
        self.world.decided(decision)
        super()._decided(decision, now)


class World:
    """One run. `show` gets the lines of the trace as they happen."""

    coordinator: type[WatchedCoordinator] = WatchedCoordinator

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.swarm: Swarm = self.drawn(seed)
        swarm = self.swarm
        self.timeline = Timeline(seed, show)
        self.is_over = False
        # Whether what was asked is undone in part, so that the reference knows no more what is right.
        self.is_rewound = False
        # Whether a request is about that breaks replicas which are innocent.
        self.is_poisoned = False
        self.widest_read = 0
        # Whether what is ordered now comes from what a client just sent.
        self.is_admitting = False
        self.latest = 0
        self.sent_requests = 0
        self.reference = Reference()
        self.truth = Machine(None)
        self._truth_session = self.truth.session()
        self._truth_frames: dict[int, bytes] = {}
        self._unsent: deque[Slot] = deque()
        self.replicas = [self.newcomer_to(seat, character) for seat, character in enumerate(swarm.characters)]
        self.first_slot = 1
        self.core: WatchedCoordinator
        self.shell: SimulatedShell
        self.ledger: Ledger
        self.invariants: list[Invariant]
        self.watch: Watch
        self._assemble()
        self.callers: list[Caller] = []
        self.listeners: list[Listener] = []
        self.errands: list[Errand] = []
        self.newcomer: Caller | None = None
        self._sleeps = 0
        self.told_of: set[type[Notice]] = set()
        # The first slot that a seat which lost its vote was not counted for.
        self.dismissed_at: dict[int, int] = {}

    def drawn(self, seed: int) -> Swarm:
        """What this seed chooses."""
        return draw(seed)

    def newcomer_to(self, seat: int, character: Character | None) -> Replica:
        """A new replica for this seat."""
        swarm = self.swarm
        delay, offset = swarm.delays[seat], swarm.clock_offsets_ms[seat]
        return Replica(seat, self.timeline, character, delay, offset, self.seed)

    def promises(self) -> tuple[type[Invariant], ...]:
        """What is watched."""
        return ALL

    def _assemble(self) -> None:
        """A coordinator whose next slot is `first_slot`, its shell, and all who watch it."""
        swarm = self.swarm
        protocol = WatchedProtocol(swarm.limits, b"seed %d" % self.seed, self)
        self.ledger = Ledger(seats_for(swarm.f), swarm.limits, self.first_slot)
        self.core = self.coordinator(swarm.f, protocol, swarm.limits)
        self.core.world = self
        self.shell = SimulatedShell(self.core, self.timeline, self.replicas, swarm.chunk_bytes, swarm.turn_ns)
        self.shell.on_sent = self._sent
        self.shell.on_heard = self._heard
        self.shell.on_delivered = self._delivered
        self.shell.on_notices = self._noticed
        self.shell.on_turn = self._turned
        self.invariants = [kind(self) for kind in self.promises()]
        self.watch = Watch(self.invariants)

    @property
    def begins_anew(self) -> bool:
        """Whether all replicas are to go, and nobody is to blame."""
        return self.core.is_suspended

    # The run.

    def run(self) -> None:
        """Everything, from the first lane to the last question; raises `Violation`, or what the core raised."""
        with store_in_simulation():
            self._begin()
            self._pass(self.timeline.now + self.swarm.faulty_ns)
            self._quieten()
            for invariant in self.invariants:
                invariant.ended()

    def _begin(self) -> None:
        swarm = self.swarm
        for fact in (f"f={swarm.f} {swarm.phase.name}", f"{swarm.limits}"):
            self.timeline.note(fact)
        setup, frames = self.core.protocol.setup()
        for arguments in Machine(None).cut(setup):
            self.truth.run(self._truth_session, arguments, 0)
            self.sent_requests += 1
        for replica in self.replicas:
            self.timeline.note(f"replica {replica.seat}: {swarm.characters[replica.seat] or 'correct'}")
            self.ledger.joined(replica.seat, frames)
            self.shell.join(replica)
        self._invite()
        for _ in range(swarm.jumps):
            self.timeline.after(self.timeline.chance.randrange(swarm.faulty_ns), self._jump)
        if swarm.crisis is not None:
            self.timeline.after(swarm.crisis.begins_ns, self._crisis)

    def _invite(self) -> None:
        """All clients come. Each has a number of its own."""
        swarm = self.swarm
        self.listeners = [Listener(self, swarm.callers + name) for name in range(swarm.listeners)]
        self.callers = [Caller(self, name) for name in range(swarm.callers)]
        self.callers += [Mover(self, MOVERS_BEGIN + name) for name in range(swarm.movers)]
        kinds: list[type[Errand]] = [Waiter] * swarm.waiters + [Taker] * swarm.takers + [Scanner] * swarm.scanners
        kinds += [Pusher] * min(swarm.waiters, 1)
        self.errands = [kind(self, ERRANDS_BEGIN + name) for name, kind in enumerate(kinds)]
        for name in range(swarm.rogues):
            Rogue(self, name)

    def holds_back(self, client: Client) -> bool:
        """Whether what this client is told waits for the journal."""
        return False

    def guests(self) -> list[Guest]:
        """All clients who mean well."""
        return [*self.callers, *self.listeners, *self.errands]

    def pool_size(self) -> int:
        """How many members the takers' set has, as far as the lanes were told."""
        value = self.truth.keyspace.databases[0].values.get(POOL)
        return len(value) if isinstance(value, set) else 0

    def is_pool_untold(self) -> bool:
        """Whether that set is more than a reply may hold."""
        value = self.truth.keyspace.databases[0].values.get(POOL)
        told = array([bulk(member) for member in value]) if isinstance(value, set) else b""
        return len(told) > self.swarm.limits.unordered_bytes_max

    def _jump(self) -> None:
        attention = self.swarm.limits.attention_ns_max
        if self.swarm.theme is Theme.SLEEP:
            self._sleeps += 1
            return
        self._leap(self.timeline.chance.choice((attention // 2, attention, 20 * attention)))
        if self.timeline.chance.random() < 0.5:
            self.shell.stood_still()

    def _leap(self, size: int) -> None:
        self.timeline.jump(size)
        self.timeline.note(f"the clock jumps by {size / MILLISECOND_NS} ms")

    def _sleep(self) -> None:
        """The machine stands still for long, between two turns, while a correct replica owes replies."""
        if self._sleeps and not self.shell.is_in_turn and self._does_any_owe():
            self._sleeps -= 1
            self._leap(20 * self.swarm.limits.attention_ns_max)
            self.shell.stood_still()

    def _does_any_owe(self) -> bool:
        """Whether a correct replica owes a reply to a decided slot."""
        correct = [seat for seat in self.core.vote.seats if self.swarm.characters[seat.index] is None]
        return any(seat.oldest is not None for seat in correct)

    def _crisis(self) -> None:
        crisis = self.swarm.crisis
        assert crisis is not None
        self.timeline.note(f"{crisis}")
        self.replicas[crisis.seat].stall(crisis.stalls_ns, crisis.breaks_ns if crisis.lies else 0)
        for seat in crisis.lost:
            self.timeline.after(crisis.breaks_ns, self.replicas[seat].crash)

    def _pass(self, end: int) -> None:
        self.timeline.run_until(end)

    def _quieten(self) -> None:
        """Faults stop; then what is under way ends, and a newcomer asks."""
        self.is_over = True
        for replica in self.replicas:
            replica.is_reformed = True
        self.timeline.note("faults stop, nobody asks more")
        end = self.timeline.now + QUIET_NS_MAX[self.swarm.phase]
        while self.timeline.now < end and self._is_busy():
            self._pass(self.timeline.now + 100 * MILLISECOND_NS)
        if not self.core.is_lost:
            self._greet()
            while self.timeline.now < end and self._is_busy():
                self._pass(self.timeline.now + 100 * MILLISECOND_NS)
        self._pass(self.timeline.now + SECOND_NS)
        # The cell has slots of its own: a deadline may pass at any time. End where every correct replica stands still.
        while self.timeline.now < end and self._is_moving():
            self._pass(self.timeline.now + MILLISECOND_NS)

    def _greet(self) -> None:
        """A newcomer asks, and who waits for others gets something."""
        self.newcomer = Caller(self, len(self.callers) + len(self.listeners))
        self.newcomer.greet()
        self.callers.append(self.newcomer)
        waiting = sum(guest.unanswered for guest in self.guests() if guest.is_patient)
        if waiting:
            feeder = Pusher(self, ERRANDS_BEGIN + len(self.errands))
            self.errands.append(feeder)
            feeder.feed(waiting)

    def _is_moving(self) -> bool:
        return any(replica.executed < self.sent_requests for replica in self.innocents())

    def _is_busy(self) -> bool:
        return bool(self.core.order.inflight_slots) or any(
            guest.unanswered and not guest.is_leaving and (self.newcomer is not None or not guest.is_patient)
            for guest in self.guests()
        )

    # What the core does.

    def read(self, client: Client, data: bytes, now: int) -> None:
        """The core takes these bytes of a client."""
        if now < self.latest:
            raise Violation(f"time ran backwards by {self.latest - now} ns")
        self.latest = now
        for admitted in self.watch.admitted:
            admitted()
        conversation = self.reference.conversations.get(client.number)
        if conversation is not None:
            conversation.hears(data, now, self.shell.is_full)

    def refused(self, client: Client, data: bytes) -> None:
        """The core refuses these bytes of a client."""
        conversation = self.reference.conversations.get(client.number)
        if conversation is not None:
            conversation.is_refused(data)

    def ordered(self, span: Span) -> None:
        """A span got slots."""
        slots = self.ledger.ordered(span)
        self._unsent.extend(slots)
        for ordered in self.watch.ordered:
            ordered(slots)

    def decided(self, decision: Decision) -> None:
        """Slots were decided, or closed."""
        numbers = range(decision.first, decision.first + decision.count)
        slots = [self.ledger.slots[number] for number in numbers]
        if decision.data is not None:
            try:
                parts = self.ledger.parts(decision.first, decision.count, decision.data)
            except NoReply as broken:
                raise Violation(f"slots {numbers} were decided as {decision.data!r}, which is no reply") from broken
            for slot, part in zip(slots, parts, strict=True):
                slot.decided = part
        for slot in slots:
            slot.is_decided = True
            self._publish(slot)
        self.timeline.note(f"decided {numbers.start}+{decision.count} {decision.data!r} {decision.reason}")
        for decided in self.watch.decided:
            decided(decision, slots)
        for number in numbers:
            self._truth_frames.pop(number, None)

    def _publish(self, slot: Slot) -> None:
        """Was it a PUBLISH, and the reply no error, its message goes out now; else never."""
        if b"PUBLISH" in slot.request:
            is_decided = slot.decided is not None and not slot.decided.startswith(b"-")
            for request in Machine(None).cut(slot.request):
                if request[0] == b"PUBLISH":
                    self.reference.published(request[2], is_decided)

    def true_reply(self, slot: Slot) -> bytes:
        """What a machine without faults says to this slot, in canonical form."""
        return self.ledger.canonical(slot, self._truth_frames[slot.number])

    # What the shell does.

    def _sent(self, data: bytes) -> None:
        for invariant in self.invariants:
            invariant.sent(data)
        frames: list[bytes] = []
        for arguments in self.truth.cut(data):
            self.sent_requests += 1
            reply = self.truth.run(self._truth_session, arguments, self.timeline.now // MILLISECOND_NS)
            if reply:
                frames.append(reply)
            for executed in self.watch.executed:
                executed(arguments)
            if self._unsent and len(frames) == self._unsent[0].frames:
                slot = self._unsent.popleft()
                self._truth_frames[slot.number] = b"".join(frames)
                frames.clear()
                self._executed(slot)
        if frames:
            raise Violation(f"the lanes were sent requests that yield replies without a slot: {frames!r}")

    def _executed(self, slot: Slot) -> None:
        """The machine without faults has executed this slot, and none after it."""

    def _heard(self, seat: int, data: bytes) -> None:
        self.timeline.note(f"lane {seat} -> {data[:200]!r}")
        if self.core.roles[seat] is Role.VOTING:
            self.ledger.heard(seat, data)

    def _delivered(self, seat: int) -> None:
        for delivered in self.watch.delivered:
            delivered(seat)

    def _noticed(self, notices: list[Notice]) -> None:
        for notice in notices:
            self.timeline.note(f"{notice}")
            self.told_of.add(type(notice))
            for invariant in self.invariants:
                invariant.noticed(notice)

    def _turned(self) -> None:
        for turned in self.watch.turned:
            turned()
        if self._sleeps:
            self.timeline.after(0, self._sleep)
        self.ledger.forget([seat for seat, role in enumerate(self.core.roles) if role is Role.VOTING])

    # What clients see.

    def answered(self, name: int, expectation: Expectation | None, reply: bytes) -> None:
        """A caller got a reply."""
        self.timeline.note(f"caller {name} is told {reply!r}")
        for answered in self.watch.answered:
            answered(name, expectation, reply)

    def pushed(self, name: int, due: bytes | None, frame: bytes) -> None:
        """A listener got a push."""
        self.timeline.note(f"listener {name} is told {frame!r}")
        for invariant in self.invariants:
            invariant.pushed(name, due, frame)

    def told(self, errand: Errand, question: Question, reply: bytes) -> None:
        """A client on an errand got a reply."""
        self.timeline.note(f"errand {errand.name} is told {reply!r}")
        for invariant in self.invariants:
            invariant.told(errand, question, reply)

    def scanned(self, scanner: Scanner, command: bytes, found: list[bytes]) -> None:
        """A scanner came to the end of a scan."""
        for invariant in self.invariants:
            invariant.scanned(scanner, command, found)

    def innocents(self) -> list[Replica]:
        """The replicas that did nothing wrong, and those who were late and still vote.

        When a majority may have lied, of all these only those who still vote.
        """
        voting = [replica for replica in self.replicas if self.core.roles[replica.seat] is Role.VOTING]
        right = self.replicas if self.swarm.phase is Phase.WITHIN else voting
        return [
            replica
            for replica in self.replicas
            if (replica in right and not replica.sins) or (replica in voting and replica.sins <= MERELY_LATE)
        ]
