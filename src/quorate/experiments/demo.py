"""The demonstration: a cell as a user runs it, clients whose right answers are known, and a replica that begins to lie.

Tells what happens in words, and counts what the clients saw. It starts nothing that outlives it.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..config import ConfigFault, load
from ..observe.evidence import DissentRecord
from ..observe.logs import printable
from ..observe.snapshot import CellSnapshot, ReplicaSnapshot
from .cell import PrivateCell
from .crew import CLIENTS, Crew
from .examples import example
from .programs import interrupted_by_sigterm

LIAR = "b"
FAULT = "corrupt"
VERDICT_SECONDS_MAX = 20.0
EVIDENCE_SECONDS_MAX = 5.0
POLL_SECONDS = 0.02
DISSENTS_READ_MAX = 10_000

Progress = Callable[[str], None]


def run(requests: int, progress: Progress) -> dict[str, int]:
    """Run the demonstration with so many `requests`, and tell `progress` what happens, line by line.

    Returns `requests` sent, `wrong_replies` and `failed_requests` that clients saw, and the cell's `dissents` and
    `convictions`. Raises `OperatorFault` when no cell can be run here.
    """
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="quorate-demo-") as directory:
        began = time.monotonic()
        cell = PrivateCell(choose_example(progress), Path(directory))
        replicas = ", ".join(f"{replica.name} ({replica.variants[0]})" for replica in cell.config.replicas)
        domains = " and ".join(sorted({replica.domain for replica in cell.config.replicas}))
        progress(f"booting replicas {replicas}, each in a {domains} of its own")
        with cell:
            progress(f"all vote after {time.monotonic() - began:.1f} s; {CLIENTS} clients go to 127.0.0.1:{cell.port}")
            result = asyncio.run(_play(cell, requests, progress))
        progress("the cell has ended, and leaves nothing behind")
        return result


def choose_example(progress: Progress) -> str:
    """Redis three times when it can be run here, else the stores that come with this package."""
    try:
        load(example("redis.toml"))
        return "redis.toml"
    except ConfigFault as fault:
        progress(f"examples/redis.toml cannot run here ({fault.problems[0].message}): examples/kv.toml runs instead")
        return "kv.toml"


async def _play(cell: PrivateCell, requests: int, progress: Progress) -> dict[str, int]:
    crew = Crew(progress)
    await crew.come(cell.port)
    await crew.work(requests // 2)
    progress(crew.report("the replicas agreed on every one"))
    await asyncio.to_thread(cell.inject, LIAR, FAULT)
    progress(f"replica {LIAR} begins to lie: from now on it changes every reply it gives")
    await crew.work(requests - requests // 2)
    progress(crew.report(f"the later ones while {LIAR} lied"))
    await _tell_verdict(cell, progress)
    await crew.leave()
    status = await asyncio.to_thread(cell.status)
    return {
        "requests": crew.requests,
        "wrong_replies": crew.wrong_replies + crew.shared.missing(),
        "failed_requests": crew.failed_requests,
        "dissents": sum(replica.dissents for replica in status.replicas),
        "convictions": sum(replica.convictions for replica in status.replicas),
    }


# The verdict, in words.


async def _tell_verdict(cell: PrivateCell, progress: Progress) -> None:
    liar = await _liar(cell, lambda replica: replica.convictions > 0)
    record = await _first_dissent(cell)
    if record is not None:
        progress(f"outvoted: {describe(record)}")
    if liar is None:
        progress(f"replica {LIAR} was not convicted within {VERDICT_SECONDS_MAX:g} s")
        return
    progress(f"convicted: replica {liar.name}, {liar.dissents} dissents")
    healed = await _liar(cell, lambda replica: replica.rebuilds > 0 and replica.role == "voting")
    if healed is not None and healed.last_recovery_seconds is not None:
        seconds = f"{healed.last_recovery_seconds:.1f} s after it lost its vote"
        progress(f"rebuilt: replica {LIAR} votes again, as {healed.variant}, {seconds}")
    status = await asyncio.to_thread(cell.status)
    progress(_still_serving(status))


async def _liar(cell: PrivateCell, has_come_so_far: Callable[[ReplicaSnapshot], bool]) -> ReplicaSnapshot | None:
    """The replica that lies, as soon as it has come so far; None when it does not in time."""
    give_up = time.monotonic() + VERDICT_SECONDS_MAX
    while time.monotonic() < give_up:
        status = await asyncio.to_thread(cell.status)
        for replica in status.replicas:
            if replica.name == LIAR and has_come_so_far(replica):
                return replica
        await asyncio.sleep(POLL_SECONDS)
    return None


async def _first_dissent(cell: PrivateCell) -> DissentRecord | None:
    """The oldest evidence. It is written beside the vote, so that it may come a moment later."""
    give_up = time.monotonic() + EVIDENCE_SECONDS_MAX
    while time.monotonic() < give_up:
        records = await asyncio.to_thread(cell.dissents, DISSENTS_READ_MAX)
        if records:
            return records[-1]
        await asyncio.sleep(POLL_SECONDS)
    return None


def describe(record: DissentRecord) -> str:
    """One dissent as a person reads it."""
    kind = "write" if record.is_write else "read"
    request, agreed, said = (words(payload.data) for payload in (record.request, record.agreed, record.dissenting))
    return (
        f"slot {record.slot}, the {kind} `{request}`: the others agreed on `{agreed}`, {record.replica} said `{said}`"
    )


def words(data: bytes) -> str:
    """What a request or a reply holds, without lengths; none of the demonstration's words is taken for one."""
    lines = [line for line in data.split(b"\r\n") if line and line[:1] not in (b"*", b"$")]
    return " ".join(printable(line.lstrip(b"+:")) for line in lines) or "nothing"


def _still_serving(status: CellSnapshot) -> str:
    voting = [replica.name for replica in status.replicas if replica.role == "voting"]
    return f"still {status.state}: {len(voting)} of {len(status.replicas)} replicas vote, {' and '.join(voting)}"
