"""The shell and the core alone, on sockets of their own: the replicas are stores in this process, nobody else is there.

For what depends on when which bytes can be written: a test decides when a replica takes what it is sent.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import closing

from quorate.trusted.coordinator import Coordinator
from quorate.trusted.limits import Limits
from quorate.trusted.messages import Notice
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.quorum import seats_for
from quorate.trusted.shell import Shell
from tests.sim.machine import Machine

KIB = 1024
SECOND_NS = 1_000_000_000
PIECE_BYTES = 256 * KIB
WAIT_SECONDS_MAX = 60.0
SLOW = 2


class BareShell:
    """A shell with three lanes, and a socket for clients to come to."""

    def __init__(self, limits: Limits) -> None:
        self.notices: list[Notice] = []
        self.core = Coordinator(1, RedisProtocol(limits, Settings(), b"seed"), limits)
        self.shell = Shell(self.core, self.notices.extend)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> tuple[str, int]:
        """The lanes open. Returns where clients connect to."""
        for seat in range(seats_for(1)):
            ours, theirs = socket.socketpair()
            await self.shell.adopt(seat, ours)
            self.begin(self._serve(theirs, seat))
        listening = socket.create_server(("127.0.0.1", 0))
        await self.shell.listen(listening)
        address: tuple[str, int] = listening.getsockname()
        return address

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Have this go on until the end."""
        self._tasks.append(asyncio.create_task(work))

    async def _serve(self, lane: socket.socket, seat: int) -> None:
        machine = Machine(None)
        session = machine.session()
        reader, writer = await asyncio.open_connection(sock=lane)
        with closing(writer.transport):
            while data := await reader.read(PIECE_BYTES):
                replies = [machine.run(session, request, time.time_ns() // 1_000_000) for request in machine.cut(data)]
                writer.write(b"".join(replies))
                await self.served(seat)

    async def served(self, seat: int) -> None:
        """The replica in this seat has answered what it was sent: it takes more when this returns."""

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
        await self.until(lambda: all(_is_closed(lane) for lane in lanes))


def _is_closed(lane: asyncio.Transport) -> bool:
    sock = lane.get_extra_info("socket")
    return sock is None or sock.fileno() < 0


class SlowLane(BareShell):
    """The replica in seat `SLOW` takes nothing more before it is told to.

    Much less may be under way than it may owe, `lag_bytes_max`. Nothing but `throttle_ns_max` ends within a test.
    """

    def __init__(self, throttle_ns_max: int, lag_bytes_max: int) -> None:
        limits = Limits(
            request_bytes_max=32 * KIB,
            inline_bytes_max=16 * KIB,
            transaction_bytes_max=32 * KIB,
            inflight_bytes_max=64 * KIB,
            reply_bytes_max=64 * KIB,
            lag_bytes_max=lag_bytes_max,
            lag_ns_max=300 * SECOND_NS,
            throttle_ns_max=throttle_ns_max,
            silence_ns_max=200 * SECOND_NS,
            decision_ns_max=300 * SECOND_NS,
        )
        super().__init__(limits)
        self.may_take = asyncio.Event()

    async def served(self, seat: int) -> None:
        """The slow one takes its time."""
        if seat == SLOW:
            await self.may_take.wait()

    def is_throttled(self) -> bool:
        """Whether the slow replica owes so much that nothing more is asked."""
        return bool(self.core.vote.seats[SLOW].throttles_since)
