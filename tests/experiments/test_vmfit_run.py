"""What is made of a run's counts."""

import pytest

from tests.experiments.vmfit_runs import made, runs


def test_throughput_is_averaged_over_the_papers_windows() -> None:
    told = made("A", {0.0: 4_000, 10.0: 2_000, 20.0: 1_000}).to_json(4_000.0)
    assert told["throughput"] == pytest.approx([4_000, 2_000, 1_545.5, 1_500], rel=0.05)
    assert told["of_a"] == pytest.approx((4_000 * 10 + 2_000 * 10 + 1_000 * 10) / 30 / 4_000, rel=0.01)


def test_unavailable_is_every_interval_without_success() -> None:
    run = made("B", {0.0: 4_000, 10.0: 0, 12.0: 4_000})
    assert run.unavailable_ms == 2_000
    assert run.before_faults == 4_000


def test_a_service_that_is_gone_for_good_has_no_worst_round_trip() -> None:
    gone, *others = runs()
    assert gone.to_json(gone.before_faults)["worst_rtt_ms"] is None
    assert [run.to_json(1.0)["worst_rtt_ms"] for run in others] == [20.0, 40.0, 60.0]


def test_events_are_told_in_our_seconds() -> None:
    told = made("C", {0.0: 4_000}).to_json(4_000.0)
    assert told["events"] == [[10.02, "fault", "a"], [11.1, "lost", "a"], [11.6, "rebuilt", "a"]]
    assert told["rebuilds"] == 1
    assert (told["failed"], told["wrong"], told["unavailable_ms"]) == (0, 0, 0.0)
