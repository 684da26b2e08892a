"""What happens to a run beside faulty replicas: full disks, failed syncs, keepers that end, poison, failed revivals.

Moments go by the run's fate. What was added later is drawn from a stream of its own, so that it moves nothing else.
"""

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from quorate.trusted.protocols.redis.framing import encode_request
from tests.sim.domains import AT_ONCE, FAILING, POISON, Boot, RecoveringReplica
from tests.sim.fates import Kind
from tests.sim.timeline import MILLISECOND_NS

# How often a start loses what it needs, and how long it takes on.
LOST_STARTS = 0.3
LEARNING_SECONDS = 0.02

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld


class Misfortunes:
    """Those of one run.

    While new replicas are prepared for all seats (`is_refilling`), those of the seats `failing` fail, if `fails_slowly`
    not in time, and in `failing_first` the first variant that is tried. `starts_fail` is how many keepers will not
    start.
    """

    def __init__(self, world: "RecoveringWorld") -> None:
        self.failing: set[int] = set()
        self.failing_first: set[int] = set()
        self.fails_slowly = False
        self.is_refilling = False
        self.starts_fail = 0
        self.poisons_due = 0
        self._poisoned: set[int] = set()
        self._world = world
        self._chance = Random(f"failing {world.seed}")
        self._operator = Random(f"asking {world.seed}")
        self._starter = Random(f"learning {world.seed}")
        # Whether the keeper ends, and poison is sent, just when a shadow is about to have its seat.
        self._is_aimed = Random(f"aiming {world.seed}").random() < 0.3
        self._tries_fail = list(world.fate.tries_fail)
        self._how_it_fails = ""

    def begin(self) -> None:
        """Plan them all."""
        after = self._world.timeline.after
        for moment in self._world.fate.kills:
            after(moment, self._world.kill)
        for moment, poison in self._world.fate.poisons:
            self.poisons_due += 1
            after(moment, partial(self._poison, poison))
        for moment in self._world.fate.keeper_breaks:
            after(moment, self._break_keeper)
        for moment in self._world.fate.losses:
            after(moment, self._lose)
        for moment in self._world.fate.asks:
            after(moment, self._ask)
        for moment, is_full in zip(self._world.fate.full, (True, False), strict=False):
            after(moment, partial(self._fill_disk, is_full=is_full))
        if self._world.fate.sync_fails_ns:
            after(self._world.fate.sync_fails_ns, self._fail_sync)
        if self._world.fate.stalls:
            after(self._world.swarm.faulty_ns // 3, partial(self._stall, is_short=True))
            after(self._world.swarm.faulty_ns // 2, partial(self._stall, is_short=False))

    # The disk, and the keeper.

    def _stall(self, is_short: bool) -> None:
        self._world.journal.is_short = is_short
        self._world.shell.schedule()

    def _fill_disk(self, is_full: bool) -> None:
        self._world.seen.add("the disk is full")
        self._world.timeline.note("the disk is full" if is_full else "the disk has room again")
        self._world.journal.is_full = is_full
        self._world.journal.is_short = is_full
        self._world.shell.schedule()

    def _fail_sync(self) -> None:
        """The next sync fails: nobody knows what is on the disk, so all ends at once."""
        self._world.journal.fails = self._fails_now

    def _fails_now(self) -> bool:
        if self._world.is_over or self._world.anew.is_busy:
            return False
        self._world.seen.add("a sync fails")
        self._world.timeline.note("a sync fails")
        self._world.kill()
        return True

    def _lose(self) -> None:
        """F replicas crash, as soon as all vote and nothing is rebuilt."""
        if self._world.is_over:
            return
        if self._world.rebuilding.is_busy or self._world.core.vote.voters() < len(self._world.replicas):
            self._world.timeline.after(MILLISECOND_NS, self._lose)
            return
        self._world.seen.add("f crash between restarts")
        for replica in self._world.timeline.chance.sample(self._world.replicas, self._world.swarm.f):
            replica.crash()

    def _break_keeper(self) -> None:
        if self._world.is_over:
            return
        core = self._world.core
        is_early = self._is_aimed and not core.joining.waiting
        if is_early or core.is_suspended or self._world.anew.is_busy or not self._world.keeping.has_keeper:
            self._world.timeline.after(MILLISECOND_NS, self._break_keeper)
            return
        self._world.seen.add("the keeper breaks")
        self._world.timeline.note("the keeper breaks")
        self.starts_fail = self._chance.choice((0, 0, 1, 2))
        self._world.keeping.simulated.breaks(self._chance)

    # All begin anew.

    def draw_failing(self, is_first: bool) -> None:
        """All begin anew: some seats' new replicas fail. No more than may be faulty, but where it is tried again."""
        chance, fate = self._chance, self._world.fate
        seats = range(len(self._world.replicas))
        self.failing, self.failing_first = set(), set()
        self._how_it_fails = self._tries_fail.pop(0) if self._tries_fail and not is_first else ""
        self.fails_slowly = fate.fails_slowly and not self._how_it_fails
        if self._how_it_fails == "boot":
            self.failing = set(chance.sample(seats, self._world.swarm.f + 1))
        elif self._world.is_over or chance.random() >= fate.refill_fails:
            return
        elif fate.kind is Kind.EXCESS:
            self.failing = set(chance.sample(seats, chance.choice(seats) + 1))
        elif chance.random() < 0.5:
            self.failing_first = set(chance.sample(seats, self._world.swarm.f + 1))
        else:
            self.failing = set(self._world.culprits or chance.sample(seats, self._world.swarm.f))

    def boots(self, seat: int) -> Boot:
        """What becomes of the domain that is now started for this seat."""
        if not self.is_refilling:
            return self._failing() if self._chance.random() < self._world.fate.boot_fails else Boot.WELL
        if seat in self.failing:
            return Boot.HANGING if self.fails_slowly else self._failing()
        if seat in self.failing_first:
            # The next one has its time as well, before those who are ready go on without it.
            self.failing_first.discard(seat)
            return self._chance.choice(AT_ONCE)
        return Boot.WELL

    def _failing(self) -> Boot:
        if not (self._world.is_over or self.is_refilling) and self._chance.random() < 0.05:
            return Boot.HANGING
        # Most fail at once: while one takes its time nothing else happens to its seat.
        return self._chance.choice((*AT_ONCE, *AT_ONCE, *FAILING))

    def replayed(self) -> None:
        """Something is executed again: perhaps too few survive it, this time."""
        if self._how_it_fails == "replay":
            self._how_it_fails = ""
            for replica in self._world.timeline.chance.sample(self._world.replicas, self._world.swarm.f + 1):
                replica.crash()

    async def learning(self) -> None:
        """At a start, what the store holds is read when the journal was executed: perhaps too few outlive that."""
        world = self._world
        if world.fate.kind is not Kind.KILLED or self._starter.random() > LOST_STARTS:
            return
        world.seen.add("too few outlive a start")
        world.is_poisoned = True  # until all began anew
        for replica in self._starter.sample(world.replicas, world.swarm.f + 1):
            replica.crash()
        await asyncio.sleep(LEARNING_SECONDS)

    # The operator.

    def _ask(self) -> None:
        """He wants some replicas rebuilt, and perhaps he does not wait for it."""
        chance, world = self._operator, self._world
        if world.is_over:
            return
        seats = range(len(world.replicas))
        names = [str(seat) for seat in chance.sample(seats, chance.choice((1, 1, len(seats))))]
        strategy = chance.choice((None, None, "shadow", "shadow-all"))
        world.timeline.note(f"the operator asks for {names}: {strategy}")
        world.seen.add("the operator asks")
        asking = world.loop.begin(world.rebuilding.ask(names, strategy))
        if chance.random() < 0.3:
            world.timeline.after(chance.randint(1, 100) * MILLISECOND_NS, partial(_cancel, asking))

    # Poison.

    def _poison(self, poison: bytes) -> None:
        is_early = self._is_aimed and not (self._world.core.vote.shadows or self._world.is_over)
        is_busy = self._world.anew.is_busy or bool(self._poisoned - self._settled())
        if is_early or is_busy or not self._world.shell.is_listening:
            self._world.timeline.after(MILLISECOND_NS, partial(self._poison, poison))
            return
        for replica in self._world.replicas:
            if isinstance(replica, RecoveringReplica):
                replica.is_susceptible = poison == b"split" or replica.seat <= self._world.swarm.f
        self._world.is_poisoned = True
        connection = self._world.shell.connect(_taken)
        self._world.timeline.note(f"client {connection.client.number} sends poison: {poison!r}")
        connection.unread.append(encode_request([b"SET", POISON, poison]))
        connection.read()

    def _settled(self) -> set[int]:
        """Poisonous slots whose tombstones are durable, or not needed any more."""
        durable = self._world.journal.durable_tombstones
        return {slot for slot in self._poisoned if slot in durable or slot <= self._world.store.slot}

    def poisoned(self, slot: int) -> None:
        """The poison of this slot has done its work."""
        self._poisoned.add(slot)
        self.poisons_due -= 1

    def may_be_killed(self) -> bool:
        """Whether no poison would be executed again."""
        return not self.poisons_due and not self._poisoned - self._settled()


def _cancel(asking: "asyncio.Task[None]") -> None:
    """The operator waits for it no more."""
    asking.cancel()


def _taken(_: bytes) -> None:
    """Who sends poison does not listen."""
