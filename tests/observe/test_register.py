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
    with pytest.raises(OperatorFault, match="no cell named three") as caught:
        register.find("three", environ)
    assert "two" in caught.value.hint


def test_two_cells_of_one_name_are_ambiguous(environ: dict[str, str]) -> None:
    entry = enter("one", environ)
    parent = os.getppid()
    register.enter(
        replace(
            entry,
            pid=parent,
            started=register.started(parent) or 0,
            control=entry.control.with_name(f"one-{parent}.sock"),
        )
    )
    with pytest.raises(OperatorFault, match="several cells named one"):
        register.find("one", environ)


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
