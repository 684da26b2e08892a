"""The simulator is tested: it catches every planted fault of recovery, and the page that says so names them all."""

from collections.abc import Callable

import pytest

from tests.sim.planted import ROOT, Planted
from tests.sim.planted_recovery import PLANTED_RECOVERY
from tests.sim.test_planted import check


@pytest.mark.farmed(job=check)
@pytest.mark.parametrize("fault", PLANTED_RECOVERY, ids=lambda fault: fault.name)
def test_the_simulator_catches(fault: Planted, outcome: Callable[[], None]) -> None:
    outcome()


def test_the_page_names_every_planted_fault() -> None:
    page = (ROOT / "docs" / "planted-faults.md").read_text()
    assert [fault.name for fault in PLANTED_RECOVERY if f"| {fault.name} |" not in page] == []
