"""The soak: rejuvenations without end, under clients that know every right answer, while replicas are made faulty.

One fault at a time, of a kind and at a replica drawn from a seed; the next begins when whoever it may have hit is gone,
and every seat votes again. Rebuilds that are asked for go on all the while: a shadow costs no vote, so that the cell is
never beyond what it promises.
"""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..observe.snapshot import CellSnapshot
from ..trusted.errors import OperatorFault
from .cell import PrivateCell
from .configuration import as_toml, document
from .machine import machine
from .programs import interrupted_by_sigterm
from .soak_client import Findings
from .watch import VOTING, Watch, all_vote, replica_of, role_of
from .worker import Worker

EXAMPLE = "redis.toml"
# A convicted replica is rebuilt at once, so that each of these ends with a rebuild; but for slow, which we end.
CONVICTING = ("corrupt", "collude", "mute", "crash", "flood")
PASSING = ("slow", "hog")
FAULTS = CONVICTING + PASSING
PASSING_SECONDS = 0.5
FAULT_PAUSE_SECONDS_MAX = 0.3
REBUILD_PAUSE_SECONDS_MAX = 0.2
# One asked rebuild in so many is one of all replicas at once.
ALL_EVERY = 10
SILENCE_NS = 1_000_000_000
# A seat that is lost again and again waits up to a minute for its next replica.
HEAL_SECONDS_MAX = 120.0
REFUSED_PAUSE_SECONDS = 0.1
END_SECONDS_MAX = 60.0
# What a rejuvenation may take on average before the soak gives up.
SECONDS_EACH_MAX = 10.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """So many rejuvenations in at most so many seconds, under the clients of `processes` with `connections` each."""

    rejuvenations: int
    seconds_max: float
    seed: int
    processes: int = 2
    connections: int = 4


def configuration(path: Path | None) -> str:
    """The configuration at `path`, or the soak's own: sandboxed Redis with drills, and no patience with the mute."""
    if path is not None:
        return path.read_text()
    changed = document(EXAMPLE)
    changed["cell"]["drills"] = True
    changed["recovery"] = {"strategy": "none", "reactive": True}
    changed.setdefault("limits", {})["silence_ns_max"] = SILENCE_NS
    return as_toml(changed)


def run(plan: Plan, text: str, progress: Progress) -> dict[str, Any]:
    """Carry out `plan` on the cell that `text` configures. Raises `OperatorFault` when a replica does not heal."""
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="quorate-soak-") as name:
        facts = machine()
        with PrivateCell(EXAMPLE, Path(name), text) as cell, ExitStack() as workers:
            clients = [
                workers.enter_context(_client(cell, plan, number, Path(name))) for number in range(plan.processes)
            ]
            soak = Soak(cell, plan, clients, progress)
            began = time.monotonic()
            soak.work()
            seconds = time.monotonic() - began
            findings = _end(clients)
            status = soak.watch.look()
            facts |= cell.setting
    return soak.result() | _result(findings, status) | {"seconds": round(seconds, 1), "machine": facts}


def _client(cell: PrivateCell, plan: Plan, number: int, directory: Path) -> Worker:
    arguments = [cell.port, number, plan.connections, plan.seed + number]
    return Worker(f"client-{number}", "soak_client", list(map(str, arguments)), directory)


def _end(clients: list[Worker]) -> Findings:
    findings = Findings()
    for client in clients:
        client.ask_to_end()
    for client in clients:
        findings.add(client.result(END_SECONDS_MAX))
    return findings


def _result(findings: Findings, status: CellSnapshot) -> dict[str, Any]:
    counts = ("requests", "wrong", "lost", "duplicated", "failed", "slowest", "troubles")
    cell = {
        "rebuilds": sum(replica.rebuilds for replica in status.replicas),
        "dissents": sum(replica.dissents for replica in status.replicas),
        "unanswered": status.unanswered,
        "split": status.split,
    }
    return {name: getattr(findings, name) for name in counts} | cell | {"latency_ms": findings.latencies.summary()}


def is_right(result: dict[str, Any]) -> bool:
    """Whether no client ever saw anything but right answers, and the plan was carried out."""
    harm = ("wrong", "lost", "duplicated", "failed", "unanswered", "split")
    return not any(result[name] for name in harm) and bool(result["is_complete"])


