"""The paper's schedule, at its own pace and faster."""

import pytest

from quorate.experiments.vmfit_schedule import INTERVAL_SECONDS, PAPER_EVERY, SCALES, Schedule


def test_at_scale_one_the_times_are_the_papers() -> None:
    schedule = Schedule(1, 5)
    assert (schedule.seconds, schedule.every_seconds, list(schedule.faults)) == (1_800, 300, [600, 1_000, 1_400])
    assert list(schedule.windows) == [(100, 400), (650, 950), (1_050, 1_350), (600, 1_800)]
    assert schedule.intervals == 7_200


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_keeps_the_proportions(scale: int) -> None:
    schedule = Schedule(scale, 1)
    assert schedule.every_seconds * scale == PAPER_EVERY
    assert schedule.papers(schedule.faults[0]) == pytest.approx(600)
    # Each window of Table 1 has several of the client's intervals.
    assert min(end - begin for begin, end in schedule.windows) > 10 * INTERVAL_SECONDS


def test_a_result_says_its_schedule() -> None:
    told = Schedule(60, 1).to_json()
    assert (told["scale"], told["seconds"], told["silence_seconds"]) == (60, 30, 1)
    assert told["faults_at_seconds"] == pytest.approx([10, 16.67, 23.33], abs=0.01)
    assert told["windows_seconds"][3] == [10, 30]
