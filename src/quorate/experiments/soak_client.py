"""Clients of the soak: they ask at random for hours, know every right answer, and tell how a wrong one was wrong.

A process of its own, whose clients work in one database that no other process uses. Each client has keys of its own
beside the model's: a counter and a list of numbers, in which a write that was executed twice, or never, stays visible.
"""

import asyncio
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .client import Connection, ErrorReply, Reply
from .crew import BROKEN, REPLY_SECONDS_MAX
from .latency import Latencies
from .model import Model, SharedCounter, Step, exactly
from .worker import print_result, when_asked_to_end

# Between two requests of a client: it is the cell that is to be seen working, not the clients.
THINK_SECONDS_MAX = 0.004
LIST_LENGTH_MAX = 50
LEDGER_SHARE = 0.3
TROUBLES_TOLD_MAX = 10
NO_TRANSACTION = "ERR DISCARD without MULTI"


@dataclass(slots=True)
class Findings:
    """What the clients of one process saw. `lost` and `duplicated` are writes, `wrong` any other reply.

    `slowest` tells of the request that took longest.
    """

    requests: int = 0
    wrong: int = 0
    lost: int = 0
    duplicated: int = 0
    failed: int = 0
    slowest: str = ""
    troubles: list[str] = field(default_factory=list)
    latencies: Latencies = field(default_factory=Latencies)

    def tell(self, trouble: str) -> None:
        """Keep a trouble in words, while they are few."""
        if len(self.troubles) < TROUBLES_TOLD_MAX:
            self.troubles.append(trouble)

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain data."""
        counts = ("requests", "wrong", "lost", "duplicated", "failed", "slowest", "troubles")
        return {name: getattr(self, name) for name in counts} | {"latencies": self.latencies.to_json()}

    def add(self, data: dict[str, Any]) -> None:
        """Add what another process told with `to_json`."""
        for name in ("requests", "wrong", "lost", "duplicated", "failed"):
            setattr(self, name, getattr(self, name) + int(data[name]))
        for trouble in data["troubles"]:
            self.tell(str(trouble))
        other = Latencies.from_json(data["latencies"])
        if other.max_seconds > self.latencies.max_seconds:
            self.slowest = str(data["slowest"])
        self.latencies.merge(other)


class Ledger:
    """A counter and a list of one client, whose every write is a number that follows the one before."""

    def __init__(self, name: bytes) -> None:
        self._counter = name + b":ledger:count"
        self._list = name + b":ledger:list"
        self._count = 0
        self._numbers: list[int] = []
        self._deleted: list[int] = []
        self._next = 0
        # What may be there instead, since the last write to it was refused; None where that is not in doubt.
        self._other_count: int | None = None
        self._other_numbers: list[int] | None = None

    def step(self, chance: random.Random) -> Step:
        """The next request: a count, a number at the list's end, or a look, first at what is in doubt."""
        if self._other_count is not None:
            return self._look_at_count()
        if self._other_numbers is not None:
            return self._look_at_numbers()
        if len(self._numbers) >= LIST_LENGTH_MAX:
            self._deleted, self._numbers = self._numbers, []
            return Step((b"DEL", self._list), exactly(1))
        match chance.randrange(4):
            case 0 | 1:
                self._count += 1
                return Step((b"INCR", self._counter), exactly(self._count))
            case 2:
                self._next += 1
                self._numbers.append(self._next)
                return Step((b"RPUSH", self._list, b"%d" % self._next), exactly(len(self._numbers)))
            case _:
                return self.audit()[1]

    def audit(self) -> list[Step]:
        """Requests whose replies hold everything that was ever written and not deleted."""
        return [self._look_at_count(), self._look_at_numbers()]

    def refused(self, step: Step) -> None:
        """The last step was answered with an error: if it was a write, it may have been done all the same, or not."""
        match step.arguments[0]:
            case b"INCR":
                self._other_count = self._count - 1
            case b"RPUSH":
                self._other_numbers = self._numbers[:-1]
            case b"DEL":
                self._other_numbers = self._deleted

    def _look_at_count(self) -> Step:
        def accepts(reply: Reply) -> bool:
            """Whichever of the two it is, from now on it is that."""
            if self._other_count is not None and reply == _as_text(self._other_count):
                self._count = self._other_count
            if reply != _as_text(self._count):
                return False
            self._other_count = None
            return True

        return Step((b"GET", self._counter), accepts)

    def _look_at_numbers(self) -> Step:
        def accepts(reply: Reply) -> bool:
            if self._other_numbers is not None and reply == _as_texts(self._other_numbers):
                self._numbers = self._other_numbers
            if reply != _as_texts(self._numbers):
                return False
            self._other_numbers = None
            return True

        return Step((b"LRANGE", self._list, b"0", b"-1"), accepts)

    def blame(self, step: Step, reply: Reply) -> str:
        """What a wrong reply to one of our steps means: `lost`, `duplicated`, or just `wrong`."""
        if step.arguments[0] == b"LRANGE" and isinstance(reply, list):
            told = [bytes(part) for part in reply if isinstance(part, bytes)]
            return "duplicated" if len(set(told)) < len(told) else "lost"
        told_count = int(reply) if isinstance(reply, int) or (isinstance(reply, bytes) and reply.isdigit()) else None
        expected = self._count if step.arguments[1] == self._counter else len(self._numbers)
        if told_count is None or step.arguments[0] == b"DEL":
            return "wrong"
        return "lost" if told_count < expected else "duplicated"


