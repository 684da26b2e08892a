import random
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.state import batch as batch_module
from quorate.state import dialects, marks, wire
from quorate.state import feed as feed_module
from quorate.state.faults import FeedFault, StateFault
from quorate.state.feed import ATTENTION_SECONDS_MAX, SILENCE_SECONDS_MAX, Feed, Phase
from quorate.state.lane import FeedLane
from quorate.state.marks import Marks
from quorate.state.store import StateStore
from quorate.trusted.protocols.redis.state_proofs import NAMED_MAX
from quorate.trusted.protocols.redis.values import ZERO
from tests.state.support import PROTOCOL, SERVICE, Lie, Replica, members, string

TURNS_MAX = 10_000


class World:
    """A store and feeds of it, each with the replica at its other end; all in turns, no clock."""

    def __init__(self, path: Path) -> None:
        self.store = StateStore(path, PROTOCOL, SERVICE)
        self.changed = Marks()
        self.slot = 0
        self.said: list[wire.Event] = []
        self.feeds: list[Feed] = []
        self.model: dict[int, dict[bytes, bytes | set[bytes]]] = {}
        self._ends: dict[int, tuple[socket.socket, Replica]] = {}

    def put(self, database: int, key: bytes, value: bytes | set[bytes]) -> None:
        self.store.put(database, key, string(value) if isinstance(value, bytes) else members(*value))
        self.changed.add(database, key)
        self.model.setdefault(database, {})[key] = value

    def delete(self, database: int, key: bytes) -> None:
        self.store.delete(database, key)
        self.changed.add(database, key)
        self.model.get(database, {}).pop(key, None)

    def clear(self, database: int) -> None:
        self.store.clear(database)
        self.changed.clear(database)
        self.model[database] = {}

    def commit(self) -> None:
        self.slot += 1
        self.store.commit(self.slot, b"", is_durable=False)
        changed, self.changed = self.changed, Marks()
        for feed in self.feeds:
            feed.committed(changed)

    def feed(self, replica: Replica) -> Feed:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        lane = FeedLane(ours)
        feed = Feed(len(self.feeds) + 1, lane, self.store, dialects.make(PROTOCOL), self.said.append)
        self.feeds.append(feed)
        self._ends[feed.number] = theirs, replica
        return feed

    def turn(self, feed: Feed) -> None:
        """One slice of work, what its replica says to it, and what that leads to."""
        if feed.has_work:
            feed.work()
        feed.lane.write()
        self._serve(*self._ends[feed.number])
        feed.lane.read()
        feed.settle()

    def _serve(self, theirs: socket.socket, replica: Replica) -> None:
        with suppress(BlockingIOError):
            while data := theirs.recv(1_000_000):
                replica.unsent += replica.receive(data)
        with suppress(BlockingIOError):
            while replica.unsent:
                del replica.unsent[: theirs.send(replica.unsent)]

    def run(self, feed: Feed, until: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            if until():
                return
            self.turn(feed)
        pytest.fail(f"the feed is still {feed.phase}")

    def follow(self, feed: Feed) -> None:
        self.run(feed, lambda: feed.phase is Phase.FOLLOWING and not feed.has_work and feed.lane.is_idle)

    def seal(self, feed: Feed) -> None:
        feed.seal()
        self.run(feed, lambda: feed.phase is Phase.SEALED)

    def kept(self) -> dict[int, dict[bytes, bytes | set[bytes]]]:
        return {database: keys for database, keys in self.model.items() if keys}

    def hang_up(self, feed: Feed) -> None:
        self._ends[feed.number][0].close()

    def close(self) -> None:
        for feed in self.feeds:
            feed.close()
            self.hang_up(feed)
        self.store.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for module in (batch_module, feed_module):
        monkeypatch.setattr(module, "BATCH_BYTES", 600)
    world = World(tmp_path / "state")
    yield world
    world.close()


def filled(world: World, keys: int = 60) -> None:
    for index in range(keys):
        world.put(index % 3, b"string %d" % index, b"value %d" % index * (index % 7))
    for index in range(4):
        world.put(2, b"set %d" % index, {b"%d" % member for member in range(index + 1)})
    world.put(2, b"long set", {b"%d" % member for member in range(NAMED_MAX + 1)})
    world.commit()


def is_(replica: Replica, world: World) -> bool:
    return {database: keys for database, keys in replica.databases.items() if keys} == world.kept()


def of(world: World, kind: type[wire.Event]) -> list[wire.Event]:
    return [event for event in world.said if isinstance(event, kind)]


# The honest way.


def test_a_replica_is_made_what_the_store_is_and_proved(world: World) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    world.follow(feed)
    assert is_(replica, world)
    assert world.said == [wire.Progressed(1, 65, 65), wire.Fed(1, 1)]
    read = {words[1] for words in replica.heard if words[0] == b"PEXPIRETIME"}
    assert read == {key for keys in world.kept().values() for key in keys}
    world.seal(feed)
    assert world.said[-1] == wire.Sealed(1, 1)


def test_an_empty_store_makes_an_empty_replica(world: World) -> None:
    feed = world.feed(Replica())
    world.seal(feed)
    assert world.said[-2:] == [wire.Fed(1, 0), wire.Sealed(1, 0)]


def test_progress_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PROGRESS_ROWS", 20)
    filled(world)
    world.follow(world.feed(Replica()))
    told = of(world, wire.Progressed)
    assert len(told) == 4  # once for each 20 of the 65, and at the end
    assert all(isinstance(event, wire.Progressed) and event.done <= event.total == 65 for event in told)


def test_it_follows_what_is_committed_and_nothing_else(world: World) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    world.follow(feed)
    world.put(0, b"new", b"1")
    world.put(1, b"string 1", {b"now", b"a", b"set"})
    world.delete(2, b"set 1")
    world.delete(2, b"never was")
    before = len(replica.heard)
    world.turn(feed)
    assert len(replica.heard) == before  # nothing is committed yet
    world.commit()
    assert world.said[-1] == wire.Lagged(1, 4)
    world.follow(feed)
    assert is_(replica, world)
    assert world.said[-1] == wire.Lagged(1, 0)
    read = [words[1] for words in replica.heard[before:] if words[0] == b"PEXPIRETIME"]
    assert sorted(read) == [b"never was", b"new", b"set 1", b"string 1"]


def test_what_was_changed_but_not_committed_when_it_began_comes_with_the_commit(world: World) -> None:
    filled(world)
    world.put(0, b"string 0", b"later")
    replica = Replica()
    feed = world.feed(replica)
    world.follow(feed)
    assert world.said[-1] == wire.Fed(1, 1)
    world.commit()
    world.seal(feed)
    assert replica.databases[0][b"string 0"] == b"later"


@pytest.mark.parametrize("turns", range(0, 60, 6))
def test_a_database_that_is_cleared_at_any_moment(world: World, turns: int) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    for _ in range(turns):
        world.turn(feed)
    world.put(2, b"before", b"x")
    world.clear(2)
    world.put(2, b"after", b"y")
    world.delete(1, b"string 1")
    world.commit()
    world.seal(feed)
    assert is_(replica, world)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_committed_meanwhile_the_sealed_replica_is_the_last_commit(world: World, seed: int) -> None:
    chance = random.Random(seed)
    filled(world)
    replicas = [Replica(), Replica()]
    feeds = [world.feed(replica) for replica in replicas]
    for _ in range(200):
        for _ in range(chance.randrange(4)):
            database, key = chance.randrange(4), b"string %d" % chance.randrange(80)
            if chance.random() < 0.01:
                world.clear(database)
            elif chance.random() < 0.3:
                world.delete(database, key)
            else:
                world.put(database, key, {key, b"x"} if chance.random() < 0.2 else key * chance.randrange(9))
        if chance.random() < 0.3:
            world.commit()
        world.turn(chance.choice(feeds))
    world.commit()
    for feed, replica in zip(feeds, replicas, strict=True):
        world.seal(feed)
        assert is_(replica, world)
    assert of(world, wire.Sealed) == [wire.Sealed(1, world.slot), wire.Sealed(2, world.slot)]


def test_long_values_and_deadlines_arrive(world: World) -> None:
    long = b"x" * (2 * dialects.REQUEST_BYTES_MAX + 5)
    world.put(0, b"long", long)
    world.store.put(1, b"ends", string(b"v", 1_900_000_000_000))
    world.commit()
    replica = Replica()
    world.follow(world.feed(replica))
    assert replica.databases[0][b"long"] == long
    assert replica.deadlines == {(1, b"ends"): 1_900_000_000_000}
    assert b"APPEND" in {words[0] for words in replica.heard}


# Liars.


def lies_about(command: bytes, key: bytes | None, instead: bytes) -> Lie:
    def lie(words: list[bytes], reply: bytes) -> bytes:
        return instead if words[0] == command and (key is None or words[1] == key) else reply

    return lie


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lies_about(b"GET", b"string 7", b"$1\r\nx\r\n"), "database 1 key 'string 7' reads back as"),
        (lies_about(b"GET", b"string 7", b"$-1\r\n"), "database 1 key 'string 7' reads back as"),
        (lies_about(b"PEXPIRETIME", b"string 8", b":5\r\n"), "database 2 key 'string 8' reads back as"),
        (lies_about(b"GET", b"string 7", b"-WRONGTYPE\r\n"), "database 1 key 'string 7' reads back as … b'-WRONG"),
        (lies_about(b"PEXPIRETIME", b"set 3", b":-2\r\n"), "database 2 key 'set 3' reads back as … b'2"),
        (lies_about(b"SCARD", b"set 3", b":5\r\n"), "database 2 key 'set 3' reads back as … b'5"),
        (lies_about(b"SMISMEMBER", b"set 3", b"*4\r\n:1\r\n:1\r\n:0\r\n:1\r\n"), "key 'set 3' reads back as … b'0"),
        (lies_about(b"SMEMBERS", b"long set", b"*1\r\n$1\r\nx\r\n"), "database 2 key 'long set' reads back as …"),
        (lies_about(b"SET", b"string 9", b"-OOM\r\n"), "database 0 key 'string 9' cannot be restored: b'-OOM"),
        (lies_about(b"SELECT", None, b"-ERR\r\n"), "database [12] key 'string [12]' cannot be restored"),
        (lies_about(b"DBSIZE", None, b":1000\r\n"), "number of keys in database 0 reads back as"),
        (lies_about(b"DBSIZE", None, b":0\r\n"), "number of keys in database 0 reads back as"),
        (lies_about(b"SET", b"string 9", b"HTTP/1.1 200\r\n"), "database 0 key 'string 9': the answer b'HTTP"),
        (lies_about(b"SADD", None, b":1\r\n:1\r\n" * 10_000), "says more than it was asked|cannot|reads back"),
    ],
)
def test_a_lying_replica_fails_with_the_key_that_it_lied_about(world: World, lie: Lie, message: str) -> None:
    filled(world)
    feed = world.feed(Replica(lie))
    with pytest.raises(FeedFault, match=message) as caught:
        world.follow(feed)
    assert caught.value.is_replicas
    assert of(world, wire.Fed) == []


