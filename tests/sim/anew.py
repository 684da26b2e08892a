"""All replicas begin anew: in a revival, and after all processes were killed.

What happens then is the product's own code, on simulated time: `quorate.revival`, `quorate.refill`,
`quorate.journaling`, `quorate.restart`. Here stands who watches it, and is told.
"""

from typing import TYPE_CHECKING, cast

from quorate.config import Config
from quorate.facts import Fact, RevivalBegan, RevivalEnded
from quorate.journaling import Journaling
from quorate.refill import Newcomer, Refill, Stages
from quorate.revival import Revival
from quorate.state.journal_file import JournalFile
from quorate.state.link import Keeper
from quorate.suspects import Suspects
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import Notice
from quorate.trusted.shell import Shell
from tests.sim.invariants.base import Violation

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld


class WatchedRefill(Refill):
    """The product's; the world draws who fails, and sees when the replicas hold the checkpoint."""

    world: "RecoveringWorld"

    async def prepare(self, is_first: bool = False, progress: Stages | None = None) -> list[Newcomer]:
        """As the product."""
        misfortunes = self.world.misfortunes
        misfortunes.draw_failing(is_first)
        misfortunes.is_refilling = True
        try:
            return await super().prepare(is_first, progress)
        finally:
            misfortunes.is_refilling = False

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
        await self.world.misfortunes.learning()
        return has_replayed

    async def again(self, keeper: Keeper, suspects: Suspects | None = None) -> None:
        """As the product."""
        await super().again(keeper, suspects)
        self.world.refilled()


class Anew:
    """Revivals of one process, and its start."""

    def __init__(self, world: "RecoveringWorld", config: Config) -> None:
        self._world = world
        self._keeping = world.keeping
        self._is_starting = False
        shell = cast(Shell, world.shell)
        self._journaling = WatchedJournaling(config, shell, _unheard)
        self._journaling.world = world
        self._journaling.file = cast(JournalFile, world.journal)
        recovery = world.rebuilding.recovery
        self._refill = WatchedRefill(shell, world.keeping, recovery, world.loop.begin)
        self._refill.world = world
        self.revival = Revival(
            shell,
            world.keeping,
            self._journaling,
            recovery,
            self._refill,
            world.loop.begin,
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
        self._world.loop.begin(self._start())

    async def _start(self) -> None:
        world = self._world
        try:
            await self._refill.take_seats(await self._refill.prepare(is_first=True))
            await self.revival.replay()
        except OperatorFault as fault:
            raise Violation(f"Restart: {fault}") from fault
        world.begin()
        try:
            await self.revival.read()
        except OperatorFault as fault:
            raise Violation(f"Restart: {fault}") from fault
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
