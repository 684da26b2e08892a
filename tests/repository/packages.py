"""Reads packages.txt, the one list of Debian packages."""

from dataclasses import dataclass

from tests.repository.sources import ROOT


@dataclass(frozen=True, slots=True)
class Package:
    """One line of the list."""

    name: str
    group: str
    provides: tuple[str, ...]
    why: str


def packages() -> list[Package]:
    """All lines of packages.txt; raises `ValueError` for one that has not exactly four columns."""
    lines = (line.strip() for line in (ROOT / "packages.txt").read_text().splitlines())
    rows = [[column.strip() for column in line.split("|")] for line in lines if line and not line.startswith("#")]
    return [Package(name, group, tuple(provides.split()), why) for name, group, provides, why in rows]


def provided() -> set[str]:
    """Every program and shared library that the listed packages bring."""
    return {thing for package in packages() for thing in package.provides if ":" not in thing}