def test_a_replica_that_had_keys_of_its_own_fails(world: World) -> None:
    filled(world)
    replica = Replica()
    replica.databases[9] = {b"planted": b"x"}
    with pytest.raises(FeedFault, match="number of keys in database 9 reads back as"):
        world.follow(world.feed(replica))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lies_about(b"GET", b"new", b"$1\r\nx\r\n"), "key 'new' reads back as"),
        (lies_about(b"PEXPIRETIME", b"string 2", b":-1\r\n"), "key 'string 2' reads back as"),
        (lies_about(b"DEL", b"string 2", b"-READONLY\r\n"), "key 'string 2' cannot be restored"),
        (lies_about(b"FLUSHDB", None, b"-ERR\r\n"), "number of keys in database 0 cannot be restored"),
    ],
)
def test_a_replica_that_lies_later_fails_later(world: World, lie: Lie, message: str) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    world.follow(feed)
    replica.lie = lie
    world.clear(0)
    world.put(0, b"new", b"value")
    world.delete(2, b"string 2")
    world.commit()
    with pytest.raises(FeedFault, match=message):
        world.follow(feed)


def test_a_key_planted_after_the_proof_is_found_by_the_seal(world: World) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    world.follow(feed)
    replica.databases[3] = {b"planted": b"x"}
    with pytest.raises(FeedFault, match="number of keys in database 3"):
        world.seal(feed)
    assert of(world, wire.Sealed) == []


