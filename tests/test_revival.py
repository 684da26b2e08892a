"""All replicas begin anew: when that is called for, what is done again, and what becomes of a cell where it fails."""

import asyncio
from pathlib import Path

import pytest

from quorate import revival
from quorate.experiments.client import ErrorReply
from quorate.facts import RebuildDone, RevivalBegan, RevivalEnded
from quorate.revival import calls_for
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Notice,
    QuorumLost,
    QuorumRegained,
    Role,
    Undecided,
)
from tests.cell.inside import Replica, Stage, document, play, staged
from tests.test_recovery import no_progress


@pytest.mark.parametrize(
    ("notice", "reason"),
    [
        (QuorumLost(1, 0), "1 replicas are left to vote"),
        (Undecided(7, b"", is_write=True, is_split=True, now=0), "the replicas split over a write, slot 7"),
        (Undecided(7, b"", is_write=False, is_split=False, now=0), "too few replicas answered slot 7"),
        # A read on which all differ harms no state.
        (Undecided(7, b"", is_write=False, is_split=True, now=0), ""),
        (Convicted(1, Cause.CRASH, 7, 0), ""),
        (QuorumRegained(2, 0), ""),
    ],
)
def test_what_calls_for_a_revival(notice: Notice, reason: str) -> None:
    assert calls_for(notice) == reason


def crash(stage: Stage, *seats: int) -> None:
    """The services in these seats end."""
    for seat in seats:
        stage.current()[seat].domain.crash(1)


async def begun_anew(stage: Stage, times: int = 1) -> None:
    await stage.until(lambda: len(stage.told(RevivalEnded)) >= times, "all were begun anew")
    assert all(fact.reason == "" for fact in stage.told(RevivalEnded))
    assert stage.cell.core.roles == [Role.VOTING] * 3


def test_what_was_decided_is_done_again_once() -> None:
    """From the last checkpoint, and from the journal after it, although nothing of that is promised with sync off."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            for number in range(1, 11):
                assert await stage.ask("INCR", "counter") == number
            await stage.cell.keeping.checkpoint(is_urgent=True)
            for number in range(11, 21):
                assert await stage.ask("INCR", "counter") == number
            crash(stage, 0, 1, 2)
            await begun_anew(stage)
            assert await stage.ask("INCR", "counter") == 21
            assert await stage.agreed() == [(0, b"counter", repr(b"21"))]
            assert len(stage.told(RebuildDone)) == 3
            assert [notice.voters for notice in stage.told(QuorumRegained)] == [3]
            assert [seat.role for seat in stage.cell.seats] == [Role.VOTING] * 3

    play(scene)


def test_each_seat_gets_another_variant_where_it_has_one() -> None:
    async def scene(directory: Path) -> None:
        variants = (("one", "two"), ("three", "four"), ("five", "six", "one"))
        async with staged(document(variants) | {"recovery": {"reactive": False}}, directory) as stage:
            await stage.ask("SET", "key", "value")
            crash(stage, 0, 1)
            await begun_anew(stage)
            assert [seat.variant.name for seat in stage.cell.seats] == ["two", "four", "six"]
            await stage.agreed()

    play(scene)


def poisonable(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Dies of a poisonous value."""
    if b"poison" in request:
        replica.domain.crash(1)
    return reply


def test_poison_kills_once_and_the_next_wait_is_longer() -> None:
    """Its slot is buried, so that nobody who follows executes it."""

    async def scene(directory: Path) -> None:
        parts = {"one": poisonable, "two": poisonable, "three": poisonable}
        async with staged(document(), directory, **parts) as stage:
            await stage.ask("SET", "key", "good")
            for times in (1, 2):
                told = await stage.ask("SET", "key", "poison")
                assert isinstance(told, ErrorReply)
                assert told.message.startswith("NOQUORUM")
                assert await stage.ask("GET", "key") == b"good"
                await begun_anew(stage, times)
            assert len(stage.told(RevivalBegan)) == 2
            assert stage.told(RevivalEnded)[1].seconds >= revival.WAIT_SECONDS_FIRST
            assert await stage.agreed() == [(0, b"key", repr(b"good"))]

    play(scene)


