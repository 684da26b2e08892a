"""The pinned Python packages: exact versions with hashes, no address, no path."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.repository.sources import ROOT

FILES = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[0-9][\w.!+]*)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)


def logical_lines(path: Path) -> list[str]:
    joined = path.read_text().replace("\\\n", " ")
    lines = (re.sub(r"\s+", " ", line.split("#")[0]).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def pins_of(path: Path) -> dict[str, str]:
    matches = [PIN.fullmatch(line) for line in logical_lines(path)]
    return {match["name"]: match["version"] for match in matches if match}


def asked_for(*keys: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [text for key in keys for text in project["optional-dependencies"][key]]
    return {re.split(r"[<>=!~\[; ]", text)[0].lower() for text in asked}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_line_is_pinned_by_version_and_hash(path: Path) -> None:
    assert logical_lines(path)
    assert [line for line in logical_lines(path) if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_line_holds_an_address_or_a_path(path: Path) -> None:
    assert re.findall(r"\w+://\S*|file:\S+|\s/\S+|@ \S+", path.read_text()) == []


@pytest.mark.parametrize(("name", "extras"), [("base.txt", ()), ("dev.txt", ("dev", "lab"))])
def test_every_declared_package_is_pinned(name: str, extras: tuple[str, ...]) -> None:
    assert asked_for(*extras) - set(pins_of(ROOT / "requirements" / name)) == set()


def test_development_runs_on_the_versions_that_the_product_runs_on() -> None:
    base = pins_of(ROOT / "requirements" / "base.txt")
    development = pins_of(ROOT / "requirements" / "dev.txt")
    assert {name: development.get(name) for name in base} == base


def test_the_build_backend_is_pinned() -> None:
    assert "hatchling" in pins_of(ROOT / "requirements" / "base.txt")
