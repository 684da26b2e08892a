"""One run of one seed in which replicas are rebuilt, all begin anew, and all processes are killed and start again.

The world's own account of the state: `base` is what the order made of nothing up to the last commit, `history` the
writes after it. Both follow from what the core ordered, and from nothing that the product stored or journaled.
"""

from collections import defaultdict, deque
from collections.abc import Collection
from functools import partial

from quorate.trusted import sweep
from quorate.trusted.client import Client
from quorate.trusted.messages import Convicted, Notice, Retired, Role
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS
from quorate.trusted.span import Span
from quorate.trusted.verdicts import Decision
from tests.sim.anew import Anew
from tests.sim.disk import Found, SimulatedJournal, entries_in, find
from tests.sim.fates import Fate, Kind, draw_character, draw_fate, draw_swarm
from tests.sim.invariants import RECOVERING, RECOVERING_BEYOND, Invariant, Violation
from tests.sim.keeper import Keeping, SimulatedKeeper, Store, state_of
from tests.sim.ledger import Stream
from tests.sim.machine import Machine, copy_of
from tests.sim.rebuilding import Rebuilding, Shadow
from tests.sim.reference import Reference
from tests.sim.replica import Replica
from tests.sim.shell import SimulatedLane
from tests.sim.swarm import Character, Fault, Swarm
from tests.sim.timeline import MILLISECOND_NS
from tests.sim.world import WatchedCoordinator, World

VARIANTS = 3
POISON = b"poison"


class RecoveringCoordinator(WatchedCoordinator):
    """The real core; the world sees what it writes, whose replies it releases, and who takes a seat."""

    world: "RecoveringWorld"

    def _ask(self, span: Span, now: int) -> None:
        super()._ask(span, now)
        if span.is_write and not span.is_replayed:
            self.world.wrote(span)

    def _decided(self, decision: Decision, now: int) -> None:
        super()._decided(decision, now)
        self.world.released(decision)

    def _seat_shadows(self, now: int) -> bool:
        shadows = {seat: lane for lane, seat in self.vote.lanes.items() if seat.is_shadow}
        has_seated = super()._seat_shadows(now)
        for shadow, lane in shadows.items():
            if shadow.is_voting:
                self.world.voted(lane, shadow.index)
        return has_seated


class RecoveringReplica(Replica):
    """A replica that a poisonous request may break."""

    is_susceptible = False

    def _execute(self, arguments: list[bytes]) -> bytes:
        if not self.is_susceptible or arguments[:2] != [b"SET", POISON]:
            return super()._execute(arguments)
        if arguments[2] == b"split":
            super()._execute(arguments)
            return b"+%d\r\n" % self.seat
        if arguments[2] == b"crash":
            self.crash()
        else:
            self.sins.add(Fault.MUTE)
            self._is_mute = True
        return b""


