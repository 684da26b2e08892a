"""Programs of an experiment end with it, and say why when they end too early."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quorate.experiments.programs import Program, interrupted_by_sigterm, require_program
from quorate.observe.register import started
from quorate.trusted.errors import OperatorFault

WAIT_SECONDS_MAX = 30.0


def wait_for_end(pid: int) -> None:
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while started(pid) is not None:
        assert time.monotonic() < give_up, f"process {pid} still runs"
        time.sleep(0.01)


def test_a_program_is_found_where_servers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent, present = "surely-absent", "surely-present"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorFault, match="there is no program surely-absent") as raised:
        require_program(absent, "some-package")
    assert raised.value.hint == "apt-get install some-package"
    (tmp_path / present).touch(mode=0o755)
    assert require_program(present, "some-package") == str(tmp_path / present)


def test_a_program_is_stopped_at_the_end_of_its_block(tmp_path: Path) -> None:
    with Program("sleeper", ["sleep", "600"], tmp_path) as program:
        assert program.until(lambda: started(program.pid), WAIT_SECONDS_MAX, "it began")
    assert started(program.pid) is None
    assert program.stop() == -signal.SIGTERM


def test_a_program_that_ends_early_is_told_with_what_it_said(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo out; echo why >&2; exit 3"]
    with Program("failing", command, tmp_path) as program, pytest.raises(OperatorFault) as raised:
        program.until(lambda: None, WAIT_SECONDS_MAX, "it was ready")
    assert str(raised.value) == "failing ended with exit code 3 before it was ready\nout\nwhy"


def test_a_program_that_is_never_ready_is_not_waited_for(tmp_path: Path) -> None:
    never = pytest.raises(OperatorFault, match=r"sleeper: readiness took longer than 0\.05 s")
    with Program("sleeper", ["sleep", "600"], tmp_path) as program, never:
        program.until(lambda: None, 0.05, "readiness")


def test_a_program_that_ignores_sigterm_is_ended_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.experiments.programs.STOP_SECONDS_MAX", 0.2)
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    )
    with Program("stubborn", [sys.executable, "-c", stubborn], tmp_path) as program:
        program.until(lambda: program.output.read_bytes() or None, WAIT_SECONDS_MAX, "it was deaf")
        assert program.stop() == -signal.SIGKILL


KEEPER = """
import sys, time
from pathlib import Path
from quorate.experiments.programs import Program
program = Program("sleeper", ["sleep", "600"], Path(sys.argv[1]))
print(program.pid, flush=True)
time.sleep(600)
"""


def test_a_program_dies_with_an_experiment_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        pid = int(keeper.stdout.readline())
        give_up = time.monotonic() + WAIT_SECONDS_MAX
        while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        keeper.kill()
    wait_for_end(pid)


def test_sigterm_interrupts_and_its_old_meaning_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
