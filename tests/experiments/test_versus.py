"""The comparison, for real and very small: its structure, and that it ends what it started. No speed is asserted."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from quorate.domains import processes
from quorate.experiments import versus
from quorate.experiments.comparison import SUBJECTS
from quorate.experiments.load import Setting
from quorate.experiments.servers import haproxy, redis
from quorate.experiments.versus import FULL, QUICK, Plan
from quorate.observe.register import started
from quorate.trusted.errors import OperatorFault

ALL = ("bwrap", "redis-server", "redis-benchmark", "haproxy", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
WAIT_SECONDS_MAX = 60.0
SMALL = Plan(
    settings=(Setting("c50", 50, 1, 500), Setting("c50_p16", 50, 16, 1_600), Setting("c1", 1, 1, 100)),
    crowd=(Setting("c1000", 40, 1, 400), Setting("c1000_p16", 40, 16, 1_280)),
    rounds=1,
    seconds_max=60.0,
)
KEYS = {"direct", "haproxy", "quorate", "of_direct", "of_haproxy", "p50_of_direct"}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the comparison keeps its files: a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


@pytest.mark.needs(*ALL)
def test_a_small_comparison_has_everything(place: Path) -> None:
    told: list[str] = []
    result = versus.measure(SMALL, told.append)
    for setting in ("c50", "c50_p16", "c1"):
        assert set(result[setting]) == KEYS
        assert all(math.isfinite(value) and value > 0 for value in result[setting].values())
    assert result["rounds"] == 1
    assert len(result["samples"]) == 3 * 3 * 2
    assert result["memory"]["c1000_p16_peak_bytes"] > 1_000_000
    assert result["machine"]["replicas"] == {
        "a": "jemalloc in sandbox",
        "b": "mimalloc in sandbox",
        "c": "tcmalloc in sandbox",
    }
    assert (result["machine"]["dissents"], result["machine"]["unanswered"], result["machine"]["journal"]) == (
        0,
        0,
        "off",
    )
    assert result["machine"]["trusted"] in ("compiled", "pure")
    assert "round 1 of 1 done" in told[0]
    assert json.loads(json.dumps(result)) == result
    check_screen(result)
    assert list(place.iterdir()) == []
    assert list(processes.descendants(os.getpid())) == []


def check_screen(result: dict[str, Any]) -> None:
    screen = Console(file=io.StringIO(), width=120, markup=False)
    screen.print(versus.render(result))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    for words in (
        "50 clients, 16 deep",
        "p50 of direct",
        "1,000 busy clients",
        "a is jemalloc in sandbox",
        "haproxy: 2",
    ):
        assert words in shown


def test_no_round_begins_after_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versus, "put_load", lambda port, setting: [])
    told: list[str] = []
    plan = Plan(SMALL.settings, SMALL.crowd, rounds=5, seconds_max=-1.0)
    assert versus._rounds(plan, dict.fromkeys(SUBJECTS, 1), told.append) == []
    assert len(told) == 1


@pytest.mark.parametrize(
    ("is_quick", "rounds", "planned"),
    [(False, None, (FULL.settings, FULL.rounds)), (True, None, (QUICK.settings, 3)), (True, 9, (QUICK.settings, 9))],
)
def test_the_plan_follows_the_options(
    is_quick: bool, rounds: int | None, planned: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versus, "measure", lambda plan, progress: {"plan": plan})
    plan = versus.run(is_quick, rounds)["plan"]
    assert (plan.settings, plan.rounds) == planned
    assert plan.seconds_max <= 400 or rounds is not None


def test_progress_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    versus.talk("round [1] of 2")
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "round [1] of 2\n")


@pytest.mark.needs(*ALL)
def test_a_comparison_that_is_ended_early_leaves_nothing(place: Path) -> None:
    command = [sys.executable, "-m", "quorate", "bench", "versus", "--quick", "--rounds", "100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        give_up = time.monotonic() + WAIT_SECONDS_MAX
        while not any(b"--csv" in arguments for arguments in map(command_of, processes.descendants(process.pid))):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        ours = processes.descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_SECONDS_MAX)
    assert process.returncode == 130
    while left := [pid for pid in ours if started(pid) is not None]:
        assert time.monotonic() < give_up, f"still there: {left}"
        time.sleep(0.01)
    assert list(place.iterdir()) == []


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_server_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.experiments.servers.require_program", lambda name, package: "false")
    with (
        pytest.raises(OperatorFault, match="redis ended with exit code 1 before it answered"),
        redis(tmp_path, "redis"),
    ):
        pass


@pytest.mark.needs("redis-server", "haproxy")
def test_haproxy_leads_to_its_server(tmp_path: Path) -> None:
    with redis(tmp_path, "redis") as port, haproxy(tmp_path, port) as proxied:
        assert proxied != port
    assert "mode tcp" in (tmp_path / "haproxy.cfg").read_text()
