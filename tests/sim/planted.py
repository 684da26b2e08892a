"""Planted faults: one-line changes of the product, each of which the simulator must catch. It tests the simulator.

    python -m tests.sim.planted            run all, print the table of docs/planted-faults.md
    python -m tests.sim.planted NAME …     run these

Each fault is written into a copy of the package; the run itself is the one that `make sim` does. Copies share what was
compiled once, and as many faults are hunted at a time as there are processors.
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "quorate"
SEEDS_MAX = 30
CAUGHT = re.compile(r"^seed (\d+): (\w+): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Planted:
    """`old` occurs once in `path`, below `trusted/`, and becomes `new`. Hunted in `seeds` runs from `first` on."""

    name: str
    path: str
    old: str
    new: str
    first: int = 0
    seeds: int = SEEDS_MAX


PLANTED = (
    Planted("a quorum of f", "quorum.py", "    return f + 1\n", "    return f\n"),
    Planted("a reply released before f+1 agree on all of it", "vote.py", "sizes[needed - 1]", "sizes[needed - 2]"),
    Planted(
        "a new turn's requests before earlier ones",
        "distribute.py",
        "self.outgoing += span.requests",
        "self.outgoing[:0] = span.requests",
    ),
    Planted(
        "the lane's mode is switched once only",
        "distribute.py",
        "if span.mode != self._mode:",
        "if self._mode == NO_MODE:",
    ),
    Planted(
        "a database that is not selected",
        "protocols/redis/dialect.py",
        "old & 0xFFFF != new & 0xFFFF",
        "old & 0xFFF0 != new & 0xFFF0",
    ),
    Planted(
        "the coordinator's answer overtakes replies",
        "reply.py",
        "if client.asked == client.answered and after",
        "if client.asked >= client.answered and after",
    ),
    Planted("a batch of replies counted as one", "reply.py", "client.answered += count", "client.answered += 1"),
    Planted(
        "a convicted replica still counted",
        "vote.py",
        "        self.seats[index].clear()\n",
        "        self.seats[index].owed.clear()\n",
    ),
    Planted(
        "late replies are not awaited",
        "vote.py",
        "                seat.take(size)\n            elif seat.is_voting:\n",
        "                seat.take(size)\n            elif seat.owed:\n",
    ),
    Planted(
        "late replies are not compared",
        "vote.py",
        "if segment.data is not None and reply != segment.data:",
        "if segment.data is None and reply != segment.data:",
    ),
    Planted(
        "a late reply compared with another slot's",
        "seat.py",
        "                start = scanner.end\n                slot += 1\n",
        "                slot += 1\n",
        first=9,
    ),
    Planted(
        "a late reply counted twice",
        "vote.py",
        "                    seat.take(len(segment.data))\n",
        "                    seat.take(len(segment.data) // 2)\n",
    ),
    Planted(
        "admission without a bound",
        "coordinator.py",
        "self.order.is_full() or client.pending >= self.limits.client_pending_max or",
        "bool(self.order.next_slot < 0) or",
    ),
    Planted("decided slots stay under way", "order.py", "self.inflight_slots -= count", "self.inflight_slots -= 1"),
    Planted(
        "a wrong reply to a write is forgiven",
        "judge.py",
        "if dissent.span.is_write:",
        "if dissent.span.is_write and dissent.slot % 2:",
        first=4,
    ),
    Planted(
        "a conviction that gives the quorum away",
        "judge.py",
        "not may_lose_a_voter(voters, self._f):",
        "voters <= self._f:",
    ),
    Planted(
        "a read asked again is told to its client",
        "judge.py",
        "again = Span(None,",
        "again = Span(span.owner,",
        first=7,
    ),
    Planted(
        "silence counts from the last word",
        "patience.py",
        "return max(_owed_since(seat), seat.heard_at) +",
        "return seat.heard_at +",
        first=7,
    ),
    Planted(
        "a cell that slept blames the replicas",
        "vote.py",
        "self.missed_ns += gap",
        "self.missed_ns += 0 * gap",
    ),
    Planted(
        "slots are given up too early",
        "patience.py",
        "span.awaited_at + self._limits.decision_ns_max",
        "span.awaited_at + self._limits.silence_ns_max // 16",
    ),
    Planted(
        "a set in one replica's order",
        "protocols/redis/order_free.py",
        "            parts.sort()\n",
        "            parts.reverse()\n",
    ),
    Planted(
        "a time to live one millisecond short",
        "protocols/redis/expiry.py",
        "left = max(held - DEADLINE_OFFSET_MS - self._now_ms, 0)",
        "left = max(held - DEADLINE_OFFSET_MS - self._now_ms - 1, 0)",
    ),
    Planted(
        "keys expire too late",
        "protocols/redis/dialect.py",
        "return 0 < due <= now",
        "return 0 < due <= now - 2_000_000",
    ),
    Planted(
        "a reply nobody asked for goes unnoticed",
        "vote.py",
        "self._fault(seat, Cause.UNASKED)",
        "seat.heard_at = now",
        first=6,
    ),
    Planted(
        "held clients are forgotten",
        "coordinator.py",
        "                self._held.append(client)\n                continue\n",
        "                continue\n",
    ),
    Planted(
        "an oversized reply is passed on",
        "coordinator.py",
        "            if not data:\n",
        "            if data == b'0':\n",
    ),
    Planted(
        "a change of a watched key goes unseen",
        "protocols/redis/transactions.py",
        "(database, key), {}).values():\n                session.is_dirty = True",
        "(database, key), {}).values():\n                session.is_dirty = False",
    ),
    Planted(
        "a watch sees one database only",
        "protocols/redis/transactions.py",
        "self._by_key.get((database, key), {})",
        "self._by_key.get((0, key), {})",
        first=11,
    ),
    Planted(
        "a push wakes nobody",
        "protocols/redis/blocking.py",
        "        for line in lines.values():\n            self._poke",
        "        for line in ():\n            self._poke",
    ),
    Planted(
        "attempts wake each other for ever",
        "protocols/redis/blocking.py",
        "if lines is None or self._is_marking:",
        "if lines is None:",
    ),
    Planted(
        "a push during an attempt is forgotten",
        "protocols/redis/blocking.py",
        "            parked.touched[key] = None\n        else:",
        "            parked.touched.pop(key, None)\n        else:",
    ),
    Planted(
        "a wait ends although an attempt is under way",
        "protocols/redis/blocking.py",
        "            if not parked.is_trying:\n",
        "            if parked.number:\n",
    ),
    Planted(
        "a wait of half its time", "protocols/redis/blocking.py", "call.now + wait_ns if", "call.now + wait_ns // 2 if"
    ),
    Planted(
        "a message misses a subscriber",
        "protocols/redis/pubsub.py",
        "for session, data in found:",
        "for session, data in found[1:]:",
    ),
    Planted(
        "a subscription hears what was ordered before it",
        "protocols/redis/pubsub.py",
        "return self.since < number and",
        "return",
        first=6,
    ),
    Planted(
        "an answer overtakes a message",
        "protocols/redis/pubsub.py",
        "            return self.ordered\n        return session.hears_until",
        "            return 0\n        return 0",
    ),
    Planted(
        "a member that was gone is popped",
        "protocols/redis/sampling.py",
        "if reply[position:end] == ONE:",
        "if reply[position:end]:",
    ),
    Planted(
        "a scan leaves an element out",
        "protocols/redis/cursors.py",
        "join(parts[size:])",
        "join(parts[size + 1 :])",
        first=8,
    ),
    Planted(
        "bytes under way without a bound",
        "order.py",
        "self.inflight_slots >= self._slots_max or self.inflight_bytes >= self._bytes_max",
        "self.inflight_slots >= self._slots_max",
        first=23,
    ),
    Planted(
        "what is owed is counted in slots alone",
        "patience.py",
        "return seat.owed_slots > self._limits.lag_slots_max or seat.owed_bytes > self._limits.lag_bytes_max",
        "return seat.owed_slots > self._limits.lag_slots_max",
        first=26,
    ),
    Planted(
        "those ahead are read without end",
        "vote.py",
        "        if len(seat.buffer) > self.limits.reply_bytes_max:\n            return True\n        return any(",
        "        return any(",
    ),
    Planted(
        "the last vote that is needed is given away",
        "quorum.py",
        "return voters - 1 >= votes_needed(f)",
        "return voters >= votes_needed(f)",
        first=7,
    ),
)


# While faults are hunted: the package and the simulator, compiled.
_shared: list[Path] = []


@contextmanager
def compiled() -> Iterator[None]:
    """While this lasts faults may be hunted, also by processes that are forked meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        for source, name in ((SOURCE, "quorate"), (ROOT / "tests" / "sim", "tests/sim")):
            shutil.copytree(source, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(folder, quiet=2)
        _shared.append(Path(folder))
        try:
            yield
        finally:
            _shared.clear()


@contextmanager
def changed(fault: Planted) -> Iterator[Path]:
    """A folder with the package, in which this fault is planted, and the simulator."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(_shared[0], copy, copy_function=os.link, dirs_exist_ok=True)
        source = (copy / "quorate" / "trusted" / fault.path).resolve()
        text = source.read_text()
        if text.count(fault.old) != 1:
            raise LookupError(f"{fault.name}: its line is {text.count(fault.old)} times in {fault.path}")
        # The copies share their files, so that this one has another.
        for stale in (source, *source.parent.glob(f"__pycache__/{source.stem}.*.pyc")):
            stale.unlink()
        source.write_text(text.replace(fault.old, fault.new))
        yield copy


def hunt(fault: Planted) -> tuple[int, str] | None:
    """The number of seeds until the fault was caught, and by which invariant; None when it survived."""
    with changed(fault) as package:
        environment = {**os.environ, "PYTHONPATH": str(package)}
        command = [
            sys.executable,
            "-m",
            "tests.sim",
            "--stop",
            "--first",
            str(fault.first),
            "--seeds",
            str(fault.seeds),
        ]
        done = subprocess.run(
            command, env=environment, cwd=package, capture_output=True, text=True, check=False, timeout=110
        )
    found = CAUGHT.search(done.stdout)
    if found is None:
        if done.returncode:
            raise RuntimeError(done.stderr)
        return None
    by = found[3].split(":")[0] if found[2] == "Violation" else found[2]
    return int(found[1]) - fault.first + 1, by


def show(faults: tuple[Planted, ...]) -> int:
    """Print the table of these; returns how many survived."""
    survived = 0
    print("| planted fault | in | seeds until caught | caught by |\n| --- | --- | --- | --- |")  # noqa: T201
    wanted = [fault for fault in faults if not sys.argv[1:] or fault.name in sys.argv[1:]]
    with compiled(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for fault, result in zip(wanted, pool.map(hunt, wanted), strict=True):
            survived += result is None
            seeds, by = result or ("SURVIVED", "")
            print(f"| {fault.name} | `{fault.path}` | {seeds} | {by} |", flush=True)  # noqa: T201
    return survived


def main() -> int:
    """Print the table of all; returns how many survived."""
    return show(PLANTED)


if __name__ == "__main__":
    sys.exit(main())
