"""One rebuild: a shadow is booted beside the old replica, fed, proved, sealed, and seated.

Ring 1. Knows one shadow at a time, and not why it is prepared. Whatever goes wrong ends the shadow alone: its domain is
killed, its lane closed, and the seat is as it was.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from .boot import boot, recipe
from .config import Config, Variant
from .domains.make import UIDS_MAX, make
from .domains.port import Domain
from .keeping import StateKeeping
from .seats import Seat
from .state.faults import FeedFault, StateFault
from .state.link import Feeding, Keeper
from .trusted.errors import OperatorFault
from .trusted.messages import Role
from .trusted.protocol import Protocol
from .trusted.recover import become
from .trusted.shell import Lane, Shell

REBUILD_SECONDS_MAX = 600.0
PROGRESS_SECONDS = 0.1
# Checkpoints are made for a shadow that follows until one leaves so few changed keys, or more than this share of those
# that the one before left; but no more than so many.
FOLLOW_KEYS_MAX = 1_024
FOLLOW_SHRINK = 0.75
FOLLOW_ROUNDS_MAX = 8
# Who watches is told of a wait that is longer.
PATIENCE_SECONDS = 1.0

Progress = Callable[[str, str, float], None]


class RebuildFault(Exception):
    """A shadow came to nothing, for this reason. `hint` says what to do about it, where somebody knows."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


class Shadow:
    """A replica that is prepared for a seat. `seated` ends when it votes, or with why it never will.

    `role` is where it stands in its own life, beside that of the replica in the seat, and `share` how much of that is
    done, 0 to 1. `progress` is told of both.
    """

    def __init__(self, seat: Seat, variant: Variant, domain: Domain, progress: Progress) -> None:
        self.seat = seat
        self.variant = variant
        self.domain = domain
        self.role = Role.BOOTING
        self.share = 0.0
        self.lane: Lane | None = None
        self.feed = 0
        self._progress = progress
        self.seated: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        """The replica's."""
        return self.seat.replica.name

    def become(self, role: Role) -> None:
        """Its life goes on."""
        self.role = become(self.role, role)
        self.share = 0.0

    def tell(self, share: float = 0.0, waits_for: str = "") -> None:
        """Who watches is told where it stands, and that so much of this is done, or what it waits for."""
        self.share = share
        self._progress(self.name, f"{self.role.value}, waits for {waits_for}" if waits_for else self.role.value, share)

    def fail(self, reason: str) -> None:
        """It is no good."""
        if not self.seated.done():
            self.seated.set_exception(RebuildFault(reason))
            self.seated.exception()  # whoever works on it learns of it when that is done


