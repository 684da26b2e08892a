"""Starting from what was kept: every replica is filled and proved, and what came after is executed again."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import assemble, boot, journaling, keeping, rebuild, restart
from quorate.facts import RebuildFailed, RevivalBegan, RevivalEnded, SeatLeftEmpty
from quorate.keeping import StateKeeping
from quorate.restart import DISAGREEMENT_HINT, replay, surviving
from quorate.state.journal_file import JournalFile
from quorate.trusted.errors import OperatorFault
from quorate.trusted.journal_record import Entry
from quorate.trusted.messages import Cause, Convicted, Retired, Role
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.shell import Shell
from quorate.trusted.tombstones import Tombstones
from tests.cell.bare import KIB, SECOND_NS, SLOW, SlowLane
from tests.cell.inside import Part, Replica, Stage, config_of, document, play, staged
from tests.cell.support import Document

REQUESTS = [b"one", b"two", b"three", b"four"]


def durable(sync: str = "always", clients_max: int = 100) -> Document:
    """A cell that keeps its journal."""
    return document(clients_max=clients_max) | {"journal": {"sync": sync}}


def impatient() -> Document:
    """The same, where no decision is waited for long."""
    wanted = durable()
    wanted["limits"] |= {"silence_ns_max": SECOND_NS // 4, "decision_ns_max": SECOND_NS // 4 + 1}
    return wanted


# What is executed again of one entry.


@pytest.mark.parametrize(
    ("buried", "expected"),
    [
        ([], [(5, REQUESTS)]),
        ([(4, 4), (9, 9)], [(5, REQUESTS)]),
        ([(5, 5)], [(5, []), (6, REQUESTS[1:])]),
        ([(8, 8)], [(5, REQUESTS[:3])]),
        ([(6, 7)], [(5, REQUESTS[:1]), (8, REQUESTS[3:])]),
        ([(1, 6), (8, 90)], [(5, []), (7, REQUESTS[2:3])]),
        ([(1, 90)], [(5, [])]),
        ([(1, 7), (3, 3)], [(5, []), (8, REQUESTS[3:])]),
        ([(6, 8), (7, 7)], [(5, REQUESTS[:1])]),
        ([(1, 90), (6, 6)], [(5, [])]),
    ],
)
def test_buried_slots_are_left_out(buried: list[tuple[int, int]], expected: list[tuple[int, list[bytes]]]) -> None:
    """What they may have changed is read again all the same: the first part keeps all keys."""
    entry = Entry(5, 2 << 16, 1, [(0, 1, b"key")], REQUESTS)
    tombstones = Tombstones()
    for first, last in buried:
        tombstones.bury(first, last, f"reason {first}")
    parts = surviving(entry, tombstones)
    assert [(part.first, part.requests) for part in parts] == expected
    assert all((part.mode, part.frames) == (entry.mode, 1) for part in parts)
    assert [part.changes for part in parts] == [entry.changes, *[[] for _ in parts[1:]]]


@given(st.lists(st.tuples(st.integers(1, 24), st.integers(0, 9)), max_size=6), st.integers(1, 24), st.integers(0, 24))
def test_all_but_what_was_buried_is_executed_in_order(buried: list[tuple[int, int]], first: int, count: int) -> None:
    """Whatever ranges overlap: an operator may leave out what is left out already."""
    tombstones = Tombstones()
    for begin, more in buried:
        tombstones.bury(begin, begin + more, f"reason {begin}")
    parts = surviving(Entry(first, 0, 1, [], [b"%d" % slot for slot in range(first, first + count)]), tombstones)
    left_out = {slot for begin, more in buried for slot in range(begin, begin + more + 1)}
    executed = [(part.first + index, request) for part in parts for index, request in enumerate(part.requests)]
    assert executed == [(slot, b"%d" % slot) for slot in range(first, first + count) if slot not in left_out]


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


def test_a_start_that_has_much_to_read_lets_the_keeper_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than may wait for the keeper was written since the last checkpoint: whoever lets the sweep go on runs."""
    monkeypatch.setattr(keeping, "BACKLOG_BYTES_MAX", 10_000)

    async def scene(directory: Path) -> None:
        wanted = document(sweep_keys_max=8, closing_keys_max=8) | {"journal": {"sync": "always"}}
        async with staged(wanted, directory) as stage:
            for number in range(200):
                await stage.ask("SET", number, "x" * 10_000)
            before = await stage.agreed()
        async with staged(wanted, directory) as stage:
            assert stage.cell.keeping.checkpoint_slot >= 200
            assert await stage.agreed() == before

    play(scene)


