import pytest

from quorate.trusted.tally import LATENCY_BOUNDS_NS, Tally


@pytest.mark.parametrize(
    ("latency_ns", "bucket"),
    [
        (0, 0),
        (15_999, 0),
        (16_000, 1),
        (31_999, 1),
        (32_000, 2),
        (LATENCY_BOUNDS_NS[-1] - 1, 19),
        (LATENCY_BOUNDS_NS[-1], 20),
        (10**12, 20),
    ],
)
def test_each_latency_is_counted_below_its_bound(latency_ns: int, bucket: int) -> None:
    tally = Tally(3)
    tally.answered(2, latency_ns)
    assert tally.latency_counts[bucket] == 2
    assert sum(tally.latency_counts) == tally.decided == 2
    assert tally.latency_sum_ns == 2 * latency_ns
    assert bucket == 20 or latency_ns < LATENCY_BOUNDS_NS[bucket]


def test_each_seat_has_its_own_dissents() -> None:
    assert Tally(5).dissents == [0] * 5
