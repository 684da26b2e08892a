"""Starting from what was kept: every replica is filled and proved, and what came after is executed again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from quorate.restart import DISAGREEMENT_HINT, surviving
from quorate.trusted.errors import OperatorFault
from quorate.trusted.journal import Entry
from tests.cell.inside import Part, Replica, Stage, document, play, staged

REQUESTS = [b"one", b"two", b"three", b"four"]


def durable(sync: str = "always") -> dict[str, Any]:
    """A cell that keeps its journal."""
    return document() | {"journal": {"sync": sync}}


# What is executed again of one entry.


@pytest.mark.parametrize(
    ("buried", "expected"),
    [
        ({}, [(5, REQUESTS)]),
        ({4: "", 9: ""}, [(5, REQUESTS)]),
        ({5: ""}, [(5, []), (6, REQUESTS[1:])]),
        ({8: ""}, [(5, REQUESTS[:3]), (9, [])]),
        ({6: "", 7: ""}, [(5, REQUESTS[:1]), (7, []), (8, REQUESTS[3:])]),
        ({8: "", 5: "", 7: "", 6: ""}, [(5, []), (6, []), (7, []), (8, []), (9, [])]),
    ],
)
def test_buried_slots_are_left_out(buried: dict[int, str], expected: list[tuple[int, list[bytes]]]) -> None:
    """What they may have changed is read again all the same, so that each part keeps all keys."""
    entry = Entry(5, 2 << 16, 1, [(0, 1, b"key")], REQUESTS)
    parts = surviving(entry, buried)
    assert [(part.first, part.requests) for part in parts] == expected
    assert all((part.mode, part.frames, part.changes) == (entry.mode, 1, entry.changes) for part in parts)


# Whole cells.


@pytest.mark.parametrize("sync", ["always", "interval"])
@pytest.mark.parametrize("is_checkpointed", [True, False])
def test_a_cell_goes_on_from_its_checkpoint_and_its_journal(sync: str, is_checkpointed: bool) -> None:
    """A slot is numbered once: those of the second life come after those of the first."""

    async def scene(directory: Path) -> None:
        async with staged(durable(sync), directory) as stage:
            await count(stage)
            if is_checkpointed:
                await stage.cell.keeping.checkpoint(is_urgent=True)
            await stage.ask("SELECT", 3)
            for number in range(90):
                await stage.ask("RPUSH", "list", number)
            await stage.ask("SET", "mortal", "x", "PX", 600_000)
            before, slot = await stage.agreed(), stage.cell.core.order.next_slot
        async with staged(durable(sync), directory) as stage:
            assert stage.cell.core.order.next_slot >= slot
            assert await stage.agreed() == before
            assert await stage.ask("INCR", "counter") == 11
            await stage.ask("SELECT", 3)
            life = await stage.ask("PTTL", "mortal")
            assert isinstance(life, int)
            assert 0 < life <= 600_000
            await stage.ask("PEXPIRE", "mortal", 1)
            await stage.until(lambda: all(len(replica.state()) == 2 for replica in stage.current()), "it has expired")

    play(scene)


def test_a_cell_that_started_has_a_checkpoint_of_what_it_executed_again() -> None:
    """So that it does not have to be executed once more, and any replica can be rebuilt at once."""

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            await stage.ask("INCR", "counter")
        async with staged(durable(), directory) as stage:
            assert stage.cell.keeping.checkpoint_slot >= 1
        async with staged(durable(), directory) as stage:
            assert [replica.heard for replica in stage.replicas] == [stage.replicas[0].heard] * 3
            assert await stage.ask("GET", "counter") == b"1"

    play(scene)


def test_what_had_expired_while_nobody_ran_is_gone() -> None:
    """But not before everything was executed again that was executed while it was there."""

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            await stage.ask("SET", "mortal", "x", "PX", 200)
            await stage.ask("RENAME", "mortal", "renamed")
            await stage.ask("APPEND", "renamed", "y")
        await asyncio.sleep(0.2)  # nothing but time makes a deadline pass
        async with staged(durable(), directory) as stage:
            assert await stage.ask("EXISTS", "renamed") == 0
            await stage.until(lambda: all(replica.state() == [] for replica in stage.current()), "it is gone")

    play(scene)


async def refused(directory: Path, **parts: Part | str) -> OperatorFault:
    """A cell that must not start on what is there: what it says."""
    with pytest.raises(OperatorFault) as fault:
        async with staged(durable(), directory, **parts):
            pytest.fail("it started")
    return fault.value


async def fill(directory: Path, is_checkpointed: bool) -> None:
    async with staged(durable(), directory) as stage:
        await count(stage)
        if is_checkpointed:
            await stage.cell.keeping.checkpoint(is_urgent=True)


async def count(stage: Stage) -> None:
    for number in range(1, 11):
        assert await stage.ask("INCR", "counter") == number


def test_a_replica_that_cannot_be_given_the_checkpoint_is_named() -> None:
    def forgetful(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return b"$-1\r\n" if request[0] == b"GET" else reply

    async def scene(directory: Path) -> None:
        await fill(directory, is_checkpointed=True)
        fault = await refused(directory, two=forgetful)
        assert str(fault).startswith("replica b could not be given the checkpoint's state: ")
        async with staged(durable(), directory) as stage:
            assert await stage.ask("GET", "counter") == b"10"

    play(scene)


def test_replicas_that_disagree_on_the_journal_are_not_served_from() -> None:
    """Two of them would decide nothing. With other variants all is there."""

    def one(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return b":-1\r\n" if request[0] == b"INCR" else reply

    def two(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return b":-2\r\n" if request[0] == b"INCR" else reply

    async def scene(directory: Path) -> None:
        await fill(directory, is_checkpointed=False)
        fault = await refused(directory, one=one, two=two)
        assert str(fault) == "the replicas do not agree on what the journal holds"
        assert fault.hint == DISAGREEMENT_HINT
        async with staged(durable(), directory) as stage:
            assert await stage.ask("INCR", "counter") == 11

    play(scene)


def test_one_replica_that_disagrees_is_outvoted_and_replaced() -> None:
    def one(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return b":-1\r\n" if request[0] == b"INCR" else reply

    async def scene(directory: Path) -> None:
        await fill(directory, is_checkpointed=False)
        async with staged(durable(), directory, one=one) as stage:
            assert await stage.ask("GET", "counter") == b"10"
            await stage.until(lambda: stage.cell.seats[0].life.rebuilds, "it is rebuilt")
            await stage.agreed()

    play(scene)


def test_what_was_buried_stays_buried() -> None:
    """A value that kills all replicas was refused before everything ended; it is not executed again."""

    def poisonable(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if b"poison" in request:
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        parts = {"one": poisonable, "two": poisonable, "three": poisonable}
        async with staged(durable(), directory, **parts) as stage:
            await stage.ask("SET", "key", "good")
            assert "NOQUORUM" in str(await stage.ask("SET", "key", "poison"))
            # Beside a checkpoint, its tombstone is all that keeps it from being executed again.
            stage.cell.core.sweep.stop()
            assert await stage.ask("APPEND", "key", " for good") == 13
        async with staged(durable(), directory, **parts) as stage:
            assert await stage.ask("GET", "key") == b"good for good"
            await stage.agreed()

    play(scene)
