"""`kill -9` of every process of a cell at random moments, and after each restart a look at what it kept.

The cell is that of examples/redis-durable.toml: acknowledged means on disk. It is killed while it serves, and sometimes
while it still recovers from the time before.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..trusted.errors import OperatorFault
from .cell import BOOT_SECONDS_MAX, PrivateCell
from .client import Connection
from .configuration import as_toml, document
from .crew import BROKEN
from .durable_writer import Harm, Writer
from .machine import machine
from .programs import POLL_SECONDS, interrupted_by_sigterm

EXAMPLE = "redis-durable.toml"
# Checkpoints, and the truncation of the journal behind them, are to fall among the kills.
CHECKPOINT_EVERY = "1s"
WRITERS = 4
# How long after it serves, or after its start, a cell is killed at the latest.
LOAD_SECONDS_MAX = 1.5
EARLY_SECONDS_MAX = 1.5
EARLY_SHARE = 0.2
LOOK_SECONDS_MAX = 60.0

Progress = Callable[[str], None]


@dataclass(slots=True)
class Toll:
    """What was done to the cell. `early` are the kills before it served."""

    kills: int = 0
    early: int = 0
    restart_seconds_max: float = 0.0


def run(rounds: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Kill the cell `rounds` times. Raises `OperatorFault` when it does not start again."""
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="quorate-kill-") as name:
        began = time.monotonic()
        cell = PrivateCell(EXAMPLE, Path(name), configuration())
        ordeal = Ordeal(cell, seed, progress)
        try:
            asyncio.run(ordeal.work(rounds))
        finally:
            cell.stop()
        facts = machine() | cell.setting
    return ordeal.result() | {"seed": seed, "seconds": round(time.monotonic() - began, 1), "machine": facts}


def configuration() -> str:
    """The example's configuration, with checkpoints as often as kills."""
    changed = document(EXAMPLE)
    changed["checkpoint"] = {"every": CHECKPOINT_EVERY}
    return as_toml(changed)


def is_right(result: dict[str, Any]) -> bool:
    """Whether everything acknowledged was kept, once, and the rest entirely or not at all."""
    return not any(result[name] for name in ("lost", "duplicated", "torn", "wrong"))


class Ordeal:
    """One cell, the writers whose promises it must keep, and the kills between."""

    def __init__(self, cell: PrivateCell, seed: int, progress: Progress) -> None:
        self.harm = Harm()
        self.toll = Toll()
        self._cell = cell
        self._progress = progress
        self._random = random.Random(seed)
        self._writers = [Writer(f"writer{number}", self.harm, seed * WRITERS + number) for number in range(WRITERS)]

    def result(self) -> dict[str, Any]:
        """What was found."""
        harm, toll = self.harm, self.toll
        return {
            "kills": toll.kills,
            "kills_before_it_served": toll.early,
            "acknowledged": sum(writer.acknowledged for writer in self._writers),
            "in_doubt": sum(writer.doubtful for writer in self._writers),
            "lost": harm.lost,
            "duplicated": harm.duplicated,
            "torn": harm.torn,
            "wrong": harm.wrong,
            "troubles": harm.troubles,
            "restart_seconds_max": round(toll.restart_seconds_max, 2),
        }

    async def work(self, rounds: int) -> None:
        """All rounds, then one orderly end, and a last look at everything."""
        for number in range(1, rounds + 1):
            self._cell.launch()
            if number > 1 and self._random.random() < EARLY_SHARE:
                await self._kill_early()
            else:
                await self._serve_and_kill()
            if number % 10 == 0:
                acknowledged = sum(writer.acknowledged for writer in self._writers)
                self._progress(f"{number} of {rounds} kills, {acknowledged} acknowledged writes")
        await self._look_at_all()
        self._cell.stop()
        await self._look_at_all()
        self._cell.stop()

    async def _kill_early(self) -> None:
        give_up = time.monotonic() + self._random.uniform(0.0, EARLY_SECONDS_MAX)
        while time.monotonic() < give_up and self._cell.served() is None:
            self._cell.require_running()
            await asyncio.sleep(POLL_SECONDS)
        self.toll.early += self._cell.served() is None
        await self._kill()

    async def _serve_and_kill(self) -> None:
        connections = await self._meet()
        for writer, connection in zip(self._writers, connections, strict=True):
            await writer.look(connection)
        work = asyncio.gather(*map(self._write, self._writers, connections))
        await asyncio.sleep(self._random.uniform(0.0, LOAD_SECONDS_MAX))
        await self._kill()
        await asyncio.wait_for(work, LOOK_SECONDS_MAX)

    async def _meet(self) -> list[Connection]:
        """The writers' connections, once the cell serves."""
        began = time.monotonic()
        while self._cell.served() is None:
            self._cell.require_running()
            if time.monotonic() > began + BOOT_SECONDS_MAX:
                raise OperatorFault(f"the cell did not serve again within {BOOT_SECONDS_MAX:g} s", "see its log")
            await asyncio.sleep(POLL_SECONDS)
        self.toll.restart_seconds_max = max(self.toll.restart_seconds_max, time.monotonic() - began)
        return [await Connection.open(self._cell.port) for _ in self._writers]

    async def _write(self, writer: Writer, connection: Connection) -> None:
        with suppress(*BROKEN):
            await writer.write(connection)
        await connection.close()

    async def _kill(self) -> None:
        # In a thread: the writers go on until they lose their connections.
        await asyncio.to_thread(self._cell.kill)
        self.toll.kills += 1

    async def _look_at_all(self) -> None:
        self._cell.launch()
        connections = await self._meet()
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            for writer, connection in zip(self._writers, connections, strict=True):
                await writer.audit(connection)
                await connection.close()
