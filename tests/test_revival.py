"""All replicas begin anew: when that is called for, what is done again, and what becomes of a cell where it fails."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest

from quorate import refill, restart, revival
from quorate.domains.port import Ended
from quorate.experiments.client import ErrorReply
from quorate.facts import (
    JournalSuspected,
    RebuildBegan,
    RebuildDone,
    RebuildFailed,
    RevivalBegan,
    RevivalEnded,
    SeatLeftEmpty,
)
from quorate.revival import DEADLY, calls_for
from quorate.state.link import Keeper
from quorate.suspects import TIMES_MIN
from quorate.trusted.changes import STRING
from quorate.trusted.errors import BrokenInvariant, OperatorFault
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Notice,
    QuorumLost,
    QuorumRegained,
    Role,
    StateUnreadable,
    Undecided,
)
from quorate.trusted.unreadable import DISAGREED
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
        (StateUnreadable(0, b"k\n", DISAGREED, 0), "the replicas do not agree on what they hold: "),
        (StateUnreadable(0, b"key", "its state is over the limit of one reply", 0), ""),
        (Convicted(1, Cause.CRASH, 7, 0), ""),
        (QuorumRegained(2, 0), ""),
    ],
)
def test_what_calls_for_a_revival(notice: Notice, reason: str) -> None:
    assert calls_for(notice).startswith(reason)
    assert bool(calls_for(notice)) == bool(reason)


def crash(stage: Stage, *seats: int) -> None:
    """The services in these seats end."""
    for seat in seats:
        stage.current()[seat].domain.crash(1)


async def begun_anew(stage: Stage, times: int = 1) -> None:
    await stage.until(lambda: len(stage.told(RevivalEnded)) >= times, "all were begun anew")
    await stage.until(lambda: not stage.cell.core.sweep.is_wanted, "the checkpoint after it is made")
    await stage.cell.keeping.settle()
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


def test_no_two_seats_get_the_same_variant_where_there_are_enough() -> None:
    async def scene(directory: Path) -> None:
        variants = (("one", "four", "two", "three"), ("two", "four", "three", "one"), ("three", "four", "one", "two"))
        async with staged(document(variants), directory) as stage:
            await stage.ask("SET", "key", "value")
            for times in (1, 2, 3):
                crash(stage, 0, 1, 2)
                await begun_anew(stage, times)
                assert len({seat.variant.name for seat in stage.cell.seats}) == 3
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


class Late:
    """The part of replicas that answer a poisonous write, then tell nothing of their state, and end a moment later."""

    def __init__(self) -> None:
        self._poisoned: set[Replica] = set()

    def __call__(self, replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if request[0] == b"SET" and b"poison" in request:
            self._poisoned.add(replica)
            asyncio.get_running_loop().call_later(0.03, replica.domain.crash, 1)
        return None if request[0] in (b"GET", b"DBSIZE") and replica in self._poisoned else reply


async def suspected(stage: Stage) -> int:
    """The one slot that the operator is told of in the end."""
    await stage.until(lambda: stage.told(RevivalEnded), "it is found")
    reason = stage.told(RevivalEnded)[0].reason
    told = stage.told(JournalSuspected)
    assert all(fact.times >= TIMES_MIN for fact in told)
    assert [fact.last - fact.first for fact in told] == sorted((fact.last - fact.first for fact in told), reverse=True)
    assert told[-1].first == told[-1].last
    assert reason == DEADLY.format(told[-1].first)
    return int(told[-1].first)


def test_a_decided_write_that_ends_them_a_moment_later_is_named_and_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a few revivals in a row they look for it; nothing is buried, and clients wait no more."""
    monkeypatch.setattr(revival, "WAIT_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        late = Late()
        parts = {"one": late, "two": late, "three": late}
        wanted = document() | {"journal": {"sync": "always"}}
        async with staged(wanted, directory, **parts) as stage:
            for number in range(1, 31):
                assert await stage.ask("INCR", "counter") == number
            slot = stage.cell.core.order.next_slot
            assert await stage.ask("SET", "key", "poison") == b"OK"
            other = asyncio.ensure_future(stage.ask("INCR", "counter"))
            assert await suspected(stage) == slot
            counted = 31 if await other == 31 else 30
            assert "NOQUORUM" in str(await stage.ask("INCR", "counter"))
            assert stage.cell.core.recording.tombstones.within(slot, slot) == []
            with pytest.raises(OperatorFault, match="the cell is lost"):
                await stage.cell.recover(["b"], None, no_progress)
        with pytest.raises(OperatorFault, match=f"--leave-out {slot}"):
            async with staged(wanted, directory, **parts):
                pytest.fail("it started")
        async with staged(wanted, directory, slot, **parts) as stage:
            assert await stage.ask("GET", "counter") == b"%d" % counted
            assert await stage.ask("EXISTS", "key") == 0
            assert stage.told(RevivalBegan) == []
            await stage.agreed()

    play(scene)


def test_what_they_survive_after_all_is_suspected_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else was the end of them, thrice."""
    monkeypatch.setattr(revival, "WAIT_SECONDS_FIRST", 0.01)
    is_sick = True

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if is_sick and request[0] == b"GET":
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        nonlocal is_sick
        async with staged(document(), directory, one=frail, two=frail, three=frail) as stage:
            await stage.ask("SET", "key", "value")
            crash(stage, 0, 1)
            await stage.until(lambda: stage.told(JournalSuspected), "it is looked for")
            is_sick = False
            await begun_anew(stage)
            assert not stage.cell.revival.suspects
            assert len(stage.told(JournalSuspected)) == 1
            assert await stage.ask("GET", "key") == b"value"
            await stage.agreed()

    play(scene)


def test_each_wait_is_longer_though_no_checkpoint_was_made_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is told once that all were begun anew: when they were."""
    monkeypatch.setattr(revival, "WAIT_SECONDS_FIRST", 0.02)
    waits: list[float] = []

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if request[0] == b"GET" and len(waits) < 4:
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, one=frail, two=frail, three=frail) as stage:
            reviver = stage.cell.revival
            tried = reviver._try

            async def trying() -> str:
                waits.append(reviver._wait_seconds)
                return await tried()

            monkeypatch.setattr(reviver, "_try", trying)
            await stage.ask("SET", "key", "value")
            crash(stage, 0, 1)
            await begun_anew(stage)
            assert waits == [0.0, 0.02, 0.04, 0.08]
            assert len(stage.told(RevivalBegan)) == 4
            assert len(stage.told(RevivalEnded)) == 1
            assert stage.cell.revival.count == 4
            assert await stage.ask("GET", "key") == b"value"

    play(scene)


