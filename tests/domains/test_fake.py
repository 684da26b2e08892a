"""The fake domain keeps the port's promises, with nothing behind it."""

import asyncio

import pytest

from quorate.domains.fake import FakeDomain
from quorate.domains.port import Domain, Ended, Usage
from quorate.trusted.errors import BrokenInvariant, OperatorFault
from tests.domains.harness import LOOPS, run


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_it_serves_every_connection_until_killed(loop: str) -> None:
    async def main() -> None:
        domain: Domain = FakeDomain(echo)
        with pytest.raises(ConnectionRefusedError):
            await domain.connect()
        await domain.start()
        running = asyncio.get_running_loop()
        lanes = [await domain.connect() for _ in range(3)]
        for lane in lanes:
            await running.sock_sendall(lane, b"ping\n")
            assert await running.sock_recv(lane, 100) == b"PING\n"
        await domain.hog()
        assert await domain.kill() == await domain.ended() == await domain.kill()
        assert [await running.sock_recv(lane, 100) for lane in lanes] == [b""] * 3
        for lane in lanes:
            lane.close()
        assert (domain.pid, domain.usage(), domain.kind) == (None, Usage(0, 0), "fake")
        assert "tests" in domain.guarantees["everything"]

    run(main(), loop)


def test_it_can_end_by_itself_be_late_and_fail_to_start() -> None:
    async def main() -> None:
        domain = FakeDomain(echo, ready=False)
        await domain.start()
        with pytest.raises(ConnectionRefusedError):
            await domain.connect()
        domain.ready = True
        lane = await domain.connect()
        domain.crash(7, "last words")
        assert await domain.ended() == Ended(7, "last words") == await domain.kill()
        lane.close()
        with pytest.raises(BrokenInvariant):
            await domain.start()
        broken = FakeDomain(echo, launch_fault="no")
        with pytest.raises(OperatorFault):
            await broken.start()
        with pytest.raises(BrokenInvariant):
            await broken.ended()
        with pytest.raises(BrokenInvariant):
            await broken.hog()
        assert await broken.kill() == Ended(0, "")

    run(main())