class Rebuilder:
    """Brings shadows to their seats. `shadows` holds those under way, by seat."""

    def __init__(
        self, config: Config, protocol: Protocol, shell: Shell, keeping: StateKeeping, directory: Path
    ) -> None:
        self.shadows: dict[int, Shadow] = {}
        self._config = config
        self._protocol = protocol
        self._shell = shell
        self._keeping = keeping
        self._directory = directory

    def shadow(self, seat: Seat, variant: Variant, progress: Progress) -> Shadow:
        """A shadow for `seat`, not started yet."""
        shadow = self.shadows[seat.index] = Shadow(seat, variant, self.domain(seat, variant), progress)
        return shadow

    def domain(self, seat: Seat, variant: Variant) -> Domain:
        """A domain for the next replica of `seat`, which shares neither directory nor user with another."""
        seat.generation += 1
        seats = len(self._config.replicas)
        number = seat.index + seats * (seat.generation % (UIDS_MAX // seats))
        directory = self._directory / f"{seat.replica.name}-{seat.generation}"
        return make(seat.replica.domain, recipe(seat.replica, variant), directory, number)

    async def run(self, shadow: Shadow) -> None:
        """Prepare `shadow` until it votes. Raises `RebuildFault` when it never will; nothing of it is left then."""
        try:
            async with asyncio.timeout(REBUILD_SECONDS_MAX):
                await self._prepare(shadow)
        except (TimeoutError, RebuildFault, OperatorFault, FeedFault, OSError) as error:
            if self._has_seat(shadow):
                return
            await self._abandon(shadow)
            raise RebuildFault(str(error) or "it took too long", getattr(error, "hint", "")) from error
        except BaseException:
            if not self._has_seat(shadow):
                await self._abandon(shadow)
            raise
        finally:
            if not self._has_seat(shadow):
                self.shadows.pop(shadow.seat.index, None)

    async def _prepare(self, shadow: Shadow) -> None:
        shadow.tell()
        # What changed lately is read while the replica boots, so that little is left for the end.
        recent = asyncio.ensure_future(self._keeping.checkpoint(is_urgent=True))
        with ExitStack() as undo:
            try:
                feed_socket = await boot(shadow.name, shadow.domain, self._protocol.probe())
                undo.callback(feed_socket.close)
                shadow.lane = await self._shell.adopt_shadow(await shadow.domain.connect())
                await self._patiently(shadow, recent)
            finally:
                recent.cancel()
                await asyncio.gather(recent, return_exceptions=True)
            keeper = self._keeping.keeper()
            undo.pop_all()
        await self._feed(shadow, keeper, feed_socket)
        await self._follow(keeper.feeds[shadow.feed])
        shadow.become(Role.CATCHING_UP)
        shadow.tell()
        self._shell.begin(shadow.lane, shadow.seat.index)
        await shadow.seated

    async def _patiently(self, shadow: Shadow, recent: asyncio.Future[int]) -> None:
        """Until the checkpoint is made that the replica is given. Where that takes long, who watches is told."""
        done, _ = await asyncio.wait((recent,), timeout=PATIENCE_SECONDS)
        if not done:
            shadow.tell(waits_for="a checkpoint")
        await recent

    async def _feed(self, shadow: Shadow, keeper: Keeper, sock: socket.socket) -> None:
        """The keeper, whose `sock` becomes, fills the replica with the last checkpoint and proves it; then follows."""
        shadow.become(Role.RESTORING)
        shadow.feed = self._keeping.next_feed()
        feeding = asyncio.ensure_future(keeper.feed(sock, shadow.feed))
        try:
            while not feeding.done():
                state = keeper.feeds.get(shadow.feed)
                shadow.tell(state.rows_done / state.rows_total if state is not None and state.rows_total else 0.0)
                await asyncio.wait([feeding], timeout=PROGRESS_SECONDS)
            await feeding
        finally:
            feeding.cancel()

    async def _follow(self, feeding: Feeding) -> None:
        """What the replica lacks is made less and less: all that the last checkpoint leaves is kept for it in memory.

        Clients change more while a longer round lasts, so each is shorter: unless they are as fast as the replica, and
        then more rounds would not help.
        """
        keys_max = math.inf
        for _ in range(FOLLOW_ROUNDS_MAX):
            await self._keeping.checkpoint(is_urgent=True)
            keys = feeding.lag
            while feeding.lag and feeding.fault is None:  # noqa: ASYNC110 - the keeper tells numbers, not events
                await asyncio.sleep(PROGRESS_SECONDS)
            if feeding.fault is not None:
                # Perhaps the keeper ended as it said that the replica was fed, and there is another by now.
                raise feeding.fault
            if keys <= FOLLOW_KEYS_MAX or keys > keys_max:
                return
            keys_max = keys * FOLLOW_SHRINK

    async def seal(self, shadows: list[Shadow]) -> None:
        """The state store stands still at a checkpoint: each shadow that holds exactly this state goes on from it."""
        await asyncio.gather(*(self._seal(shadow) for shadow in shadows))

    async def _seal(self, shadow: Shadow) -> None:
        lane = shadow.lane
        assert lane is not None
        try:
            await self._keeping.keeper().seal(shadow.feed)
        except (FeedFault, StateFault) as fault:
            self._shell.give_up(lane, shadow.seat.index)
            shadow.fail(str(fault))
        else:
            # All may have been given up meanwhile, and nobody have told the shadow yet.
            if not shadow.seated.done() and lane.number in self._shell.core.joining.begun:
                self._sealed(shadow, lane)

    def _sealed(self, shadow: Shadow, lane: Lane) -> None:
        """It goes on, unless the keeper has ended since it said so: then nothing stands still any more."""
        if not self._shell.core.sweep.is_sealed():
            self._shell.give_up(lane, shadow.seat.index)
            shadow.fail(str(self._keeping.fault))
            return
        shadow.become(Role.VERIFIED)
        shadow.tell()
        self._shell.release(lane)

    def _has_seat(self, shadow: Shadow) -> bool:
        """Whether it votes already, although nobody was told yet: then it is too late to give it up."""
        voter = self._shell.core.vote.lanes.get(shadow.lane.number) if shadow.lane is not None else None
        return voter is not None and voter.is_voting

    async def _abandon(self, shadow: Shadow) -> None:
        shadow.become(Role.RETIRING)
        if shadow.lane is not None:
            self._shell.give_up(shadow.lane, shadow.seat.index)
        with suppress(StateFault):
            self._keeping.keeper().drop(shadow.feed)
        killing = asyncio.ensure_future(shadow.domain.kill())
        try:
            await asyncio.shield(killing)
        except asyncio.CancelledError:
            # All begin anew, or the cell ends, while it is being ended: nobody else knows of it.
            await killing
            raise
        shadow.become(Role.RETIRED)
