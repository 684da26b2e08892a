"""The arithmetic of a comparison, on numbers made by hand."""

import pytest

from quorate.experiments.comparison import Sample, compare

SUBJECTS = ("direct", "haproxy", "quorate")


def samples_of(
    setting: str, rounds: list[tuple[float, float, float]], p50s: tuple[float, float, float]
) -> list[Sample]:
    """Samples of two tests, the second twice as fast; `rounds` holds the three subjects' requests per second."""
    return [
        Sample(number, setting, subject, test, values[place] * factor, p50s[place])
        for number, values in enumerate(rounds, 1)
        for test, factor in (("SET", 1), ("GET", 2))
        for place, subject in enumerate(SUBJECTS)
    ]


def test_everything_is_a_median_over_rounds_and_tests() -> None:
    found = compare(samples_of("c50", [(100, 50, 80), (200, 100, 160), (100, 50, 90)], (0.5, 1.0, 0.75)))
    assert found == {
        "c50": {
            "direct": pytest.approx(200),  # of 100, 200, 200, 400, 100, 200
            "haproxy": pytest.approx(100),
            "quorate": pytest.approx(160),  # of 80, 160, 160, 320, 90, 180
            "of_direct": pytest.approx(0.8),
            "of_haproxy": pytest.approx(1.6),
            "p50_of_direct": pytest.approx(1.5),
        }
    }


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is ten times slower in one round changes no ratio, although it changes the medians."""
    found = compare(samples_of("c1", [(100, 50, 80), (10, 5, 8), (100, 50, 80)], (1, 1, 2)))
    assert found["c1"]["of_direct"] == pytest.approx(0.8)
    assert found["c1"]["of_haproxy"] == pytest.approx(1.6)


def test_settings_are_kept_apart() -> None:
    samples = samples_of("c50", [(100, 100, 50)], (1, 1, 1)) + samples_of("c1", [(10, 10, 1)], (1, 1, 3))
    found = compare(samples)
    assert [found[setting]["of_direct"] for setting in ("c50", "c1")] == [pytest.approx(0.5), pytest.approx(0.1)]


def test_one_side_alone_is_no_comparison() -> None:
    samples = samples_of("c50", [(100, 100, 50)], (1, 1, 1))
    with pytest.raises(KeyError):
        compare([sample for sample in samples if (sample.subject, sample.test) != ("haproxy", "GET")])
