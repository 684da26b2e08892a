"""The histogram of latencies."""

import json

import pytest

from quorate.experiments.latency import PRECISION, Latencies


def of(*seconds: float) -> Latencies:
    made = Latencies()
    for one in seconds:
        made.add(one)
    return made


def test_quantiles_are_exact_within_the_precision() -> None:
    latencies = of(*(number / 1_000 for number in range(1, 1_001)))
    for share in (0.01, 0.5, 0.99, 0.999):
        assert share <= latencies.quantile(share) <= share * (1 + 2 * PRECISION)
    assert latencies.quantile(1.0) == latencies.max_seconds == 1.0


def test_nothing_has_no_latency() -> None:
    assert Latencies().summary() == {"p50": 0, "p99": 0, "p99_9": 0, "max": 0}
    assert of(0.0).quantile(0.5) == 0.0


def test_two_are_merged_as_if_they_were_one() -> None:
    merged = of(0.001, 0.002)
    merged.merge(of(0.004, 0.100))
    assert merged.summary() == of(0.001, 0.002, 0.004, 0.100).summary()
    assert merged.summary()["max"] == 100.0
    assert merged.quantile(0.5) == pytest.approx(0.002, rel=2 * PRECISION)


def test_it_travels_as_plain_data() -> None:
    latencies = of(0.001, 0.5)
    assert Latencies.from_json(json.loads(json.dumps(latencies.to_json()))).summary() == latencies.summary()
