"""What a recovery costs the client when there is state to transfer: Redis with 1 MB to 1 GB.

A conviction and a planned rebuild for each size, again and again, under the client of VM-FIT's experiment; then as long
without any. A maximum grows with the time that it is taken over: so all sizes are looked at for about as long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..observe.snapshot import CellSnapshot
from . import ballast
from .cell import PrivateCell
from .vmfit_cell import redis
from .vmfit_client import Counted
from .vmfit_run import MALICIOUS
from .vmfit_schedule import INTERVAL_SECONDS
from .watch import VOTING, Watch, all_vote, replica_of
from .worker import Worker

CONVICTED, REJUVENATED = "b", "c"
# Before, between and after the recoveries, so that the client's ordinary round trips are seen too.
QUIET_SECONDS = 1.0
SECONDS_MAX = 3_600.0
CHECKPOINT_SECONDS_MAX = 900.0
RECOVERY_SECONDS_MAX = 700.0
END_SECONDS_MAX = 20.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """So many keys of 1 KB, under a name that people read."""

    name: str
    keys: int


def measure(size: Size, silence_seconds: int, seconds: float, directory: Path, progress: Progress) -> dict[str, Any]:
    """One size: recoveries one after the other for so many `seconds` at least, then as long without any.

    The result's `seconds` is how long each of the two was. `worst_rtt_ms` is over all of the first, quiet moments
    included, `baseline_worst_rtt_ms` over all of the second; `undisturbed` has the same two, but without intervals in
    which the machine's host took CPU time away, and the `share` of all intervals that are left then. What a recovery
    took is the median. Raises `OperatorFault` when one fails.
    """
    text = redis(size.keys * ballast.KEY_BYTES, silence_seconds)
    with PrivateCell("redis.toml", directory, text) as cell:
        ballast.write(cell.port, size.keys)
        progress(f"{size.name}: {size.keys} keys are written")
        watch = Watch(cell)
        checkpointed = _checkpoint(watch)
        begins = time.monotonic() + QUIET_SECONDS
        arguments = [str(cell.port), str(begins), str(SECONDS_MAX)]
        with Worker(f"client-{size.name}", "vmfit_client", arguments, directory) as client:
            time.sleep(2 * QUIET_SECONDS)
            rounds = [_round(size.name, cell, watch, progress)]
            while time.monotonic() < begins + seconds:
                rounds.append(_round(size.name, cell, watch, progress))
            took = time.monotonic() - begins
            progress(f"{size.name}: {took:.0f} s without recoveries")
            time.sleep(took)
            client.ask_to_end()
            counted = Counted.from_json(client.result(END_SECONDS_MAX))
    healed, rejuvenated = zip(*rounds, strict=True)
    quiet_from = int(took / INTERVAL_SECONDS) + 1
    busy, quiet = slice(quiet_from), slice(quiet_from, 2 * quiet_from)
    return {
        "keys": size.keys,
        **cell.setting,
        "seconds": round(took, 1),
        "recoveries": 2 * len(rounds),
        "worst_rtt_ms": _worst(counted, counted.worst_ms[busy]),
        "baseline_worst_rtt_ms": _worst(counted, counted.worst_ms[quiet]),
        "undisturbed": {
            "worst_rtt_ms": _worst(counted, undisturbed(counted, busy)),
            "baseline_worst_rtt_ms": _worst(counted, undisturbed(counted, quiet)),
            "share": round(len(undisturbed(counted, slice(2 * quiet_from))) / (2 * quiet_from), 3),
        },
        "conviction_to_voting_seconds": round(median(healed), 3),
        "rejuvenation_seconds": round(median(rejuvenated), 3),
        "checkpoint_seconds": round(checkpointed, 3),
        "failed": sum(counted.failed),
        "wrong": counted.wrong,
    }


def _worst(counted: Counted, worst_ms: list[float]) -> float | None:
    """The longest of these round trips; None where there are none, or the last request was never answered."""
    return None if counted.unanswered_ms or not worst_ms else round(max(worst_ms), 2)


def undisturbed(counted: Counted, intervals: slice) -> list[float]:
    """The worst round trips of those of these intervals in which the machine had all the CPU time that it wanted."""
    seen = zip(counted.worst_ms[intervals], counted.stolen_ms[intervals], strict=True)
    return [worst for worst, stolen in seen if not stolen]


def _round(name: str, cell: PrivateCell, watch: Watch, progress: Progress) -> tuple[float, float]:
    """A conviction and a planned rebuild: the seconds of each."""
    healed = _convict(watch)
    progress(f"{name}: {healed:.2f} s from conviction to voting")
    time.sleep(QUIET_SECONDS)
    rejuvenated = _rejuvenate(cell, watch)
    progress(f"{name}: {rejuvenated:.2f} s for a planned rebuild")
    time.sleep(QUIET_SECONDS)
    return healed, rejuvenated


def _checkpoint(watch: Watch) -> float:
    """Wait until a checkpoint holds all that was written; how many seconds that took."""
    began = time.monotonic()
    written = watch.look().slot

    def holds(status: CellSnapshot) -> CellSnapshot | None:
        return status if status.checkpoint.slot >= written else None

    watch.until(holds, CHECKPOINT_SECONDS_MAX, "a checkpoint")
    return time.monotonic() - began


def _convict(watch: Watch) -> float:
    """Make a replica malicious; the seconds from its conviction until its seat votes again, as the cell counts them."""
    rebuilds = replica_of(watch.look(), CONVICTED).rebuilds

    def begun(status: CellSnapshot) -> bool | None:
        return watch.inject(CONVICTED, *MALICIOUS) or None

    def healed(status: CellSnapshot) -> float | None:
        replica = replica_of(status, CONVICTED)
        return replica.last_recovery_seconds if replica.role == VOTING and replica.rebuilds > rebuilds else None

    watch.until(begun, RECOVERY_SECONDS_MAX, "a fault")
    return watch.until(healed, RECOVERY_SECONDS_MAX, f"the recovery of {CONVICTED}")


def _rejuvenate(cell: PrivateCell, watch: Watch) -> float:
    """Ask for a rebuild; the seconds until the new replica votes."""
    began = time.monotonic()
    cell.recover(REJUVENATED, "shadow")
    watch.until(all_vote, RECOVERY_SECONDS_MAX, f"the rebuild of {REJUVENATED}")
    return time.monotonic() - began
