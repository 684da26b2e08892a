"""The trusted core alone, with bytes in memory: what a request costs, by kind of request, without the network's noise.

The replicas are played: each lane is given the replies that a kind names, right after what was sent to it. A turn is
what the shell does in one turn of its loop: all clients' bytes in, one batch out, each lane's replies in, clients' out.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .. import compiled
from ..trusted.client import Client
from ..trusted.coordinator import Coordinator
from ..trusted.errors import invariant
from ..trusted.limits import Limits
from ..trusted.messages import Cause
from ..trusted.protocols.redis.base import Settings
from ..trusted.protocols.redis.dialect import RedisProtocol
from .kinds import KINDS, OK, SEATS, Kind
from .machine import machine

REPETITIONS = 7
REPETITION_SECONDS = 0.1
TURN_NS = 100_000
START_NS = 1_700_000_000_000_000_000
# A liar that is to be masked for a whole measurement must not be convicted meanwhile.
READ_DISSENTS_MAX = 1 << 62


class Stage:
    """A coordinator core between played clients and played replicas, for one kind of request."""

    def __init__(self, kind: Kind) -> None:
        limits = Limits(read_dissents_max=READ_DISSENTS_MAX)
        self.kind = kind
        self.core = Coordinator(1, RedisProtocol(limits, Settings(), b"a seed"), limits)
        self.now = START_NS
        self.clients = [Client(number, "memory") for number in range(1, kind.clients + 1)]
        self._replies = [reply * kind.clients for reply in kind.replies]
        self._again = kind.asked_again * kind.clients
        self._open()

    def _open(self) -> None:
        core = self.core
        frames = core.protocol.setup()[1]
        for seat in range(SEATS):
            core.replica_joined(seat, self.now)
            core.replica_answered(seat, OK * frames, self.now)
        for seat in self.kind.lost:
            core.replica_lost(seat, Cause.CRASH, self.now)
        for client in self.clients:
            core.client_connected(client, self.now)
            if self.kind.opening:
                core.client_sent(client, self.kind.opening, self.now)
        self._drain()

    def turn(self) -> None:
        """One turn of the loop."""
        self._exchange()
        self._drain()

    def _exchange(self) -> None:
        core, now = self.core, self.now + TURN_NS
        self.now = now
        piece = self.kind.piece
        for client in self.clients:
            core.client_sent(client, piece, now)
        if core.distribute.outgoing:
            core.distribute.take()
            core.next_deadline()
            for seat, replies in enumerate(self._replies):
                core.replica_answered(seat, replies, now)
            if core.distribute.outgoing:
                core.distribute.take()
                for seat in range(SEATS):
                    core.replica_answered(seat, self._again, now)
        core.next_deadline()

    def _drain(self) -> None:
        core = self.core
        for client in core.reply.ready:
            client.out = []
        core.reply.ready = []
        if core.notices:
            core.notices = []

    def check(self) -> None:
        """One turn whose every reply is looked at: a measurement of wrong answers would mean nothing."""
        self._exchange()
        told = [b"".join(client.out) for client in self.clients]
        self._drain()
        invariant(
            told == [self.kind.told] * len(self.clients),
            f"{self.kind.name}: the replies of the kind are not those that the core agrees on",
        )


def run() -> dict[str, Any]:
    """Measure every kind: `kinds` has `min` and `median` in microseconds per request, over the `repetitions`."""
    return measure(KINDS, REPETITIONS, REPETITION_SECONDS)


def measure(kinds: tuple[Kind, ...], repetitions: int, seconds: float) -> dict[str, Any]:
    """Measure `kinds`, each so many times for about so many seconds."""
    found = {kind.name: _summary(_repeat(kind, repetitions, seconds)) for kind in kinds}
    # What is loaded in this process counts here, not what the command would load.
    facts = machine() | {"trusted": "compiled" if compiled.loaded() else "pure"}
    return {"unit": "microseconds per request", "repetitions": repetitions, "kinds": found, "machine": facts}


def _summary(measured: list[float]) -> dict[str, float]:
    return {"min": round(min(measured), 3), "median": round(median(measured), 3)}


def _repeat(kind: Kind, repetitions: int, seconds: float) -> list[float]:
    """Microseconds per request, once for each repetition."""
    stage = Stage(kind)
    stage.check()
    turns = _turns_in(stage.turn, seconds)
    measured = []
    for _ in range(repetitions):
        began = time.perf_counter_ns()
        for _ in range(turns):
            stage.turn()
        passed = time.perf_counter_ns() - began
        measured.append(passed / 1_000 / turns / kind.clients / kind.requests)
    stage.check()
    return measured


def _turns_in(turn: Callable[[], None], seconds: float) -> int:
    """How many turns take about so many seconds; they warm up what is to be measured."""
    turns = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        turn()
        turns += 1
    return max(1, round(turns * seconds / passed))


def render(result: dict[str, Any]) -> RenderableType:
    """The table of a result of `run`."""
    title = f"Microseconds per request in the trusted core; {result['repetitions']} repetitions"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("kind")
    table.add_column("min", justify="right")
    table.add_column("median", justify="right")
    for name, values in result["kinds"].items():
        table.add_row(name, f"{values['min']:.2f}", f"{values['median']:.2f}")
    facts = "; ".join(f"{name} {value}" for name, value in result["machine"].items())
    return Group(table, Text(facts))