def _as_text(count: int) -> Reply:
    return b"%d" % count if count else None


def _as_texts(numbers: list[int]) -> Reply:
    return [b"%d" % number for number in numbers]


class Client:
    """One connection: asks one request at a time, until it is told to end or loses its connection."""

    def __init__(self, name: str, shared: SharedCounter, findings: Findings, connection: Connection, seed: int) -> None:
        self._random = random.Random(seed)
        self._model = Model(name, shared, seed)
        self._ledger = Ledger(name.encode())
        self._findings = findings
        self._connection = connection

    async def work(self, ending: asyncio.Event) -> None:
        """Ask until `ending`, then look at everything once more."""
        try:
            while not ending.is_set():
                await self._one_turn()
                await asyncio.sleep(self._random.uniform(0.0, THINK_SECONDS_MAX))
            for step in self._ledger.audit():
                await self._ask(step, self._ledger)
        except BROKEN as error:
            self._findings.failed += 1
            self._findings.tell(f"a connection was lost: {type(error).__name__} {error}")
        finally:
            await self._connection.close()

    async def _one_turn(self) -> None:
        if self._random.random() < LEDGER_SHARE:
            step = self._ledger.step(self._random)
            if not await self._ask(step, self._ledger):
                self._ledger.refused(step)
            return
        steps = self._model.draw(8)
        is_answered = False
        try:
            is_answered = await self._ask_all(steps)
        finally:
            if not is_answered:
                self._model.refused(steps)

    async def _ask_all(self, steps: list[Step]) -> bool:
        """Ask these, up to the first that is answered with an error; whether there was none."""
        for step in steps:
            if not await self._ask(step, None):
                await self._leave_transaction()
                return False
            if step.pause:
                await asyncio.sleep(step.pause)
        return True

    async def _leave_transaction(self) -> None:
        """Of one that broke off nothing may be left for later requests to be queued in, though that be refused too."""
        while True:
            self._connection.send([(b"DISCARD",)])
            reply = await self._reply()
            if not isinstance(reply, ErrorReply) or reply.message == NO_TRANSACTION:
                return
            await asyncio.sleep(THINK_SECONDS_MAX)

    async def _reply(self) -> Reply:
        async with asyncio.timeout(REPLY_SECONDS_MAX):
            return await self._connection.reply()

    async def _ask(self, step: Step, ledger: Ledger | None) -> bool:
        """Whether it was answered, rightly or not, and not with an error."""
        findings = self._findings
        findings.requests += 1
        sent = time.perf_counter()
        self._connection.send([step.arguments])
        reply = await self._reply()
        taken = time.perf_counter() - sent
        if taken > findings.latencies.max_seconds:
            # For whoever looks for it in the cell's log.
            ended = datetime.now(UTC).isoformat(timespec="milliseconds")
            findings.slowest = f"{b' '.join(step.arguments[:2])!r}, {taken * 1_000:.0f} ms, answered at {ended}"
        findings.latencies.add(taken)
        if step.accepts(reply):
            return True
        kind = "failed" if isinstance(reply, ErrorReply) else "wrong"
        if kind == "wrong" and ledger is not None:
            kind = ledger.blame(step, reply)
        setattr(findings, kind, getattr(findings, kind) + 1)
        findings.tell(f"{kind}: {b' '.join(step.arguments)!r} was answered {reply!r}")
        return kind != "failed"


async def work(port: int, number: int, connections: int, seed: int) -> Findings:
    """All clients of process `number`, until stdin ends."""
    findings, shared = Findings(), SharedCounter()
    ending, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        with suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(ending.set)

    when_asked_to_end(end)
    clients = []
    for place in range(connections):
        connection = await Connection.open(port)
        connection.send([(b"SELECT", b"%d" % number)])
        await connection.reply()
        clients.append(Client(f"client{number}-{place}", shared, findings, connection, seed * 1_000 + place))
    await asyncio.gather(*(client.work(ending) for client in clients))
    findings.lost += shared.missing()
    return findings


def main() -> None:
    """Run as a worker: the port, our number (and database), how many connections, and the seed."""
    port, number, connections, seed = map(int, sys.argv[1:])
    print_result(asyncio.run(work(port, number, connections, seed)).to_json())


if __name__ == "__main__":
    main()
