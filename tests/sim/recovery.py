"""One run of one seed in which replicas are rebuilt, all begin anew, and all processes are killed and start again.

The world's own account of the state: `base` is what the order made of nothing up to the last commit, `history` the
writes after it. Both follow from what the core ordered, and from nothing that the product stored or journaled.
"""

from collections import defaultdict, deque
from collections.abc import Collection
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from quorate import boot, keeping, rebuild, recovery, refill, revival
from quorate.trusted import sweep
from quorate.trusted.client import Client
from quorate.trusted.messages import Convicted, Notice, Retired, Role
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS
from quorate.trusted.span import Span
from quorate.trusted.verdicts import Decision
from tests.sim.anew import Anew
from tests.sim.coordinator import RecoveringCoordinator
from tests.sim.disk import Found, SimulatedJournal, find
from tests.sim.domains import POISON, RecoveringReplica, SimulatedDomain
from tests.sim.fates import Fate, Kind, draw_character, draw_fate, draw_swarm
from tests.sim.feed import state_of
from tests.sim.invariants import RECOVERING, RECOVERING_BEYOND, Invariant, Violation
from tests.sim.keeper import SimulatedKeeper, Store
from tests.sim.keeping import Keeping
from tests.sim.lane import SimulatedLane
from tests.sim.ledger import Stream
from tests.sim.loop import Clock, SimulatedLoop
from tests.sim.machine import Machine, copy_of
from tests.sim.misfortunes import Misfortunes
from tests.sim.rebuilding import Rebuilding, configuration
from tests.sim.reference import Reference
from tests.sim.replica import Replica
from tests.sim.swarm import Character, Swarm
from tests.sim.timeline import MILLISECOND_NS
from tests.sim.world import World

# The product's waits, in proportion to a run.
CONSTANTS = (
    (keeping, "TICK_SECONDS", 0.01),
    (boot, "BOOT_SECONDS_MAX", 0.1),
    (boot, "BOOT_REPLY_SECONDS_MAX", 0.02),
    (rebuild, "REBUILD_SECONDS_MAX", 10.0),
    (rebuild, "PROGRESS_SECONDS", 0.002),
    (rebuild, "PATIENCE_SECONDS", 0.02),
    (rebuild, "FOLLOW_KEYS_MAX", 3),
    (refill, "GRACE_SECONDS_MIN", 0.1),
    (revival, "WAIT_SECONDS_FIRST", 0.02),
    (revival, "LOST_SECONDS_FIRST", 0.05),
)