@pytest.mark.parametrize("turns", [0, 3, 9, 40])
def test_a_replica_that_ends_in_the_middle_fails(world: World, turns: int) -> None:
    filled(world)
    feed = world.feed(Replica())
    for _ in range(turns):
        world.turn(feed)
    world.hang_up(feed)
    if feed.has_work:
        feed.work()
    feed.lane.write()
    with pytest.raises(FeedFault, match=r"closed its lane|the lane broke"):
        feed.lane.read()


def test_a_silent_replica_fails_in_time_and_our_own_absence_is_not_its_fault(world: World) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    replica.is_silent = True
    world.turn(feed)
    feed.passed(1_000.0)
    for _ in range(int(SILENCE_SECONDS_MAX / ATTENTION_SECONDS_MAX) - 1):
        feed.passed(ATTENTION_SECONDS_MAX)
    with pytest.raises(FeedFault, match=r"no progress for 1[01] s") as caught:
        feed.passed(ATTENTION_SECONDS_MAX)
    assert caught.value.is_replicas


def test_who_owes_nothing_may_be_silent(world: World) -> None:
    feed = world.feed(Replica())
    world.follow(feed)
    for _ in range(100):
        feed.passed(1.0)
    assert feed.phase is Phase.FOLLOWING


# What is not the replica's fault.


