"""The simulator is tested: it catches every planted fault, and the page that says so names them all."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.sim.__main__ import reproduce, world_of
from tests.sim.planted import PLANTED, ROOT, Planted, hunt


@cache
def run_unplanted(seed: int) -> None:
    """The core as it is keeps every promise in this run."""
    try:
        world_of(seed).run()
    except Exception as broken:
        raise AssertionError(f"{broken}\nto see it again: {reproduce(seed)}") from broken


def check(fault: Planted) -> None:
    """The fault is caught, and the same seed finds nothing in the core as it is."""
    caught = hunt(fault)
    assert caught is not None, f"{fault.name} survived {fault.seeds} seeds"
    seeds, _ = caught
    run_unplanted(fault.first + seeds - 1)


@pytest.mark.farmed(job=check)
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_simulator_catches(fault: Planted, outcome: Callable[[], None]) -> None:
    outcome()


def test_the_page_names_every_planted_fault() -> None:
    page = (ROOT / "docs" / "planted-faults.md").read_text()
    assert [fault.name for fault in PLANTED if f"| {fault.name} |" not in page] == []
    assert len(PLANTED) >= 15
