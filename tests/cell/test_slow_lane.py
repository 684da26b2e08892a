"""A replica that is slow to take requests: the shell keeps for it all that it may owe, so that nobody calls it mute.

The shell and the core are the real ones, on sockets of their own; the replicas are stores in this process. Found by
the simulator (seed 115): a lane's buffer was smaller than what a slow replica may owe, so it was convicted of silence.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import closing

from quorate.trusted.coordinator import Coordinator
from quorate.trusted.limits import Limits
from quorate.trusted.messages import Cause, Convicted, Notice, Retired, Role
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.quorum import seats_for
from quorate.trusted.shell import Shell
from tests.sim.machine import Machine

KIB = 1024
SECOND_NS = 1_000_000_000
SLOW = 2
REQUEST = encode_request([b"SET", b"key", b"x" * 8 * KIB])
REPLY = b"+OK\r\n"
# What the kernel takes of a lane's bytes before the shell must keep any.
KERNEL_BYTES = 512 * KIB
WAIT_SECONDS_MAX = 60.0


def limits(throttle_ns_max: int) -> Limits:
    """Much less may be under way than a slow replica may owe. Nothing but `throttle_ns_max` ends within a test."""
    return Limits(
        request_bytes_max=32 * KIB,
        inline_bytes_max=16 * KIB,
        transaction_bytes_max=32 * KIB,
        inflight_bytes_max=64 * KIB,
        reply_bytes_max=64 * KIB,
        lag_bytes_max=4 * KERNEL_BYTES,
        lag_ns_max=300 * SECOND_NS,
        throttle_ns_max=throttle_ns_max,
        silence_ns_max=200 * SECOND_NS,
        decision_ns_max=300 * SECOND_NS,
    )


class Stage:
    """A shell with one client and three lanes. The slow replica takes nothing before it is told to."""

    def __init__(self, throttle_ns_max: int) -> None:
        bounds = limits(throttle_ns_max)
        self.notices: list[Notice] = []
        self.core = Coordinator(1, RedisProtocol(bounds, Settings(), b"seed"), bounds)
        self.shell = Shell(self.core, self.notices.extend)
        self.may_take = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """The lanes open, and the client begins to ask."""
        for seat in range(seats_for(1)):
            ours, theirs = socket.socketpair()
            await self.shell.adopt(seat, ours)
            self._begin(self._serve(theirs, seat))
        listening = socket.create_server(("127.0.0.1", 0))
        await self.shell.listen(listening)
        self._begin(self._ask(listening.getsockname()))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _serve(self, lane: socket.socket, seat: int) -> None:
        machine = Machine(None)
        session = machine.session()
        reader, writer = await asyncio.open_connection(sock=lane)
        with closing(writer.transport):
            while data := await reader.read(64 * KIB):
                replies = [machine.run(session, request, time.time_ns() // 1_000_000) for request in machine.cut(data)]
                writer.write(b"".join(replies))
                if seat == SLOW:
                    await self.may_take.wait()

    async def _ask(self, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        with closing(writer.transport):
            while True:
                writer.write(REQUEST)
                assert await reader.readexactly(len(REPLY)) == REPLY

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let things happen until this holds."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Nothing goes on, and every socket is closed."""
        lanes = [lane.transport for lane in self.shell.lanes.values()]
        await self.shell.drain(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.until(lambda: all(lane.get_extra_info("socket").fileno() < 0 for lane in lanes))

    def is_throttled(self) -> bool:
        """Whether the slow replica owes so much that nothing more is asked."""
        return bool(self.core.vote.seats[SLOW].throttles_since)


async def play(throttle_ns_max: int, scene: Callable[[Stage], Coroutine[None, None, None]]) -> None:
    stage = Stage(throttle_ns_max)
    try:
        await stage.open()
        await scene(stage)
    finally:
        await stage.close()


async def is_late(stage: Stage) -> None:
    await stage.until(stage.is_throttled)
    seat = stage.core.vote.seats[SLOW]
    assert seat.owed_bytes > stage.core.limits.inflight_bytes_max + KERNEL_BYTES
    stage.may_take.set()
    await stage.until(lambda: not stage.is_throttled())
    assert stage.core.roles == [Role.VOTING] * 3
    assert stage.notices == []


async def is_too_late(stage: Stage) -> None:
    await stage.until(lambda: stage.core.roles[SLOW] is not Role.VOTING and bool(stage.notices))
    (notice,) = stage.notices
    assert not isinstance(notice, Convicted)
    assert isinstance(notice, Retired)
    assert (notice.seat, notice.cause) == (SLOW, Cause.LAG)


def test_a_replica_that_owes_all_it_may_keeps_its_vote_when_it_goes_on() -> None:
    asyncio.run(play(200 * SECOND_NS, is_late))


def test_a_replica_that_stays_behind_is_retired_and_not_convicted() -> None:
    asyncio.run(play(SECOND_NS // 4, is_too_late))