class Soak:
    """The two loops of a soak: asked rebuilds here, faults in a thread of their own."""

    def __init__(self, cell: PrivateCell, plan: Plan, clients: list[Worker], progress: Progress) -> None:
        self.watch = Watch(cell)
        self._cell = cell
        self._plan = plan
        self._clients = clients
        self._progress = progress
        self._names = [replica.name for replica in self.watch.look().replicas]
        self._faults: Counter[str] = Counter()
        self._rejuvenations = 0
        self._refused: Counter[str] = Counter()
        self._stop = threading.Event()

    def result(self) -> dict[str, Any]:
        """What was done to the cell."""
        return {
            "rejuvenations": self._rejuvenations,
            "is_complete": self._rejuvenations >= self._plan.rejuvenations,
            "refused": dict(self._refused),
            "faults": dict(self._faults),
            "seed": self._plan.seed,
        }

    def work(self) -> None:
        """Rejuvenate and break until the plan is carried out, its time is over, or the clients have gone."""
        with ThreadPoolExecutor(1) as threads:
            faults = threads.submit(self._break)
            try:
                self._rejuvenate(faults)
            finally:
                self._stop.set()
            faults.result()
        self.watch.until(all_vote, HEAL_SECONDS_MAX, "the end, with every seat voting")

    # Rebuilds that are asked for.

    def _rejuvenate(self, faults: "Future[None]") -> None:
        chance = random.Random(self._plan.seed)
        give_up = time.monotonic() + self._plan.seconds_max
        asked = 0
        while self._rejuvenations < self._plan.rejuvenations and time.monotonic() < give_up:
            if faults.done() or any(client.is_done for client in self._clients):
                return
            time.sleep(chance.uniform(0.0, REBUILD_PAUSE_SECONDS_MAX))
            asked += 1
            is_all = asked % ALL_EVERY == 0
            self._ask(None if is_all else chance.choice(self._names), "shadow-all" if is_all else "shadow")

    def _ask(self, name: str | None, strategy: str) -> bool:
        """Have it rebuilt, or all; whether that was done."""
        try:
            self._cell.recover(name, strategy)
        except OperatorFault as fault:
            # A seat that is being rebuilt after a fault is not rebuilt twice at once.
            self._refused[str(fault).splitlines()[0]] += 1
            time.sleep(REFUSED_PAUSE_SECONDS)
            return False
        before = self._rejuvenations
        self._rejuvenations += len(self._names) if name is None else 1
        if self._rejuvenations // 50 > before // 50:
            self._progress(f"{self._rejuvenations} rejuvenations, {self._faults.total()} faults")
        return True

    # Faults.

    def _break(self) -> None:
        """One fault after the other. Has a watch of its own: the other loop looks at other times."""
        chance = random.Random(self._plan.seed + 1)
        watch = Watch(self._cell)
        while not self._stop.is_set():
            replica, fault = chance.choice(self._names), chance.choice(FAULTS)
            self._stop.wait(chance.uniform(0.0, FAULT_PAUSE_SECONDS_MAX))
            watch.until(all_vote, HEAL_SECONDS_MAX, "a cell with every seat voting")
            if not self._stop.is_set():
                self._break_once(watch, replica, fault)
        watch.until(all_vote, HEAL_SECONDS_MAX, "a cell with every seat voting")

    def _break_once(self, watch: Watch, replica: str, fault: str) -> None:
        before = replica_of(watch.look(), replica).pid
        if not watch.inject(replica, fault):
            return
        after = replica_of(watch.look(), replica).pid
        self._faults[fault] += 1
        if fault in PASSING:
            self._stop.wait(PASSING_SECONDS)
        if fault == "slow":
            self._take_back(watch, replica, fault)
            return
        # A hog ends with the domain. And where a successor took the seat meanwhile, the fault may be the successor's:
        # a rebuild that ends does not say that the fault has gone, but one that begins now does.
        if fault == "hog" or after not in (before, None):
            what = f"a rebuild of {replica}"
            watch.until(lambda status: self._ask(replica, "shadow") or None, HEAL_SECONDS_MAX, what)

        def healed(status: CellSnapshot) -> bool | None:
            seat = replica_of(status, replica)
            return (seat.role == VOTING and seat.pid not in (before, None)) or None

        watch.until(healed, HEAL_SECONDS_MAX, f"the recovery of {replica} from {fault}")

    def _take_back(self, watch: Watch, replica: str, fault: str) -> None:
        """End a drill, unless the replica under it was exchanged meanwhile."""
        try:
            self._cell.inject(replica, fault, is_on=False)
        except OperatorFault:
            if role_of(watch.look(), replica) != VOTING:
                watch.until(all_vote, HEAL_SECONDS_MAX, f"the recovery of {replica} from {fault}")
