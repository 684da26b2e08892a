"""Fifty rejuvenations under load, faults among them: no client sees anything. `scripts/soak.py` does a thousand."""

import pytest

from quorate.experiments import soak
from quorate.experiments.soak import Plan

REJUVENATIONS = 50


@pytest.mark.timeout(300)
@pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_fifty_rejuvenations_under_faults_harm_nobody() -> None:
    told: list[str] = []
    result = soak.run(Plan(REJUVENATIONS, 240.0, seed=4), soak.configuration(None), told.append)
    assert soak.is_right(result), result
    assert result["rejuvenations"] >= REJUVENATIONS
    assert result["rebuilds"] >= REJUVENATIONS
    assert sum(result["faults"].values()) > 0
    assert result["requests"] > 1_000
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99_9"] <= result["latency_ms"]["max"]
    assert any("rejuvenations" in line for line in told)
