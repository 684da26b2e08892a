"""Recovery: lost replicas are replaced and all are rejuvenated, as the schedule says and the operator asks.

Ring 1. The core says who votes, the schedule (`trusted/recover.py`) who is rebuilt when and as which variant. What
happens to one shadow is in `rebuild.py`, what becomes of state in `keeping.py`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace

from .config import Config, Variant
from .domains.port import Domain
from .facts import Fact, RebuildBegan, RebuildDone, RebuildFailed, RebuildPostponed, SeatLeftEmpty
from .keeping import StateKeeping
from .rebuild import Progress, Rebuilder, RebuildFault, Shadow
from .seats import Seat
from .state.faults import StateFault
from .state.rows import name_of
from .trusted.errors import OperatorFault
from .trusted.messages import Cause, Convicted, Notice, Retired, Role, Seated, ShadowFailed, StateUnreadable
from .trusted.recover import PLANNED, Rebuild, Schedule, Strategy, Why
from .trusted.shell import Shell

BEGIN_ANEW = "all replicas begin anew"
REASONS_HINT = "docs/recovery.md says what each reason means"


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
        # When what is to be in a seat next was begun.
        self._begun_at: dict[int, float] = {}
        # Which variants came to nothing since a seat's last rebuild; all of them begin anew when all have.
        self._failed_as: list[set[str]] = [set() for _ in config.replicas]
        recovery = config.recovery
        self._schedule = Schedule(
            config.cell.f,
            [Strategy(name) for name in config.strategies()],
            config.every_ns(),
            [len(replica.variants) for replica in config.replicas],
            recovery.reactive,
            config.limits.rebuild_retry_ns_max,
            shell.clock.now(),
        )
        keeping.on_sealed = self._sealed
        keeping.on_lost = self._state_lost

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
            name = name_of(notice.database, notice.key)
            self._keeping.refused(f"the state of {name} cannot be read: {notice.reason}")
        self._changed.set()

    def _shadow_failed(self, seat: int, reason: str) -> None:
        shadow = self._rebuilder.shadows.get(seat)
        if shadow is not None:
            shadow.fail(reason)

    def _sealed(self) -> None:
        shadows = [shadow for shadow in self._rebuilder.shadows.values() if self._has_begun(shadow)]
        self._begin(self._rebuilder.seal(shadows))

    def _state_lost(self, fault: StateFault) -> None:
        """The keeper ended: nobody makes on these shadows what changes, nor will another keeper know of them."""
        for shadow in self._rebuilder.shadows.values():
            if shadow.role is Role.CATCHING_UP:
                shadow.fail(str(fault))

    def _has_begun(self, shadow: Shadow) -> bool:
        return shadow.lane is not None and shadow.lane.number in self._core.joining.begun

    def _seated(self, seat: int) -> None:
        """A shadow votes: its lane and its domain are the seat's now, and the old ones go."""
        shadow = self._rebuilder.shadows.pop(seat)
        assert shadow.lane is not None
        self._shell.seat(shadow.lane, seat)
        shadow.become(Role.VOTING)
        old = self.seats[seat].take(shadow.variant, shadow.domain, shadow.role)
        self._begin(end(self.seats[seat], old))
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
                if rebuild.strategy is Strategy.RESTART and not self._keeping.has_keeper:
                    # It comes to nothing. As a shadow it takes no vote for that, not even in the schedule's account.
                    rebuild = replace(rebuild, strategy=Strategy.SHADOW)
                self._schedule.began(rebuild)
                self.seats[rebuild.seat].life.postponed = ""
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
        began_at = self._begun_at[seat.index] = time.monotonic()
        self._on_fact(RebuildBegan(seat.replica.name, variant.name, rebuild.why.value))
        reason = "an error of the cell's own, see its log"
        try:
            if rebuild.strategy is Strategy.RESTART:
                self._keeping.keeper()  # without one nobody could take its place
                self._core.replica_stopped(seat.index, self._shell.now())
                self._shell.schedule()
            await self._rebuilder.run(self._rebuilder.shadow(seat, variant, self._progress_of(seat)))
        except (RebuildFault, OperatorFault, OSError) as error:
            self._failed(seat, variant, str(error) or "it was not ended in time", getattr(error, "hint", ""))
        except asyncio.CancelledError:
            reason = BEGIN_ANEW if self._is_paused else "the cell ends"
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours costs this rebuild, not the replicas that serve
            asyncio.get_running_loop().call_exception_handler({"message": "a rebuild broke", "exception": error})
        else:
            self._done(seat, variant, began_at, rebuild.why in PLANNED)
        finally:
            if self._schedule.running(seat.index) is not None:
                (self._given_up if reason == BEGIN_ANEW else self._failed)(seat, variant, reason)
            self._changed.set()

    # When all replicas begin anew.

    async def clear(self) -> None:
        """Give up all rebuilds, and begin none before `go_on`."""
        self._is_paused = True
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        for seat in self.seats:
            rebuild = self._schedule.running(seat.index)
            if rebuild is not None:
                # It was cancelled before its first step, and so could not say itself that it has ended.
                self._given_up(seat, self._variant(seat, rebuild.why), BEGIN_ANEW)

    def all_lost(self) -> None:
        """All replicas are to go: no seat has a vote from now on, until another replica votes in it.

        Nothing is begun before `go_on`, and what is under way comes to nothing.
        """
        self._is_paused = True
        for seat in self.seats:
            self._lost_at.setdefault(seat.index, time.monotonic())
            seat.retire()

    def newcomer(self, seat: Seat, tried: set[str], taken: set[str]) -> tuple[Variant, Domain] | None:
        """For `seat` the next of its variants that was not `tried`, and a domain that is not started; None: no more.

        Rather one that did not fail since the seat's last rebuild, and that is not `taken` by another seat.
        """
        untried = [name for name in self._rotation(seat) if name not in tried]
        if not untried:
            return None
        failed = self._failed_as[seat.index]
        variant = self._config.variants[min(untried, key=lambda name: (name in failed, name in taken))]
        self._begun_at[seat.index] = time.monotonic()
        return variant, self._rebuilder.domain(seat, variant)

    def came_to_nothing(self, seat: Seat, reason: str) -> None:
        """What `seat` was to be filled with did not become a replica."""
        self._note_failure(seat, seat.variant, reason)

    def left_empty(self, seat: Seat, reason: str) -> None:
        """The cell goes on without a replica in this seat, which is rebuilt as any that was lost."""
        seat.cause = reason.splitlines()[0]
        self._lost_at.setdefault(seat.index, time.monotonic())
        self._schedule.lost(seat.index, Why.CRASHED, self._shell.clock.now())
        self._on_fact(SeatLeftEmpty(seat.replica.name, reason))
        self._changed.set()

    def go_on(self) -> None:
        """All began anew: where a new replica votes, nothing that was wanted before is wanted any more."""
        for seat in self.seats:
            if self._core.roles[seat.index] is Role.VOTING:
                self._schedule.began(Rebuild(seat.index, Strategy.SHADOW, Why.CRASHED))
                self._done(seat, seat.variant, time.monotonic())
        self._is_paused = self._is_over = False
        self._changed.set()

    def give_up(self) -> None:
        """The cell is lost: nobody is rebuilt before all could be begun anew, and who waits for it is told."""
        self._is_over = True
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(_cell_is_lost())
        self._asked.clear()

    def _given_up(self, seat: Seat, variant: Variant, reason: str) -> None:
        """A rebuild is not gone on with, through no fault of its variant's."""
        self._on_fact(RebuildFailed(seat.replica.name, variant.name, reason))
        self._ended(seat, reason)

    def _failed(self, seat: Seat, variant: Variant, reason: str, hint: str = "") -> None:
        self._note_failure(seat, variant, reason)
        self._ended(seat, reason, hint)

    def _ended(self, seat: Seat, reason: str, hint: str = "") -> None:
        """What was under way for this seat came to nothing: whoever asked for it is told."""
        self._schedule.failed(seat.index, self._shell.clock.now())
        asked = self._asked.pop(seat.index, None)
        if asked is not None and not asked.done():
            message = f"replica {seat.replica.name} was not rebuilt: {reason}"
            asked.set_exception(OperatorFault(message, hint or REASONS_HINT))

    def _note_failure(self, seat: Seat, variant: Variant, reason: str) -> None:
        failed = self._failed_as[seat.index]
        failed.add(variant.name)
        if len(failed) == len(seat.replica.variants):
            failed.clear()
        seat.life.failures += 1
        self._on_fact(RebuildFailed(seat.replica.name, variant.name, reason))

    def _done(self, seat: Seat, variant: Variant, began_at: float, is_planned: bool = False) -> None:
        """Another replica votes in this seat. It took as long as nobody did, or else since its rebuild began."""
        self._schedule.succeeded(seat.index, self._shell.clock.now())
        self._failed_as[seat.index].clear()
        life = seat.life
        life.rebuilds += 1
        now = life.last_rebuild_at = time.monotonic()
        life.born_at = self._begun_at.pop(seat.index, now)
        lost_at = self._lost_at.pop(seat.index, None)
        seconds = now - (began_at if lost_at is None else lost_at)
        if lost_at is not None:
            life.last_recovery_seconds = seconds
        self._on_fact(RebuildDone(seat.replica.name, variant.name, seconds, is_planned))
        asked = self._asked.pop(seat.index, None)
        if asked is not None and not asked.done():
            asked.set_result(None)
        role = self._core.roles[seat.index]
        if role is not Role.VOTING:
            # It was lost again before the schedule knew that it votes, and to that this was no news.
            self._lost_at.setdefault(seat.index, time.monotonic())
            why = Why.CONVICTED if role is Role.CONVICTED else Why.CRASHED
            self._schedule.lost(seat.index, why, self._shell.clock.now())

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
            self._tell(seat, stage, share)

        return progress

    def _tell(self, seat: Seat, stage: str, share: float) -> None:
        """Who watches is told. Who cannot listen any more must not harm what he watches."""
        watcher = self._watchers.get(seat.index)
        if watcher is None:
            return
        try:
            watcher(seat.replica.name, stage, share)
        except Exception:  # noqa: BLE001 - whatever it is, it is the watcher's
            self._watchers.pop(seat.index, None)

    def _tell_postponed(self) -> None:
        notices, self._schedule.notices = self._schedule.notices, []
        for postponed in notices:
            seat = self.seats[postponed.seat]
            seat.life.postponed = postponed.reason
            self._on_fact(RebuildPostponed(seat.replica.name, postponed.reason))
            self._tell(seat, f"postponed: {postponed.reason}", 0.0)

    # What the operator asks.

    async def recover(self, names: list[str], strategy: str | None, progress: Progress) -> None:
        """Rebuild these replicas and return when they vote. Raises `OperatorFault` when one does not, or must not.

        Where this is cancelled, what has not begun is wanted no more; what has goes on.
        """
        seats = [self._named(name) for name in names]
        if self._is_over or self._core.is_lost:
            raise _cell_is_lost()
        for seat in seats:
            refusal = self._schedule.refusal(seat.index)
            if refusal:
                raise OperatorFault(f"replica {seat.replica.name}: {refusal}", "see quorate status")
        loop = asyncio.get_running_loop()
        now = self._shell.clock.now()
        wishes = {seat.index: loop.create_future() for seat in seats}
        for seat in seats:
            self._schedule.ask(seat.index, None if strategy is None else Strategy(strategy), now)
            self._asked[seat.index] = wishes[seat.index]
            self._watchers[seat.index] = progress
        self._changed.set()
        try:
            results = await asyncio.gather(*wishes.values(), return_exceptions=True)
        finally:
            for seat in seats:
                if self._watchers.get(seat.index) is progress:
                    del self._watchers[seat.index]
                if self._asked.get(seat.index) is wishes[seat.index]:
                    self._take_back(seat)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _take_back(self, seat: Seat) -> None:
        """Who asked for this rebuild waits for it no more: one that only waits for its turn is forgotten."""
        del self._asked[seat.index]
        if self._schedule.withdraw(seat.index):
            seat.life.postponed = ""
            self._changed.set()

    def _named(self, name: str) -> Seat:
        for seat in self.seats:
            if seat.replica.name == name:
                return seat
        names = ", ".join(seat.replica.name for seat in self.seats)
        raise OperatorFault(f"there is no replica {name!r}", f"the replicas are: {names}")


def _cell_is_lost() -> OperatorFault:
    return OperatorFault("the cell is lost: its replicas could not be begun anew", "see its log: it is tried again")


def _why(notice: Convicted | Retired) -> Why:
    if isinstance(notice, Retired):
        return Why.RETIRED
    return Why.CRASHED if notice.cause is Cause.CRASH else Why.CONVICTED


async def end(seat: Seat, domain: Domain) -> None:
    """Leave nothing of this domain. That the machine does not let it end is said, and ends nothing else."""
    try:
        await seat.end(domain)
    except (OperatorFault, OSError) as fault:
        message = f"a domain of replica {seat.replica.name} was not ended"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": fault})


async def supervise(shell: Shell, domain: Domain, lane: int) -> None:
    """When the service behind this lane ends, its replica is lost."""
    await domain.ended()
    shell.lane_broke(lane, Cause.CRASH)
