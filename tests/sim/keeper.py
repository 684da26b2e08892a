"""The keeper of state and its store, in memory, and the coordinator's end of it.

Stands where `quorate.state` does: commands are obeyed in order, some time later; what the core read is committed at
checkpoints; what the keeper says is heard in order, some time later too. Feeds are in feed.py.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from quorate.keeping import BACKLOG_BYTES_MAX
from quorate.state.anchor import Anchor
from quorate.state.faults import FeedFault, StateFault
from quorate.state.link import Feeding, LoadedState
from quorate.state.rows import Checkpoint
from quorate.trusted.changes import LARGE_BYTES
from quorate.trusted.errors import invariant
from quorate.trusted.protocols.redis.state_records import deadline_of
from tests.sim.domains import Line
from tests.sim.feed import Feed, Place
from tests.sim.timeline import MILLISECOND_NS, Timeline

# What one commit that waits counts for: two are taken, with three the sweep has to wait.
COMMIT_BYTES = BACKLOG_BYTES_MAX // 2
COMMIT_NS_MAX = 20 * MILLISECOND_NS
# How long the keeper takes for what is no commit, and until it is heard.
COMMAND_NS_MAX = MILLISECOND_NS
MESSAGE_NS_MAX = MILLISECOND_NS

KEEPER_ENDED = "the keeper ended"


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


class SimulatedKeeper:
    """Takes what the core read, in order, and commits it; feeds replicas. As `quorate.state.link.Keeper`.

    `on_stored` is told the slot of each commit, `on_committed` of each that the coordinator hears of. `feeds` is what
    the coordinator knows of feeds, and `is_broken` what it does not know yet.
    """

    def __init__(self, timeline: Timeline, store: Store, slowness: int, on_stored: Callable[[int], None]) -> None:
        self.store = store
        self.chance = timeline.chance
        self.is_broken = False
        self.fault: StateFault | None = None
        self.checkpoint = self._last_commit()
        self.feeds: dict[int, Feeding] = {}
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
        self._said: list[Callable[[], None]] = []
        self._fed: dict[int, Feed] = {}
        self._lines: dict[int, Line] = {}

    # The process.

    def later(self, most_ns: int, act: Callable[[], None]) -> None:
        """The keeper does this in its own time, unless it breaks before."""
        self.exactly(self.chance.randint(1, most_ns * self._slowness), act)

    def exactly(self, delay_ns: int, act: Callable[[], None]) -> None:
        """The keeper does this after so long, unless it breaks before."""
        self._timeline.after(delay_ns, lambda: None if self.is_broken else act())

    def end(self) -> None:
        """The process is killed, with all others."""
        self.is_broken = True

    def breaks(self, chance: Random) -> None:
        """The process ends. Its last words may be heard; of what waits some may be done, and nobody is told."""
        if chance.random() < 0.5:
            self._hear()
        self.is_broken = True
        while self._queue and chance.random() < 0.5:
            self._work()
        for line in self._lines.values():
            line.close()
        self._break(StateFault(KEEPER_ENDED))

    def say(self, number: int, tell: Callable[[Feeding], None]) -> None:
        """Something happened to a feed. It may have been dropped meanwhile."""

        def heard() -> None:
            feeding = self.feeds.get(number)
            if feeding is not None:
                tell(feeding)

        self._say(heard)

    def followed(self, number: int) -> int:
        """How many commits this feed has followed."""
        return self._fed[number].commits if number in self._fed else 0

    def over(self, number: int) -> None:
        """This feed has ended."""
        self._fed.pop(number).end()
        del self._lines[number]

    def _say(self, tell: Callable[[], None]) -> None:
        """All that is said meanwhile is heard with it, and in this order."""
        self._said.append(tell)
        if len(self._said) == 1:
            self.exactly(self.chance.randint(0, MESSAGE_NS_MAX), self._hear)

    def _hear(self) -> None:
        said, self._said = self._said, []
        for tell in said:
            tell()

    def _enqueue(self, most_ns: int, act: Callable[[], None]) -> None:
        self._queue.append(act)
        self.later(most_ns, self._work)

    def _work(self) -> None:
        """What was asked first."""
        self._queue.popleft()()

    # What the product asks of its keeper.

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

    def commit(self, slot: int, extras: bytes, counts: dict[int, int], is_durable: bool, anchor: Anchor) -> None:
        """All that was told before is the state at `slot`, where these databases have so many keys."""
        cleared, self._cleared = self._cleared, {}
        arrived, self._arrived = self._arrived, {}
        self.commits_waiting += 1
        self._enqueue(COMMIT_NS_MAX, partial(self._commit, slot, list(cleared), arrived, extras, counts))

    async def feed(self, line: Line, number: int) -> int:
        """Make the replica what the store is. Raises `FeedFault`, or `StateFault` when the keeper ends."""
        invariant(number not in self.feeds, "each feed has a number of its own")
        if self.fault is not None:
            line.close()
            raise self.fault
        feeding = self.feeds[number] = Feeding()
        self._lines[number] = line
        self._enqueue(COMMAND_NS_MAX, partial(self._begin_feed, number, line))
        return await self._reached(number, feeding)

    async def seal(self, number: int) -> int:
        """Until the replica is proved to be exactly the last commit. Raises as `feed`."""
        feeding = self.feeds.get(number)
        if feeding is None:
            raise FeedFault("there is no such feed", is_replicas=False)
        if self.fault is None:
            self._enqueue(COMMIT_NS_MAX, partial(self._seal, number))
        slot = await self._reached(number, feeding)
        del self.feeds[number]
        return slot

    async def _reached(self, number: int, feeding: Feeding) -> int:
        try:
            return await feeding.wait()
        except BaseException:
            self.drop(number)
            raise

    def drop(self, number: int) -> None:
        """End a feed, if there is such a one; who waits for it gets a `FeedFault`."""
        feeding = self.feeds.pop(number, None)
        if feeding is not None:
            feeding.ended(FeedFault("the feed was dropped", is_replicas=False))
            if self.fault is None:
                self._enqueue(COMMAND_NS_MAX, partial(self._drop, number))

    async def load(self) -> LoadedState:
        """What to start from."""
        records = self.store.records.items()
        found = [(*place, deadline_of(record)) for place, record in records if deadline_of(record) >= 0]
        sizes = [(*place, len(record)) for place, record in records if len(record) >= LARGE_BYTES]
        return LoadedState(self.store.slot, self.store.extras, found, sizes)

    def give_up(self) -> None:
        """It says nothing any more: end it, as one that broke."""
        self.breaks(self.chance)

    async def stop(self) -> None:
        """It has ended."""

    def _break(self, fault: StateFault) -> None:
        self.fault = fault
        for feeding in self.feeds.values():
            feeding.ended(fault)
        self.on_broken(fault)

    # What it does.

    def _begin_feed(self, number: int, line: Line) -> None:
        self._fed[number] = Feed(self, number, line)

    def _seal(self, number: int) -> None:
        if number in self._fed:
            self._fed[number].seal()

    def _drop(self, number: int) -> None:
        if number in self._fed:
            self.over(number)

    def _last_commit(self) -> Checkpoint:
        return Checkpoint(self.store.slot, self.store.counts(), 0)

    def _committed(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.on_committed(checkpoint)

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
            self._say(lambda: self.on_miscounted(wrong))
            return
        store.records = dict(self._records)
        store.slot, store.extras = slot, extras
        changed, self._changed = self._changed, {}
        self._on_stored(slot)
        checkpoint = self._last_commit()
        self._say(lambda: self._committed(checkpoint))
        for feed in list(self._fed.values()):
            feed.changed(list(changed))
