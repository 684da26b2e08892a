"""Ring 1's own code runs on simulated time: waits cost none, errors are not lost, and all ends with the process."""

import asyncio

import pytest

from tests.sim.loop import SimulatedLoop
from tests.sim.timeline import SECOND_NS, START_NS, Timeline


def test_waits_pass_along_the_timeline_in_one_order() -> None:
    timeline = Timeline(0)
    loop = SimulatedLoop(timeline)
    said: list[tuple[str, int]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        said.append((name, timeline.now - START_NS))

    async def both() -> None:
        await asyncio.gather(wait("later", 3600.0), wait("sooner", 0.5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await loop.create_future()
        said.append(("gave up", timeline.now - START_NS))

    task = loop.begin(both())
    timeline.run_until(START_NS + 4000 * SECOND_NS)
    assert task.done()
    assert said == [("sooner", SECOND_NS // 2), ("later", 3600 * SECOND_NS), ("gave up", 3601 * SECOND_NS)]
    loop.end()


def test_who_polls_without_waiting_does_not_stop_time() -> None:
    timeline = Timeline(0)
    loop = SimulatedLoop(timeline)

    async def poll() -> None:
        while timeline.now == START_NS:  # noqa: ASYNC110 - it is what is tested
            await asyncio.sleep(0)

    task = loop.begin(poll())
    timeline.run_until(START_NS + SECOND_NS)
    assert task.done()
    loop.end()


def test_an_error_that_nobody_expects_ends_the_run() -> None:
    timeline = Timeline(0)
    loop = SimulatedLoop(timeline)

    async def fail() -> None:
        await asyncio.sleep(1.0)
        raise LookupError("a defect")

    loop.begin(fail())
    with pytest.raises(LookupError, match="a defect"):
        timeline.run_until(START_NS + 2 * SECOND_NS)
    loop.end()


def test_nothing_goes_on_when_the_process_has_ended() -> None:
    timeline = Timeline(0)
    loop = SimulatedLoop(timeline)
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1.0)
            said.append("went on")
        finally:
            said.append("ended")

    task = loop.begin(work())
    timeline.run_until(START_NS + SECOND_NS // 2)
    loop.end()
    assert task.cancelled()
    timeline.run_until(START_NS + 2 * SECOND_NS)
    assert said == ["ended"]
