"""The end of a cell: what was decided is still told, to whoever still reads."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine

import pytest

from quorate.trusted import shell as shell_module
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.framing import encode_request
from tests.cell.bare import PIECE_BYTES, WAIT_SECONDS_MAX, BareShell

KIB = 1024
VALUE = b"x" * 512 * KIB
ANSWER = b"$%d\r\n%s\r\n" % (len(VALUE), VALUE)
# More than the kernel takes from the shell for a client that has not read anything yet.
GETS = 40
PATIENCE_NS = 500_000_000


class Journal:
    """The journal's file, on a disk that makes nothing durable until `is_synced`."""

    is_short = is_full = is_spent = False

    def __init__(self) -> None:
        self.is_synced = True

    def write(self) -> None:
        """Written is not durable."""

    def may_release(self, slot: int) -> bool:
        """All or nothing."""
        return self.is_synced


class Stage(BareShell):
    """A shell with three lanes, one client and a journal."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__(Limits())
        self.journal = Journal()
        self.client = client

    async def enter(self) -> None:
        """The lanes open, and the client comes."""
        address = await self.open()
        self.shell.journal_file = self.journal
        self.client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self.client, address)

    async def says(self, *requests: bytes) -> None:
        """The client sends."""
        await asyncio.get_running_loop().sock_sendall(self.client, b"".join(requests))

    async def hears(self, size: int) -> bytes:
        """What the client is sent next, at most so much; nothing at the connection's end."""
        return await asyncio.get_running_loop().sock_recv(self.client, size)


async def play(scene: Callable[[Stage], Coroutine[None, None, None]]) -> None:
    with socket.socket() as client:
        stage = Stage(client)
        try:
            await stage.enter()
            await scene(stage)
        finally:
            await stage.close()


async def asks_for_much(stage: Stage) -> None:
    """The client asks for more than the kernel takes, and reads nothing of it."""
    await stage.says(encode_request([b"SET", b"large", VALUE]))
    assert await stage.hears(PIECE_BYTES) == b"+OK\r\n"
    await stage.says(*[encode_request([b"GET", b"large"])] * GETS)
    await stage.until(lambda: stage.core.tally.decided == GETS + 1)


async def has_decided_what_is_not_durable(stage: Stage) -> None:
    stage.journal.is_synced = False
    await stage.says(encode_request([b"SET", b"key", b"value"]))
    await stage.until(lambda: not stage.shell.gate.is_empty)
    drain = asyncio.create_task(stage.shell.drain(60 * 10**9))
    await stage.until(lambda: stage.shell.turn.is_draining)
    await asyncio.sleep(0)
    stage.journal.is_synced = True
    stage.shell.synced()
    assert await stage.hears(PIECE_BYTES) == b"+OK\r\n"
    assert await stage.hears(PIECE_BYTES) == b""
    await drain


async def reads_slowly(stage: Stage) -> None:
    await asks_for_much(stage)
    drain = asyncio.create_task(stage.shell.drain(PATIENCE_NS))
    began = time.monotonic_ns()
    heard = b""
    while piece := await stage.hears(PIECE_BYTES):
        heard += piece
        await asyncio.sleep(PIECE_BYTES / len(ANSWER) / GETS * 3 * PATIENCE_NS / 1e9)
    assert heard == ANSWER * GETS
    assert time.monotonic_ns() - began > 2 * PATIENCE_NS
    await drain


async def reads_nothing(stage: Stage) -> None:
    await asks_for_much(stage)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await stage.shell.drain(PATIENCE_NS)
    assert stage.shell.connections == {}


async def reads_too_slowly(stage: Stage) -> None:
    await asks_for_much(stage)
    drain = asyncio.create_task(stage.shell.drain(PATIENCE_NS))
    heard = b""
    while not drain.done():
        heard += await stage.hears(PIECE_BYTES)
        await asyncio.sleep(PIECE_BYTES / len(ANSWER) / GETS * 10 * PATIENCE_NS / 1e9)
    assert len(heard) < len(ANSWER) * GETS


def test_what_was_decided_is_told_when_it_is_durable() -> None:
    asyncio.run(play(has_decided_what_is_not_durable))


def test_a_client_that_reads_gets_all_that_it_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes on a busy machine."""
    monkeypatch.setattr(shell_module, "DRAIN_TIMEOUTS_MAX", 1_000)
    asyncio.run(play(reads_slowly))


def test_a_client_that_reads_nothing_is_left_alone() -> None:
    asyncio.run(play(reads_nothing))


def test_a_client_that_reads_too_slowly_is_left_alone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "DRAIN_TIMEOUTS_MAX", 2)
    asyncio.run(play(reads_too_slowly))
