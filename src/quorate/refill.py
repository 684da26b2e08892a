"""New replicas for all seats at once: each is booted, filled with the last checkpoint and proved, before any votes.

Ring 1. A replica that comes to nothing spoils nobody else's: its seat is tried with its next variants. Where f+1 are
ready the cell can go on; the others are waited for a little longer, and then their seats are left to recovery. Knows
neither the journal nor why all begin anew.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from .boot import boot
from .keeping import StateKeeping
from .recovery import Recovery, end, supervise
from .restart import fill
from .seats import Seat
from .state.faults import StateFault
from .trusted.errors import OperatorFault
from .trusted.messages import Role
from .trusted.quorum import votes_needed
from .trusted.shell import Shell

# Once f+1 are ready, the others may take so many times longer than these took, and a little at least.
GRACE_SHARES = 2
GRACE_SECONDS_MIN = 2.0

Stages = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A replica that holds the last checkpoint, is in its seat, and is asked nothing yet."""

    seat: Seat
    sock: socket.socket


class Refill:
    """Gives all seats new replicas. `begin` starts a task that ends with the cell."""

    def __init__(
        self,
        shell: Shell,
        keeping: StateKeeping,
        recovery: Recovery,
        begin: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._shell = shell
        self._keeping = keeping
        self._recovery = recovery
        self._begin = begin
        # Which variant each seat is tried with, and why a seat came to nothing.
        self._taken: dict[int, str] = {}
        self._faults: dict[int, Exception] = {}

    async def prepare(self, is_first: bool = False, progress: Stages | None = None) -> list[Newcomer]:
        """A new replica for each seat, or for f+1 of them at least. `is_first`: as what stands in the seats already.

        Raises `OperatorFault` when there are fewer, and leaves nothing of them.
        """
        self._taken.clear()
        self._faults.clear()
        seats = self._recovery.seats
        tasks = [asyncio.ensure_future(self._prepare(seat, is_first, progress or _unheard)) for seat in seats]
        try:
            await self._enough(tasks)
            await _cancel(tasks)
            ready = _ready(tasks)
            if len(ready) < self._needed():
                raise min(self._faults.items(), key=lambda item: item[0])[1]
        except BaseException:
            await _cancel(tasks)
            for newcomer in _ready(tasks):
                newcomer.sock.close()
                await self._end(newcomer.seat)
            raise
        return ready

    def _needed(self) -> int:
        return votes_needed(self._shell.core.f)

    async def _enough(self, tasks: list[asyncio.Task[Newcomer | None]]) -> None:
        """Until all are done, or f+1 are ready and the others had their time, or f+1 cannot be had any more."""
        began_at = time.monotonic()
        pending, seconds = set(tasks), None
        give_up_at = 0.0
        while pending:
            done, pending = await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what is nobody's own fault ends all
            ready = len(_ready(tasks))
            if not done or ready + len(pending) < self._needed():
                return
            if ready >= self._needed():
                now = time.monotonic()
                give_up_at = give_up_at or now + max(GRACE_SECONDS_MIN, GRACE_SHARES * (now - began_at))
                seconds = max(give_up_at - now, 0.0)

    async def _prepare(self, seat: Seat, is_first: bool, progress: Stages) -> Newcomer | None:
        """A replica for `seat`, as one of its variants after the other; None when none of them will do."""
        tried: set[str] = set()
        while True:
            old = seat.domain
            if not is_first or tried:
                taken = {name for index, name in self._taken.items() if index != seat.index}
                found = self._recovery.newcomer(seat, tried, taken)
                if found is None:
                    return None
                old = seat.take(*found)
            # Before anything is waited for: the other seats choose at the same time.
            self._taken[seat.index] = seat.variant.name
            tried.add(seat.variant.name)
            if old is not seat.domain:
                self._begin(end(seat, old))  # not waited for, nor given up where this is cancelled
            try:
                return Newcomer(seat, await self._fill(seat, is_first, progress))
            except (OperatorFault, OSError) as fault:
                await self._end(seat)
                if isinstance(fault, StateFault):
                    raise  # no replica is to blame
                self._faults[seat.index] = fault
                self._recovery.came_to_nothing(seat, str(fault))
            except BaseException:
                await self._end(seat)
                raise

    async def _fill(self, seat: Seat, is_first: bool, progress: Stages) -> socket.socket:
        """Boot the replica in `seat` and make it the last checkpoint; a socket for its lane."""
        name, keeper = seat.replica.name, self._keeping.keeper()
        progress(name, Role.BOOTING.value)
        sock = await boot(name, seat.domain, self._shell.core.protocol.probe())
        if is_first and not keeper.checkpoint.counts:
            return sock
        seat.become(Role.RESTORING)
        progress(name, Role.RESTORING.value)
        await fill(keeper, sock, self._keeping.next_feed(), name)
        seat.become(Role.VERIFIED)
        return await seat.domain.connect()

    async def take_seats(self, newcomers: list[Newcomer], progress: Stages | None = None) -> None:
        """These vote from the next slot on. Seats without one are empty, and left to recovery."""
        for newcomer in newcomers:
            seat = newcomer.seat
            (progress or _unheard)(seat.replica.name, Role.VOTING.value)
            lane = await self._shell.adopt(seat.index, newcomer.sock)
            seat.become(Role.VOTING)
            self._begin(supervise(self._shell, seat.domain, lane.number))
        filled = {newcomer.seat.index for newcomer in newcomers}
        for seat in self._recovery.seats:
            if seat.index not in filled:
                self._recovery.left_empty(seat, str(self._faults.get(seat.index, "it took too long")))

    async def _end(self, seat: Seat) -> None:
        seat.retire()
        await end(seat, seat.domain)


def _unheard(name: str, stage: str) -> None:
    """Nobody wants to know."""


def _ready(tasks: list[asyncio.Task[Newcomer | None]]) -> list[Newcomer]:
    """What came of those that are done, and well."""
    results = [task.result() for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
    return [newcomer for newcomer in results if newcomer is not None]


async def _cancel(tasks: list[asyncio.Task[Newcomer | None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
