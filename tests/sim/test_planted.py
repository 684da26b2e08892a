"""The simulator is tested: it catches every planted fault, and the page that says so names them all."""

import pytest

from tests.sim.planted import PLANTED, ROOT, SEEDS_MAX, Planted, hunt


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_simulator_catches(fault: Planted) -> None:
    assert hunt(fault) is not None, f"{fault.name} survived {SEEDS_MAX} seeds"


def test_the_page_names_every_planted_fault() -> None:
    page = (ROOT / "docs" / "planted-faults.md").read_text()
    assert [fault.name for fault in PLANTED if f"| {fault.name} |" not in page] == []
    assert len(PLANTED) >= 15