def test_no_rebuild_begins_while_all_wait_to_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a variant called faulty whose rebuild was given up for that."""
    monkeypatch.setattr(revival, "WAIT_SECONDS_FIRST", 0.3)

    async def scene(directory: Path) -> None:
        async with staged(document((("one", "four"), ("two", "five"), ("three", "six"))), directory) as stage:
            for times in (1, 2):
                crash(stage, 0)
                await stage.until(lambda: len(stage.told(Convicted)) >= 1, "it is lost")
                crash(stage, 1, 2)
                await begun_anew(stage, times)
            places = [
                number for number, fact in enumerate(stage.facts) if isinstance(fact, RevivalBegan | RevivalEnded)
            ]
            for begins, ends in zip(places[::2], places[1::2], strict=True):
                assert not any(isinstance(fact, RebuildBegan) for fact in stage.facts[begins:ends])
            assert stage.told(RevivalEnded)[1].seconds >= 0.3
            assert stage.cell.recovery._failed_as == [set(), set(), set()]
            assert [seat.life.failures for seat in stage.cell.seats] == [0, 0, 0]

    play(scene)


def test_nobody_is_served_again_before_it_is_known_what_was_not_done_after_all() -> None:
    """FLUSHALL, which was buried, would have left no key that can end: who asks waits until they were read again."""

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if request[0] == b"FLUSHALL":
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, one=frail, two=frail, three=frail) as stage:
            for number in range(200):
                await stage.ask("SET", number, "value", "PX", 600_000)
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert "NOQUORUM" in str(await stage.ask("FLUSHALL"))
            assert await stage.ask("GET", 7) == b"value"
            changes = stage.cell.core.changes
            assert not changes.whole
            assert changes.count <= 1
            await begun_anew(stage)

    play(scene)


def test_a_keeper_that_ends_while_the_new_replicas_are_filled_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are filled by the next one."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            filled: list[int] = []

            async def ends(keeper: Keeper, *arguments: Any) -> None:
                filled.append(keeper.pid)
                if len(set(filled)) == 1:
                    with suppress(ProcessLookupError):  # it may be gone, and what it was to be given must be closed
                        os.kill(keeper.pid, signal.SIGKILL)
                await restart.fill(keeper, *arguments)

            monkeypatch.setattr(refill, "fill", ends)
            crash(stage, 0, 1)
            await begun_anew(stage)
            assert len(set(filled)) == 2
            assert len(stage.told(RevivalEnded)) == 1
            assert await stage.ask("GET", "key") == b"value"

    play(scene)


def test_a_write_that_splits_them_while_no_keeper_runs_is_undone_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever goes on counting from what only some executed acknowledges what the journal does not hold."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.5)

    def liar(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        del replica
        return b"+LIE\r\n" if b"100" in request else reply

    def another(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        del replica
        return b"+OTHER\r\n" if b"100" in request else reply

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, two=liar, three=another) as stage:
            assert await stage.ask("INCRBY", "balance", 7) == 7
            keeping = stage.cell.keeping
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            await stage.until(lambda: not keeping.has_keeper, "it is lost")
            assert "NOQUORUM" in str(await stage.ask("SET", "balance", 100))
            assert await stage.ask("INCRBY", "balance", 5) == 12, "the owner of SET was told that it failed"
            await begun_anew(stage)
            assert await stage.agreed() == [(0, b"balance", repr(b"12"))]

    play(scene)


async def committing(stage: Stage) -> "asyncio.Future[int]":
    """A key is written, and the keeper stopped in the commit of it, for which somebody waits."""
    assert await stage.ask("SET", "key", "value") == b"OK"
    keeping = stage.cell.keeping
    keeper = keeping.keeper()
    os.kill(keeper.pid, signal.SIGSTOP)
    with patch.object(keeper, "commit", wraps=keeper.commit) as commit:
        asked = asyncio.ensure_future(keeping.checkpoint(is_urgent=True))
        await stage.until(lambda: commit.called, "a commit is under way")
    return asked


def test_a_keeper_that_ends_while_its_last_commit_is_waited_for_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The revival waits for the next one, as if there had been none when it began."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            asked = await committing(stage)
            keeping = stage.cell.keeping
            with patch.object(keeping, "settle", wraps=keeping.settle) as settle:
                crash(stage, 0, 1)
                await stage.until(lambda: settle.called, "it is waited for")
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            with pytest.raises(OperatorFault, match="the keeper of the state store"):
                await asked
            await begun_anew(stage)
            assert await stage.agreed() == [(0, b"key", repr(b"value"))]

    play(scene)


def test_a_keeper_that_hangs_in_its_last_commit_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)
    monkeypatch.setattr("quorate.keeping.SETTLE_SECONDS_MAX", 0.2)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            asked = await committing(stage)
            crash(stage, 0, 1)
            with pytest.raises(OperatorFault, match="the keeper of the state store does not answer"):
                await asked
            await begun_anew(stage)
            assert await stage.agreed() == [(0, b"key", repr(b"value"))]

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
            await stage.until(lambda: lives == 3 and stage.cell.core.vote.voters() == 3, "its seat is filled")
            assert await stage.ask("INCR", "counter") == 11
            assert await stage.agreed() == [(0, b"counter", repr(b"11"))]

    play(scene)


def corrupt(stage: Stage, key: str) -> None:
    """All replicas but one hold something else, each something else, though nobody wrote it."""
    for replica in stage.current()[1:]:
        replica.keyspace.databases[0].values[key.encode()] = f"bad {replica.name}".encode()


@pytest.mark.parametrize("is_journaled", [True, False])
def test_what_too_few_agree_on_is_restored_from_what_was_kept(is_journaled: bool) -> None:
    """Somebody altered it on f+1 replicas at rest: it is found when it is read, and named, once."""

    async def scene(directory: Path) -> None:
        wanted = document() | ({"journal": {"sync": "always"}} if is_journaled else {})
        async with staged(wanted, directory) as stage:
            await stage.ask("SET", "kept", "early")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            await stage.ask("SET", "later", "late")
            corrupt(stage, "kept")
            stage.cell.core.changes.keep(0, b"kept", STRING)  # what the scrub does, by and by
            with pytest.raises(OperatorFault, match="key 'kept'"):
                await stage.cell.keeping.checkpoint(is_urgent=True)
            await begun_anew(stage)
            assert [fact.reason for fact in stage.told(RevivalBegan)] == [
                "the replicas do not agree on what they hold: database 0 key 'kept'"
            ]
            assert await stage.ask("MGET", "kept", "later") == [b"early", b"late"]
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert stage.cell.core.sweep.unreadable == {}
            await stage.agreed()

    play(scene)


def test_what_they_do_not_agree_on_again_is_said_and_no_more() -> None:
    """A revival did not help: clients are not made to wait for another."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "kept", "early")
            for _ in range(2):
                corrupt(stage, "kept")
                stage.cell.core.changes.keep(0, b"kept", STRING)
                with pytest.raises(OperatorFault, match="do not agree"):
                    await stage.cell.keeping.checkpoint(is_urgent=True)
                await begun_anew(stage)
            assert len(stage.told(RevivalBegan)) == 1
            assert list(stage.cell.core.sweep.unreadable.values()) == [DISAGREED]
            assert await stage.ask("EXISTS", "kept") == 1

    play(scene)


