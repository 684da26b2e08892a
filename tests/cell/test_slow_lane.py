"""A replica that is slow to take requests: the shell keeps for it all that it may owe, so that nobody calls it mute.

Found by the simulator (seed 115): a lane's buffer was smaller than what a slow replica may owe, so it was convicted of
silence.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing

from quorate.trusted.messages import Cause, Convicted, Retired, Role
from quorate.trusted.protocols.redis.framing import encode_request
from tests.cell.bare import KIB, SECOND_NS, SLOW, SlowLane

REQUEST = encode_request([b"SET", b"key", b"x" * 8 * KIB])
REPLY = b"+OK\r\n"
# What the kernel takes of a lane's bytes before the shell must keep any.
KERNEL_BYTES = 512 * KIB


class Stage(SlowLane):
    """One client asks a shell with three lanes."""

    def __init__(self, throttle_ns_max: int) -> None:
        super().__init__(throttle_ns_max, lag_bytes_max=4 * KERNEL_BYTES)

    async def enter(self) -> None:
        """The lanes open, and the client begins to ask."""
        self.begin(self._ask(await self.open()))

    async def _ask(self, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        with closing(writer.transport):
            while True:
                writer.write(REQUEST)
                assert await reader.readexactly(len(REPLY)) == REPLY


async def play(throttle_ns_max: int, scene: Callable[[Stage], Coroutine[None, None, None]]) -> None:
    stage = Stage(throttle_ns_max)
    try:
        await stage.enter()
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
