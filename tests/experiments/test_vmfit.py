"""The whole experiment: its options, what it writes, and one run of it that is very short. No speed is asserted."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from quorate.experiments import vmfit, vmfit_run, vmfit_state
from quorate.experiments.vmfit import FULL, QUICK, Plan
from quorate.experiments.vmfit_client import Counted
from quorate.experiments.vmfit_run import Run
from quorate.experiments.vmfit_schedule import STRATEGIES
from quorate.experiments.vmfit_state import Size
from quorate.trusted.errors import OperatorFault
from tests.experiments.vmfit_runs import SCHEDULE, runs

KEYS = {"throughput", "worst_rtt_ms", "unavailable_ms", "failed", "wrong", "of_a", "rebuilds", "events"}
STATE = {
    "keys": 1_000,
    "worst_rtt_ms": 12.3,
    "baseline_worst_rtt_ms": 8.1,
    "undisturbed": {"worst_rtt_ms": 11.2, "baseline_worst_rtt_ms": 7.4, "share": 0.9},
    "conviction_to_voting_seconds": 0.7,
    "rejuvenation_seconds": 0.5,
    "checkpoint_seconds": 0.1,
    "failed": 0,
    "wrong": 0,
}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """No cell runs: what would be seen is given. Which strategies were run, and at which scale."""
    asked: list[tuple[str, int]] = []

    def run(letter: str, schedule: Any, directory: Path) -> Run:
        asked.append((letter, schedule.scale))
        return next(run for run in runs() if run.letter == letter)

    monkeypatch.setattr(vmfit_run, "run", run)
    monkeypatch.setattr(vmfit_state, "measure", lambda size, *rest: STATE | {"keys": size.keys})
    return asked


def test_the_result_has_all_strategies_and_sizes(played: list[tuple[str, int]]) -> None:
    told: list[str] = []
    result, found = vmfit.measure(Plan(SCHEDULE, (Size("1MB", 1_000), Size("1GB", 10**6)), 0.0), told.append)
    assert [run.letter for run in found] == list(STRATEGIES) == list("ABCD")
    assert all(set(result[letter]) == KEYS for letter in STRATEGIES)
    assert all(len(result[letter]["throughput"]) == 4 for letter in STRATEGIES)
    assert result["A"]["worst_rtt_ms"] is None
    assert result["C"]["of_a"] == pytest.approx(0.967, abs=0.01)
    assert {name: size["keys"] for name, size in result["state"].items()} == {"1MB": 1_000, "1GB": 10**6}
    assert result["schedule"]["scale"] == 60
    assert result["machine"]["cpus"] >= 1
    assert (result["machine"]["journal"], result["machine"]["domain"]) == ("off", "sandbox")
    assert json.loads(json.dumps(result)) == result
    assert told == [f"{letter}, strategy {strategy}: 30 s" for letter, strategy in STRATEGIES.items()]


@pytest.mark.parametrize(
    ("is_quick", "scale", "expected"), [(True, None, QUICK.schedule.scale), (False, None, 6), (True, 30, 30)]
)
def test_the_plan_follows_the_options(
    is_quick: bool, scale: int | None, expected: int, played: list[tuple[str, int]]
) -> None:
    result = vmfit.run(is_quick, scale, None)
    assert played == [(letter, expected) for letter in STRATEGIES]
    assert len(result["state"]) == (2 if is_quick else 3)


def test_the_quick_schedule_leaves_time_for_all_of_it() -> None:
    assert len(STRATEGIES) * QUICK.schedule.seconds <= 120
    assert FULL.schedule.silence_seconds == 5


def test_a_scale_that_has_no_whole_seconds_is_refused(played: list[tuple[str, int]]) -> None:
    with pytest.raises(OperatorFault, match="no scale 7") as found:
        vmfit.run(True, 7, None)
    assert "60" in found.value.hint
    assert played == []


def test_everything_is_written_into_the_directory(played: list[tuple[str, int]], tmp_path: Path) -> None:
    result = vmfit.run(True, None, tmp_path / "new" / "place")
    written = {path.name: path.stat().st_size for path in (tmp_path / "new" / "place").iterdir()}
    assert set(written) == {"vmfit.json", "vmfit.csv", "table1.md", "table1.csv", "figure2.png"}
    assert written["figure2.png"] > 10_000
    assert json.loads((tmp_path / "new" / "place" / "vmfit.json").read_text()) == result


def test_without_matplotlib_nothing_is_measured(
    played: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OperatorFault, match="matplotlib"):
        vmfit.run(True, None, tmp_path)
    assert played == []


def shown_to_people() -> str:
    screen = Console(file=io.StringIO(), width=160, markup=False)
    screen.print(vmfit.render(vmfit.run(True, None, None)))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_people_see_tables(played: list[tuple[str, int]]) -> None:
    shown = shown_to_people()
    for words in ("60 times faster", "shadow-all", "45 s", "∞", "13.", "of A before its first fault", "cpus"):
        assert words in shown
    for words in (" 12 ms ", " 11 ms ", " 8 ms ", " 7 ms ", "0.70 s", "0.50 s"):
        assert words in shown


def test_intervals_in_which_the_host_took_time_are_left_out_of_what_is_undisturbed() -> None:
    counted = Counted([9] * 4, [0] * 4, [3.0, 81.5, 12.0, 5.0], [0.0, 40.0, 0.0, 10.0])
    assert vmfit_state.undisturbed(counted, slice(4)) == [3.0, 12.0]
    assert vmfit_state.undisturbed(counted, slice(1, 2)) == []


def test_where_the_host_always_took_time_nothing_is_called_undisturbed(
    played: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"worst_rtt_ms": None, "baseline_worst_rtt_ms": None, "share": 0.0}
    monkeypatch.setattr(vmfit_state, "measure", lambda size, *rest: STATE | {"undisturbed": nothing})
    lines = [line for line in shown_to_people().splitlines() if "12 ms" in line]
    assert [[cell.strip() for cell in line.split("│")[2:6]] for line in lines] == [["12 ms", "-", "8 ms", "-"]] * 2
