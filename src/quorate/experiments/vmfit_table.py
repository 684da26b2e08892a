"""Table 1 of VM-FIT in the paper's columns, the paper's own numbers beside ours; and the counts behind the figure.

Knows results, as `vmfit` makes them; measures nothing.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .vmfit_run import Run
from .vmfit_schedule import INTERVAL_SECONDS, PAPER_WINDOWS, STRATEGIES

# Table 1: average requests per second in the four windows, and the worst round trip. None stands for "(-)".
PAPER: dict[str, tuple[tuple[int | None, ...], str]] = {
    "A": ((4547, 4479, 0, None), "∞"),
    "B": ((4502, 3879, 3726, 3702), "45 s"),
    "C": ((4086, 4046, 4112, 4067), "1 s"),
    "D": ((4169, 3992, 3960, 3992), "<250 ms"),
}
COLUMNS = ("variant", "from", *(f"{begin} s .. {end} s" for begin, end in PAPER_WINDOWS), "max. RTT")
NUMBERS = COLUMNS[2:]
INTERVALS = (
    "strategy",
    "seconds",
    "paper_seconds",
    "requests",
    "requests_per_second",
    "failed",
    "worst_rtt_ms",
    "stolen_ms",
)


def rows(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The table's rows, two for each variant: the paper's, and ours."""
    for letter, strategy in STRATEGIES.items():
        paper, worst = PAPER[letter]
        yield letter, "the paper", *("(-)" if number is None else str(number) for number in paper), worst
        ours = result[letter]
        yield letter, strategy, *(f"{number:.0f}" for number in ours["throughput"]), round_trip(ours["worst_rtt_ms"])


def round_trip(worst_ms: float | None) -> str:
    """A worst round trip as the paper writes it."""
    if worst_ms is None:
        return "∞"
    return f"{worst_ms / 1_000:.1f} s" if worst_ms >= 1_000 else f"{worst_ms:.0f} ms"


def markdown(result: dict[str, Any]) -> str:
    """Table 1 as a page of its own."""
    lines = [
        "Average throughput (requests/s) and worst round trip that the client saw, in the paper's time.",
        "Ours: journal {journal}, domain {domain}, {cpus} CPUs.".format(**result["machine"]),
        "",
        _line(COLUMNS),
        _line(["---"] * 2 + ["---:"] * len(NUMBERS)),
        *map(_line, rows(result)),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_table(result: dict[str, Any], directory: Path) -> None:
    """Write `table1.md` and `table1.csv`."""
    (directory / "table1.md").write_text(markdown(result))
    _write_csv(directory / "table1.csv", COLUMNS, rows(result))


def write_intervals(runs: Iterable[Run], directory: Path) -> None:
    """Write `vmfit.csv`: one row for each interval of the client, and strategy."""
    _write_csv(directory / "vmfit.csv", INTERVALS, (row for run in runs for row in _intervals(run)))


def _intervals(run: Run) -> Iterator[tuple[object, ...]]:
    counted = run.counted
    for place, requests in enumerate(counted.requests):
        seconds = place * INTERVAL_SECONDS
        rate = f"{requests / INTERVAL_SECONDS:.0f}"
        rest = (counted.failed[place], f"{counted.worst_ms[place]:.3f}", f"{counted.stolen_ms[place]:.0f}")
        yield run.letter, f"{seconds:.2f}", f"{run.schedule.papers(seconds):.1f}", requests, rate, *rest


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
