"""Table 1 and the counts behind Figure 2, as files."""

import csv
from pathlib import Path
from typing import Any

import pytest

from quorate.experiments.vmfit_table import COLUMNS, markdown, round_trip, write_intervals, write_table
from tests.experiments.vmfit_runs import SCHEDULE, SETTING, runs


def result() -> dict[str, dict[str, Any]]:
    return {run.letter: run.to_json(4_000.0) for run in runs()} | {"machine": SETTING | {"cpus": 2}}


def test_the_papers_own_numbers_stand_beside_ours() -> None:
    lines = markdown(result()).splitlines()
    assert "Ours: journal off, domain sandbox, 2 CPUs." in lines
    assert "| A | the paper | 4547 | 4479 | 0 | (-) | ∞ |" in lines
    assert "| D | the paper | 4169 | 3992 | 3960 | 3992 | <250 ms |" in lines
    assert any(line.startswith("| A | none | 4000 |") and line.endswith("| 0 | 1215 | ∞ |") for line in lines), lines
    assert any(line.startswith("| C | shadow | 4000 |") and line.endswith(" 40 ms |") for line in lines), lines


@pytest.mark.parametrize(("worst", "told"), [(None, "∞"), (999.0, "999 ms"), (12.4, "12 ms"), (45_000.0, "45.0 s")])
def test_round_trips_are_told_as_the_paper_does(worst: float | None, told: str) -> None:
    assert round_trip(worst) == told


def test_the_table_is_a_file_for_people_and_one_for_programs(tmp_path: Path) -> None:
    write_table(result(), tmp_path)
    assert (tmp_path / "table1.md").read_text() == markdown(result())
    rows = list(csv.reader((tmp_path / "table1.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row[:2] for row in rows[1:3]] == [["A", "the paper"], ["A", "none"]]
    assert len(rows) == 9


def test_there_is_a_row_for_each_interval_and_strategy(tmp_path: Path) -> None:
    write_intervals(runs(), tmp_path)
    rows = list(csv.DictReader((tmp_path / "vmfit.csv").read_text().splitlines()))
    assert len(rows) == 4 * SCHEDULE.intervals
    assert rows[1] == {
        "strategy": "A",
        "seconds": "0.25",
        "paper_seconds": "15.0",
        "requests": "1000",
        "requests_per_second": "4000",
        "failed": "0",
        "worst_rtt_ms": "3.000",
        "stolen_ms": "0",
    }
    assert rows[-1]["strategy"] == "D"