def test_a_replica_that_is_lost_again_meanwhile_is_rebuilt_after_all() -> None:
    """The others are enough to go on with; its seat does not stay empty."""
    lives = 0

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        nonlocal lives
        if replica.heard == 1:
            lives += 1
        if lives == 2 and request[0] == b"INCR":
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, three=frail) as stage:
            for number in range(1, 11):
                assert await stage.ask("INCR", "counter") == number
            crash(stage, 0, 1)
            await stage.until(lambda: stage.told(RevivalEnded))
            await stage.until(lambda: stage.cell.core.vote.voters() == 3, "its seat is filled")
            assert lives == 3
            assert await stage.ask("INCR", "counter") == 11
            assert await stage.agreed() == [(0, b"counter", repr(b"11"))]

    play(scene)


def test_rebuilds_that_were_under_way_are_given_up() -> None:
    """Who asked is told, and may ask again."""
    may_boot = asyncio.Event()

    def late(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return reply if may_boot.is_set() else b"-LOADING\r\n"

    async def scene(directory: Path) -> None:
        async with staged(document((("one",), ("two", "late"), ("three",))), directory, late=late) as stage:
            await stage.ask("SET", "key", "value")
            asked = asyncio.ensure_future(stage.cell.recover(["b"], None, no_progress))
            await stage.until(lambda: any(replica.variant == "late" and replica.heard for replica in stage.replicas))
            crash(stage, 0, 2)
            with pytest.raises(OperatorFault, match="replica b was not rebuilt"):
                await asked
            may_boot.set()
            await begun_anew(stage)
            assert stage.cell.rebuilder.shadows == {}
            await stage.cell.recover(["b"], None, no_progress)
            await stage.agreed()

    play(scene)


@pytest.mark.parametrize("policy", ["errors", "halt"])
def test_where_it_fails_the_cell_is_lost_and_says_so(policy: str) -> None:
    is_well = True

    def forgetful(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return reply if is_well or request[0] != b"GET" else b"$-1\r\n"

    async def scene(directory: Path) -> None:
        nonlocal is_well
        wanted = document()
        wanted["cell"]["on_quorum_lost"] = policy
        async with staged(wanted, directory, one=forgetful) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            is_well = False
            waiting = asyncio.ensure_future(stage.cell.recover(["c"], None, no_progress))
            await stage.until(lambda: len(stage.replicas) == 4)
            crash(stage, 0, 1)
            await stage.until(lambda: stage.told(RevivalEnded))
            (ended,) = stage.told(RevivalEnded)
            assert "replica a could not be given the checkpoint's state" in ended.reason
            assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], OperatorFault)
            await stage.until(lambda: not any(replica.domain.running for replica in stage.replicas), "all have ended")
            assert all(seat.role is Role.RETIRED for seat in stage.cell.seats)
            assert stage.cell.stopping.is_set() == (policy == "halt")
            assert "NOQUORUM" in str(await stage.ask("GET", "key"))
            with pytest.raises(OperatorFault, match="the cell is lost") as fault:
                await stage.cell.recover(["a"], None, no_progress)
            assert "restart the cell" in fault.value.hint
            assert not stage.cell.revival.is_armed

    play(scene)


def test_it_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "REVIVAL_SECONDS_MAX", 0.3)

    is_awake = True

    def sleepy(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return reply if is_awake else None

    async def scene(directory: Path) -> None:
        nonlocal is_awake
        async with staged(document(), directory, one=sleepy) as stage:
            await stage.ask("SET", "key", "value")
            is_awake = False
            crash(stage, 1, 2)
            await stage.until(lambda: stage.told(RevivalEnded))
            assert stage.told(RevivalEnded)[0].reason == "it took too long"

    play(scene)