def test_a_commit_between_a_seal_and_its_end_fails_the_feed(world: World) -> None:
    filled(world)
    feed = world.feed(Replica())
    world.follow(feed)
    feed.seal()
    world.put(0, b"late", b"x")
    with pytest.raises(FeedFault, match="between a seal and its end") as caught:
        world.commit()
    assert not caught.value.is_replicas


def test_what_is_put_after_a_seal_without_a_commit_does_not_matter(world: World) -> None:
    filled(world)
    replica = Replica()
    feed = world.feed(replica)
    feed.seal()
    world.store.put(0, b"late", string(b"x"))
    world.run(feed, lambda: feed.phase is Phase.SEALED)
    assert is_(replica, world)
    assert world.said[-1] == wire.Sealed(1, 1)


def test_more_changes_than_can_be_remembered_fail_the_feed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MARKS_BYTES_MAX", 2_000)
    world.feed(Replica())
    with pytest.raises(FeedFault, match="more keys changed") as caught:
        filled(world)
    assert not caught.value.is_replicas


def test_a_damaged_row_is_the_stores_fault(world: World) -> None:
    filled(world)
    world.store._connection.execute("UPDATE row SET record = x'00' WHERE key = x'7365742032'")
    replica = Replica()
    with pytest.raises(StateFault, match="database 2 key 'set 2' is not what was written"):
        world.follow(world.feed(replica))
    assert b"set 2" not in replica.databases.get(2, {})


def test_zero_is_no_error() -> None:
    assert dialects.make(PROTOCOL).first_error(ZERO * 3, 3) == (0, b"")
