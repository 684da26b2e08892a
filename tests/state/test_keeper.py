"""The keeper as a process, spoken to over its link: what the coordinator sees of it, whatever happens to it."""

import asyncio
import os
import resource
import signal
import socket
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.domains.processes import stat
from quorate.state.faults import FeedFault, StateFault
from quorate.state.link import Keeper, LoadedState
from quorate.trusted.changes import LARGE_BYTES, SET, STRING
from tests.state.keepers import committed, keeping, run, started, until
from tests.state.support import PROTOCOL, Lie, Replica, members, string

# Longer than a keeper takes to open a store.
START_SECONDS = 1.0


async def serve(sock: socket.socket, replica: Replica) -> None:
    loop = asyncio.get_running_loop()
    with sock, suppress(ConnectionError):
        while not replica.is_over and (data := await loop.sock_recv(sock, 1_000_000)):
            await loop.sock_sendall(sock, replica.receive(data))


class Shadow:
    """A replica that the keeper can be given. It hangs up after `requests_max` requests."""

    def __init__(self, lie: Lie | None = None, requests_max: int | None = None) -> None:
        self.replica = Replica(lie, requests_max)
        self.socket, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._serving = asyncio.ensure_future(serve(theirs, self.replica))

    async def hung_up(self) -> None:
        """Until the keeper has ended the lane."""
        await self._serving


async def filled(keeper: Keeper, rows: int = 500) -> None:
    for index in range(rows):
        keeper.put(index % 4, b"key %d" % index, string(b"value %d" % index * 20))
    keeper.put(0, b"set", members(b"b", b"a"))
    await committed(keeper, 1)


def test_what_is_committed_is_there_when_it_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            assert (keeper.checkpoint.slot, keeper.extras) == (0, b"")
            keeper.put(0, b"a", string(b"1"))
            keeper.put(0, b"b", string(b"2", 1_900_000_000_000))
            keeper.put(7, b"s", members(b"x"))
            keeper.put(7, b"long", string(b"x" * LARGE_BYTES))
            keeper.delete(0, b"a")
            done = await committed(keeper, 5, is_durable=True)
            assert done.counts == {0: 1, 7: 2}
            keeper.clear(0)
            keeper.put(0, b"not committed", string(b"x"))
        async with keeping(tmp_path / "state") as keeper:
            assert (keeper.checkpoint, keeper.extras) == (done, b"extras 5")
            deadlines = [(0, b"b", 1_900_000_000_000)]
            sizes = [(7, b"long", len(string(b"x" * LARGE_BYTES)))]
            assert await keeper.load() == LoadedState(5, b"extras 5", deadlines, sizes)
            assert await keeper.page(None, 10) == [(0, b"b", STRING), (7, b"long", STRING), (7, b"s", SET)]
            assert await keeper.page((0, b"b"), 10) == [(7, b"long", STRING), (7, b"s", SET)]
            assert await keeper.page((7, b"s"), 10) == []

    run(work())


def test_another_number_of_keys_than_was_counted_is_no_checkpoint(tmp_path: Path) -> None:
    """Who begins at the store meanwhile begins at the checkpoint before, and what was put comes with the next."""

    async def work() -> None:
        miscounted: list[list[int]] = []
        async with keeping(tmp_path / "state") as keeper:
            keeper.on_miscounted = miscounted.append
            keeper.put(0, b"a", string(b"1"))
            first = await committed(keeper, 1, is_durable=True)
            keeper.put(0, b"b", string(b"2"))
            keeper.commit(2, b"", {0: 3, 7: 0}, is_durable=True)
            await until(lambda: miscounted == [[0]])
            assert keeper.checkpoint == first
            assert await keeper.page(None, 10) == [(0, b"a", STRING)]
        async with keeping(tmp_path / "state") as keeper:
            assert (keeper.checkpoint, keeper.extras) == (first, b"extras 1")
            keeper.on_miscounted = miscounted.append
            keeper.put(0, b"b", string(b"2"))
            keeper.commit(3, b"", {0: 3}, is_durable=True)
            keeper.put(0, b"c", string(b"3"))
            keeper.commit(4, b"", {0: 3}, is_durable=True)
            await until(lambda: keeper.checkpoint.slot == 4)
            assert miscounted == [[0], [0]]
            assert [key for _, key, _ in await keeper.page(None, 10)] == [b"a", b"b", b"c"]

    run(work())


def test_a_keeper_waits_for_the_one_before_it(tmp_path: Path) -> None:
    """That one's coordinator may be dead, and its last commit not done: who came sooner would not know of it."""

    async def work() -> None:
        async with keeping(tmp_path / "state") as first:
            await committed(first, 1)
            second = asyncio.ensure_future(started(tmp_path / "state"))
            await asyncio.sleep(START_SECONDS)
            last = await committed(first, 2, is_durable=True)
            assert not second.done()
        keeper = await second
        assert keeper.checkpoint == last
        await keeper.stop()

    run(work())


