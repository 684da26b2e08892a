"""Revival: a request left too few replicas that answer, or a write was left undecided. All replicas begin anew.

Ring 1. That is nobody's fault but the request's (design: "Poison"). What was under way is closed and buried: its owner
is told an error, and no replica executes it again. Then every seat gets a new replica, which is given the last
checkpoint and executes what was decided after it. Clients wait meanwhile. Where that fails too, the cell is lost: it
answers errors, or halts, as it was configured to.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

from .boot import boot, first_fault
from .config import Variant
from .domains.port import Domain
from .facts import Fact, RevivalBegan, RevivalEnded
from .journaling import Journaling
from .keeping import StateKeeping
from .recovery import Recovery, end, supervise
from .restart import fill
from .seats import Seat
from .state.faults import StateFault
from .trusted.errors import OperatorFault
from .trusted.messages import Notice, QuorumLost, Role, Undecided
from .trusted.shell import Shell

REVIVAL_SECONDS_MAX = 600.0
# After one revival the next waits a little, and each further one twice as long; a steady time forgets them.
WAIT_SECONDS_FIRST = 0.25
WAIT_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0


class Revival:
    """Begins all replicas anew when that is called for. It does nothing before it `is_armed`."""

    def __init__(
        self,
        shell: Shell,
        keeping: StateKeeping,
        journaling: Journaling,
        recovery: Recovery,
        begin: Callable[[Coroutine[None, None, None]], object],
        on_fact: Callable[[Fact], None],
    ) -> None:
        self.is_armed = False
        self._shell = shell
        self._core = shell.core
        self._keeping = keeping
        self._journaling = journaling
        self._recovery = recovery
        self._begin = begin
        self._on_fact = on_fact
        self._ended_at = 0.0
        self._wait_seconds = 0.0

    def noticed(self, notice: Notice) -> None:
        """Something happened in the core: at once, before anything else is asked, see whether this is called for."""
        reason = calls_for(notice)
        if not reason or not self.is_armed or self._core.is_suspended or not self._keeping.has_keeper:
            return
        self._core.suspend(self._shell.now())
        for seat in self._recovery.seats:
            seat.role = Role.BOOTING
        self._shell.schedule()
        self._begin(self._revive(reason))

    async def _revive(self, reason: str) -> None:
        began_at = time.monotonic()
        self._on_fact(RevivalBegan(reason))
        try:
            async with asyncio.timeout(REVIVAL_SECONDS_MAX):
                await self._wait(began_at)
                await self._recovery.clear()
                await self._keeping.settle()
                await self._refill()
                await self._journaling.again(self._keeping.keeper())
        except (OperatorFault, OSError, TimeoutError) as error:
            self.is_armed = False
            self._core.lose(self._shell.now())
            self._end_all()
            self._recovery.give_up()
            self._on_fact(RevivalEnded(time.monotonic() - began_at, str(error) or "it took too long"))
        else:
            self._core.resume(self._shell.now())
            self._recovery.go_on()
            self._on_fact(RevivalEnded(time.monotonic() - began_at))
        self._ended_at = time.monotonic()
        self._shell.schedule()
        if self.is_armed:
            with suppress(StateFault):
                await self._keeping.checkpoint(is_urgent=True)

    async def _wait(self, began_at: float) -> None:
        if not self._ended_at or began_at - self._ended_at > STEADY_SECONDS:
            self._wait_seconds = 0.0
        else:
            self._wait_seconds = min(2 * self._wait_seconds or WAIT_SECONDS_FIRST, WAIT_SECONDS_MAX)
        await asyncio.sleep(self._wait_seconds)

    async def _refill(self) -> None:
        try:
            async with asyncio.TaskGroup() as boots:
                for seat, variant, domain in self._recovery.newcomers():
                    boots.create_task(self._replace(seat, variant, domain))
        except ExceptionGroup as group:
            raise first_fault(group) from group

    async def _replace(self, seat: Seat, variant: Variant, domain: Domain) -> None:
        """A new replica for `seat`, which holds the last checkpoint."""
        name, keeper = seat.replica.name, self._keeping.keeper()
        await seat.take(variant, domain, Role.BOOTING).kill()
        sock = await boot(name, domain, self._core.protocol.probe())
        await fill(keeper, sock, self._keeping.next_feed(), name)
        lane = await self._shell.adopt(seat.index, await domain.connect())
        seat.role = Role.VOTING
        self._begin(supervise(self._shell, domain, lane.number))

    def _end_all(self) -> None:
        """Whatever became of the new replicas: none of them will ever be asked anything."""
        for seat in self._recovery.seats:
            if self._core.roles[seat.index] is Role.VOTING:
                self._core.replica_stopped(seat.index, self._shell.now())
                continue
            seat.role, seat.cause = Role.RETIRED, "it could not be begun anew"
            self._begin(end(seat.domain))


def calls_for(notice: Notice) -> str:
    """Why what happened calls for all replicas to begin anew, or nothing."""
    if isinstance(notice, QuorumLost):
        return f"{notice.voters} replicas are left to vote"
    if isinstance(notice, Undecided) and notice.is_write:
        return f"the replicas split over a write, slot {notice.slot}"
    if isinstance(notice, Undecided) and not notice.is_split:
        return f"too few replicas answered slot {notice.slot}"
    return ""