def test_nobody_is_served_before_it_is_known_when_all_keys_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where there can be no checkpoint, because one key, which is found out first, cannot be read."""
    listen, were_unread = Shell.listen, list[bool]()

    async def listening(shell: Shell, listener: socket.socket) -> None:
        were_unread.append(shell.core.changes.count > 0 or shell.core.sweep.is_wanted)
        await listen(shell, listener)

    monkeypatch.setattr(Shell, "listen", listening)

    async def scene(directory: Path) -> None:
        wanted = document(reply_bytes_max=4_096, unordered_bytes_max=4_096) | {"journal": {"sync": "always"}}
        async with staged(wanted, directory) as stage:
            await stage.ask("RPUSH", "long", *["x" * 1_000] * 5)
            for number in range(200):
                await stage.ask("SET", number, "value", "PX", 600_000)
        async with staged(wanted, directory) as stage:
            assert list(stage.cell.core.sweep.unreadable) == [(0, b"long")]
        assert were_unread == [False, False]

    play(scene)


def test_replicas_that_are_lost_during_the_first_checkpoint_begin_anew() -> None:
    """It is waited for before clients are served, and what is lost meanwhile is seen to all the same."""

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            await stage.ask("INCR", "counter")
        died: list[str] = []

        def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
            if request[0] == b"GET" and replica.name not in died:  # it is read for the checkpoint
                died.append(replica.name)
                replica.domain.crash(1)
            return reply

        async with staged(durable(), directory, one=frail, two=frail, three=frail) as stage:
            assert len(died) >= 2
            await stage.until(lambda: stage.told(RevivalEnded), "all began anew")
            assert [fact.reason for fact in stage.told(RevivalEnded)] == [""]
            assert await stage.ask("INCR", "counter") == 2
            await stage.agreed()

    play(scene)


@pytest.mark.parametrize("has_journal", [True, False])
@pytest.mark.parametrize("moment", ["learning", "reading", "listening"])
def test_replicas_that_are_lost_at_any_moment_of_a_start_begin_anew(
    monkeypatch: pytest.MonkeyPatch, moment: str, has_journal: bool
) -> None:
    """Whatever it waits for: that too few vote is told once, and must not be told to nobody."""
    stages: list[Stage] = []

    async def lose() -> None:
        stage = stages.pop()
        for replica in stage.current()[:2]:
            replica.domain.crash(1)
        await stage.until(lambda: len(stage.told(Convicted)) == 2, "it is told that they are lost")

    async def learning(*arguments: Any) -> None:
        await restart.learn(*arguments)
        if stages and moment == "learning":
            await lose()

    async def listening(shell: Shell, listener: socket.socket) -> None:
        await listen(shell, listener)
        if stages and moment == "listening":
            await lose()

    async def reading(keeping: StateKeeping) -> None:
        if stages and moment == "reading":
            await lose()
        await read(keeping)

    listen, read = Shell.listen, StateKeeping.read
    monkeypatch.setattr(journaling, "learn", learning)
    monkeypatch.setattr(Shell, "listen", listening)
    monkeypatch.setattr(StateKeeping, "read", reading)

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            await count(stage)
            await stage.cell.keeping.checkpoint(is_urgent=True)
            if has_journal:
                await stage.ask("INCR", "counter")
        stage = Stage(config_of(durable(), directory), {})
        stages.append(stage)
        with patch.object(assemble, "make", stage.make), patch.object(rebuild, "make", stage.make):
            try:
                await stage.start()
                if has_journal or moment != "reading":
                    await stage.until(lambda: stage.told(RevivalEnded), "all began anew")
                    assert [fact.reason for fact in stage.told(RevivalEnded)] == [""]
                assert await stage.ask("INCR", "counter") == 11 + has_journal
                await stage.cell.recover(["b"], None, lambda replica, told, share: None)
                await stage.agreed()
            finally:
                await stage.stop()

    play(scene)


def test_a_start_that_loses_all_it_has_while_it_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for what can no longer be read."""
    monkeypatch.setattr(boot, "BOOT_SECONDS_MAX", 3.0)
    lives: dict[str, int] = {}

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if request[0] == b"GET":  # it is read for the checkpoint
            lives[replica.name] = lives.get(replica.name, 0) + 1
            replica.domain.crash(1)
        return b"-LOADING\r\n" if lives.get(replica.name) else reply

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            await stage.ask("INCR", "counter")
        fault = await refused(directory, one=frail, two=frail, three=frail)
        assert lives
        assert "did not become ready" in str(fault)

    play(scene)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_start_goes_on_to_the_next_variant_where_one_will_not_do(is_empty: bool) -> None:
    async def scene(directory: Path) -> None:
        wanted = document((("one",), ("two",), ("three", "broken", "four"))) | {"journal": {"sync": "always"}}
        async with staged(wanted, directory) as stage:
            if not is_empty:
                await stage.ask("SET", "key", "value")
                await stage.cell.keeping.checkpoint(is_urgent=True)
        async with staged(wanted, directory, three="no such library", broken="no such program") as stage:
            assert [seat.variant.name for seat in stage.cell.seats] == ["one", "two", "four"]
            assert [fact.variant for fact in stage.told(RebuildFailed)] == ["three", "broken"]
            assert stage.told(SeatLeftEmpty) == []
            assert await stage.ask("GET", "key") == (None if is_empty else b"value")
            await stage.agreed()

    play(scene)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_start_needs_f_plus_one_replicas(is_empty: bool) -> None:
    """The third seat is filled as one that lost its replica is; until then it is said that it has none, and why."""

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            if not is_empty:
                await stage.ask("SET", "key", "value")
                await stage.cell.keeping.checkpoint(is_urgent=True)
                await stage.ask("INCR", "counter")
        parts: dict[str, Part | str] = {"two": "no such program"}
        async with staged(durable(), directory, **parts) as stage:
            (empty,) = stage.told(SeatLeftEmpty)
            assert (empty.replica, empty.reason) == ("b", "no such program")
            seat = stage.cell.seats[1]
            assert (seat.role, seat.cause) == (Role.RETIRED, "no such program")
            assert await stage.ask("INCR", "counter") == (1 if is_empty else 2)
            await stage.until(lambda: len(stage.told(RebuildFailed)) >= 3, "it is tried again")
            stage.parts.pop("two")
            await stage.until(lambda: stage.cell.core.vote.voters() == 3, "its seat is filled")
            assert await stage.ask("INCR", "counter") == (2 if is_empty else 3)
            await stage.agreed()
            await stage.cell.recover(["b"], None, lambda replica, told, share: None)

    play(scene)


