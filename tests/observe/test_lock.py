"""One cell on one state directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quorate.observe.lock import StateLock
from quorate.trusted.errors import OperatorFault

HOLDER = """
import sys
from pathlib import Path
from quorate.observe.lock import StateLock
StateLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_cell_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    refusal = pytest.raises(OperatorFault, match=f"second cell on one state directory.*process {os.getpid()}")
    with StateLock(tmp_path / "new" / "state"), refusal:
        StateLock(tmp_path / "new" / "state").acquire()
    with StateLock(tmp_path / "new" / "state"):
        pass


def test_a_killed_cell_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OperatorFault, match=str(holder.pid)):
            StateLock(tmp_path).acquire()
        holder.send_signal(signal.SIGKILL)
    StateLock(tmp_path).acquire()


def test_an_unusable_directory_is_an_operator_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorFault, match="cannot use the state directory"):
        StateLock(tmp_path / "file").acquire()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OperatorFault):
        StateLock(tmp_path).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()