def test_a_long_load_comes_in_parts(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            for index in range(5_000):
                keeper.put(0, b"%d" % index, string(b"v", index if index % 2 else -1))
            await committed(keeper, 1)
            first, second = await asyncio.gather(keeper.load(), keeper.page(None, 3))
            assert sorted(first.deadlines) == sorted((0, b"%d" % index, index) for index in range(1, 5_000, 2))
            assert len(second) == 3

    run(work())


def test_two_shadows_are_fed_at_once_and_sealed(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            shadows = [Shadow(), Shadow()]
            feeding = [keeper.feed(shadow.socket, number) for number, shadow in enumerate(shadows)]
            assert await asyncio.gather(*feeding) == [1, 1]
            keeper.put(3, b"more", string(b"m"))
            keeper.delete(0, b"set")
            await committed(keeper, 2)
            assert list(await asyncio.gather(keeper.seal(0), keeper.seal(1))) == [2, 2]
            assert keeper.feeds == {}
            for shadow in shadows:
                await shadow.hung_up()
                assert shadow.replica.databases[3][b"more"] == b"m"
                assert sum(map(len, shadow.replica.databases.values())) == 501
                assert b"set" not in shadow.replica.databases[0]

    run(work())


def test_lag_is_told_until_the_shadow_has_caught_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            shadow = Shadow()
            await keeper.feed(shadow.socket, 1)
            feeding = keeper.feeds[1]
            assert feeding.slot == 1
            shadow.replica.is_silent = True
            keeper.put(0, b"more", string(b"m"))
            await committed(keeper, 2)
            await until(lambda: b"more" in shadow.replica.keys)
            assert keeper.feeds[1] is feeding
            keeper.drop(1)
            await shadow.hung_up()

    run(work())


def test_a_feed_of_thousands_of_keys_arrives(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper, 3_000)
            shadow = Shadow()
            assert await keeper.feed(shadow.socket, 1) == 1
            assert sum(map(len, shadow.replica.databases.values())) == 3_001

    run(work())


def lie(words: list[bytes], reply: bytes) -> bytes:
    return b"$1\r\nx\r\n" if words == [b"GET", b"key 77"] else reply


def test_a_liar_fails_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            liar, honest = Shadow(lie), Shadow()
            other = asyncio.ensure_future(keeper.feed(honest.socket, 2))
            with pytest.raises(FeedFault, match="database 1 key 'key 77' reads back as") as caught:
                await keeper.feed(liar.socket, 1)
            assert caught.value.is_replicas
            await liar.hung_up()
            assert await other == 1
            assert await keeper.seal(2) == 1
            with pytest.raises(FeedFault, match="no such feed"):
                await keeper.seal(1)

    run(work())


@pytest.mark.parametrize("requests_max", [1, 100, 700])
def test_a_shadow_that_dies_in_the_middle_fails(tmp_path: Path, requests_max: int) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            shadow = Shadow(requests_max=requests_max)
            with pytest.raises(FeedFault, match=r"closed its lane|the lane broke"):
                await keeper.feed(shadow.socket, 1)
            assert await keeper.page(None, 1)

    run(work())


def test_a_shadow_that_fails_while_it_follows_is_told_of(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            failures: list[tuple[int, FeedFault]] = []
            keeper.on_feed_failed = lambda number, fault: failures.append((number, fault))
            await filled(keeper)
            shadow = Shadow(lambda words, reply: b"-ERR\r\n" if words[0] == b"DEL" else reply)
            await keeper.feed(shadow.socket, 1)
            keeper.delete(0, b"key 0")
            await committed(keeper, 2)
            await until(lambda: len(failures) == 1)
            assert failures[0][0] == 1
            assert "key 'key 0' cannot be restored" in failures[0][1].reason
            with pytest.raises(FeedFault, match="key 0"):
                await keeper.seal(1)
            assert keeper.feeds == {}

    run(work())


def test_a_feed_is_dropped_in_the_middle(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            shadows = [Shadow(), Shadow()]
            for shadow in shadows:
                shadow.replica.is_silent = True
            feeding = [asyncio.ensure_future(keeper.feed(shadow.socket, n)) for n, shadow in enumerate(shadows)]
            await until(lambda: all(shadow.replica.heard for shadow in shadows))
            keeper.drop(0)
            with pytest.raises(FeedFault, match="dropped") as caught:
                await feeding[0]
            assert not caught.value.is_replicas
            feeding[1].cancel()  # who waits no more has no use for it either
            with pytest.raises(asyncio.CancelledError):
                await feeding[1]
            for shadow in shadows:
                await shadow.hung_up()
            assert keeper.feeds == {}

    run(work())


def test_a_seal_with_a_commit_after_it_is_never_true(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
            shadow = Shadow()
            await keeper.feed(shadow.socket, 1)
            shadow.replica.is_silent = True
            sealing = asyncio.ensure_future(keeper.seal(1))
            await asyncio.sleep(0)
            keeper.commit(2, b"", {}, is_durable=False)
            with pytest.raises(FeedFault, match="between a seal and its end") as caught:
                await sealing
            assert not caught.value.is_replicas

    run(work())


# The keeper's own end.


async def broken(keeper: Keeper) -> StateFault:
    faults: list[StateFault] = []
    keeper.on_broken = faults.append
    await until(lambda: keeper.fault is not None)
    assert faults in ([], [keeper.fault])
    assert keeper.fault is not None
    return keeper.fault


async def all_refuse(keeper: Keeper) -> None:
    sock, other = socket.socketpair()
    keeper.put(0, b"a", string(b"1"))
    keeper.commit(99, b"", {}, is_durable=False)
    asked: list[Awaitable[object]] = [keeper.page(None, 1), keeper.load(), keeper.feed(sock, 9)]
    for question in asked:
        with pytest.raises(StateFault):
            await question
    assert sock.fileno() == -1
    assert keeper.backlog_bytes == 0
    other.close()
    await keeper.stop()


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.05])
def test_killed_in_mid_commit_it_leaves_the_last_checkpoint_and_no_waiter(tmp_path: Path, delay: float) -> None:
    async def work() -> None:
        keeper = await started(tmp_path / "state")
        await filled(keeper)
        before = keeper.checkpoint
        shadow = Shadow()
        shadow.replica.is_silent = True
        waiters = [asyncio.ensure_future(what) for what in (keeper.feed(shadow.socket, 1), asyncio.sleep(0, 0))]
        for index in range(20_000):
            keeper.put(0, b"%d" % index, string(b"x" * 200))
        keeper.commit(2, b"extras 2", {}, is_durable=True)
        await asyncio.sleep(delay)
        os.kill(keeper.pid, signal.SIGKILL)
        assert "ended (exit code -9)" in str(await broken(keeper))
        with pytest.raises(StateFault):
            await waiters[0]
        await all_refuse(keeper)
        await shadow.hung_up()
        async with keeping(tmp_path / "state") as again:
            found = again.checkpoint
            assert found == before or (found.slot, found.counts[0]) == (2, 20_126)
            assert (await again.load()).slot == found.slot  # reads and checks every row

    run(work())


def test_a_full_disk_breaks_it_aloud(tmp_path: Path) -> None:
    async def work() -> None:
        keeper = await started(tmp_path / "state")
        await filled(keeper)
        before = keeper.checkpoint
        resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        for index in range(20_000):
            keeper.put(0, b"%d" % index, string(b"x" * 1_000))
        keeper.commit(2, b"", {}, is_durable=False)
        fault = await broken(keeper)
        assert "cannot be written or read" in str(fault)
        assert "make room" in fault.hint
        await all_refuse(keeper)
        async with keeping(tmp_path / "state") as again:
            assert again.checkpoint == before

    run(work())


def test_a_damaged_row_breaks_it_and_blames_no_replica(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state") as keeper:
            await filled(keeper)
        damaged = bytearray((tmp_path / "state").read_bytes())
        damaged[damaged.index(b"value 77value 77")] ^= 1
        (tmp_path / "state").write_bytes(damaged)
        keeper = await started(tmp_path / "state")
        shadow = Shadow()
        with pytest.raises(StateFault, match="database 1 key 'key 77' is not what was written") as caught:
            await keeper.feed(shadow.socket, 1)
        assert "move the store's files alone away" in caught.value.hint
        await all_refuse(keeper)
        await shadow.hung_up()

    run(work())


def test_a_store_that_cannot_be_opened_is_told_of(tmp_path: Path) -> None:
    async def work() -> None:
        async with keeping(tmp_path / "state"):
            pass
        with pytest.raises(StateFault, match="belongs to the service 'test', not 'other'") as caught:
            await Keeper.start(tmp_path / "state", PROTOCOL, "other")
        assert caught.value.hint
        with pytest.raises(StateFault, match="cannot use the state store"):
            await started(tmp_path / "missing" / "state")

    run(work())


def test_it_ends_with_the_coordinator_and_when_it_is_stopped(tmp_path: Path) -> None:
    async def work() -> None:
        keeper = await started(tmp_path / "state")
        pid = keeper.pid
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
        heard: list[StateFault] = []
        keeper.on_broken = heard.append
        keeper._socket.shutdown(socket.SHUT_RDWR)  # as when the coordinator is killed
        await until(lambda: keeper.fault is not None)
        assert "ended (exit code 0)" in str(keeper.fault)
        assert len(heard) == 1
        again = await started(tmp_path / "state")
        again.on_broken = heard.append
        await again.stop()
        await again.stop()
        assert len(heard) == 1
        assert stat(pid) is None
        await all_refuse(again)

    run(work())


def test_nonsense_ends_either_side(tmp_path: Path) -> None:
    async def work() -> None:
        keeper = await started(tmp_path / "state")
        keeper._write(b"\x00\x00\x00\x01\xff")
        assert "there is no frame of kind 255" in str(await broken(keeper))
        await keeper.stop()
        other = await started(tmp_path / "state")
        other._decoder.feed(b"\x7f")
        other._write(b"\x00\x00\x00\x01\x08")  # it is asked to load, and answers
        assert "talks nonsense" in str(await broken(other))
        await other.stop()

    run(work())
