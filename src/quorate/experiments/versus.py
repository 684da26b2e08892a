"""One server alone, one behind HAProxy, and the cell of examples/redis.toml, side by side under the same load.

All run on this machine at once, and one at a time works: A B C, A B C, round by round, so that a machine which is
slower for a while is slower for all. `comparison` says what the numbers are medians of.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .cell import PrivateCell
from .comparison import DIRECT, HAPROXY, QUORATE, SUBJECTS, Sample, compare
from .load import Setting, put_load
from .machine import machine, memory, reset_peak, versions
from .programs import interrupted_by_sigterm
from .servers import haproxy, redis

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. After `seconds_max` no further round begins, however many `rounds` were planned."""

    settings: tuple[Setting, ...]
    crowd: tuple[Setting, ...]
    rounds: int
    seconds_max: float


def _plan(rounds: int, seconds_max: float, share: float) -> Plan:
    """The settings, with `share` of the requests that make a test last about a second."""
    settings = (
        Setting("c50", 50, 1, int(80_000 * share)),
        Setting("c50_p16", 50, 16, int(400_000 * share)),
        Setting("c1", 1, 1, int(20_000 * share)),
    )
    crowd = (Setting("c1000", 1_000, 1, int(100_000 * share)), Setting("c1000_p16", 1_000, 16, int(400_000 * share)))
    return Plan(settings, crowd, rounds, seconds_max)


FULL = _plan(rounds=7, seconds_max=400.0, share=1.0)
QUICK = _plan(rounds=3, seconds_max=25.0, share=0.3)

Progress = Callable[[str], None]


def talk(text: str) -> None:
    """Say on stderr how far it is."""
    Console(stderr=True, markup=False, highlight=False).print(Text(text), soft_wrap=True)


def run(is_quick: bool, rounds: int | None) -> dict[str, Any]:
    """Compare; `rounds` of None leaves their number to the plan, and to the time that they take.

    Raises `OperatorFault` when the machine lacks one of the programs.
    """
    plan = QUICK if is_quick else FULL
    if rounds is not None:
        plan = Plan(plan.settings, plan.crowd, rounds, float("inf"))
    return measure(plan, talk)


def measure(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Carry out `plan`: the result has the settings by name, `rounds`, `memory`, `machine` and all `samples`."""
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="quorate-versus-") as name:
        directory = Path(name)
        facts = machine() | versions()
        with (
            redis(directory, "redis-direct") as direct,
            redis(directory, "redis-behind") as behind,
            haproxy(directory, behind) as proxied,
            PrivateCell("redis.toml", directory) as cell,
        ):
            ports = {DIRECT: direct, HAPROXY: proxied, QUORATE: cell.port}
            samples = _rounds(plan, ports, progress)
            progress(f"{plan.crowd[0].clients} clients at the cell, for its memory")
            crowd = _crowd(plan, cell)
            facts |= _facts_of(cell)
    return {
        **compare(samples),
        "rounds": max(sample.round for sample in samples),
        "memory": crowd,
        "machine": facts,
        "samples": [asdict(sample) for sample in samples],
    }


def _rounds(plan: Plan, ports: dict[str, int], progress: Progress) -> list[Sample]:
    samples: list[Sample] = []
    began = time.monotonic()
    for round_ in range(1, plan.rounds + 1):
        for setting in plan.settings:
            for subject in SUBJECTS:
                for report in put_load(ports[subject], setting):
                    values = (report.test, report.requests_per_second, report.p50_ms)
                    samples.append(Sample(round_, setting.name, subject, *values))
        passed = time.monotonic() - began
        progress(f"round {round_} of {plan.rounds} done, {passed:.0f} s")
        if passed > plan.seconds_max:
            break
    return samples


def _crowd(plan: Plan, cell: PrivateCell) -> dict[str, Any]:
    """The coordinator's memory while many clients are busy: the highest by setting, and what was kept in the end."""
    before = memory(cell.pid)["resident"]
    peaks = {}
    for setting in plan.crowd:
        reset_peak(cell.pid)
        put_load(cell.port, setting)
        peaks[f"{setting.name}_peak_bytes"] = memory(cell.pid)["peak"]
    kept = memory(cell.pid)["resident"]
    return {"clients": plan.crowd[0].clients, "before_bytes": before, **peaks, "after_bytes": kept}


def _facts_of(cell: PrivateCell) -> dict[str, Any]:
    status = cell.status()
    return {
        "replicas": {replica.name: f"{replica.variant} in {replica.domain}" for replica in status.replicas},
        "dissents": sum(replica.dissents for replica in status.replicas),
        "unanswered": status.unanswered + status.split,
        "journal": cell.config.journal.sync,
    }


# For people.


def render(result: dict[str, Any]) -> RenderableType:
    """The tables of a result of `run`."""
    return Group(_throughput(result), _memory(result["memory"]), *map(Text, _notes(result)))


def _throughput(result: dict[str, Any]) -> Table:
    title = f"Requests per second; medians of SET and GET over {result['rounds']} rounds"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("setting")
    for column in (*SUBJECTS, "of direct", "of haproxy", "p50 of direct"):
        table.add_column(column, justify="right")
    words = {"c50": "50 clients", "c50_p16": "50 clients, 16 deep", "c1": "1 client"}
    for name, text in words.items():
        if name in result:
            found = result[name]
            ratios = (found[key] for key in ("of_direct", "of_haproxy", "p50_of_direct"))
            table.add_row(text, *(f"{found[subject]:,.0f}" for subject in SUBJECTS), *(f"{one:.2f}" for one in ratios))
    return table


def _memory(found: dict[str, int]) -> Table:
    table = Table(title="The coordinator's memory", title_justify="left", title_style="bold")
    table.add_column("with 1,000 busy clients")
    table.add_column("MiB", justify="right")
    words = {"before_bytes": "before", "c1000_peak_bytes": "at most", "c1000_p16_peak_bytes": "at most, 16 deep"}
    for key, text in (words | {"after_bytes": "after"}).items():
        table.add_row(text, f"{found[key] / MIB:.0f}")
    return table


def _notes(result: dict[str, Any]) -> list[str]:
    facts = dict(result["machine"])
    seats = facts.pop("replicas", {})
    lines = [f"replicas: {', '.join(f'{name} is {what}' for name, what in seats.items())}"]
    return lines + [f"{name}: {value}" for name, value in facts.items()]
