"""The keeper of state and its store, in memory; and how shadows are fed from it.

Stands where `quorate.state` does: what the core read is committed at checkpoints, some time later; a feed fills a
replica with the last commit, reads it back, follows later commits, and seals. A commit between a seal and its end
would leave no slot of which the proof speaks: the core must not let it come.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from quorate.trusted.changes import Checkpoint, Clear, StoreEffect
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.protocols.redis.state import kind_of, restore_requests
from tests.sim.invariants.base import Violation
from tests.sim.machine import Machine
from tests.sim.replica import Replica
from tests.sim.timeline import MILLISECOND_NS, Timeline

if TYPE_CHECKING:
    from tests.sim.shell import SimulatedShell

REQUEST_BYTES_MAX = 4096
COMMITS_WAITING_MAX = 2
COMMIT_NS_MAX = 20 * MILLISECOND_NS
TICK_NS = 10 * MILLISECOND_NS
FEED_NS_MAX = 60 * MILLISECOND_NS

Place = tuple[int, bytes]
State = list[tuple[int, bytes, str, int | None]]


def put(machine: Machine, place: Place, record: bytes | None) -> None:
    """Make this key what `record` tells, whatever it was."""
    session = machine.session()
    session.select(place[0])
    machine.run(session, [b"DEL", place[1]], 0)
    for request in restore_requests(place[1], record, REQUEST_BYTES_MAX) if record is not None else ():
        for arguments in Machine(None).cut(request):
            machine.run(session, arguments, 0)


def state_of(records: dict[Place, bytes]) -> State:
    """What a machine holds that was made exactly this."""
    machine = Machine(None)
    for place, record in records.items():
        put(machine, place, record)
    return machine.state()


class Store:
    """What survives a crash: the last commit, and how often each database's keys are there."""

    def __init__(self) -> None:
        self.records: dict[Place, bytes] = {}
        self.slot = 0
        self.extras = b""

    def counts(self) -> dict[int, int]:
        """The number of keys of each database that has any."""
        found: dict[int, int] = {}
        for database, _ in self.records:
            found[database] = found.get(database, 0) + 1
        return found


class Feed:
    """One replica that is made what the store holds. `then` is called once, with why it failed or nothing."""

    def __init__(self, keeper: "SimulatedKeeper", replica: Replica, then: Callable[[str], None]) -> None:
        self.replica = replica
        self.is_sealing = False
        self._keeper = keeper
        self._then = then
        self._marks: dict[Place, None] = {}
        self._rows = dict(keeper.store.records)
        self._is_following = False
        self.is_over = False
        keeper.later(FEED_NS_MAX, self._restore)

    def changed(self, places: list[Place]) -> None:
        """A commit was made, which changed these."""
        if self.is_sealing and not self.is_over:
            raise Violation("Seal: a commit came between a seal and its end")
        self._marks.update(dict.fromkeys(places))
        if self._is_following:
            self._keeper.later(FEED_NS_MAX, self._follow)

    def seal(self, then: Callable[[str], None]) -> None:
        """The last commit is what the replica must be."""
        self.is_sealing = True
        self._then = then
        self._keeper.later(FEED_NS_MAX, self._prove)

    def drop(self) -> None:
        """Nobody wants it any more."""
        self.is_over = True

    def _tell(self, fault: str) -> None:
        then, self._then = self._then, _nothing
        if fault:
            self.is_over = True
        then(fault)

    def _restore(self) -> None:
        if self.is_over:
            return
        for place, record in self._rows.items():
            put(self.replica.machine, place, record)
        wrong = self.replica.machine.state() != state_of(self._rows)
        if wrong and not self.replica.sins:
            raise Violation("Feed: a correct replica does not read back as what it was given")
        self._is_following = True
        broken = "the replica closed its lane" if self.replica.is_broken else ""
        self._tell(broken or ("it reads back as something else" if wrong else ""))
        if self._marks:
            self._follow()

    def _follow(self) -> None:
        if self.is_over:
            return
        marks, self._marks = self._marks, {}
        for place in marks:
            put(self.replica.machine, place, self._keeper.store.records.get(place))

    def _prove(self) -> None:
        if self.is_over:
            return
        self._follow()
        self.is_sealing = False
        wrong = self.replica.machine.state() != state_of(self._keeper.store.records)
        if wrong and not self.replica.sins:
            raise Violation("Feed: a correct replica is not what the store holds")
        broken = "the replica closed its lane" if self.replica.is_broken else ""
        self._tell(broken or ("it reads back as something else" if wrong else ""))
        self.is_over = True