class RecoveringWorld(World):
    """One run."""

    coordinator = RecoveringCoordinator
    core: RecoveringCoordinator

    def drawn(self, seed: int) -> Swarm:
        """What this seed chooses."""
        self.fate: Fate = draw_fate(seed)
        self.culprits: set[int] = set()
        self.is_rewound = False
        self.is_keeper_lost = False
        self.is_given_up = False
        self.base = Machine(None)
        self.history: list[tuple[int, int, bytes]] = []
        self.buried: set[int] = set()
        self.acknowledged_slot = 0
        self.poisoned_slots: set[int] = set()
        self.restarts = 0
        self.revivals = 0
        # What happened that no notice tells of.
        self.seen: set[str] = set()
        self._store = Store()
        self._found = Found()
        self._poisons_due = 0
        return draw_swarm(seed)

    def promises(self) -> tuple[type[Invariant], ...]:
        """What is watched."""
        return RECOVERING_BEYOND if self.fate.kind is Kind.EXCESS else RECOVERING

    # One process.

    def _assemble(self) -> None:
        super()._assemble()
        fate, shell, core = self.fate, self.shell, self.core
        self.culprits = {seat for seat, character in enumerate(self.swarm.characters) if character is not None}
        self._keys: dict[int, int] = {}
        self._untold: defaultdict[int, list[int]] = defaultdict(list)
        self._telling: defaultdict[int, deque[list[int]]] = defaultdict(deque)
        keeper = SimulatedKeeper(self.timeline, self._store, fate.slowness)
        self.keeping = Keeping(shell, keeper, fate.checkpoint_ns, fate.scrub_ns)
        self.keeping.on_committed = self._committed
        self.journal = SimulatedJournal(self.timeline, fate.sync, [], self._found)
        self.journal.on_synced = shell.synced
        self.rebuilding = Rebuilding(self, VARIANTS)
        self.anew = Anew(self)
        shell.on_begun = self._begun
        shell.on_ready = self._ready
        shell.on_told = self._told
        core.protocol.adopt_extras(self._store.extras)

    def _begin(self) -> None:
        for replica in self.replicas:
            self._keys[replica.seat] = replica.seat
        self.timeline.note(f"{self.fate}")
        super()._begin()
        self.keep_journal()
        self.serve()
        after = self.timeline.after
        for moment in self.fate.kills:
            after(moment, self._kill)
        for moment, poison in self.fate.poisons:
            self._poisons_due += 1
            after(moment, partial(self._poison, poison))
        if self.fate.keeper_breaks_ns:
            after(self.fate.keeper_breaks_ns, self._break_keeper)
        for moment in self.fate.losses:
            after(moment, self._lose)
        for moment, is_full in zip(self.fate.full, (True, False), strict=False):
            after(moment, partial(self._fill_disk, is_full=is_full))
        if self.fate.sync_fails_ns:
            after(self.fate.sync_fails_ns, self._fail_sync)
        if self.fate.stalls:
            after(self.swarm.faulty_ns // 3, partial(self._stall, is_short=True))
            after(self.swarm.faulty_ns // 2, partial(self._stall, is_short=False))

    def keep_journal(self) -> None:
        """From now on each write goes into the journal."""
        self.core.recording.begin(self.journal.journal)
        self.shell.journal = self.journal

    def serve(self) -> None:
        """Clients are served, and seats kept filled."""
        self.keeping.begin()
        self.rebuilding.begin()
        self.anew.is_armed = True
        if not self.shell.is_listening:
            self._resume_reference()
            self.shell.listen()

    def _stall(self, is_short: bool) -> None:
        self.journal.is_short = is_short
        self.shell.schedule()

    def _fill_disk(self, is_full: bool) -> None:
        self.seen.add("the disk is full")
        self.timeline.note("the disk is full" if is_full else "the disk has room again")
        self.journal.is_full = is_full
        self.journal.is_short = is_full
        self.shell.schedule()

    def _fail_sync(self) -> None:
        """The next sync fails: nobody knows what is on the disk, so all ends at once."""
        self.journal.fails = self._fails_now

    def _fails_now(self) -> bool:
        if self.is_over or self.anew.is_busy:
            return False
        self.seen.add("a sync fails")
        self.timeline.note("a sync fails")
        self._kill()
        return True

    def _lose(self) -> None:
        """F replicas crash, as soon as all vote and nothing is rebuilt."""
        if self.is_over:
            return
        if self.rebuilding.is_busy or self.core.vote.voters() < len(self.replicas):
            self.timeline.after(MILLISECOND_NS, self._lose)
            return
        self.seen.add("f crash between restarts")
        for replica in self.timeline.chance.sample(self.replicas, self.swarm.f):
            replica.crash()

    def _break_keeper(self) -> None:
        if self.core.is_suspended or self.anew.is_busy:
            self.timeline.after(MILLISECOND_NS, self._break_keeper)
            return
        self.timeline.note("the keeper breaks")
        self.is_keeper_lost = True
        self.keeping.broke()

    # Replicas.

    def newcomer_to(self, seat: int, character: Character | None) -> Replica:
        """A new replica for this seat."""
        swarm = self.swarm
        delay, offset = swarm.delays[seat], swarm.clock_offsets_ms[seat]
        replica = RecoveringReplica(seat, self.timeline, character, delay, offset, self.seed)
        replica.is_susceptible = bool(self.fate.poisons) and (seat <= swarm.f or self.fate.poisons[0][1] == b"split")
        return replica

    def successor(self, seat: int) -> Replica:
        """The next replica of this seat: faulty, perhaps, if culprits sit there."""
        chance = self.timeline.chance
        is_rotten = seat in self.culprits and not self.is_over and chance.random() < self.fate.rotten
        return self.newcomer_to(seat, draw_character(chance, self.fate) if is_rotten else None)

    def take_seat(self, replica: Replica) -> None:
        """This replica has its seat. Whoever broke the one before it may turn to another."""
        seat = replica.seat
        self.replicas[seat] = replica
        if seat not in self.culprits or replica.is_rotten or self.is_over or self.timeline.chance.random() < 0.5:
            return
        others = [other for other in self.replicas if other.seat not in self.culprits and other is not replica]
        if not others:
            return
        victim = self.timeline.chance.choice(others)
        self.timeline.note(f"replica {victim.seat} is broken into, {seat} is left alone")
        self.culprits = self.culprits - {seat} | {victim.seat}
        victim.turn(draw_character(self.timeline.chance, self.fate))

    def join(self, replica: Replica) -> None:
        """A new replica votes, before any slot is under way."""
        setup, frames = self.core.protocol.setup()
        replica.executed = self.sent_requests - len(Machine(None).cut(setup))
        lane = self.shell.join(replica)
        self._keys[lane.number] = replica.seat
        self.ledger.joined(replica.seat, frames, max(self.core.order.next_slot, self.first_slot))

    def join_shadow(self, replica: Replica) -> SimulatedLane:
        """A shadow's lane is open."""
        lane = self.shell.join_shadow(replica)
        self._keys[lane.number] = lane.number
        return lane

    def forget_lane(self, number: int) -> None:
        """A shadow was given up."""
        self.ledger.streams.pop(self._keys.pop(number, -1), None)

    def abandoned(self, shadow: Shadow) -> None:
        """A shadow took too long."""
        for invariant in self.invariants:
            invariant.abandoned(shadow)

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
        for invariant in self.invariants:
            invariant.turned()
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

    def _committed(self, slot: int) -> None:
        right = self.state_at(slot)
        state = state_of(self._store.records)
        if self.buried and right.state() != state:
            # What was closed before this checkpoint may have been executed all the same: then it remains.
            right = self.state_at(slot, ())
        self.timeline.note(f"a checkpoint at slot {slot}")
        for invariant in self.invariants:
            invariant.committed(slot, state, right.state())
        self.base = right
        self.history = [write for write in self.history if write[0] > slot]
        self.buried = {buried for buried in self.buried if buried > slot}
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
            self.poisoned_slots.add(decision.first)
            self._poisons_due -= 1

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

    def _sent(self, data: bytes) -> None:
        if self.core.is_suspended and not self.anew.is_busy:
            raise Violation("Revival: the lanes were sent something while all replicas begin anew")
        super()._sent(data)

    def suspended(self) -> None:
        """What was under way is closed; no replica is left to speak of."""
        self.revivals += 1
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
        self.is_poisoned = self._poisons_due > 0
        for invariant in self.invariants:
            invariant.refilled(self.truth.state(), self.state_at(self.core.order.next_slot).state())

    def _poison(self, poison: bytes) -> None:
        if self.anew.is_busy or not self.shell.is_listening or self.poisoned_slots - self._settled_poisons():
            self.timeline.after(MILLISECOND_NS, partial(self._poison, poison))
            return
        for replica in self.replicas:
            if isinstance(replica, RecoveringReplica):
                replica.is_susceptible = poison == b"split" or replica.seat <= self.swarm.f
        self.is_poisoned = True
        connection = self.shell.connect(_taken)
        self.timeline.note(f"client {connection.client.number} sends poison: {poison!r}")
        connection.unread.append(encode_request([b"SET", POISON, poison]))
        connection.read()

    def _settled_poisons(self) -> set[int]:
        """Poisonous slots whose tombstones are durable, or not needed any more."""
        durable = self.journal.durable_tombstones
        return {slot for slot in self.poisoned_slots if slot in durable or slot <= self._store.slot}

    # All processes are killed.

    def _kill(self) -> None:
        if self.anew.is_busy or self._poisons_due or self.poisoned_slots - self._settled_poisons():
            if not self.is_over:
                self.timeline.after(MILLISECOND_NS, self._kill)
            return
        self.timeline.note("all processes are killed")
        self.restarts += 1
        self._end_processes()
        synced = self.journal.durable_slot
        segments = self.journal.crash(self.timeline.chance)
        self._found = found = find(segments)
        for invariant in self.invariants:
            invariant.restarted(synced, max(found.last_slot, self._store.slot))
        self.first_slot = max(found.highest_slot, self._store.slot) + 1
        self.history = [write for write in self.history if write[0] <= found.last_slot]
        self.buried = {slot for slot in self.buried if found.tombstones.within(slot, slot)}
        self.acknowledged_slot = 0
        self.reference = Reference()
        culprits = self.culprits
        self._assemble()
        self.culprits = culprits
        self.journal._older = segments
        self.shell.is_listening = False
        self._drop_what_was_under_way()
        self.rewind()
        self.anew.start(list(entries_in(segments, self._store.slot)), found.tombstones)

    def _end_processes(self) -> None:
        self.shell.is_ending = True
        self.keeping.is_over = self.rebuilding.is_over = True
        self.rebuilding.clear()
        self.anew.cancel()
        self.keeping.keeper.is_broken = True
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

    def innocents(self) -> list[Replica]:
        """Who was stopped to be started again cannot be filled without a keeper, of which there is one only here."""
        found = super().innocents()
        if not self.keeping.keeper.is_broken:
            return found
        return [replica for replica in found if self.core.roles[replica.seat] is Role.VOTING]

    def _quieten(self) -> None:
        self.rebuilding.is_quiet = True
        self.journal.is_short = self.journal.is_full = False
        self.shell.schedule()
        for shadow in self.rebuilding.shadows.values():
            shadow.replica.is_reformed = True
        super()._quieten()

    def _is_moving(self) -> bool:
        """Also while a seat is empty: what a liar said before may have come late."""
        return super()._is_moving() or self._is_busy()

    def _is_busy(self) -> bool:
        if super()._is_busy() or self.anew.is_busy or self.rebuilding.is_busy:
            return True
        is_full = all(role is Role.VOTING for role in self.core.roles)
        return not (is_full or self.is_keeper_lost or self.core.is_lost)


def _taken(_: bytes) -> None:
    """Who sends poison does not listen."""
