"""One strategy's run of VM-FIT's experiment: the counter service, its client, and replicas that become malicious.

Malicious is what the paper says: the replica stops replying, goes on taking requests, and burns CPU (section 3.2).
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..trusted.errors import invariant
from .cell import PrivateCell
from .vmfit_cell import counter
from .vmfit_client import Counted
from .vmfit_schedule import INTERVAL_SECONDS, Schedule
from .watch import LOOK_SECONDS, Event, Watch
from .worker import Worker

MALICIOUS = ("mute", "hog")
# The client's interpreter starts before its first request is due.
START_SECONDS = 0.5
END_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of one strategy: the client's counts, and events at seconds since its first request.

    `setting` has the cell's `journal` and `domain`.
    """

    letter: str
    schedule: Schedule
    counted: Counted
    events: tuple[Event, ...]
    setting: dict[str, str]

    def throughput(self, begin: float, end: float) -> float:
        """Successful requests per second between two of our times, by the intervals whose middle lies there."""
        found = [
            requests
            for place, requests in enumerate(self.counted.requests)
            if begin <= (place + 0.5) * INTERVAL_SECONDS < end
        ]
        invariant(bool(found), "a window is longer than the client's interval")
        return fmean(found) / INTERVAL_SECONDS

    @property
    def before_faults(self) -> float:
        """Requests per second until the first fault."""
        return self.throughput(0.0, self.schedule.faults[0])

    @property
    def worst_rtt_ms(self) -> float | None:
        """The longest round trip, or None when the service was gone for good: the last request was never answered."""
        return None if self.counted.unanswered_ms else max(self.counted.worst_ms)

    @property
    def unavailable_ms(self) -> float:
        """How long the client saw no request succeed: its intervals without any."""
        return self.counted.requests.count(0) * INTERVAL_SECONDS * 1_000

    def to_json(self, base: float) -> dict[str, Any]:
        """The result of this strategy; `base` is what A reached before its first fault, in requests per second."""
        worst = self.worst_rtt_ms
        return {
            "throughput": [round(self.throughput(*window), 1) for window in self.schedule.windows],
            "worst_rtt_ms": None if worst is None else round(worst, 2),
            "unavailable_ms": self.unavailable_ms,
            "failed": sum(self.counted.failed),
            "wrong": self.counted.wrong,
            "of_a": round(self.throughput(0.0, self.schedule.seconds) / base, 4),
            "rebuilds": sum(event.kind == "rebuilt" for event in self.events),
            "events": [[round(event.at, 2), event.kind, event.replica] for event in self.events],
        }


def run(letter: str, schedule: Schedule, directory: Path) -> Run:
    """Run strategy `letter` once. Raises `OperatorFault` when no such cell can be run here."""
    with PrivateCell("counter.toml", directory, counter(letter, schedule)) as cell:
        watch = Watch(cell)
        begins = time.monotonic() + START_SECONDS
        arguments = [str(cell.port), str(begins), str(schedule.seconds)]
        with Worker(f"client-{letter}", "vmfit_client", arguments, directory) as client:
            _make_malicious(watch, [begins + fault for fault in schedule.faults], client)
            counted = Counted.from_json(client.result(END_SECONDS_MAX))
        setting = cell.setting
    events = tuple(Event(event.at - begins, event.kind, event.replica) for event in watch.events)
    return Run(letter, schedule, counted, events, setting)


def _make_malicious(watch: Watch, times: list[float], client: Worker) -> None:
    """Watch until the client ends; at each of `times` the next replica becomes malicious, as soon as it has a vote."""
    names = [replica.name for replica in watch.look().replicas]
    begun = 0
    while not client.is_done:
        left = times[begun] - time.monotonic() if begun < len(times) else LOOK_SECONDS
        if left <= 0:
            begun += watch.inject(names[begun % len(names)], *MALICIOUS)
        else:
            watch.look()
        time.sleep(min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS)