class SimulatedKeeper:
    """Takes what the core read, in order, and commits it. `on_committed` is told the slot and the numbers of keys."""

    def __init__(self, timeline: Timeline, store: Store, slowness: int) -> None:
        self.store = store
        self.is_broken = False
        self.feeds: list[Feed] = []
        self.on_committed: Callable[[int, dict[int, int]], None] = lambda slot, counts: None
        self.commits_waiting = 0
        self._timeline = timeline
        self._slowness = slowness
        self._arrived: list[StoreEffect] = []
        self._queue: deque[Callable[[], None]] = deque()

    def later(self, most_ns: int, act: Callable[[], None]) -> None:
        """The keeper does this in its own time, unless it breaks before."""
        delay = self._timeline.chance.randint(1, most_ns * self._slowness)
        self._timeline.after(delay, lambda: None if self.is_broken else act())

    def told(self, effect: StoreEffect) -> None:
        """One change of what is stored."""
        self._arrived.append(effect)

    def commit(self, slot: int, extras: bytes) -> None:
        """All that was told before is the state at `slot`."""
        batch, self._arrived = self._arrived, []
        self.commits_waiting += 1
        self._enqueue(partial(self._commit, slot, batch, extras))

    def seal(self, feed: Feed, then: Callable[[str], None]) -> None:
        """The last commit, which may be under way, is what the feed's replica must be."""
        self._enqueue(partial(feed.seal, then))

    def _enqueue(self, act: Callable[[], None]) -> None:
        self._queue.append(act)
        self.later(COMMIT_NS_MAX, self._work)

    def _work(self) -> None:
        """What was asked first."""
        self._queue.popleft()()

    def feed(self, replica: Replica, then: Callable[[str], None]) -> Feed:
        """Fill this replica with the last commit, and follow."""
        self.feeds = [feed for feed in self.feeds if not feed.is_over]
        feed = Feed(self, replica, then)
        self.feeds.append(feed)
        return feed

    def _commit(self, slot: int, batch: list[StoreEffect], extras: bytes) -> None:
        store = self.store
        changed: list[Place] = []
        for effect in batch:
            if isinstance(effect, Clear):
                gone = [place for place in store.records if place[0] == effect.database]
                changed += gone
                for place in gone:
                    del store.records[place]
            elif not isinstance(effect, Checkpoint):
                changed.append((effect.database, effect.key))
                if effect.record is None:
                    store.records.pop((effect.database, effect.key), None)
                else:
                    store.records[effect.database, effect.key] = effect.record
        store.slot, store.extras = slot, extras
        self.commits_waiting -= 1
        for feed in self.feeds:
            feed.changed(changed)
        self.on_committed(slot, store.counts())


class Waiter:
    """Somebody waits for a checkpoint: `fault` says why there is none."""

    def __init__(self) -> None:
        self.is_done = False
        self.fault = ""


class Keeping:
    """Between the core's sweep and the keeper, as `quorate.keeping`."""

    def __init__(self, shell: "SimulatedShell", keeper: SimulatedKeeper, every_ns: int, scrub_ns: int) -> None:
        self.keeper = keeper
        self.checkpoint_slot = 0
        self.is_over = False
        self.on_sealed: Callable[[], None] = _nobody
        self.on_committed: Callable[[int], None] = lambda slot: None
        self._shell = shell
        self._core: Coordinator = shell.core
        self._every_ns = every_ns
        self._scrub_ns = scrub_ns
        self._counts: dict[int, dict[int, int]] = {}
        self._waiting: list[Waiter] = []
        self._last_at = shell.timeline.now
        self._scrubbed_at = shell.timeline.now
        keeper.on_committed = self._committed
        shell.on_state = self._told
        self._core.changes.is_kept = True

    def begin(self) -> None:
        """Ask for checkpoints in time, from now on."""
        self._shell.timeline.after(TICK_NS, self._tick)

    def broke(self) -> None:
        """The keeper is no more."""
        self.keeper.is_broken = True
        self._core.state_is_lost(self._shell.now())
        self._shell.schedule()
        self.refused("the keeper ended")

    def refused(self, reason: str) -> None:
        """There is no checkpoint, for this reason."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.fault = reason

    def checkpoint(self, is_urgent: bool) -> Waiter:
        """Have a checkpoint made."""
        waiter = Waiter()
        if self.keeper.is_broken:
            waiter.fault = "no state is kept"
            return waiter
        self._waiting.append(waiter)
        self._core.checkpoint_wanted(is_urgent, self._shell.now())
        self._shell.schedule()
        return waiter

    def _told(self, effects: list[StoreEffect]) -> None:
        if self.keeper.is_broken:
            return
        for effect in effects:
            if isinstance(effect, Checkpoint):
                self._counts[effect.slot] = effect.counts
                self.keeper.commit(effect.slot, self._core.protocol.extras())
                if self._core.sweep.is_sealed():
                    self.on_sealed()
            else:
                self.keeper.told(effect)
        if self.keeper.commits_waiting > COMMITS_WAITING_MAX:
            self._core.sweep.is_held = True

    def _committed(self, slot: int, counts: dict[int, int]) -> None:
        expected = self._counts.pop(slot, {})
        wrong = [database for database, count in expected.items() if counts.get(database, 0) != count]
        if wrong:
            self._core.state_is_miscounted(wrong, self._shell.now())
            self._shell.schedule()
            return
        self.checkpoint_slot = slot
        self.on_committed(slot)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.is_done = True

    def _tick(self) -> None:
        core, now = self._core, self._shell.timeline.now
        if self.is_over or self.keeper.is_broken:
            return
        if core.sweep.is_held and not self.keeper.commits_waiting:
            core.sweep.is_held = False
            core.go_on(self._shell.now())
            self._shell.schedule()
        has_news = core.order.next_slot - 1 > self.checkpoint_slot or core.changes.count
        if has_news and now - self._last_at >= self._every_ns:
            self._last_at = now
            core.checkpoint_wanted(is_urgent=False, now=self._shell.now())
            self._shell.schedule()
        self._scrub(now)
        self._shell.timeline.after(TICK_NS, self._tick)

    def _scrub(self, now: int) -> None:
        """Have some of what is kept read again, though nobody wrote it."""
        core, records = self._core, self.keeper.store.records
        is_time = self._scrub_ns and now - self._scrubbed_at >= self._scrub_ns
        if not is_time or core.sweep.is_wanted or core.is_suspended or not records:
            return
        self._scrubbed_at = now
        for database, key in self._shell.timeline.chance.sample(sorted(records), min(len(records), 10)):
            core.changes.keep(database, key, kind_of(records[database, key]))


def _nothing(_: str) -> None:
    """Nobody waits for it any more."""


def _nobody() -> None:
    """Nobody listens."""
