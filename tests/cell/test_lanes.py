"""Lanes to replicas that are replaced."""

import asyncio
import socket

import uvloop

from quorate.trusted.limits import Limits
from tests.cell.bare import BareShell


def test_the_lane_of_a_replica_whose_seat_another_takes_is_closed_at_once() -> None:
    """Not only when its end is noticed: the cell may end before."""

    async def scene() -> None:
        bare = BareShell(Limits())
        await bare.open()
        shell, old = bare.shell, bare.shell.lanes[0]
        bare.core.suspend(shell.now())
        ours, theirs = socket.socketpair()
        try:
            lane = await shell.adopt(0, ours)
            assert old.transport.is_closing()
            assert shell.lanes[0] is lane
            assert not lane.transport.is_closing()
        finally:
            await bare.close()
            theirs.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
