"""The keeper's loop within this process, turn by turn: what it says, and what it does not put up with."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.state import dialects, loop, wire
from quorate.state.anchor import NO_ANCHOR, Anchor
from quorate.state.faults import StateFault
from quorate.state.loop import KeeperLoop, Stopped
from quorate.state.rows import Checkpoint
from quorate.state.store import StateStore
from quorate.trusted.changes import LARGE_BYTES
from tests.state.support import PROTOCOL, SERVICE, Replica, string

TURNS_MAX = 2_000


class Coordinator:
    """The other end of a loop, which it turns by hand, and replicas to give to it."""

    def __init__(self, path: Path) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.store = StateStore(path, PROTOCOL, SERVICE)
        self.loop = KeeperLoop(theirs, self.store, dialects.make(PROTOCOL))
        self.heard: list[wire.Message] = []
        self.replicas: list[tuple[socket.socket, Replica]] = []
        self._theirs = theirs
        self._decoder = wire.Decoder()

    def say(self, *messages: wire.Message) -> None:
        self.socket.sendall(b"".join(map(wire.encode, messages)))

    def hand_over(self, message: wire.Message, sockets: int = 1) -> Replica:
        """A message and with it so many sockets, the first with a replica behind it."""
        pairs = [socket.socketpair() for _ in range(sockets)]
        socket.send_fds(self.socket, [wire.encode(message)], [ours.fileno() for ours, _ in pairs])
        replica = Replica()
        for ours, theirs in pairs:
            ours.close()
            theirs.setblocking(False)
            self.replicas.append((theirs, replica))
        return replica

    def turn(self) -> None:
        self.loop._turn()
        for sock, replica in self.replicas:
            with suppress(OSError):
                while data := sock.recv(1_000_000):
                    sock.sendall(replica.receive(data))
        with suppress(BlockingIOError):
            self.heard += self._decoder.feed(self.socket.recv(1_000_000))

    def until(self, kind: type[wire.Event]) -> wire.Message:
        for _ in range(TURNS_MAX):
            if self.heard and isinstance(self.heard[-1], kind):
                return self.heard[-1]
            self.turn()
        pytest.fail(f"no {kind.__name__} was said, but {self.heard}")

    def close(self) -> None:
        for sock in (self.socket, self._theirs, *(sock for sock, _ in self.replicas)):
            sock.close()
        for feed in self.loop._feeds.values():
            feed.close()
        self.loop._selector.close()
        self.store.close()


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    monkeypatch.setattr(loop, "IDLE_SECONDS", 0.001)
    coordinator = Coordinator(tmp_path / "state")
    yield coordinator
    coordinator.close()


def filled(coordinator: Coordinator) -> None:
    coordinator.say(
        *(wire.Put(0, b"%d" % index, string(b"v", index)) for index in range(50)),
        wire.Commit(1, False, b"x", {0: 50}, NO_ANCHOR),
    )
    coordinator.until(wire.Committed)


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_commit_is_as_durable_as_it_was_asked_to_be(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, is_durable: bool
) -> None:
    """What the journal no longer holds is on disk before anybody is told that it was committed."""
    asked: list[tuple[bool, Anchor]] = []
    commit = coordinator.store.commit

    def noted(slot: int, extras: bytes, is_durable: bool, anchor: Anchor) -> Checkpoint:
        asked.append((is_durable, anchor))
        return commit(slot, extras, is_durable, anchor)

    monkeypatch.setattr(coordinator.store, "commit", noted)
    anchor = Anchor(b"w" * 16, b"p" * 16, 1, 2, 3)
    coordinator.say(wire.Commit(1, is_durable, b"", {}, anchor))
    coordinator.until(wire.Committed)
    assert asked == [(is_durable, anchor)]


def test_a_feed_from_its_begin_to_its_seal(coordinator: Coordinator) -> None:
    filled(coordinator)
    replica = coordinator.hand_over(wire.Feed(7))
    assert coordinator.until(wire.Fed) == wire.Fed(7, 1)
    coordinator.say(wire.Delete(0, b"1"), wire.Clear(3), wire.Commit(2, False, b"", {}, NO_ANCHOR), wire.Seal(7))
    assert coordinator.until(wire.Sealed) == wire.Sealed(7, 2)
    assert len(replica.databases[0]) == 49
    assert coordinator.loop._feeds == {}


def test_feeds_hear_nothing_of_a_checkpoint_that_was_miscounted_and_of_all_at_the_next(
    coordinator: Coordinator,
) -> None:
    filled(coordinator)
    replica = coordinator.hand_over(wire.Feed(7))
    assert coordinator.until(wire.Fed) == wire.Fed(7, 1)
    heard = len(replica.heard)
    coordinator.say(wire.Delete(0, b"1"), wire.Put(3, b"new", string(b"v")))
    coordinator.say(wire.Commit(2, False, b"", {0: 50, 3: 1}, NO_ANCHOR))
    assert coordinator.until(wire.Miscounted) == wire.Miscounted(2, [0])
    assert coordinator.store.checkpoint.slot == 1
    coordinator.say(wire.AskPage(None, 1))
    coordinator.until(wire.Paged)
    assert len(replica.heard) == heard
    coordinator.say(wire.Put(0, b"noted by nobody", string(b"v")))
    coordinator.say(wire.Commit(3, False, b"", {0: 50, 3: 1}, NO_ANCHOR))
    coordinator.until(wire.Lagged)
    coordinator.say(wire.Seal(7))
    assert coordinator.until(wire.Sealed) == wire.Sealed(7, 3)
    assert coordinator.store.checkpoint.counts == {0: 50, 3: 1}
    assert b"1" not in replica.databases[0]
    assert {b"noted by nobody", b"new"} <= replica.databases[0].keys() | replica.databases[3].keys()


def told(coordinator: Coordinator) -> list[wire.Found]:
    """The parts in which anything was told. While the index is looked at, there is nothing to tell but that."""
    parts = [message for message in coordinator.heard if isinstance(message, wire.Found)]
    assert parts[0] == wire.Found([], [])
    return parts[1:]


def test_keys_with_deadlines_are_told_in_parts_between_other_work(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FOUND_KEYS_MAX", 20)
    filled(coordinator)
    coordinator.say(wire.Load(), wire.AskPage(None, 1))
    assert coordinator.until(wire.Loaded) == wire.Loaded(1, b"x")
    parts = [found.deadlines for found in told(coordinator)]
    assert [len(part) for part in parts] == [20, 20, 10]
    assert sorted(item for part in parts for item in part) == sorted((0, b"%d" % n, n) for n in range(50))
    assert any(isinstance(message, wire.Paged) for message in coordinator.heard)


def test_long_names_are_told_in_parts_too(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FOUND_BYTES_MAX", 2_000)
    long = string(b"x" * LARGE_BYTES)
    puts = [wire.Put(0, b"%03d" % number * 300, long) for number in range(5)]
    for put in puts:
        coordinator.say(put)
        coordinator.turn()
    coordinator.say(wire.Commit(1, False, b"x", {0: 5}, NO_ANCHOR), wire.Load())
    coordinator.until(wire.Loaded)
    parts = [found.sizes for found in told(coordinator)]
    assert [len(part) for part in parts] == [3, 2]
    assert sorted(key for part in parts for _, key, _ in part) == [put.key for put in puts]
    assert {size for part in parts for _, _, size in part} == {len(long)}


def test_what_is_said_of_a_feed_that_is_over_is_ignored(coordinator: Coordinator) -> None:
    coordinator.say(wire.Seal(9), wire.Drop(9), wire.AskPage(None, 1))
    assert coordinator.until(wire.Paged) == wire.Paged([])


def test_a_dropped_feed_ends_its_lane_and_its_number_may_come_again(coordinator: Coordinator) -> None:
    filled(coordinator)
    coordinator.hand_over(wire.Feed(7))
    coordinator.turn()
    coordinator.say(wire.Drop(7))
    coordinator.turn()
    assert coordinator.loop._feeds == {}
    coordinator.hand_over(wire.Feed(7))
    assert coordinator.until(wire.Fed) == wire.Fed(7, 1)


def broken(coordinator: Coordinator, message: str) -> None:
    """It says why and ends."""
    with pytest.raises((wire.WireFault, StateFault), match=message):
        coordinator.loop.run()
    coordinator.heard += coordinator._decoder.feed(coordinator.socket.recv(100_000))
    last = coordinator.heard[-1]
    assert isinstance(last, wire.Broke)
    assert message in last.reason


def test_a_feed_without_a_socket_is_nonsense(coordinator: Coordinator) -> None:
    coordinator.say(wire.Feed(1))
    broken(coordinator, "feed 1 came without a socket, or twice")


def test_one_number_for_two_feeds_is_nonsense(coordinator: Coordinator) -> None:
    coordinator.hand_over(wire.Feed(1))
    coordinator.turn()
    coordinator.hand_over(wire.Feed(1))
    broken(coordinator, "twice")


def test_too_many_sockets_at_once_are_nonsense(coordinator: Coordinator) -> None:
    coordinator.hand_over(wire.Feed(1), sockets=loop.DESCRIPTORS_MAX + 1)
    broken(coordinator, "more sockets came at once")


def test_what_only_a_keeper_says_is_nonsense(coordinator: Coordinator) -> None:
    coordinator.say(wire.Fed(1, 1))
    broken(coordinator, "Fed is nothing that a keeper is told")


def test_a_store_that_fails_ends_the_loop_aloud(coordinator: Coordinator) -> None:
    filled(coordinator)
    coordinator.store._connection.execute("UPDATE row SET record = x'00' WHERE key = x'37'")
    coordinator.hand_over(wire.Feed(1))
    broken(coordinator, "database 0 key '7' is not what was written")


@pytest.mark.parametrize("ending", ["close", "shutdown"])
def test_it_stops_without_a_coordinator(coordinator: Coordinator, ending: str) -> None:
    filled(coordinator)
    if ending == "close":
        coordinator.say(wire.AskPage(None, 9))
        coordinator.socket.close()
    else:
        coordinator.socket.shutdown(socket.SHUT_WR)
    coordinator.loop.run()


def test_it_stops_when_it_is_told_to(coordinator: Coordinator) -> None:
    coordinator.say(wire.Stop())
    with pytest.raises(Stopped):
        coordinator.turn()
