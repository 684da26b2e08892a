"""Keeping state: what the core read goes to the keeper, checkpoints are asked for in time, and waited for.

Ring 1. Knows neither replicas nor their rebuilding. When the keeper ends, because its disk is full or somebody killed
it, the cell serves on, nothing is noted, and no replica can be rebuilt. After a while there is another keeper. What
changed meanwhile nobody noted, so all that the replicas hold is read again, by vote: of what the store held before
nothing is believed but its last checkpoint, and that only until the next one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .state.anchor import NO_ANCHOR, Anchor
from .state.faults import StateFault
from .state.link import Keeper
from .state.rows import Checkpoint as Kept
from .trusted.changes import Checkpoint, Clear, StoreEffect
from .trusted.errors import OperatorFault
from .trusted.shell import Shell

# More than this waiting for the keeper: reading state has to wait too.
BACKLOG_BYTES_MAX = 32 * 1024 * 1024
BACKLOG_POLL_SECONDS = 0.01
TICK_SECONDS = 0.1
SCRUB_SECONDS = 1.0
# How soon another keeper is tried for; each that makes no checkpoint has the next wait twice as long, up to the latter.
RENEWAL_SECONDS_FIRST = 1.0
RENEWAL_SECONDS_MAX = 60.0

# How long a revival waits for another keeper, and for one that has not done yet what it was told.
KEPT_SECONDS_MAX = 15.0
SETTLE_SECONDS_MAX = 30.0
# Who says nothing for so long hangs. The commit of much state takes its time on a slow disk, and nothing is said then.
ANSWER_SECONDS_MAX = 120.0

StartKeeper = Callable[[], Awaitable[Keeper]]


class StateKeeping:
    """Between the core's sweep and the keeper. `on_sealed` is called when the store stands still at a checkpoint."""

    def __init__(self, shell: Shell, every_seconds: float, every_slots: int, is_durable: bool) -> None:
        self.checkpoint_slot = 0
        self.checkpoint_at: float | None = None
        self.on_sealed: Callable[[], None] = _nothing
        self.on_committed: Callable[[int], None] = _nothing
        self.on_broken: Callable[[StateFault], None] = _nothing
        self.on_regained: Callable[[], None] = _nothing
        self.on_miscounted: Callable[[list[int]], None] = _nothing
        # Told beside `on_broken`, for the shadows that this keeper followed.
        self.on_lost: Callable[[StateFault], None] = _nothing
        # How the journal stands, for a checkpoint that is asked for.
        self.anchor: Callable[[], Anchor] = _no_journal
        self.fault = StateFault("no state is kept")
        # Whether a keeper was lost, and none has made a checkpoint since.
        self.is_lost = False
        self._shell = shell
        self._core = shell.core
        self._every_seconds = every_seconds
        self._every_slots = every_slots
        self._is_durable = is_durable
        self._keeper: Keeper | None = None
        self._start: StartKeeper | None = None
        self._databases = 0
        self._ended: Keeper | None = None
        self._renewal_seconds = 0.0
        self._feeds = 0
        # How many commits are under way.
        self._commits = 0
        self._waiting: list[asyncio.Future[int]] = []

    async def open(self, start: StartKeeper, databases: int) -> Keeper:
        """Have `start` start the keeper of so many databases, and others after it. Raises as `start` for the first."""
        keeper = await start()
        self._start, self._databases = start, databases
        self.checkpoint_slot = keeper.checkpoint.slot
        self.attach(keeper)
        return keeper

    def attach(self, keeper: Keeper) -> None:
        """From now on what changes is noted, and told to this keeper."""
        self._keeper = keeper
        keeper.on_committed = self._committed
        keeper.on_miscounted = self._miscounted
        keeper.on_broken = self.broke
        self._shell.on_state = self._told
        self._core.changes.is_kept = True

    def broke(self, fault: StateFault) -> None:
        """The keeper is no more: the cell goes on without, until there is another."""
        self._ended, self._keeper = self._keeper, None
        self.fault = fault
        self.is_lost = True
        # Nobody will say any more that these were done.
        self._commits = 0
        self._core.state_is_lost(self._shell.now())
        self._shell.schedule()
        self._fail_waiting(fault)
        self.on_lost(fault)
        self.on_broken(fault)

    async def _renew(self, start: StartKeeper) -> None:
        """Try for another keeper, after a wait. All that it is to keep is read anew."""
        first, most = RENEWAL_SECONDS_FIRST, RENEWAL_SECONDS_MAX
        self._renewal_seconds = min(2 * self._renewal_seconds or first, most)
        await asyncio.sleep(self._renewal_seconds)
        if self._ended is not None:
            # Two must not have the store open.
            await self._ended.stop()
            self._ended = None
        try:
            keeper = await start()
        except StateFault as fault:
            self.fault = fault
            return
        except (OperatorFault, OSError) as error:
            self.fault = StateFault(str(error))
            return
        self.attach(keeper)
        # What was read up to now is not of this keeper's state, and least of all a checkpoint of it.
        self._core.sweep.effects = []
        self._core.sweep.is_held = False
        for database in range(self._databases):
            self._core.changes.keep_whole(database)
        self._core.checkpoint_wanted(is_urgent=False, now=self._shell.now())
        self._shell.schedule()

    # What the core tells.

    def _told(self, effects: list[StoreEffect]) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        for effect in effects:
            if isinstance(effect, Checkpoint):
                self._commits += 1
                extras = self._core.protocol.extras()
                keeper.commit(effect.slot, extras, effect.counts, self._is_durable, self.anchor())
            elif isinstance(effect, Clear):
                keeper.clear(effect.database)
            elif effect.record is None:
                keeper.delete(effect.database, effect.key)
            else:
                keeper.put(effect.database, effect.key, effect.record)
        if keeper.backlog_bytes > BACKLOG_BYTES_MAX:
            self._core.sweep.is_held = True

    def _committed(self, kept: Kept) -> None:
        """A checkpoint is in the store."""
        slot = kept.slot
        self._commits -= 1
        self._core.sweep.miscounts = 0
        if self._stands_still():
            self.on_sealed()
        self.checkpoint_slot = slot
        self.checkpoint_at = time.monotonic()
        self._renewal_seconds = 0.0
        if self.is_lost:
            self.is_lost = False
            self.on_regained()
        self.on_committed(slot)
        for waiter in self._take_waiting():
            waiter.set_result(slot)

    def _miscounted(self, databases: list[int]) -> None:
        """The store has other keys than the replicas, so that there is no checkpoint: somebody wrote what nobody noted.

        All of these databases is read again. Shadows that were to be sealed here begin anew at the next one.
        """
        self._commits -= 1
        if self._stands_still():
            self._core.sweep.unseal(will_seal=True)
        self._core.state_is_miscounted(databases, self._shell.now())
        self._shell.schedule()
        self.on_miscounted(databases)

    def _stands_still(self) -> bool:
        """Whether the keeper has done all that it is told before shadows are sealed."""
        sweep = self._core.sweep
        return sweep.is_sealed() and not self._commits and not sweep.effects

    def _take_waiting(self) -> list[asyncio.Future[int]]:
        waiting, self._waiting = self._waiting, []
        return [waiter for waiter in waiting if not waiter.done()]

    def _fail_waiting(self, fault: StateFault) -> None:
        for waiter in self._take_waiting():
            waiter.set_exception(fault)

    # What others ask.

    async def checkpoint(self, is_urgent: bool) -> int:
        """Have a checkpoint made; its slot, when it is kept. Raises `StateFault` when there cannot be one."""
        if self._keeper is None:
            raise self.fault
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._core.checkpoint_wanted(is_urgent, self._shell.now())
        self._shell.schedule()
        return await waiter

    async def read(self) -> None:
        """Have all read that has changed, as a checkpoint where there can be one.

        Until then nobody knows when the keys end that were written again, or were not.
        """
        with suppress(StateFault):
            await self.checkpoint(is_urgent=True)
            return
        # Something cannot be read, and whoever waits is told at once; what else there is is read all the same.
        while True:
            if self._keeper is None or not self._core.sweep.is_wanted:
                return
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def refused(self, reason: str) -> None:
        """There is no checkpoint, for this reason: whoever waits for one is told."""
        self._fail_waiting(StateFault(reason, "see docs/recovery.md"))

    @property
    def has_keeper(self) -> bool:
        """Whether state is kept."""
        return self._keeper is not None

    @property
    def has_state(self) -> bool:
        """Whether there is a store, though its keeper may have ended, so that there will be another."""
        return self._keeper is not None or self._start is not None

    async def kept(self) -> None:
        """Wait until state is kept again. Raises `StateFault` when it is not in good time."""
        give_up = time.monotonic() + KEPT_SECONDS_MAX
        while self._keeper is None:
            if time.monotonic() > give_up:
                raise self.fault
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def next_feed(self) -> int:
        """A number for one more feed."""
        self._feeds += 1
        return self._feeds

    async def settle(self) -> None:
        """Until no commit is under way: what is kept then stays until the next checkpoint.

        A keeper that hangs is ended.
        """
        give_up = time.monotonic() + SETTLE_SECONDS_MAX
        while self._commits and self._keeper is not None:
            if time.monotonic() > give_up:
                self._keeper.give_up()
            await asyncio.sleep(BACKLOG_POLL_SECONDS)

    def keeper(self) -> Keeper:
        """The keeper. Raises the `StateFault` that says why there is none."""
        if self._keeper is None:
            raise self.fault
        return self._keeper

    async def run(self) -> None:
        """Ask for checkpoints in time, let the sweep go on when the keeper has taken what waited, have a keeper."""
        last_slot, last_at = 0, time.monotonic()
        while True:
            await asyncio.sleep(BACKLOG_POLL_SECONDS if self._core.sweep.is_held else TICK_SECONDS)
            keeper, core = self._keeper, self._core
            if keeper is None:
                if self._start is None:
                    return
                await self._renew(self._start)
                continue
            if core.sweep.is_held and keeper.backlog_bytes <= BACKLOG_BYTES_MAX // 2:
                core.sweep.is_held = False
                core.go_on(self._shell.now())
                self._shell.schedule()
            now, slot = time.monotonic(), core.order.next_slot - 1
            is_time = self._every_seconds and now - last_at >= self._every_seconds
            is_far = self._every_slots and slot - last_slot >= self._every_slots
            if (slot > self.checkpoint_slot or core.changes.count) and (is_time or is_far):
                last_slot, last_at = slot, now
                core.checkpoint_wanted(is_urgent=False, now=self._shell.now())
                self._shell.schedule()

    async def scrub(self) -> None:
        """Have all that is kept read again, slowly, though nobody wrote it: a replica may lose it all the same."""
        after: tuple[int, bytes] | None = None
        while True:
            await asyncio.sleep(SCRUB_SECONDS)
            if self._core.sweep.is_wanted or self._core.is_suspended:
                continue
            try:
                page = await self.keeper().page(after, self._core.limits.scrub_keys_max)
            except StateFault:
                continue
            after = page[-1][:2] if page else None
            for database, key, kind in page:
                self._core.changes.keep(database, key, kind)

    async def watch(self) -> None:
        """End a keeper that hangs: what waits for it, in the end all clients, would wait for ever."""
        while True:
            await asyncio.sleep(SCRUB_SECONDS)
            keeper = self._keeper
            if keeper is None:
                continue
            asked = asyncio.ensure_future(keeper.page(None, 1))
            try:
                await asyncio.wait({asked}, timeout=ANSWER_SECONDS_MAX)
                # Where it was we who stood still, the answer has only to be read.
                await asyncio.sleep(TICK_SECONDS)
                if not asked.done():
                    keeper.give_up()
            finally:
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)

    async def stop(self) -> None:
        """End the keeper."""
        keeper, self._keeper = self._keeper or self._ended, None
        if keeper is not None:
            await keeper.stop()


def _nothing(*_: object) -> None:
    """Nobody listens."""


def _no_journal() -> Anchor:
    """There is no journal beside the store."""
    return NO_ANCHOR