def test_a_revival_that_an_error_of_our_own_ends_halts_the_cell(caplog: pytest.LogCaptureFixture) -> None:
    """Else it would serve on, and never heal again."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            with patch.object(stage.cell.recovery, "go_on", Mock(side_effect=BrokenInvariant("a bug"))):
                crash(stage, 0, 1, 2)
                await stage.until(stage.cell.stopping.is_set, "it halts")
            assert stage.cell.is_broken
            assert stage.told(RevivalEnded) == []
            assert "BrokenInvariant: a bug" in caplog.text

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
            with pytest.raises(OperatorFault, match="replica b was not rebuilt: all replicas begin anew"):
                await asked
            # That of a, which was lost first, may have begun beside it.
            assert {fact.reason for fact in stage.told(RebuildFailed)} == {"all replicas begin anew"}
            may_boot.set()
            await begun_anew(stage)
            assert stage.cell.rebuilder.shadows == {}
            await stage.cell.recover(["b"], None, no_progress)
            await stage.agreed()

    play(scene)


class Forgetful:
    """The part of replicas that forget what they were given, while they are not well."""

    def __init__(self) -> None:
        self.is_well = True

    def __call__(self, replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return reply if self.is_well or request[0] != b"GET" else b"$-1\r\n"


def test_a_seat_is_filled_with_the_next_variant_that_will_do() -> None:
    """One cannot be started, another does not hold what it is given: neither is anybody else's end."""

    async def scene(directory: Path) -> None:
        forgetful = Forgetful()
        wanted = document((("one", "broken", "bad", "four"), ("two",), ("three",)))
        async with staged(wanted, directory, broken="no such program", bad=forgetful) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            forgetful.is_well = False
            crash(stage, 1, 2)
            await begun_anew(stage)
            assert [fact.variant for fact in stage.told(RebuildFailed)][-2:] == ["broken", "bad"]
            assert [seat.variant.name for seat in stage.cell.seats] == ["four", "two", "three"]
            assert await stage.ask("GET", "key") == b"value"
            await stage.agreed()

    play(scene)


