"""The keeper of state and its store, in memory; and how shadows are fed from it.

Stands where `quorate.state` does: what the core read is committed at checkpoints, some time later; a feed fills a
replica with the last commit, reads it back, follows later commits, and seals. A commit between a seal and its end
would leave no slot of which the proof speaks: the core must not let it come.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from quorate.keeping import BACKLOG_BYTES_MAX
from quorate.state.faults import FeedFault, StateFault
from quorate.state.link import LoadedState
from quorate.state.rows import Checkpoint
from quorate.trusted.changes import LARGE_BYTES
from quorate.trusted.protocols.redis.state_records import deadline_of
from quorate.trusted.protocols.redis.state_restore import restore_requests
from tests.sim.invariants.base import Violation
from tests.sim.machine import Machine
from tests.sim.replica import Replica
from tests.sim.timeline import MILLISECOND_NS, Timeline

REQUEST_BYTES_MAX = 4096
# What one commit that waits counts for: two are taken, with three the sweep has to wait.
COMMIT_BYTES = BACKLOG_BYTES_MAX // 2
COMMIT_NS_MAX = 20 * MILLISECOND_NS
FEED_NS_MAX = 60 * MILLISECOND_NS

KEEPER_ENDED = "the keeper ended"

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
        return counted(self.records)


def counted(records: Iterable[Place]) -> dict[int, int]:
    """How many of these there are in each database."""
    found: dict[int, int] = {}
    for database, _ in records:
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

    def ended(self) -> None:
        """The keeper is no more."""
        if not self.is_over:
            self._tell(KEEPER_ENDED)

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


class Line:
    """Stands for the socket of a replica's lane."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    def close(self) -> None:
        """Nothing is left of it."""


