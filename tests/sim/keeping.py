"""State kept by the product's own `quorate.keeping`, on simulated time, with simulated keepers one after the other."""

from collections.abc import Callable
from typing import cast

from quorate.keeping import StateKeeping
from quorate.state.faults import StateFault
from quorate.state.link import Keeper
from quorate.trusted.protocols.redis.state_records import kind_of
from quorate.trusted.shell import Shell
from tests.sim.keeper import SimulatedKeeper
from tests.sim.loop import SimulatedLoop
from tests.sim.shell import SimulatedShell
from tests.sim.timeline import MILLISECOND_NS, SECOND_NS

DATABASES = 16
TICK_NS = 10 * MILLISECOND_NS
SCRUB_KEYS_MAX = 10


class Keeping(StateKeeping):
    """Has checkpoints made every `every_ns`, and some of what is kept read again every `scrub_ns`.

    `start` starts another keeper, or gives None when none can be.
    """

    def __init__(
        self,
        shell: SimulatedShell,
        loop: SimulatedLoop,
        every_ns: int,
        scrub_ns: int,
        start: Callable[[], SimulatedKeeper | None],
    ) -> None:
        super().__init__(cast(Shell, shell), every_ns / SECOND_NS, 0, is_durable=True)
        self.is_over = False
        self._timeline = shell.timeline
        self._loop = loop
        self._scrub_ns = scrub_ns
        self._scrubbed_at = shell.timeline.now
        self._start_one = start
        self._start, self._databases = self._started, DATABASES
        first = start()
        assert first is not None
        self.attach(cast(Keeper, first))

    async def _started(self) -> Keeper:
        keeper = self._start_one()
        if keeper is None:
            raise StateFault("there is no room for the state store")
        return cast(Keeper, keeper)

    @property
    def simulated(self) -> SimulatedKeeper:
        """The keeper. Raises the `StateFault` that says why there is none."""
        return cast(SimulatedKeeper, self.keeper())

    def begin(self) -> None:
        """Ask for checkpoints in time, and have a keeper, from now on."""
        self._loop.begin(self.run())
        self._timeline.after(TICK_NS, self._tick)

    def _tick(self) -> None:
        if self.is_over:
            return
        if self.has_keeper:
            self._scrub_some(self._timeline.now)
        self._timeline.after(TICK_NS, self._tick)

    def _scrub_some(self, now: int) -> None:
        """Have some of what is kept read again, though nobody wrote it."""
        core, records = self._core, self.simulated.store.records
        is_time = self._scrub_ns and now - self._scrubbed_at >= self._scrub_ns
        if not is_time or core.sweep.is_wanted or core.is_suspended or not records:
            return
        self._scrubbed_at = now
        for database, key in self._timeline.chance.sample(sorted(records), min(len(records), SCRUB_KEYS_MAX)):
            core.changes.keep(database, key, kind_of(records[database, key]))
