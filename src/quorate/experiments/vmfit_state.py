"""What a recovery costs the client when there is state to transfer: Redis with 1 MB to 1 GB.

One conviction and one planned rebuild for each size, under the client of VM-FIT's experiment.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..observe.snapshot import CellSnapshot
from . import ballast
from .cell import PrivateCell
from .vmfit_cell import redis
from .vmfit_client import Counted
from .vmfit_run import MALICIOUS
from .watch import VOTING, Watch, all_vote, replica_of
from .worker import Worker

CONVICTED, REJUVENATED = "b", "c"
# Before, between and after the recoveries, so that the client's ordinary round trips are seen too.
QUIET_SECONDS = 1.0
SECONDS_MAX = 1_800.0
CHECKPOINT_SECONDS_MAX = 900.0
RECOVERY_SECONDS_MAX = 700.0
END_SECONDS_MAX = 20.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """So many keys of 1 KB, under a name that people read."""

    name: str
    keys: int


def measure(size: Size, silence_seconds: int, directory: Path, progress: Progress) -> dict[str, Any]:
    """One size. `worst_rtt_ms` is over the whole time of both recoveries. Raises `OperatorFault` when one fails."""
    text = redis(size.keys * ballast.KEY_BYTES, silence_seconds)
    with PrivateCell("redis.toml", directory, text) as cell:
        ballast.write(cell.port, size.keys)
        progress(f"{size.name}: {size.keys} keys are written")
        watch = Watch(cell)
        checkpointed = _checkpoint(watch)
        arguments = [str(cell.port), str(time.monotonic() + QUIET_SECONDS), str(SECONDS_MAX)]
        with Worker(f"client-{size.name}", "vmfit_client", arguments, directory) as client:
            time.sleep(2 * QUIET_SECONDS)
            healed = _convict(watch)
            progress(f"{size.name}: {healed:.2f} s from conviction to voting")
            time.sleep(QUIET_SECONDS)
            rejuvenated = _rejuvenate(cell, watch)
            progress(f"{size.name}: {rejuvenated:.2f} s for a planned rebuild")
            time.sleep(QUIET_SECONDS)
            client.ask_to_end()
            counted = Counted.from_json(client.result(END_SECONDS_MAX))
    return {
        "keys": size.keys,
        "worst_rtt_ms": None if counted.unanswered_ms else round(max(counted.worst_ms), 2),
        "conviction_to_voting_seconds": round(healed, 3),
        "rejuvenation_seconds": round(rejuvenated, 3),
        "checkpoint_seconds": round(checkpointed, 3),
        "failed": sum(counted.failed),
        "wrong": counted.wrong,
    }


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

    def begun(status: CellSnapshot) -> bool | None:
        return watch.inject(CONVICTED, *MALICIOUS) or None

    def healed(status: CellSnapshot) -> float | None:
        replica = replica_of(status, CONVICTED)
        return replica.last_recovery_seconds if replica.role == VOTING and replica.rebuilds else None

    watch.until(begun, RECOVERY_SECONDS_MAX, "a fault")
    return watch.until(healed, RECOVERY_SECONDS_MAX, f"the recovery of {CONVICTED}")


def _rejuvenate(cell: PrivateCell, watch: Watch) -> float:
    """Ask for a rebuild; the seconds until the new replica votes."""
    began = time.monotonic()
    cell.recover(REJUVENATED, "shadow")
    watch.until(all_vote, RECOVERY_SECONDS_MAX, f"the rebuild of {REJUVENATED}")
    return time.monotonic() - began