class RecoveringWorld(World):
    """One run."""

    coordinator = RecoveringCoordinator
    core: RecoveringCoordinator

    def drawn(self, seed: int) -> Swarm:
        """What this seed chooses."""
        self.fate: Fate = draw_fate(seed)
        self.culprits: set[int] = set()
        self.is_rewound = False
        self.is_given_up = False
        # The seats that were left empty when all began anew.
        self.empty: set[int] = set()
        self.base = Machine(None)
        self.history: list[tuple[int, int, bytes]] = []
        self.buried: set[int] = set()
        # What was buried before all began anew.
        self._never_executed: frozenset[int] = frozenset()
        self.acknowledged_slot = 0
        self.restarts = 0
        self.revivals = 0
        # What happened that no notice tells of.
        self.seen: set[str] = set()
        self.store = Store()
        self._found = Found()
        self.misfortunes = Misfortunes(self)
        return draw_swarm(seed)

    def promises(self) -> tuple[type[Invariant], ...]:
        """What is watched."""
        return RECOVERING_BEYOND if self.fate.kind is Kind.EXCESS else RECOVERING

    def run(self) -> None:
        """As any run, on simulated time."""
        clock = Clock(self.timeline)
        with ExitStack() as stack:
            for module in (keeping, recovery, refill, revival):
                stack.enter_context(patch.object(module, "time", clock))
            for module, name, value in (*CONSTANTS, (keeping, "RENEWAL_SECONDS_FIRST", self.fate.renewal_seconds)):
                stack.enter_context(patch.object(module, name, value))
            stack.enter_context(patch.object(rebuild, "make", self._make))
            stack.callback(self._end_loop)
            super().run()

    def _make(self, *place: Any) -> SimulatedDomain:
        return self.rebuilding.domains.make(*place)

    def _end_loop(self) -> None:
        self.loop.end()

    # One process.

    def _assemble(self) -> None:
        super()._assemble()
        fate, shell, core = self.fate, self.shell, self.core
        self.culprits = {seat for seat, character in enumerate(self.swarm.characters) if character is not None}
        self._keys: dict[int, int] = {}
        self._untold: defaultdict[int, list[int]] = defaultdict(list)
        self._telling: defaultdict[int, deque[list[int]]] = defaultdict(deque)
        self.loop = SimulatedLoop(self.timeline)
        self.keeping = Keeping(shell, self.loop, fate.checkpoint_ns, fate.scrub_ns, self._start_keeper)
        self.keeping.on_committed = self._committed
        self.journal = SimulatedJournal(self.timeline, fate.sync, [], self._found)
        self.journal.on_synced = shell.synced
        config = configuration(self)
        self.rebuilding = Rebuilding(self, config)
        self.anew = Anew(self, config)
        shell.on_adopted = self._adopted
        shell.on_shadow = self._shadow_joined
        shell.on_waiting = self._waits
        shell.on_given_up = self._given_up
        shell.on_seated = self.take_seat
        shell.on_begun = self._begun
        shell.on_ready = self._ready
        shell.on_told = self._told
        core.protocol.adopt_extras(self.store.extras)

    def _begin(self) -> None:
        for replica in self.replicas:
            self._keys[replica.seat] = replica.seat
        self.timeline.note(f"{self.fate}")
        super()._begin()
        self.keep_journal()
        self.rebuilding.occupied(self.replicas)
        self.begin()
        self.misfortunes.begin()

    def keep_journal(self) -> None:
        """From now on each write goes into the journal."""
        self.core.recording.begin(self.journal.journal)
        self.shell.journal_file = self.journal

    def begin(self) -> None:
        """What goes on while the cell lives begins."""
        self.keeping.begin()
        self.rebuilding.begin()
        self.anew.revival.arm()

    def serve(self) -> None:
        """Clients are served from now on."""
        if not self.core.is_suspended:
            self._resume_reference()
        self.shell.listen()

    def _start_keeper(self) -> SimulatedKeeper | None:
        if self.misfortunes.starts_fail:
            self.misfortunes.starts_fail -= 1
            return None
        return SimulatedKeeper(self.timeline, self.store, self.fate.slowness, self._stored)

    # Replicas.

    def newcomer_to(self, seat: int, character: Character | None) -> RecoveringReplica:
        """A new replica for this seat."""
        swarm = self.swarm
        delay, offset = swarm.delays[seat], swarm.clock_offsets_ms[seat]
        replica = RecoveringReplica(seat, self.timeline, character, delay, offset, self.seed)
        replica.is_susceptible = bool(self.fate.poisons) and (seat <= swarm.f or self.fate.poisons[0][1] == b"split")
        return replica

    def successor(self, seat: int) -> RecoveringReplica:
        """The next replica of this seat: faulty, perhaps, if culprits sit there."""
        chance = self.timeline.chance
        is_rotten = seat in self.culprits and not self.is_over and chance.random() < self.fate.rotten
        return self.newcomer_to(seat, draw_character(chance, self.fate) if is_rotten else None)

    def take_seat(self, replica: Replica) -> None:
        """This replica has its seat. Whoever broke the one before it may turn to another."""
        seat = replica.seat
        self.replicas[seat] = replica
        self.empty.discard(seat)
        if (
            self.empty
            or seat not in self.culprits
            or replica.is_rotten
            or self.is_over
            or self.timeline.chance.random() < 0.5
        ):
            return
        others = [other for other in self.replicas if other.seat not in self.culprits and other is not replica]
        if not others:
            return
        victim = self.timeline.chance.choice(others)
        self.timeline.note(f"replica {victim.seat} is broken into, {seat} is left alone")
        self.culprits = self.culprits - {seat} | {victim.seat}
        victim.turn(draw_character(self.timeline.chance, self.fate))

    def _adopted(self, replica: Replica) -> SimulatedLane:
        self.take_seat(replica)
        return self.join(replica)

    def left_empty(self, seat: int) -> None:
        """The cell goes on without a replica in this seat."""
        self.seen.add("a seat is left empty")
        self.empty.add(seat)
        for invariant in self.invariants:
            invariant.left_empty(seat)

    def failed_revival(self) -> None:
        """All could not begin anew. It is tried again, or never."""
        self.seen.add("a revival fails")
        self.is_given_up = not self.fate.is_persistent
        for invariant in self.invariants:
            invariant.lost()

    def join(self, replica: Replica) -> SimulatedLane:
        """A new replica votes, before any slot is under way."""
        setup, frames = self.core.protocol.setup()
        replica.executed = self.sent_requests - len(Machine(None).cut(setup))
        lane = self.shell.join(replica)
        self._keys[lane.number] = replica.seat
        self.ledger.joined(replica.seat, frames, max(self.core.order.next_slot, self.first_slot))
        return lane

    def _shadow_joined(self, replica: Replica) -> SimulatedLane:
        lane = self.shell.join_shadow(replica)
        self._keys[lane.number] = lane.number
        return lane

    def _waits(self, lane: SimulatedLane, seat: int) -> None:
        """A shadow is to begin at the next checkpoint."""
        shadow = self.rebuilding.rebuilder.shadows[seat]
        for invariant in self.invariants:
            invariant.waits(shadow)
        if self.keeping.simulated.followed(shadow.feed) > 2:
            self.seen.add("a shadow follows several checkpoints")

    def _given_up(self, lane: SimulatedLane) -> None:
        self.ledger.streams.pop(self._keys.pop(lane.number, -1), None)

    def end_replica(self, seat: int) -> None:
        """Nothing is left of the replica of this seat."""
        self.replicas[seat].is_broken = True
        lane = self.shell.lanes.get(seat)
        if lane is not None:
            self.shell.close(lane)
            self._keys.pop(lane.number, None)

    def _begun(self, lane: SimulatedLane, data: bytes) -> None:
        """What is kept for a shadow begins with these bytes."""
        setup, frames = self.core.protocol.setup()
        to_come = len(Machine(None).cut(data)) + len(Machine(None).cut(setup))
        lane.replica.executed = self.sent_requests - to_come
        shadow = self.core.vote.lanes[lane.number]
        self.ledger.joined(lane.number, frames, shadow.begins_at)

    def voted(self, lane: int, seat: int) -> None:
        """The core counts the shadow of this lane from now on."""
        for invariant in self.invariants:
            invariant.seated(lane, seat)
        self._keys = {number: key for number, key in self._keys.items() if key != seat}
        self._keys[lane] = seat
        self.ledger.seated(lane, seat)

    def _heard(self, seat: int, data: bytes) -> None:
        key = self._keys.get(seat, -1)
        self.timeline.note(f"lane {seat} -> {data[:200]!r}")
        if key in self.ledger.streams and (key >= len(self.replicas) or self.core.roles[key] is Role.VOTING):
            self.ledger.heard(key, data)

    def _delivered(self, seat: int) -> None:
        if self._keys.get(seat, -1) in range(len(self.replicas)):
            super()._delivered(self._keys[seat])

    def _turned(self) -> None:
        for turned in self.watch.turned:
            turned()
        stage, since = self.core.sweep.stage, self.core.sweep._awaited_since
        if stage is sweep.Stage.LISTING:
            self.seen.add("a database is listed")
        if since and self.timeline.now - since > self.core.limits.shadow_wait_ns_max:
            self.seen.add("writers wait for a checkpoint")
        seats = len(self.replicas)
        roles = self.core.roles
        self.ledger.forget([key for key in self.ledger.streams if key >= seats or roles[key] is Role.VOTING])

    def _noticed(self, notices: list[Notice]) -> None:
        for notice in notices:
            super()._noticed([notice])
            if isinstance(notice, Convicted | Retired):
                self.end_replica(notice.seat)
            self.rebuilding.noticed(notice)
            self.anew.noticed(notice)

    # The state, as the order made it.

    def wrote(self, span: Span) -> None:
        """Writes were ordered."""
        self.history += [(span.first + index, span.mode, request) for index, request in enumerate(span.requests)]

    def state_at(self, slot: int, buried: Collection[int] | None = None) -> Machine:
        """What the order made of nothing, up to `slot`, if nobody executed what is `buried`."""
        buried = self.buried if buried is None else buried
        machine = copy_of(self.base)
        for arguments in machine.cut(self.core.protocol.setup()[0]):
            machine.run(machine.session(), arguments, 0)
        for number, mode, request in self.history:
            if number <= slot and number not in buried:
                session = machine.session()
                session.select(mode & 0xFFFF)
                for arguments in machine.cut(request):
                    machine.run(session, arguments, self.timeline.now // MILLISECOND_NS)
        return machine

    def last_write(self, slot: int) -> int:
        """The last write up to `slot` since the last commit, or 0."""
        return max((number for number, _, _ in self.history if number <= slot), default=0)

    def _stored(self, slot: int) -> None:
        """A checkpoint was kept, whether or not the coordinator hears of it."""
        right = self.state_at(slot)
        state = state_of(self.store.records)
        if self.buried and right.state() != state:
            # What was closed since all began anew may have been executed all the same: then it remains.
            right = self.state_at(slot, self._never_executed)
        self.timeline.note(f"a checkpoint at slot {slot}")
        for invariant in self.invariants:
            invariant.committed(slot, state, right.state())
        self.base = right
        self.history = [write for write in self.history if write[0] > slot]
        self.buried = {buried for buried in self.buried if buried > slot}

    def _committed(self, slot: int) -> None:
        self.core.recording.kept(slot)
        self.journal.truncate(slot)

    def decided(self, decision: Decision) -> None:
        """Slots were decided, or closed."""
        super().decided(decision)
        if decision.data is not None or decision.span.is_replayed:
            return
        if decision.span.is_write:
            self.buried.update(range(decision.first, decision.first + decision.count))
        if decision.span.is_write and POISON in decision.span.request_at(decision.first):
            self.misfortunes.poisoned(decision.first)

    # Who was told what.

    def released(self, decision: Decision) -> None:
        """The owner of these slots is told in this turn, or when all before is durable."""
        if decision.span.owner is not None:
            numbers = range(decision.first, decision.first + decision.count)
            self._untold[decision.span.owner.number].extend(numbers)

    def holds_back(self, client: Client) -> bool:
        """Whether what this client is told waits for the journal."""
        return bool(self._telling.get(client.number))

    def _ready(self, client: Client) -> None:
        self._telling[client.number].append(self._untold.pop(client.number, []))

    def _told(self, client: Client) -> None:
        for slot in self._telling[client.number].popleft():
            self.acknowledged_slot = max(self.acknowledged_slot, slot)
            for invariant in self.invariants:
                invariant.acknowledged(slot)

    # All begin anew.

    @property
    def begins_anew(self) -> bool:
        """Also where that failed: then the replicas that were to be are stopped."""
        return self.core.is_suspended or self.anew.revival._is_busy

    def _sent(self, data: bytes) -> None:
        if self.core.is_suspended and not self.anew.is_busy:
            raise Violation("Revival: the lanes were sent something while all replicas begin anew")
        super()._sent(data)

    def suspended(self) -> None:
        """What was under way is closed; no replica is left to speak of."""
        self.is_rewound = True
        for replica in self.replicas:
            self.end_replica(replica.seat)
        self._drop_what_was_under_way()
        self.ledger.forget([])
        for invariant in self.invariants:
            invariant.began_anew()

    def _drop_what_was_under_way(self) -> None:
        self._unsent.clear()
        self._truth_frames.clear()
        self._keys.clear()
        self.ledger.streams = {seat: Stream(0) for seat in range(len(self.replicas))}

    def rewind(self) -> None:
        """The machine without faults is what the store ought to hold."""
        self.truth = copy_of(self.base)
        self._truth_session = self.truth.session()
        setup, _ = self.core.protocol.setup()
        self.sent_requests = 0
        for arguments in self.truth.cut(setup):
            self.truth.run(self._truth_session, arguments, 0)
            self.sent_requests += 1

    def refilled(self) -> None:
        """All replicas are new, and have executed the journal."""
        self._never_executed = frozenset(self.buried)
        self.is_poisoned = self.misfortunes.poisons_due > 0
        for invariant in self.invariants:
            invariant.refilled(self.truth.state(), self.state_at(self.core.order.next_slot).state())

    # All processes are killed.

    def kill(self) -> None:
        if self.anew.is_busy or not self.misfortunes.may_be_killed():
            if not self.is_over:
                self.timeline.after(MILLISECOND_NS, self.kill)
            return
        self.timeline.note("all processes are killed")
        self.restarts += 1
        self._end_processes()
        synced = self.journal.durable_slot
        segments = self.journal.crash(self.timeline.chance)
        self._found = found = find(segments)
        for invariant in self.invariants:
            invariant.restarted(synced, max(found.last_slot, self.store.slot))
        self.first_slot = max(found.highest_slot, self.store.slot) + 1
        self.history = [write for write in self.history if write[0] <= found.last_slot]
        self.buried = {slot for slot in self.buried if found.tombstones.within(slot, slot)}
        self.acknowledged_slot = 0
        self.reference = Reference()
        culprits = self.culprits
        self.misfortunes.starts_fail = 0
        self.empty.clear()
        self._assemble()
        self.culprits = culprits
        self.journal._older = segments
        self.shell.is_listening = False
        self._drop_what_was_under_way()
        self.rewind()
        self.anew.start()

    def _end_processes(self) -> None:
        self.shell.is_ending = True
        self.keeping.is_over = True
        self.loop.end()
        if self.keeping.has_keeper:
            self.keeping.simulated.end()
        for replica in self.replicas:
            replica.is_broken = True
        for connection in list(self.shell.connections.values()):
            connection.cut_off()

    def _resume_reference(self) -> None:
        """The reference holds what the replicas hold, with the deadlines that clients gave."""
        self.is_rewound = False
        copy = copy_of(self.truth)
        for database, source in zip(self.reference.machine.keyspace.databases, copy.keyspace.databases, strict=True):
            database.values = source.values
            database.deadlines = {key: held - DEADLINE_OFFSET_MS for key, held in source.deadlines.items()}

    # The end.

    def _quieten(self) -> None:
        self.rebuilding.quieten()
        self.journal.is_short = self.journal.is_full = False
        self.shell.schedule()
        super()._quieten()

    def _is_moving(self) -> bool:
        """Also while a seat is empty: what a liar said before may have come late."""
        return super()._is_moving() or self._is_busy()

    def _is_busy(self) -> bool:
        if super()._is_busy() or self.anew.is_busy or self.rebuilding.is_busy:
            return True
        is_full = all(role is Role.VOTING for role in self.core.roles)
        return not ((is_full and not self.keeping.is_lost) or self.core.is_lost)
