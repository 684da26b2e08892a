"""All replicas begin anew: in a revival, and after all processes were killed.

What happens then is the product's own code, on simulated time: `quorate.revival`, `quorate.refill`,
`quorate.journaling`, `quorate.restart`. Here stand the seats, what boots in them, and who is told.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from quorate.config import Config, Replica, Variant
from quorate.domains.port import Domain
from quorate.facts import Fact, RevivalBegan, RevivalEnded
from quorate.journaling import Journaling
from quorate.lives import Life
from quorate.recovery import Recovery
from quorate.refill import Newcomer, Refill, Stages
from quorate.revival import Revival
from quorate.seats import Seat
from quorate.state.faults import StateFault
from quorate.state.journal_file import JournalFile
from quorate.state.link import Keeper
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import Notice, Role
from quorate.trusted.shell import Shell
from tests.sim import replica
from tests.sim.invariants.base import Violation
from tests.sim.keeper import Line
from tests.sim.loop import SimulatedLoop
from tests.sim.timeline import SECOND_NS

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

VARIANTS = ("first", "second", "third")
# Longer than those who are ready wait for the others.
TOO_LONG_SECONDS = 100.0


@dataclass(slots=True)
class Named:
    """A variant, or a replica of the configuration, by its name."""

    name: str


class SimulatedDomain:
    """Where one replica runs. `is_first`: as the first of its variants that is tried for the seat."""

    def __init__(self, world: "RecoveringWorld", replica: replica.Replica, is_first: bool) -> None:
        self.world = world
        self.replica = replica
        self.is_first = is_first

    async def connect(self) -> Line:
        """A lane."""
        return Line(self.replica)

    async def kill(self) -> None:
        """Nothing of it is left."""
        self.replica.is_broken = True

    async def ended(self) -> None:
        """Its lane breaks then, and that is noticed."""


async def boot(name: str, domain: SimulatedDomain, probe: tuple[bytes, bytes]) -> Line:
    """Start what is to be a replica. Some never answer, some not in time."""
    world, seat = domain.world, domain.replica.seat
    misfortunes = world.misfortunes
    await asyncio.sleep(world.timeline.chance.randint(1, world.fate.boot_ns) / SECOND_NS)
    if seat in misfortunes.failing or (domain.is_first and seat in misfortunes.failing_first):
        if seat in misfortunes.failing and misfortunes.fails_slowly:
            await asyncio.sleep(TOO_LONG_SECONDS)
        raise OperatorFault(f"replica {name} did not become ready")
    return Line(domain.replica)


class WatchedRefill(Refill):
    """The product's; the world draws who fails, and sees when the replicas hold the checkpoint."""

    world: "RecoveringWorld"

    async def prepare(self, is_first: bool = False, progress: Stages | None = None) -> list[Newcomer]:
        """As the product."""
        self.world.misfortunes.draw_failing(is_first)
        return await super().prepare(is_first, progress)

    async def take_seats(self, newcomers: list[Newcomer], progress: Stages | None = None) -> None:
        """As the product."""
        for invariant in self.world.invariants:
            invariant.filled(len(newcomers))
        self.world.rewind()
        await super().take_seats(newcomers, progress)


class WatchedJournaling(Journaling):
    """The product's; the world sees when the journal was executed again."""

    world: "RecoveringWorld"

    async def begin(self, keeper: Keeper, singly_from: int = 0) -> bool:
        """As the product."""
        has_replayed = await super().begin(keeper, singly_from)
        self.world.refilled()
        return has_replayed

    async def again(self, keeper: Keeper) -> None:
        """As the product."""
        await super().again(keeper)
        self.world.refilled()