class SimulatedKeeper:
    """Takes what the core read, in order, and commits it, as `quorate.state.link.Keeper` does.

    `on_stored` is told the slot of each commit, `on_committed` of each that the coordinator hears of.
    """

    def __init__(self, timeline: Timeline, store: Store, slowness: int, on_stored: Callable[[int], None]) -> None:
        self.store = store
        self.is_broken = False
        self.feeds: list[Feed] = []
        self.on_committed: Callable[[Checkpoint], None] = lambda checkpoint: None
        self.on_miscounted: Callable[[list[int]], None] = lambda databases: None
        self.on_broken: Callable[[StateFault], None] = lambda fault: None
        self.commits_waiting = 0
        # What the next commit will make of the last one, if it goes well, and which places that changes.
        self._records = dict(store.records)
        self._changed: dict[Place, None] = {}
        self._on_stored = on_stored
        self._timeline = timeline
        self._slowness = slowness
        self._arrived: dict[Place, bytes | None] = {}
        self._cleared: dict[int, None] = {}
        self._queue: deque[Callable[[], None]] = deque()
        self._numbered: dict[int, Feed] = {}

    def later(self, most_ns: int, act: Callable[[], None]) -> None:
        """The keeper does this in its own time, unless it breaks before."""
        delay = self._timeline.chance.randint(1, most_ns * self._slowness)
        self._timeline.after(delay, lambda: None if self.is_broken else act())

    def end(self) -> None:
        """The process is killed, with all others."""
        self.is_broken = True

    def breaks(self, chance: Random) -> None:
        """The process ends. Of what waits some may be done all the same, and nobody is told."""
        self.is_broken = True
        for feed in self.feeds:
            feed.ended()
        self.on_committed = lambda checkpoint: None
        self.on_miscounted = lambda databases: None
        while self._queue and chance.random() < 0.5:
            self._work()
        self.on_broken(StateFault(KEEPER_ENDED))

    # What the product asks of its keeper.

    @property
    def checkpoint(self) -> Checkpoint:
        """The last commit."""
        return Checkpoint(self.store.slot, self.store.counts(), 0)

    @property
    def backlog_bytes(self) -> int:
        """What it was told and has not taken yet."""
        return self.commits_waiting * COMMIT_BYTES

    def put(self, database: int, key: bytes, record: bytes) -> None:
        """`key` has this record from the next commit on."""
        self._arrived[database, key] = record

    def delete(self, database: int, key: bytes) -> None:
        """`key` is absent from the next commit on."""
        self._arrived[database, key] = None

    def clear(self, database: int) -> None:
        """The database is empty from the next commit on, but for what is put after this."""
        self._cleared[database] = None
        self._arrived = {place: record for place, record in self._arrived.items() if place[0] != database}

    def commit(self, slot: int, extras: bytes, counts: dict[int, int], is_durable: bool) -> None:
        """All that was told before is the state at `slot`, where these databases have so many keys."""
        cleared, self._cleared = self._cleared, {}
        arrived, self._arrived = self._arrived, {}
        self.commits_waiting += 1
        self._enqueue(partial(self._commit, slot, list(cleared), arrived, extras, counts))

    async def feed(self, line: Line, number: int) -> int:
        """Make the replica what the store is. Raises `FeedFault`, or `StateFault` when the keeper breaks."""
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        feed = self._numbered[number] = self.begin_feed(line.replica, partial(_resolve, told))
        return await self._reached(feed, told)

    async def seal(self, number: int) -> int:
        """Until the replica is proved to be exactly the last commit. Raises as `feed`."""
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        feed = self._numbered.pop(number)
        self.begin_seal(feed, partial(_resolve, told))
        return await self._reached(feed, told)

    async def _reached(self, feed: Feed, told: "asyncio.Future[str]") -> int:
        try:
            fault = await told
        except BaseException:
            feed.drop()
            raise
        if self.is_broken:
            raise StateFault(KEEPER_ENDED)
        if fault:
            raise FeedFault(fault, is_replicas=True)
        return self.store.slot

    async def load(self) -> LoadedState:
        """What to start from."""
        records = self.store.records.items()
        found = [(*place, deadline_of(record)) for place, record in records if deadline_of(record) >= 0]
        sizes = [(*place, len(record)) for place, record in records if len(record) >= LARGE_BYTES]
        return LoadedState(self.store.slot, self.store.extras, found, sizes)

    async def stop(self) -> None:
        """It has ended."""

    # What shadows ask.

    def begin_feed(self, replica: Replica, then: Callable[[str], None]) -> Feed:
        """Fill this replica with the last commit, and follow."""
        self.feeds = [feed for feed in self.feeds if not feed.is_over]
        feed = Feed(self, replica, then)
        self.feeds.append(feed)
        return feed

    def begin_seal(self, feed: Feed, then: Callable[[str], None]) -> None:
        """The last commit, which may be under way, is what the feed's replica must be."""
        self._enqueue(partial(feed.seal, then))

    def _enqueue(self, act: Callable[[], None]) -> None:
        self._queue.append(act)
        self.later(COMMIT_NS_MAX, self._work)

    def _work(self) -> None:
        """What was asked first."""
        self._queue.popleft()()

    def _commit(
        self, slot: int, cleared: list[int], arrived: dict[Place, bytes | None], extras: bytes, counts: dict[int, int]
    ) -> None:
        store = self.store
        self._changed.update(dict.fromkeys(place for place in self._records if place[0] in cleared))
        self._changed.update(dict.fromkeys(arrived))
        self._records = {place: record for place, record in self._records.items() if place[0] not in cleared}
        for place, record in arrived.items():
            if record is None:
                self._records.pop(place, None)
            else:
                self._records[place] = record
        self.commits_waiting -= 1
        there = counted(self._records)
        wrong = [database for database, count in counts.items() if there.get(database, 0) != count]
        if wrong:
            # The last commit stays what it is.
            self.on_miscounted(wrong)
            return
        store.records = dict(self._records)
        store.slot, store.extras = slot, extras
        changed, self._changed = self._changed, {}
        for feed in self.feeds:
            feed.changed(list(changed))
        self._on_stored(slot)
        self.on_committed(self.checkpoint)


def _resolve(told: "asyncio.Future[str]", fault: str) -> None:
    """Whoever waits hears of it, if it still does."""
    if not told.done():
        told.set_result(fault)


def _nothing(_: str) -> None:
    """Nobody waits for it any more."""
