"""What the tests share that speak to a keeper in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from quorate.domains import child
from quorate.state.link import Keeper
from quorate.state.rows import Checkpoint
from tests.state.support import PROTOCOL, SERVICE

PATIENCE_SECONDS = 60.0


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await work

    asyncio.run(bounded())


async def started(path: Path) -> Keeper:
    return await Keeper.start(path, PROTOCOL, SERVICE)


@asynccontextmanager
async def keeping(path: Path) -> AsyncIterator[Keeper]:
    keeper = await started(path)
    try:
        yield keeper
    finally:
        await keeper.stop()


async def until(condition: Callable[[], bool]) -> None:
    assert await child.until(condition, PATIENCE_SECONDS)


async def committed(keeper: Keeper, slot: int, is_durable: bool = False) -> Checkpoint:
    keeper.commit(slot, b"extras %d" % slot, {}, is_durable)
    await until(lambda: keeper.checkpoint.slot == slot)
    return keeper.checkpoint
