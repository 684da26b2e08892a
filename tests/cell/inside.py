"""A whole cell in this process: the real coordinator, keeper, journal and recovery, and replicas that are played here.

A replica is a store of this package behind a fake domain. What it does beside serving is its variant's *part*, a
function that is given each request and its true reply, and says what is replied: nothing is None. A variant whose part
is a text cannot be started, for that reason.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvloop

from quorate import assemble, rebuild
from quorate.config import Config, load
from quorate.domains.fake import FakeDomain
from quorate.domains.port import Recipe
from quorate.experiments.client import Connection, Reply
from quorate.facts import Fact
from quorate.kv.dictionary.dispatch import answer
from quorate.kv.dictionary.keyspace import Keyspace
from quorate.kv.dictionary.request import RequestReader
from quorate.kv.dictionary.session import Session
from quorate.trusted.messages import Notice
from tests.cell.support import Document, as_toml
from tests.domains.harness import short_directory

WAIT_SECONDS_MAX = 60.0
PIECE_BYTES_MAX = 65_536

Part = Callable[["Replica", list[bytes], bytes], bytes | None]


def honest(replica: "Replica", request: list[bytes], reply: bytes) -> bytes | None:
    """Replies what is right."""
    return reply


class Replica:
    """One replica that is played. `heard` is how many requests it was asked."""

    def __init__(self, recipe: Recipe, part: Part | str) -> None:
        self.variant = recipe.variant
        self.name = recipe.replica
        self.domain = FakeDomain(self._serve, part if isinstance(part, str) else "")
        self.keyspace = Keyspace()
        self.heard = 0
        self._scripts: dict[bytes, bytes] = {}
        self._part = honest if isinstance(part, str) else part

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session, framer = Session(self.keyspace, self._scripts, 1), RequestReader()
        while data := await reader.read(PIECE_BYTES_MAX):
            requests: list[list[bytes]] = []
            framer.feed(data, requests)
            for request in requests:
                self.heard += 1
                reply = self._part(self, request, answer(session, request))
                if not self.domain.running:
                    return
                if reply is None:
                    await asyncio.Event().wait()
                writer.write(reply or b"")

    def state(self) -> list[tuple[int, bytes, str]]:
        """All that it holds: database, key, value."""
        databases = enumerate(self.keyspace.databases)
        return sorted((number, key, repr(value)) for number, data in databases for key, value in data.values.items())


class Stage:
    """One cell, everything that it told, and every replica that was ever begun."""

    def __init__(self, config: Config, parts: dict[str, Part | str], left_out: int = 0) -> None:
        self.notices: list[Notice] = []
        self.facts: list[Fact] = []
        self.replicas: list[Replica] = []
        # How many replicas vote, after each turn in which that may have changed.
        self.voters: list[int] = []
        self.parts = parts
        self.cell = assemble.Cell(config, self._noticed, lambda replica, stage: None, self.facts.append, left_out)
        self._connections: list[Connection] = []
        self._port = 0

    def make(self, kind: str, recipe: Recipe, directory: Path, seat: int) -> FakeDomain:
        """In place of a real domain."""
        self.replicas.append(Replica(recipe, self.parts.get(recipe.variant, honest)))
        return self.replicas[-1].domain

    def _noticed(self, notices: list[Notice]) -> None:
        self.notices += notices
        self.voters.append(self.cell.core.vote.voters())

    async def start(self) -> None:
        """The cell serves."""
        listener = assemble.bind("127.0.0.1", 0)
        self._port = listener.getsockname()[1]
        with ExitStack() as undo:
            undo.callback(listener.close)
            await self.cell.start(listener)
            undo.pop_all()

    async def stop(self) -> None:
        """The cell ends, and its clients go."""
        for connection in self._connections:
            await connection.close()
        self._connections.clear()
        await self.cell.stop()

    async def connect(self) -> Connection:
        """One more client, who goes with the cell."""
        self._connections.append(await Connection.open(self._port))
        return self._connections[-1]

    async def ask(self, *words: bytes | str | int) -> Reply:
        """One client's request, and its reply."""
        connection = self._connections[0] if self._connections else await self.connect()
        connection.send([tuple(word if isinstance(word, bytes) else str(word).encode() for word in words)])
        return await connection.reply()

    async def until(self, condition: Callable[[], object], what: str = "what was waited for") -> None:
        """Let things happen until this holds."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}; {self.facts} {self.notices}"
            await asyncio.sleep(0.002)

    def told(self, kind: type[Any]) -> list[Any]:
        """The facts and notices of this kind."""
        return [fact for fact in [*self.facts, *self.notices] if isinstance(fact, kind)]

    def current(self) -> list[Replica]:
        """The replica in each seat."""
        by_domain = {id(replica.domain): replica for replica in self.replicas}
        return [by_domain[id(seat.domain)] for seat in self.cell.seats]

    async def agreed(self) -> list[tuple[int, bytes, str]]:
        """The state that all seats' replicas hold, once they have executed everything."""
        await self.until(lambda: not any(seat.owed for seat in self.cell.core.vote.seats), "nothing is owed")
        found = [replica.state() for replica in self.current()]
        assert found[0] == found[1] == found[2]
        return found[0]


def document(variants: tuple[tuple[str, ...], ...] = (("one",), ("two",), ("three",)), **limits: int) -> Document:
    """A configuration of replicas a, b, c, each of which may be these variants."""
    names = dict.fromkeys(name for names in variants for name in names)
    quick = {"rebuild_retry_ns_max": 10_000_000, "silence_ns_max": 10**9, "decision_ns_max": 10**9 + 1}
    return {
        "cell": {"name": "stage", "listen": "127.0.0.1:0", "drills": True},
        "checkpoint": {"every": "1h"},
        "limits": quick | limits,
        "variant": [{"name": name, "program": "{python}", "args": ["{socket}"]} for name in names],
        "replica": [
            {"name": name, "domain": "process", "variants": list(names)}
            for name, names in zip("abc", variants, strict=True)
        ],
    }


def config_of(wanted: Document, directory: Path) -> Config:
    """A document, as the cell reads it."""
    wanted["cell"]["state"] = str(directory / "state")
    path = directory / "cell.toml"
    path.write_text(as_toml(wanted))
    return load(path)


@asynccontextmanager
async def staged(wanted: Document, directory: Path, left_out: int = 0, /, **parts: Part | str) -> AsyncIterator[Stage]:
    """A running cell; it has ended, whatever happened, when this does."""
    config = config_of(wanted, directory)
    (directory / "state").mkdir(mode=0o700, exist_ok=True)
    stage = Stage(config, parts, left_out)
    with patch.object(assemble, "make", stage.make), patch.object(rebuild, "make", stage.make):
        try:
            await stage.start()
            yield stage
        finally:
            await stage.stop()
    assert not any(replica.domain.running for replica in stage.replicas)


def play(scene: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    """Play a scene on an event loop of its own, with a directory of its own."""

    async def bounded(directory: Path) -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await scene(directory)

    with short_directory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded(directory))
