"""Rebuilds: the product's own `quorate.recovery` and `quorate.rebuild`, on simulated time, with simulated domains.

Here stands what a cell does around them: its configuration and its seats, what it does with a replica that lost its
vote, who is told of facts, and an operator who asks for rebuilds.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from quorate.boot import recipe
from quorate.config import Config, Replica, Variant
from quorate.domains.port import Domain
from quorate.facts import Fact, RebuildDone, RebuildFailed, SeatLeftEmpty
from quorate.lives import Life
from quorate.rebuild import Rebuilder, Shadow
from quorate.recovery import Recovery, end
from quorate.seats import Seat
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import Convicted, Notice, Retired, Role
from quorate.trusted.shell import Shell
from tests.sim.domains import Boot, Domains, RecoveringReplica, SimulatedDomain
from tests.sim.replica import Replica as SimulatedReplica

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

VARIANTS = ("first", "second", "third")
TOO_LONG = "it took too long"
DIRECTORY = Path("domains")


def configuration(world: "RecoveringWorld") -> Config:
    """What recovery reads of a configuration. A replica's name is the number of its seat."""
    seats = range(len(world.replicas))
    fate = world.fate
    variants = {
        name: SimpleNamespace(name=name, program=name, args=(), env={}, preload=(), root=None, memory=0)
        for name in VARIANTS
    }
    replicas = [
        SimpleNamespace(name=str(seat), domain="simulated", variants=[*VARIANTS[seat % 3 :], *VARIANTS[: seat % 3]])
        for seat in seats
    ]
    settings = SimpleNamespace(
        cell=SimpleNamespace(f=world.swarm.f),
        journal=SimpleNamespace(sync=fate.sync),
        recovery=SimpleNamespace(strategy=fate.strategy.value, reactive=True),
        limits=world.swarm.limits,
        variants=variants,
        replicas=replicas,
        strategies=lambda: [fate.strategy.value for _ in seats],
        every_ns=lambda: [fate.every_ns for _ in seats],
    )
    return cast(Config, settings)


class Rebuilding:
    """Recovery of one process. In quiet times nothing is rebuilt by plan."""

    def __init__(self, world: "RecoveringWorld", config: Config) -> None:
        self.domains = Domains(world)
        self.seats: list[Seat] = []
        # How many requests of the operator's are not answered yet.
        self.asked = 0
        self._world = world
        shell = cast(Shell, world.shell)
        self.rebuilder = Rebuilder(config, world.core.protocol, shell, world.keeping, DIRECTORY)
        self.recovery = Recovery(config, shell, self.seats, world.keeping, self.rebuilder, world.loop.begin, self._told)
        for index, replica in enumerate(config.replicas):
            self.seats.append(self._seat(index, replica, config.variants[replica.variants[0]]))

    def _seat(self, index: int, replica: Replica, variant: Variant) -> Seat:
        domain = self.domains.make("simulated", recipe(replica, variant), DIRECTORY / replica.name, index)
        return Seat(index, replica, variant, cast(Domain, domain), Life())

    @property
    def is_busy(self) -> bool:
        """Whether a rebuild is under way, or asked for."""
        schedule = self.recovery._schedule
        return any(schedule.refusal(seat.index) for seat in self.seats)

    def seatless(self) -> list[SimulatedDomain]:
        """The domains of all but those who vote."""
        roles = self._world.core.roles
        voting = [domain_of(seat) for seat in self.seats if roles[seat.index] is Role.VOTING]
        return [domain for domain in self.domains.all if domain not in voting]

    def place_of(self, seat: int) -> SimulatedDomain:
        """The domain of this seat."""
        return domain_of(self.seats[seat])

    def shadow_of(self, seat: int) -> RecoveringReplica | None:
        """The replica that is prepared for this seat."""
        shadow = self.rebuilder.shadows.get(seat)
        return None if shadow is None else domain_of(shadow).replica

    def occupied(self, replicas: list[SimulatedReplica]) -> None:
        """These have voted from the first slot on."""
        for seat, replica in zip(self.seats, replicas, strict=True):
            domain_of(seat).run(cast(RecoveringReplica, replica))
            seat.become(Role.VOTING)

    def begin(self) -> None:
        """From now on see what is to be rebuilt."""
        self._world.loop.begin(self.recovery.run())

    def quieten(self) -> None:
        """Nothing is due by plan any more, and no shadow errs."""
        self.recovery._schedule._every_ns = [0] * len(self.seats)
        for shadow in self.rebuilder.shadows.values():
            replica = domain_of(shadow).replica
            if replica is not None:
                replica.is_reformed = True

    def noticed(self, notice: Notice) -> None:
        """Something happened in the core."""
        if isinstance(notice, Convicted | Retired):
            seat = self.seats[notice.seat]
            if seat.role is Role.VOTING:
                seat.become(Role.CONVICTED if isinstance(notice, Convicted) else Role.RETIRING)
            self._world.loop.begin(end(seat, seat.domain))
        self.recovery.noticed(notice)

    async def ask(self, names: list[str], strategy: str | None) -> None:
        """The operator wants these rebuilt."""
        self.asked += 1
        try:
            await self.recovery.recover(names, strategy, _watching)
        except OperatorFault as fault:
            self._world.timeline.note(f"the operator is told: {fault}")
        finally:
            self.asked -= 1

    def _told(self, fact: Fact) -> None:
        world = self._world
        if world.loop.ending.done():
            return
        world.timeline.note(f"{fact}")
        if isinstance(fact, SeatLeftEmpty):
            world.left_empty(int(fact.replica))
        elif isinstance(fact, RebuildFailed):
            self._failed(int(fact.replica), fact.reason)
        elif isinstance(fact, RebuildDone):
            for invariant in world.invariants:
                invariant.rebuilt(self.seats[int(fact.replica)], fact.seconds)

    def _failed(self, seat: int, reason: str) -> None:
        world, domain = self._world, self.domains.last_of(seat)
        if world.misfortunes.is_refilling:
            world.seen.add("a new replica fails")
        if reason == TOO_LONG and domain.how is not Boot.HANGING:
            for invariant in world.invariants:
                invariant.abandoned(domain)


def domain_of(place: Seat | Shadow) -> SimulatedDomain:
    """Where its replica runs."""
    return cast(SimulatedDomain, place.domain)


def _watching(name: str, stage: str, share: float) -> None:
    """The operator sees how far it is."""