def test_f_plus_one_are_enough_to_go_on_with() -> None:
    """The seat of a replica that will not do stays empty, which is said; it is rebuilt as any other that was lost."""

    async def scene(directory: Path) -> None:
        forgetful = Forgetful()
        async with staged(document(), directory, one=forgetful) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            forgetful.is_well = False
            crash(stage, 0, 1)
            await stage.until(lambda: stage.told(RevivalEnded))
            assert stage.told(RevivalEnded)[0].reason == ""
            (empty,) = stage.told(SeatLeftEmpty)
            assert empty.replica == "a"
            assert "replica a could not be given the checkpoint's state" in empty.reason
            assert await stage.ask("GET", "key") == b"value"
            await stage.until(lambda: len(stage.told(RebuildFailed)) >= 3, "it is tried again")
            forgetful.is_well = True
            await stage.until(lambda: stage.cell.core.vote.voters() == 3, "it got well")
            await stage.agreed()
            assert all(fact.seconds > 0 for fact in stage.told(RebuildDone))

    play(scene)


def test_a_liar_among_the_new_replicas_is_convicted() -> None:
    """While the journal is executed again, by the vote of the others."""
    lives = 0

    def lying(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        nonlocal lives
        lives += replica.heard == 1
        return b":99\r\n" if lives == 2 and request[0] == b"INCR" else reply

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, three=lying) as stage:
            for number in range(1, 11):
                assert await stage.ask("INCR", "counter") == number
            crash(stage, 0, 1)
            await stage.until(lambda: stage.told(RevivalEnded))
            assert stage.told(RevivalEnded)[0].reason == ""
            assert Cause.WRONG_WRITE in [notice.cause for notice in stage.told(Convicted)]
            await stage.until(lambda: stage.cell.core.vote.voters() == 3, "its seat is filled")
            assert await stage.ask("INCR", "counter") == 11
            assert await stage.agreed() == [(0, b"counter", repr(b"11"))]

    play(scene)


