"""The compiled build of trusted/ is used when asked for, stands for exactly these sources, and can be refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quorate import compiled

SCRIPT = """
from quorate import compiled
preferred = compiled.prefer()
from quorate.trusted import quorum
print(preferred, quorum.__name__ in compiled.loaded(), quorum.seats_for(2))
"""


def run(pure: str) -> list[str]:
    environment = {**os.environ, "QUORATE_PURE": pure}
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_the_build_is_used_where_there_is_one() -> None:
    is_there = str(bool(compiled.available()))
    assert run(pure="") == [is_there, is_there, "5"]


def test_pure_python_can_be_asked_for() -> None:
    assert run(pure="1") == ["False", "False", "5"]


@pytest.mark.parametrize("pure", ["", "1"])
def test_the_command_line_tells_an_operators_fault_with_and_without_the_build(pure: str, tmp_path: Path) -> None:
    """Interpreted errors derive from those of trusted/: that must work compiled as well."""
    command = [sys.executable, "-m", "quorate", "check", str(tmp_path / "missing.toml")]
    ended = subprocess.run(
        command, env={**os.environ, "QUORATE_PURE": pure}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "missing.toml" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for a build."""
    monkeypatch.setattr(compiled, "build_directory", lambda: tmp_path)
    return tmp_path


def test_without_a_build_nothing_is_available(build: Path) -> None:
    assert compiled.available() == {}


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_build_stands_only_for_the_sources_it_was_made_from(build: Path, is_ours: bool) -> None:
    fingerprint = compiled.fingerprint() if is_ours else "of other sources"
    manifest = {"fingerprint": fingerprint, "modules": {"quorate.trusted.vote": "vote.so"}}
    (build / compiled.MANIFEST).write_text(json.dumps(manifest))
    assert compiled.available() == ({"quorate.trusted.vote": build / "vote.so"} if is_ours else {})


def test_a_torn_manifest_is_no_build(build: Path) -> None:
    (build / compiled.MANIFEST).write_text('{"finger')
    assert compiled.available() == {}


def test_any_changed_source_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "quorate"
    shutil.copytree(compiled.PACKAGE, sources, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "PACKAGE", sources)
    found = {compiled.fingerprint()}
    for path in ("trusted/vote.py", "state/batch.py"):
        with (sources / path).open("a") as source:
            source.write("x = 1\n")
        found.add(compiled.fingerprint())
    (sources / "trusted" / "vote.py").rename(sources / "trusted" / "poll.py")
    assert len(found | {compiled.fingerprint()}) == 4
