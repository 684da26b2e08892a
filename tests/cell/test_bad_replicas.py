"""Replicas that break the protocol itself: each is found out for what it did, and no client notices."""

import os
import signal
from pathlib import Path

import pytest
import redis

from quorate.trusted.messages import Cause
from tests.cell.conftest import MakeCell
from tests.cell.support import Document, RunningCell, eventually, example, exchange, request, unhealed
from tests.cell.workload import Workload

SECOND_NS = 1_000_000_000
MIB = 1024 * 1024
ROGUE = Path(__file__).parent / "services" / "rogue.py"
CLIENTS = 4
PAUSE_SECONDS = 3.5
REQUESTS = 150


def with_rogue(fault: str) -> Document:
    """The stores of examples/kv.toml, of which replica b is a rogue one."""
    document = example(
        "kv", "process", silence_ns_max=2 * SECOND_NS, decision_ns_max=10 * SECOND_NS, reply_bytes_max=MIB // 4
    )
    rogue = document["variant"][1]
    rogue |= {"name": "rogue", "args": [str(ROGUE), fault, "{socket}", "{directory}"]}
    document["replica"][1]["variants"] = ["rogue"]
    return document


@pytest.mark.parametrize(
    ("fault", "causes"),
    [
        ("garbage", {Cause.GARBAGE}),
        ("extra", {Cause.UNASKED}),
        ("oversized", {Cause.FLOOD}),
        ("endless", {Cause.FLOOD}),
        ("half, then dies", {Cause.CRASH}),
        ("half, then hangs up", {Cause.CRASH}),
        ("half, then silent", {Cause.MUTE}),
        ("flood after", {Cause.UNASKED}),
        # Its first replies are wrong answers, too, whichever is looked at first.
        ("flood", {Cause.UNASKED, Cause.WRONG_READ, Cause.WRONG_READS}),
        ("deaf", {Cause.MUTE}),
    ],
)
def test_a_rogue_replica_is_convicted_for_what_it_did(cells: MakeCell, fault: str, causes: set[Cause]) -> None:
    cell = cells(with_rogue(fault)).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
    work.assert_right()
    cell.assert_agreed()
    before = cell.resident_bytes()
    client = cell.connect()
    assert exchange(client, request("GET", "trigger"), b"\r\n") in {b"$-1\r\n", b"_\r\n"}
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        convicted = cell.convicted("b")
        work.more(REQUESTS)
    work.assert_right()
    assert Cause(convicted.cause) in causes
    assert cell.resident_bytes() - before < 60 * MIB
    assert [c.replica for c in cell.convictions()] == ["b"]
    # Its successor is rogue, too, and serves as well as it did at first.
    assert cell.rebuilt("b").variant == "rogue"
    assert cell.settled().state == "serving"
    assert cell.stop() == 0


def test_a_replica_that_cannot_be_set_up_never_votes(cells: MakeCell) -> None:
    cell = cells(unhealed(with_rogue("refuses"))).start()
    assert cell.convicted("b").cause == Cause.REFUSED.value
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
    work.assert_right()
    assert cell.status().seats_empty == 1


def pid_of(cell: RunningCell, name: str) -> int:
    """A replica's process."""
    pid = cell.replica(name).pid
    assert pid is not None
    return pid


def test_a_replica_that_pauses_and_goes_on_catches_up(cells: MakeCell) -> None:
    """It owes thousands of replies when it goes on, and is neither blamed for them nor held against the others."""
    cell = cells(example("kv", "process", silence_ns_max=14 * SECOND_NS)).start()
    paused = pid_of(cell, "c")
    os.kill(paused, signal.SIGSTOP)
    try:
        with Workload(cell, CLIENTS) as work:
            work.more(2 * REQUESTS)
            assert cell.replica("c").backlog > REQUESTS
            os.kill(paused, signal.SIGCONT)
            eventually(lambda: cell.replica("c").backlog < REQUESTS, "it catches up")
            work.more(REQUESTS)
    finally:
        os.kill(paused, signal.SIGCONT)
    work.assert_right()
    cell.assert_agreed()
    assert cell.stop() == 0


def test_a_replica_that_falls_too_far_behind_holds_up_nobody(cells: MakeCell) -> None:
    """What is kept for it is bounded: it loses its seat long before its silence has lasted too long."""
    cell = cells(
        unhealed(
            example(
                "kv",
                "process",
                lag_slots_max=2_000,
                inflight_slots_max=1_000,
                client_pending_max=500,
                throttle_ns_max=SECOND_NS,
            )
        )
    ).start()
    os.kill(pid_of(cell, "c"), signal.SIGSTOP)
    with Workload(cell, CLIENTS) as work:
        eventually(lambda: cell.status().seats_empty == 1, "it loses its seat")
        work.more(REQUESTS)
    work.assert_right()
    assert cell.replica("c").backlog == 0
    assert cell.stop() == 0


def test_a_replica_that_pauses_for_too_long_is_convicted(cells: MakeCell) -> None:
    cell = cells(example("kv", "process", silence_ns_max=2 * SECOND_NS)).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        os.kill(pid_of(cell, "c"), signal.SIGSTOP)
        assert cell.convicted("c").cause == Cause.MUTE.value
        work.more(REQUESTS)
    work.assert_right()
    assert cell.stop() == 0


def test_a_cell_that_was_itself_paused_blames_nobody(cells: MakeCell) -> None:
    cell = cells(example("kv", "process", silence_ns_max=2 * SECOND_NS, decision_ns_max=3 * SECOND_NS)).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        pids = [cell.pid, *(pid_of(cell, name) for name in "abc")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        signal.sigtimedwait([], PAUSE_SECONDS)  # no signal is waited for: only time can show that it blames nobody
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        work.more(REQUESTS)
    work.assert_right()
    cell.assert_agreed()


def test_the_replicas_memory_is_bounded_before_it_is_theirs_to_fail(cells: MakeCell) -> None:
    """Past the limit growing writes are refused before they are ordered; what shrinks is served."""
    cell = cells(example("kv", "process", memory_bytes_max=90 * MIB)).start()
    client = cell.redis()
    number = 0

    def is_full() -> bool:
        nonlocal number
        number += 1
        try:
            client.set(f"key{number}", "x" * (MIB // 2))
        except redis.exceptions.OutOfMemoryError:
            return True
        return False

    eventually(is_full, "growing writes are refused")
    assert client.get("key1") == b"x" * (MIB // 2)
    assert client.delete("key1") == 1
    cell.assert_agreed()