def test_one_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "GRACE_SECONDS_MIN", 0.05)
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
            assert [(fact.replica, fact.reason) for fact in stage.told(SeatLeftEmpty)] == [("a", "it took too long")]
            is_awake = True
            assert await stage.ask("GET", "key") == b"value"

    play(scene)


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_old_domain_that_the_machine_does_not_end_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_seen: bool
) -> None:
    """Whether that is an error or lasts: it is looked after in the background, until the cell ends."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            old = stage.current()[0].domain
            kill, may_end = old.kill, asyncio.Event()

            async def unending() -> Ended:
                if not is_seen:
                    await may_end.wait()
                ended = await kill()
                if is_seen:
                    raise OperatorFault("the kernel does not end process 7")
                return ended

            monkeypatch.setattr(old, "kill", unending)
            crash(stage, 1, 2)
            await begun_anew(stage)
            assert await stage.ask("GET", "key") == b"value"
            assert not stage.cell.stopping.is_set()
            assert old in stage.cell.seats[0].retiring
            if is_seen:
                assert "the kernel does not end process 7" in caplog.text
            may_end.set()
            if not is_seen:
                await stage.until(lambda: not stage.cell.seats[0].retiring, "it is ended in the end")
            await stage.agreed()

    play(scene)


def test_where_too_few_can_be_had_the_cell_is_lost_until_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients get errors meanwhile, and nothing that was acknowledged is lost."""
    monkeypatch.setattr(revival, "LOST_SECONDS_FIRST", 0.05)

    async def scene(directory: Path) -> None:
        forgetful = Forgetful()
        async with staged(document(), directory, one=forgetful, two=forgetful) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            await stage.ask("SET", "later", "another")
            forgetful.is_well = False
            waiting = asyncio.ensure_future(stage.cell.recover(["c"], None, no_progress))
            await stage.until(lambda: len(stage.replicas) >= 4)
            crash(stage, 0, 1)
            await stage.until(lambda: len(stage.told(RevivalEnded)) >= 2, "it is tried again")
            assert "could not be given the checkpoint's state" in stage.told(RevivalEnded)[0].reason
            assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], OperatorFault)
            assert "NOQUORUM" in str(await stage.ask("GET", "key"))
            with pytest.raises(OperatorFault, match="the cell is lost") as fault:
                await stage.cell.recover(["a"], None, no_progress)
            assert "tried again" in fault.value.hint
            assert not stage.cell.stopping.is_set()
            forgetful.is_well = True
            await stage.until(lambda: stage.told(RevivalEnded)[-1].reason == "", "they can be had again")
            assert await stage.ask("MGET", "key", "later") == [b"value", b"another"]
            await stage.cell.recover(["a"], None, no_progress)
            await stage.agreed()

    play(scene)


def test_a_cell_that_is_to_halt_where_it_is_lost_is_not_tried_again() -> None:
    async def scene(directory: Path) -> None:
        forgetful = Forgetful()
        wanted = document()
        wanted["cell"]["on_quorum_lost"] = "halt"
        async with staged(wanted, directory, one=forgetful, two=forgetful) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            forgetful.is_well = False
            crash(stage, 0, 1)
            await stage.until(stage.cell.stopping.is_set, "it halts")
            assert len(stage.told(RevivalEnded)) == 1
            await stage.until(lambda: not any(replica.domain.running for replica in stage.replicas), "all have ended")
            assert all(seat.role is Role.RETIRED for seat in stage.cell.seats)
            assert "NOQUORUM" in str(await stage.ask("GET", "key"))

    play(scene)


def test_it_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "REVIVAL_SECONDS_MAX", 0.3)

    is_awake = True

    def sleepy(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return reply if is_awake else None

    async def scene(directory: Path) -> None:
        nonlocal is_awake
        async with staged(document(), directory, one=sleepy, two=sleepy) as stage:
            await stage.ask("SET", "key", "value")
            is_awake = False
            crash(stage, 1, 2)
            await stage.until(lambda: stage.told(RevivalEnded))
            assert stage.told(RevivalEnded)[0].reason == "it took too long"

    play(scene)
