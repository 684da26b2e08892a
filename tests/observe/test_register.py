"""Running cells are found, dead ones are not, and nobody else's directory is trusted."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.observe import register
from quorate.observe.register import Entry
from quorate.trusted.errors import OperatorFault


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A register of this test alone: no other cell of this user shows."""
    only = (tmp_path / "quorate",)
    monkeypatch.setattr(register, "runtime_directories", lambda environ: only)
    return {}


@pytest.fixture
def dead_pid() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        yield process.pid


def enter(name: str, environ: dict[str, str]) -> Entry:
    entry = register.own_entry(name, Path("/state") / name, environ)
    register.enter(entry)
    return entry


def test_the_only_running_cell_is_found_without_its_name(environ: dict[str, str], tmp_path: Path) -> None:
    entry = enter("one", environ)
    assert register.find(None, environ) == entry == register.find("one", environ)
    assert entry.control.parent == tmp_path / "quorate"
    assert (tmp_path / "quorate").stat().st_mode & 0o777 == 0o700
    register.leave(entry)
    register.leave(entry)
    with pytest.raises(OperatorFault, match="no cell is running"):
        register.find(None, environ)


def test_several_cells_must_be_named(environ: dict[str, str]) -> None:
    enter("one", environ)
    two = enter("two", environ)
    with pytest.raises(OperatorFault, match=r"several cells are running: one .*two") as caught:
        register.find(None, environ)
    assert "--cell" in caught.value.hint
    assert register.find("two", environ) == two
    with pytest.raises(OperatorFault, match="no cell three is running") as caught:
        register.find("three", environ)
    assert "two" in caught.value.hint


def namesake(entry: Entry, state: Path) -> Entry:
    """Another running cell of the same name."""
    parent = os.getppid()
    control = entry.control.with_name(f"{entry.name}-{parent}.sock")
    other = replace(entry, pid=parent, started=register.started(parent) or 0, control=control, state=state)
    register.enter(other)
    return other


def test_two_cells_of_one_name_are_told_apart(environ: dict[str, str], tmp_path: Path) -> None:
    """By process or by state directory. A third cell has nothing to do with it."""
    state = tmp_path / "state"
    state.mkdir()
    entry = enter("one", environ)
    other = namesake(entry, state)
    enter("third", environ)
    with pytest.raises(OperatorFault, match="several cells named one are running") as caught:
        register.find("one", environ)
    assert "third" not in str(caught.value)
    assert all(f"one (process {cell.pid}, {cell.state})" in str(caught.value) for cell in (entry, other))
    assert caught.value.hint.endswith("--cell PID, or --cell DIRECTORY")
    assert register.find(str(other.pid), environ) == other
    (tmp_path / "link").symlink_to(state)
    for directory in (state, tmp_path / "link", Path(os.path.relpath(state))):
        assert register.find(str(directory), environ) == other
    assert register.find("/state/one", environ) == entry


def test_a_name_comes_before_a_process_and_a_directory(environ: dict[str, str]) -> None:
    entry = enter("one", environ)
    named = enter(str(entry.pid), environ)
    assert register.find(str(entry.pid), environ) == named


def test_a_state_directory_is_found_below_the_home_directory(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    other = namesake(enter("one", environ), tmp_path / "state")
    assert register.find("~/state", environ) == other
    with pytest.raises(OperatorFault, match="no cell ~nobody-of-this-name/state is running"):
        register.find("~nobody-of-this-name/state", environ)


def test_what_a_dead_cell_left_is_removed(environ: dict[str, str], dead_pid: int) -> None:
    entry = enter("one", environ)
    stale = replace(entry, name="dead", pid=dead_pid, control=entry.control.with_name("dead.sock"))
    stale.control.touch()
    register.enter(stale)
    assert register.running(environ) == [entry]
    assert not stale.control.exists()
    assert not stale.control.with_suffix(".json").exists()


def test_a_reused_pid_is_not_the_cell(environ: dict[str, str]) -> None:
    entry = enter("one", environ)
    register.enter(replace(entry, started=entry.started - 1))
    assert register.running(environ) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"name": 1}', b"\xff", json.dumps("x" * 70_000).encode()]
)
def test_entries_that_cannot_be_read_are_removed(environ: dict[str, str], tmp_path: Path, content: bytes) -> None:
    entry = enter("one", environ)
    bad = tmp_path / "quorate" / "bad.json"
    bad.write_bytes(content)
    assert register.running(environ) == [entry]
    assert not bad.exists()


def test_a_directory_that_others_may_enter_is_not_trusted(environ: dict[str, str], tmp_path: Path) -> None:
    enter("one", environ)
    (tmp_path / "quorate").chmod(0o755)
    assert register.running(environ) == []
    with pytest.raises(OperatorFault, match="open to other users"):
        register.own_entry("two", tmp_path, environ)


def test_a_link_in_the_register_s_place_is_not_followed(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "quorate").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OperatorFault, match="is not a directory"):
        register.own_entry("one", tmp_path, environ)


def test_no_process_has_no_start(dead_pid: int) -> None:
    assert register.started(dead_pid) is None
    assert register.started(os.getpid()) == register.started(os.getpid()) is not None
