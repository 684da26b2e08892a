"""Recovery: lost replicas are replaced and all are rejuvenated, as the schedule says and the operator asks.

Ring 1. The core says who votes, the schedule (`trusted/recover.py`) who is rebuilt when and as which variant. What
happens to one shadow is in `rebuild.py`, what becomes of state in `keeping.py`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine

from .config import Config, Variant
from .domains.port import Domain
from .facts import Fact, RebuildBegan, RebuildDone, RebuildFailed, RebuildPostponed
from .keeping import StateKeeping
from .rebuild import Progress, Rebuilder, RebuildFault, Shadow
from .seats import Seat
from .trusted.errors import OperatorFault
from .trusted.messages import Cause, Convicted, Notice, Retired, Role, Seated, ShadowFailed, StateUnreadable
from .trusted.recover import PLANNED, Rebuild, Schedule, Strategy, Why
from .trusted.shell import Shell


class Recovery:
    """Keeps the seats of one cell filled. `begin` starts a task that ends with the cell; `on_fact` is told facts."""

    def __init__(
        self,
        config: Config,
        shell: Shell,
        seats: list[Seat],
        keeping: StateKeeping,
        rebuilder: Rebuilder,
        begin: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
        on_fact: Callable[[Fact], None],
    ) -> None:
        self._config = config
        self._shell = shell
        self._core = shell.core
        self.seats = seats
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._is_paused = False
        self._is_over = False
        self._keeping = keeping
        self._rebuilder = rebuilder
        self._begin = begin
        self._on_fact = on_fact
        self._changed = asyncio.Event()
        self._watchers: dict[int, Progress] = {}
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._lost_at: dict[int, float] = {}
        # Which variants came to nothing since a seat's last rebuild; all of them begin anew when all have.
        self._failed_as: list[set[str]] = [set() for _ in config.replicas]
        recovery = config.recovery
        self._schedule = Schedule(
            config.cell.f,
            Strategy(recovery.strategy),
            config.every_ns(),
            [len(replica.variants) for replica in config.replicas],
            recovery.reactive,
            config.limits.rebuild_retry_ns_max,
            shell.clock.now(),
        )
        keeping.on_sealed = self._sealed

    # What the core and the keeper tell.

    def noticed(self, notice: Notice) -> None:
        """Something happened in the core."""
        if isinstance(notice, Convicted | Retired):
            self._lost_at.setdefault(notice.seat, time.monotonic())
            if notice.cause is not Cause.RESTART:
                self._schedule.lost(notice.seat, _why(notice), self._shell.clock.now())
        elif isinstance(notice, ShadowFailed):
            self._shadow_failed(notice.seat, notice.cause.value)
        elif isinstance(notice, Seated):
            self._seated(notice.seat)
        elif isinstance(notice, StateUnreadable):
            self._keeping.refused(f"the state of key {notice.key!r} cannot be read: {notice.reason}")
        self._changed.set()

    def _shadow_failed(self, seat: int, reason: str) -> None:
        shadow = self._rebuilder.shadows.get(seat)
        if shadow is not None:
            shadow.fail(reason)

    def _sealed(self) -> None:
        shadows = [shadow for shadow in self._rebuilder.shadows.values() if self._has_begun(shadow)]
        self._begin(self._rebuilder.seal(shadows))

    def _has_begun(self, shadow: Shadow) -> bool:
        return shadow.lane is not None and shadow.lane.number in self._core.joining.begun

    def _seated(self, seat: int) -> None:
        """A shadow votes: its lane and its domain are the seat's now, and the old ones go."""
        shadow = self._rebuilder.shadows.pop(seat)
        assert shadow.lane is not None
        self._shell.seat(shadow.lane, seat)
        old = self.seats[seat].take(shadow.variant, shadow.domain, Role.VOTING)
        self._begin(end(old))
        self._begin(supervise(self._shell, shadow.domain, shadow.lane.number))
        if not shadow.seated.done():
            shadow.seated.set_result(None)

    # What is done.

    async def run(self) -> None:
        """Rebuild what the schedule says, when it says so."""
        while True:
            self._changed.clear()
            now = self._shell.clock.now()
            voting = [role is Role.VOTING for role in self._core.roles]
            for rebuild in () if self._is_paused else self._schedule.due(now, voting):
                self._schedule.began(rebuild)
                self._tasks[rebuild.seat] = self._begin(self._rebuild(rebuild))
            self._tell_postponed()
            await self._wait()

    async def _wait(self) -> None:
        due = 0 if self._is_paused else self._schedule.next_deadline()
        delay = max(due - self._shell.clock.now(), 0) / 1e9 if due else None
        try:
            async with asyncio.timeout(delay):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _rebuild(self, rebuild: Rebuild) -> None:
        seat = self.seats[rebuild.seat]
        variant = self._variant(seat, rebuild.why)
        began_at = self._lost_at.get(seat.index, time.monotonic())
        self._on_fact(RebuildBegan(seat.replica.name, variant.name, rebuild.why.value))
        try:
            if rebuild.strategy is Strategy.RESTART:
                self._keeping.keeper()  # without one nobody could take its place
                self._core.replica_stopped(seat.index, self._shell.now())
                self._shell.schedule()
            shadow = self._rebuilder.shadow(seat, variant)
            await self._rebuilder.run(shadow, self._progress_of(seat))
        except (RebuildFault, OperatorFault) as error:
            self._failed(seat, variant, str(error))
        else:
            self._done(seat, variant, time.monotonic() - began_at)
        finally:
            if self._schedule.running(seat.index) is not None:
                self._failed(seat, variant, "an error of the cell's own, or its end")
            seat.life.stage = ""
            self._changed.set()

    # When all replicas begin anew.

    async def clear(self) -> None:
        """Give up all rebuilds, and begin none before `go_on`."""
        self._is_paused = True
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def newcomers(self) -> list[tuple[Seat, Variant, Domain]]:
        """For each seat its next variant, so that as few as possible are the same, and a domain that is not started."""
        taken: set[str] = set()
        found: list[tuple[Seat, Variant, Domain]] = []
        for seat in self.seats:
            rotation = self._rotation(seat)
            name = next((name for name in rotation if name not in taken), rotation[0])
            taken.add(name)
            variant = self._config.variants[name]
            found.append((seat, variant, self._rebuilder.domain(seat, variant)))
        return found

    def go_on(self) -> None:
        """Every seat has got a new replica: where it votes, nothing that was wanted before is wanted any more."""
        for seat in self.seats:
            self._schedule.began(Rebuild(seat.index, Strategy.SHADOW, Why.CRASHED))
            if self._core.roles[seat.index] is not Role.VOTING:
                self._failed(seat, seat.variant, "it was lost again before it was asked anything")
                continue
            began_at = self._lost_at.get(seat.index, time.monotonic())
            self._done(seat, seat.variant, time.monotonic() - began_at)
        self._is_paused = False
        self._changed.set()

    def give_up(self) -> None:
        """The cell is lost: nobody is rebuilt any more, and who waits for it is told."""
        self._is_over = True
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(_cell_is_lost())
        self._asked.clear()

    def _failed(self, seat: Seat, variant: Variant, reason: str) -> None:
        self._schedule.failed(seat.index, self._shell.clock.now())
        failed = self._failed_as[seat.index]
        failed.add(variant.name)
        if len(failed) == len(seat.replica.variants):
            failed.clear()
        self._on_fact(RebuildFailed(seat.replica.name, variant.name, reason))
        asked = self._asked.pop(seat.index, None)
        if asked is not None and not asked.done():
            asked.set_exception(OperatorFault(f"replica {seat.replica.name} was not rebuilt: {reason}"))

    def _done(self, seat: Seat, variant: Variant, seconds: float) -> None:
        self._schedule.succeeded(seat.index, self._shell.clock.now())
        self._failed_as[seat.index].clear()
        life = seat.life
        life.rebuilds += 1
        life.born_at = life.last_rebuild_at = time.monotonic()
        if self._lost_at.pop(seat.index, None) is not None:
            life.last_recovery_seconds = seconds
        self._on_fact(RebuildDone(seat.replica.name, variant.name, seconds))
        asked = self._asked.pop(seat.index, None)
        if asked is not None and not asked.done():
            asked.set_result(None)

    def _variant(self, seat: Seat, why: Why) -> Variant:
        """The next of the replica's variants that no other seat has, and that did not fail since the last rebuild.

        Where there is none, who is only to be rejuvenated stays what it is; what was lost becomes the next anyway.
        """
        rotation = self._rotation(seat)
        untried = [name for name in rotation if name not in self._failed_as[seat.index]] or rotation
        taken = {other.variant.name for other in self.seats if other is not seat}
        taken |= {shadow.variant.name for shadow in self._rebuilder.shadows.values()}
        free = [name for name in untried if name not in taken and name != seat.variant.name]
        if not free and not (why in PLANNED and seat.variant.name in untried):
            free = [name for name in untried if name != seat.variant.name]
        return self._config.variants[free[0] if free else seat.variant.name]

    def _rotation(self, seat: Seat) -> list[str]:
        """The names of the replica's variants, the next one first."""
        names = seat.replica.variants
        start = self._schedule.next_variant(seat.index)
        return [*names[start:], *names[:start]]

    def _progress_of(self, seat: Seat) -> Progress:
        def progress(name: str, stage: str, share: float) -> None:
            seat.life.stage, seat.life.share = stage, share
            watcher = self._watchers.get(seat.index)
            if watcher is not None:
                watcher(name, stage, share)

        return progress

    def _tell_postponed(self) -> None:
        notices, self._schedule.notices = self._schedule.notices, []
        for postponed in notices:
            name = self.seats[postponed.seat].replica.name
            self._on_fact(RebuildPostponed(name, postponed.reason))
            watcher = self._watchers.get(postponed.seat)
            if watcher is not None:
                watcher(name, f"postponed: {postponed.reason}", 0.0)

    # What the operator asks.

    async def recover(self, names: list[str], strategy: str | None, progress: Progress) -> None:
        """Rebuild these replicas and return when they vote. Raises `OperatorFault` when one does not, or must not."""
        seats = [self._named(name) for name in names]
        if self._is_over:
            raise _cell_is_lost()
        for seat in seats:
            refusal = self._schedule.refusal(seat.index)
            if refusal:
                raise OperatorFault(f"replica {seat.replica.name}: {refusal}", "see quorate status")
        loop = asyncio.get_running_loop()
        now = self._shell.clock.now()
        for seat in seats:
            self._schedule.ask(seat.index, None if strategy is None else Strategy(strategy), now)
            self._asked[seat.index] = loop.create_future()
            self._watchers[seat.index] = progress
        self._changed.set()
        try:
            results = await asyncio.gather(*(self._asked[seat.index] for seat in seats), return_exceptions=True)
        finally:
            for seat in seats:
                self._watchers.pop(seat.index, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _named(self, name: str) -> Seat:
        for seat in self.seats:
            if seat.replica.name == name:
                return seat
        names = ", ".join(seat.replica.name for seat in self.seats)
        raise OperatorFault(f"there is no replica {name!r}", f"the replicas are: {names}")


def _cell_is_lost() -> OperatorFault:
    return OperatorFault("the cell is lost: its replicas could not be begun anew", "see its log, and restart the cell")


def _why(notice: Convicted | Retired) -> Why:
    if isinstance(notice, Retired):
        return Why.RETIRED
    return Why.CRASHED if notice.cause is Cause.CRASH else Why.CONVICTED


async def supervise(shell: Shell, domain: Domain, lane: int) -> None:
    """When the service behind this lane ends, its replica is lost."""
    await domain.ended()
    shell.lane_broke(lane, Cause.CRASH)


async def end(domain: Domain) -> None:
    """Nothing of this domain is left."""
    await domain.kill()
