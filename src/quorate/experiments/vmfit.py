"""The experiment of VM-FIT, section 3.2, reproduced: `quorate bench vmfit`.

A counter service of three replicas under four recovery strategies, while replicas become malicious one after the other;
and what a recovery costs when there is state to transfer.

docs/experiments.md says what differs from the paper.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..trusted.errors import OperatorFault
from . import vmfit_run, vmfit_state
from .machine import machine
from .programs import interrupted_by_sigterm
from .versus import talk
from .vmfit_figure import draw, require_matplotlib
from .vmfit_run import Run
from .vmfit_schedule import SCALES, STRATEGIES, Schedule
from .vmfit_state import Size
from .vmfit_table import COLUMNS, NUMBERS, round_trip, rows, write_intervals, write_table

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: the paper's schedule at some scale, and sizes of state, each for so many seconds at least."""

    schedule: Schedule
    sizes: tuple[Size, ...]
    state_seconds: float


# At full scale a mute replica is waited for as long as by default; the quick schedule has not so much time.
# A gigabyte's conviction and rebuild take about as long as each size is given; the quick sizes have one of each.
FULL_SIZES = (Size("1MB", 1_000), Size("100MB", 100_000), Size("1GB", 1_000_000))
FULL = Plan(Schedule(scale=6, silence_seconds=5), FULL_SIZES, state_seconds=30.0)
QUICK = Plan(Schedule(scale=60, silence_seconds=1), (Size("1MB", 1_000), Size("10MB", 10_000)), state_seconds=0.0)


def run(is_quick: bool, scale: int | None, out: Path | None) -> dict[str, Any]:
    """Measure; with `out`, write CSV, figure and table into that directory. `scale` of None leaves it to the plan.

    Raises `OperatorFault` when the machine lacks something, before anything is measured.
    """
    plan = QUICK if is_quick else FULL
    if scale is not None:
        if scale not in SCALES:
            raise OperatorFault(f"no scale {scale}", f"the scales are: {', '.join(map(str, SCALES))}")
        plan = replace(plan, schedule=replace(plan.schedule, scale=scale))
    if out is not None:
        require_matplotlib()
        out.mkdir(parents=True, exist_ok=True)
    result, runs = measure(plan, talk)
    if out is not None:
        write(result, runs, out)
    return result


def measure(plan: Plan, progress: Progress) -> tuple[dict[str, Any], list[Run]]:
    """Carry out `plan`: the result has the strategies by letter, `state` by size, `schedule` and `machine`."""
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="quorate-vmfit-") as name:
        directory = Path(name)
        facts = machine()
        runs = []
        for letter, strategy in STRATEGIES.items():
            progress(f"{letter}, strategy {strategy}: {plan.schedule.seconds:g} s")
            runs.append(vmfit_run.run(letter, plan.schedule, directory))
        base = runs[0].before_faults
        silence = plan.schedule.silence_seconds
        seconds = plan.state_seconds
        state = {size.name: vmfit_state.measure(size, silence, seconds, directory, progress) for size in plan.sizes}
    result: dict[str, Any] = {run.letter: run.to_json(base) for run in runs}
    return result | {"state": state, "schedule": plan.schedule.to_json(), "machine": facts | runs[0].setting}, runs


def write(result: dict[str, Any], runs: list[Run], out: Path) -> None:
    """Write `vmfit.json`, `vmfit.csv`, `table1.md`, `table1.csv` and `figure2.png`."""
    (out / "vmfit.json").write_text(json.dumps(result, indent=2) + "\n")
    write_intervals(runs, out)
    write_table(result, out)
    draw(runs, out / "figure2.png")


# For people.


def render(result: dict[str, Any]) -> RenderableType:
    """The tables of a result of `run`."""
    facts = "; ".join(f"{name} {value}" for name, value in result["machine"].items())
    return Group(_table_one(result), _availability(result), _state(result["state"]), Text(facts))


def _table(title: str, *columns: str, numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def _table_one(result: dict[str, Any]) -> Table:
    scale = result["schedule"]["scale"]
    title = f"Requests per second, in the paper's time (ours is {scale} times faster), and the worst round trip"
    table = _table(title, *COLUMNS[:2], numbers=NUMBERS)
    for row in rows(result):
        table.add_row(*row)
    return table


def _availability(result: dict[str, Any]) -> Table:
    columns = ("unavailable", "failed", "wrong", "rebuilds", "of A before its first fault")
    table = _table("What clients felt", "variant", numbers=columns)
    for letter in STRATEGIES:
        found = result[letter]
        counts = (str(found[key]) for key in ("failed", "wrong", "rebuilds"))
        table.add_row(letter, f"{found['unavailable_ms'] / 1_000:.2f} s", *counts, f"{found['of_a']:.2f}")
    return table


def _state(state: dict[str, dict[str, Any]]) -> Table:
    columns = (
        "worst RTT",
        "undisturbed",
        "without recoveries",
        "undisturbed",
        "conviction to voting",
        "planned rebuild",
        "failed",
    )
    table = _table("Redis with state", "state", numbers=columns)
    for name, found in state.items():
        seconds = (f"{found[key]:.2f} s" for key in ("conviction_to_voting_seconds", "rejuvenation_seconds"))
        worst: list[str] = []
        for key in ("worst_rtt_ms", "baseline_worst_rtt_ms"):
            undisturbed = found["undisturbed"][key]
            is_none_left = undisturbed is None and found[key] is not None
            worst += (round_trip(found[key]), "-" if is_none_left else round_trip(undisturbed))
        table.add_row(name, *worst, *seconds, str(found["failed"]))
    return table