def test_a_start_with_fewer_than_that_is_refused() -> None:
    """Nothing of those that could be started is left."""

    async def scene(directory: Path) -> None:
        fault = await refused(directory, one="no such program", two="no such library")
        assert str(fault) == "no such program"

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


async def refused(directory: Path, wanted: Document | None = None, /, **parts: Part | str) -> OperatorFault:
    """A cell that must not start on what is there: what it says."""
    with pytest.raises(OperatorFault) as fault:
        async with staged(wanted or durable(), directory, **parts):
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
        fault = await refused(directory, two=forgetful, three=forgetful)
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
        assert str(fault) == "the replicas do not agree on what the journal holds, at slot 1"
        assert fault.hint.startswith(DISAGREEMENT_HINT)
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


def test_replicas_that_end_while_the_journal_is_executed_again_take_nothing_with_them() -> None:
    """All of it was acknowledged. It is there at the next start, and at the one after."""
    lives: dict[str, Replica] = {}

    def frail(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if reply == b":40\r\n" and lives.setdefault(replica.name, replica) is not replica:
            replica.domain.crash(1)
        return reply

    async def scene(directory: Path) -> None:
        parts = {"one": frail, "two": frail, "three": frail}
        async with staged(durable(), directory, **parts) as stage:
            for number in range(1, 61):
                assert await stage.ask("INCR", "counter") == number
            for replica in stage.current():
                replica.domain.crash(1)
            await stage.until(lambda: any(fact.reason for fact in stage.told(RevivalEnded)), "the replay fails")
        for expected in (60, 120):
            async with staged(durable(), directory) as stage:
                assert await stage.ask("GET", "counter") == b"%d" % expected
                for number in range(expected + 1, expected + 61):
                    assert await stage.ask("INCR", "counter") == number

    play(scene)


def test_no_slot_is_given_away_twice() -> None:
    """Else the tombstone of one write would lie on a later one of the same number, which was acknowledged."""

    async def scene(directory: Path) -> None:
        async with staged(durable(), directory) as stage:
            assert await stage.ask("INCR", "counter") == 1
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert await stage.ask("INCR", "counter") == 2
            recording, slot = stage.cell.core.recording, stage.cell.core.order.next_slot
            assert recording.journal is not None
            recording.journal.tombstone(slot + 20, "unanswered", stage.cell.shell.now())
            recording.journal.tombstone(slot + 21, "unanswered", stage.cell.shell.now())
        for expected in (2, 32):
            async with staged(durable(), directory) as stage:
                assert stage.cell.core.order.next_slot > slot + 21
                assert await stage.ask("GET", "counter") == b"%d" % expected
                for number in range(expected + 1, expected + 31):
                    assert await stage.ask("INCR", "counter") == number

    play(scene)


# A poison whose tombstone was not written yet when everything ended.


def fatal(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Ends with the poison."""
    if b"poison" in request:
        replica.domain.crash(1)
    return reply


def deaf(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Says no more after the poison."""
    return None if b"poison" in request else reply


def differing(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Says something else than others."""
    return b"+" + replica.name.encode() + b"\r\n" if b"poison" in request else reply


async def poisoned(directory: Path, part: Part, wanted: Document | None = None) -> None:
    """What a cell leaves that is killed when a poison is in its journal, and nobody has found out yet."""
    state, copy = directory / "state", directory / "copy"

    def witness(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        if b"poison" in request and not copy.exists():
            shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.new"))
        return part(replica, request, reply)

    async with staged(wanted or durable(), directory, one=witness, two=witness, three=witness) as stage:
        for number in range(1, 11):
            assert await stage.ask("INCR", "counter") == number
        assert "NOQUORUM" in str(await stage.ask("SET", "key", "poison"))
    shutil.rmtree(state)
    copy.rename(state)


@pytest.mark.parametrize("part", [fatal, deaf, differing])
def test_a_poison_that_was_not_buried_in_time_is_named_and_left_out_when_the_operator_says_so(part: Part) -> None:
    """Whether anybody was told of its success the journal does not know. Nothing else is lost."""

    async def scene(directory: Path) -> None:
        await poisoned(directory, part, impatient())
        parts: dict[str, Part | str] = {"one": part, "two": part, "three": part}
        for _ in range(2):
            fault = await refused(directory, impatient(), **parts)
            assert str(fault) == "the replicas do not agree on what the journal holds, at slot 11"
            assert fault.hint.endswith("start once with --leave-out 11")
        async with staged(durable(), directory, 11, **parts) as stage:
            assert stage.told(RevivalBegan) == []
            assert await stage.ask("GET", "counter") == b"10"
            assert await stage.ask("GET", "key") is None
            assert await stage.ask("INCR", "counter") == 11
            await stage.agreed()
        async with staged(durable(), directory, **parts) as stage:
            assert await stage.ask("GET", "counter") == b"11"

    play(scene)


@pytest.mark.parametrize("slot", [1, 5, 99])
def test_only_what_the_journal_still_holds_can_be_left_out(slot: int) -> None:
    async def scene(directory: Path) -> None:
        await fill(directory, is_checkpointed=True)
        with pytest.raises(OperatorFault, match=f"the journal holds no slot {slot} behind its checkpoint"):
            async with staged(durable(), directory, slot):
                pytest.fail("it started")

    play(scene)


def test_what_is_no_poison_to_other_variants_is_executed() -> None:
    """All begin anew as what comes next in their lists."""

    async def scene(directory: Path) -> None:
        wanted = durable() | {
            key: document((("one", "four"), ("two", "five"), ("three", "six")))[key] for key in ("variant", "replica")
        }
        await poisoned(directory, fatal, wanted)
        async with staged(wanted, directory, one=fatal, two=fatal, three=fatal) as stage:
            assert await stage.ask("GET", "key") == b"poison"
            assert len(stage.told(RevivalBegan)) == 1
            assert not stage.told(RevivalEnded)[0].reason
            await stage.agreed()

    play(scene)


def test_much_is_executed_again_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that little needs to be tried one by one."""
    monkeypatch.setattr("quorate.restart.SLOTS_AT_ONCE", 3)

    async def scene(directory: Path) -> None:
        await poisoned(directory, fatal)
        fault = await refused(directory, one=fatal, two=fatal, three=fatal)
        assert str(fault).endswith("at slot 11")

    play(scene)


# A replica that is slow to take what is executed again.

MIB = 1024 * KIB
ENTRIES = 8
# More than the kernel takes of a lane's bytes before the shell must keep any, and than may be under way.
ENTRY_REQUESTS = 128
REQUEST = encode_request([b"SET", b"key", b"x" * 8 * KIB])


class Written:
    """A journal's file, as far as it is read when it is executed again: more than a replica may owe."""

    def entries(self, after: int) -> Iterator[Entry]:
        """All that was written."""
        for number in range(ENTRIES):
            yield Entry(after + 1 + number * ENTRY_REQUESTS, 0, 1, [], [REQUEST] * ENTRY_REQUESTS)


class Lanes(SlowLane):
    """A core that executes again, and three lanes."""

    def __init__(self, throttle_ns_max: int) -> None:
        super().__init__(throttle_ns_max, lag_bytes_max=4 * MIB)
        self.core.is_suspended = True

    async def replay(self) -> None:
        """Execute again all that was written."""
        assert await replay(self.core, self.shell, cast(JournalFile, Written()), 0) == ENTRIES * ENTRY_REQUESTS

    def waits(self) -> bool:
        """Whether all that was asked is decided, and nothing more is asked for now, since the slow one is behind."""
        return self.is_throttled() and not self.core.order.inflight_slots


def slowly(throttle_ns_max: int, scene: Callable[[Lanes, asyncio.Task[None]], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        lanes = Lanes(throttle_ns_max)
        try:
            await lanes.open()
            replaying = asyncio.create_task(lanes.replay())
            await scene(lanes, replaying)
            await replaying
        finally:
            await lanes.close()

    asyncio.run(bounded())


def test_others_wait_for_a_replica_that_is_slow_to_execute_again() -> None:
    """As clients would have to: what is sent to it stays within what is kept for it, and nobody calls it mute."""

    async def scene(lanes: Lanes, replaying: asyncio.Task[None]) -> None:
        await lanes.until(lambda: lanes.waits() or replaying.done())
        assert not replaying.done()
        assert lanes.core.vote.seats[SLOW].owed_bytes <= lanes.core.limits.lag_bytes_max
        lanes.may_take.set()
        await replaying
        await lanes.until(lambda: not any(seat.owed for seat in lanes.core.vote.seats))
        assert lanes.core.roles == [Role.VOTING] * 3
        assert lanes.notices == []

    slowly(200 * SECOND_NS, scene)


def test_one_that_stays_behind_is_retired_and_the_others_go_on() -> None:
    """Without blame, and though nothing else happens that would have anybody look."""

    async def scene(lanes: Lanes, replaying: asyncio.Task[None]) -> None:
        await replaying
        (notice,) = lanes.notices
        assert isinstance(notice, Retired)
        assert (notice.seat, notice.cause) == (SLOW, Cause.LAG)

    slowly(SECOND_NS // 4, scene)
