"""What the doctor looks for, finds, and says where something is missing."""

import json
from pathlib import Path

import pytest

from quorate.commands import doctor
from tests.repository import programs
from tests.repository.packages import packages
from tests.repository.sources import ROOT


def test_it_looks_for_all_that_the_examples_use() -> None:
    names = {*doctor.ALLOCATORS, *(name for name, _, _ in doctor.PROGRAMS)}
    for path in sorted((ROOT / "examples").glob("*.toml")):
        assert set(programs.named_in_example(path)) - {"python"} <= names


def test_it_shows_all_that_it_looks_for(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.doctor(as_json=True)
    shown = {finding["name"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {"Python", "C compiler", *doctor.ALLOCATORS, *(name for name, _, _ in doctor.PROGRAMS)} <= shown


@pytest.mark.parametrize("name", doctor.ALLOCATORS)
def test_it_finds_an_allocator_or_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_library", lambda name: Path("/usr/lib") / name)
    found = doctor._allocator(name)
    assert (found.good, found.found) == (True, f"/usr/lib/{name}")
    monkeypatch.setattr(doctor, "find_library", lambda name: None)
    found = doctor._allocator(name)
    assert (found.good, found.found) == (False, "missing")
    assert found.hint.removeprefix("apt-get install ") in {package.name for package in packages()}


def test_it_says_what_the_compiler_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "true -O2")
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    found = doctor._compiler()
    assert (found.good, Path(found.found).name) == (True, "true")
    monkeypatch.setattr(Path, "is_file", lambda path: path.name != "Python.h")
    found = doctor._compiler()
    assert (found.good, found.found, found.hint) == (False, "its headers are missing", "apt-get install python3-dev")
    monkeypatch.setenv("CC", "no-such-compiler")
    found = doctor._compiler()
    assert (found.good, found.found) == (False, "missing")
    wanted = found.hint.removeprefix("apt-get install ").split()
    assert set(wanted) <= {package.name for package in packages()}