class Seats:
    """Stands for `quorate.recovery` where all begin anew."""

    def __init__(self, world: "RecoveringWorld") -> None:
        self.seats = [_seat(world, seat) for seat in range(len(world.replicas))]
        self._world = world

    def newcomer(self, seat: Seat, tried: set[str], taken: set[str]) -> tuple[Variant, Domain] | None:
        """For `seat` the next of its variants that was not tried; None: no more."""
        untried = [name for name in VARIANTS if name not in tried]
        if not untried:
            return None
        domain = SimulatedDomain(self._world, self._world.successor(seat.index), is_first=not tried)
        return cast(Variant, Named(untried[0])), cast(Domain, domain)

    def came_to_nothing(self, seat: Seat, reason: str) -> None:
        """What the seat was to be filled with did not become a replica."""
        self._world.seen.add("a new replica fails")
        self._world.timeline.note(f"seat {seat.index} as {seat.variant.name}: {reason}")

    def left_empty(self, seat: Seat, reason: str) -> None:
        """The cell goes on without a replica in this seat."""
        self._world.left_empty(seat.index, reason)

    def all_lost(self) -> None:
        """All replicas are to go."""
        for seat in self.seats:
            seat.retire()

    async def clear(self) -> None:
        """Give up all rebuilds."""
        self._world.rebuilding.clear()

    def go_on(self) -> None:
        """All began anew."""
        self._world.rebuilding.go_on()

    def give_up(self) -> None:
        """The cell is lost, for now at least. Nothing is rebuilt since `clear`."""

    def taken(self, replica: replica.Replica) -> None:
        """This replica votes in its seat, however it came there."""
        seat = self.seats[replica.seat]
        domain = cast(SimulatedDomain, seat.domain)
        if domain.replica is not replica:
            domain.replica = replica
            seat.role = Role.VOTING


def _seat(world: "RecoveringWorld", index: int) -> Seat:
    domain = SimulatedDomain(world, world.replicas[index], is_first=True)
    named = cast(Replica, Named(f"replica {index}"))
    return Seat(index, named, cast(Variant, Named(VARIANTS[0])), cast(Domain, domain), Life(), Role.VOTING)


class Anew:
    """Revivals of one process, and its start."""

    def __init__(self, world: "RecoveringWorld", loop: SimulatedLoop) -> None:
        self._world = world
        self._loop = loop
        self._keeping = world.keeping
        self._is_starting = False
        shell = cast(Shell, world.shell)
        settings = SimpleNamespace(journal=SimpleNamespace(sync=world.fate.sync))
        self._journaling = WatchedJournaling(cast(Config, settings), shell, _unheard)
        self._journaling.world = world
        self._journaling.file = cast(JournalFile, world.journal)
        self.seats = Seats(world)
        recovery = cast(Recovery, self.seats)
        self._refill = WatchedRefill(shell, world.keeping, recovery, _unsupervised)
        self._refill.world = world
        self.revival = Revival(
            shell,
            world.keeping,
            self._journaling,
            recovery,
            self._refill,
            loop.begin,
            self._told,
            is_persistent=world.fate.is_persistent,
        )

    @property
    def is_busy(self) -> bool:
        """Whether clients wait for it."""
        return self._is_starting or (self.revival._is_busy and not self._world.is_given_up)

    def noticed(self, notice: Notice) -> None:
        """See whether what happened calls for it."""
        self.revival.noticed(notice)

    def start(self) -> None:
        """All processes are new."""
        self._is_starting = True
        self._loop.begin(self._start())

    async def _start(self) -> None:
        world = self._world
        for seat in self.seats.seats:
            seat.role = Role.BOOTING
            seat.domain = cast(Domain, SimulatedDomain(world, world.successor(seat.index), is_first=True))
        try:
            await self._refill.take_seats(await self._refill.prepare(is_first=True))
            await self.revival.replay()
        except OperatorFault as fault:
            raise Violation(f"Restart: {fault}") from fault
        with suppress(StateFault):
            await self._keeping.checkpoint(is_urgent=True)
        self._is_starting = False
        world.serve()

    def _told(self, fact: Fact) -> None:
        world = self._world
        world.timeline.note(f"{fact}")
        if isinstance(fact, RevivalBegan):
            world.revivals += 1
            if not self._keeping.has_keeper:
                world.seen.add("a revival waits for a keeper")
        elif isinstance(fact, RevivalEnded) and fact.reason:
            world.failed_revival()


def _unheard(reason: str) -> None:
    """The simulated disk does not fail so."""


def _unsupervised(work: Coroutine[Any, Any, None]) -> None:
    """A domain that ends is noticed by its lane."""
    work.close()
