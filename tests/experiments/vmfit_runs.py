"""Runs of the paper's experiment as they might have been seen, for what is made of them."""

from quorate.experiments.vmfit_client import Counted
from quorate.experiments.vmfit_run import Run
from quorate.experiments.vmfit_schedule import INTERVAL_SECONDS, STRATEGIES, Schedule
from quorate.experiments.watch import Event

SCHEDULE = Schedule(60, 1)
SETTING = {"journal": "off", "domain": "sandbox"}


def made(letter: str, rates: dict[float, int], worst_ms: float = 3.0, unanswered_ms: float = 0.0) -> Run:
    """A run in which from each of our times on so many requests succeeded per second."""
    counted = Counted.nothing(SCHEDULE.intervals)
    for place in range(SCHEDULE.intervals):
        reached = max(time for time in rates if time <= place * INTERVAL_SECONDS)
        counted.requests[place] = round(rates[reached] * INTERVAL_SECONDS)
        counted.worst_ms[place] = worst_ms
    counted.unanswered_ms = unanswered_ms
    events = (Event(10.02, "fault", "a"), Event(11.1, "lost", "a"), Event(11.6, "rebuilt", "a"))
    return Run(letter, SCHEDULE, counted, events, SETTING)


def runs() -> list[Run]:
    """One of each strategy; A without service after the second fault."""
    first, *others = STRATEGIES
    gone = made(first, {0.0: 4_000, 10.0: 3_600, SCHEDULE.faults[1]: 0}, unanswered_ms=13_000.0)
    return [
        gone,
        *(made(letter, {0.0: 4_000, 10.0: 3_800}, worst_ms=20.0 * place) for place, letter in enumerate(others, 1)),
    ]
