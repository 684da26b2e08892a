"""State is kept: checkpoints come in time, hold what the replicas hold, and what keeps them from coming is said."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.facts import RebuildDone, RebuildFailed, RevivalEnded, StateLost, StateMiscounted, StateRegained
from quorate.state.anchor import Anchor
from quorate.state.faults import StateFault
from quorate.state.journal_file import JournalFile
from quorate.state.link import Keeper
from quorate.trusted.changes import Checkpoint
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import Convicted, QuorumLost, Role, StateUnreadable
from tests.cell.inside import Replica, Stage, document, play, staged
from tests.test_recovery import NEVER_SECONDS, no_progress


async def kept_names(stage: Stage) -> list[bytes]:
    """The names of all keys in the store."""
    return [key for _, key, _ in await stage.cell.keeping.keeper().page(None, 1_000)]


@pytest.mark.parametrize("every", [20, "200ms"])
def test_checkpoints_come_after_slots_or_after_time(every: int | str) -> None:
    async def scene(directory: Path) -> None:
        async with staged(document() | {"checkpoint": {"every": every}}, directory) as stage:
            keeping = stage.cell.keeping
            assert keeping.checkpoint_slot == 0
            for number in range(25):
                await stage.ask("SET", f"key{number}", number)
            written = stage.cell.core.order.next_slot - 1
            await stage.until(lambda: keeping.checkpoint_slot >= written, "there is a checkpoint")
            assert keeping.checkpoint_at is not None
            assert len(await kept_names(stage)) == 25
            for number in range(25):
                await stage.ask("DEL", f"key{number}")
            deleted = stage.cell.core.order.next_slot - 1
            await stage.until(lambda: keeping.checkpoint_slot >= deleted, "there is another")
            assert await kept_names(stage) == []

    play(scene)


def test_the_checkpoint_that_a_cell_starts_from_is_its_newest() -> None:
    """How old it is nobody knows."""
    wanted = document() | {"journal": {"sync": "always"}}

    async def scene(directory: Path) -> None:
        async with staged(wanted, directory) as stage:
            await stage.ask("SET", "key", "value")
            slot = await stage.cell.keeping.checkpoint(is_urgent=True)
        async with staged(wanted, directory) as stage:
            keeping = stage.cell.keeping
            assert (keeping.checkpoint_slot, keeping.checkpoint_at) == (slot, None)

    play(scene)


@pytest.mark.parametrize(("sync", "is_durable"), [("off", False), ("interval", True), ("always", True)])
def test_a_checkpoint_is_on_disk_before_the_journal_is_cut_off_behind_it(
    monkeypatch: pytest.MonkeyPatch, sync: str, is_durable: bool
) -> None:
    """With `off` nothing on disk is promised to anybody. Else the store is synchronised, and only then cut."""
    done: list[str] = []
    commit, truncate = Keeper.commit, JournalFile.truncate

    def committing(
        keeper: Keeper, slot: int, extras: bytes, counts: dict[int, int], is_durable: bool, anchor: Anchor
    ) -> None:
        done.append(f"commit {slot}, {'durable' if is_durable else 'not durable'}")
        commit(keeper, slot, extras, counts, is_durable, anchor)

    def cutting(file: JournalFile, slot: int) -> None:
        done.append(f"cut {slot}")
        truncate(file, slot)

    monkeypatch.setattr(Keeper, "commit", committing)
    monkeypatch.setattr(JournalFile, "truncate", cutting)

    async def scene(directory: Path) -> None:
        async with staged(document() | {"journal": {"sync": sync}}, directory) as stage:
            await stage.ask("SET", "key", "value")
            done.clear()
            slot = await stage.cell.keeping.checkpoint(is_urgent=True)
            assert done == [f"commit {slot}, {'durable' if is_durable else 'not durable'}", f"cut {slot}"]

    play(scene)


def test_what_waits_for_a_checkpoint_is_told_its_slot() -> None:
    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            keeping = stage.cell.keeping
            slots = await asyncio.gather(keeping.checkpoint(is_urgent=True), keeping.checkpoint(is_urgent=False))
            assert min(slots) >= 1
            assert keeping.checkpoint_slot == max(slots)
            assert await kept_names(stage) == [b"key"]
            assert keeping.next_feed() != keeping.next_feed()

    play(scene)


def test_keys_that_nobody_noted_are_found_by_their_number() -> None:
    """The replicas hold one more than the store: all of that database is read again, so that none is missing."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            for replica in stage.replicas:
                replica.keyspace.databases[0].values[b"ghost"] = b"boo"
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert stage.told(StateMiscounted) == [StateMiscounted([0])]
            assert stage.cell.core.sweep.miscounts == 0
            assert sorted(await kept_names(stage)) == [b"ghost", b"key"]
            await stage.cell.recover(["b"], None, no_progress)
            assert len(await stage.agreed()) == 2

    play(scene)


def writes_undeclared(replica: Replica, request: list[bytes], reply: bytes) -> bytes:
    """A part: INCR changes a key besides the one that it names, as an ill-written script does."""
    if request[0].upper() == b"INCR":
        replica.keyspace.databases[0].values[b"undeclared " + request[1]] = b"written"
    return reply


def miscounted(stage: Stage, act: Callable[[Callable[[], None]], None]) -> list[list[int]]:
    """From now on, when the keeper says of which databases the count was wrong, `act` is given what follows of that."""
    keeper, told = stage.cell.keeping.keeper(), []
    follow = keeper.on_miscounted

    def hear(databases: list[int]) -> None:
        told.append(databases)
        act(lambda: follow(databases))

    keeper.on_miscounted = hear
    return told


def test_a_checkpoint_that_lacks_a_key_is_never_one() -> None:
    """Neither before the next is asked for, nor where the cell ends at once: it starts from the one before."""
    wanted = document() | {"journal": {"sync": "always"}}
    parts = dict.fromkeys(("one", "two", "three"), writes_undeclared)
    names = [b"counter", b"key", b"undeclared counter"]

    async def scene(directory: Path) -> None:
        async with staged(wanted, directory, **parts) as stage:
            await stage.ask("SET", "key", "value")
            keeping = stage.cell.keeping
            first = await keeping.checkpoint(is_urgent=True)
            assert await stage.ask("INCR", "counter") == 1
            told = miscounted(stage, lambda follow: None)
            waiting = asyncio.ensure_future(keeping.checkpoint(is_urgent=True))
            await stage.until(lambda: told == [[0]], "the number of keys is wrong")
            assert (keeping.checkpoint_slot, keeping.keeper().checkpoint.slot) == (first, first)
            assert not waiting.done()
            waiting.cancel()
            held = await stage.agreed()
        async with staged(wanted, directory, **parts) as stage:
            assert [key for _, key, _ in held] == names
            assert await stage.agreed() == held
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert sorted(await kept_names(stage)) == names

    play(scene)


def test_replicas_that_begin_anew_where_a_checkpoint_would_lack_a_key_have_it() -> None:
    parts = dict.fromkeys(("one", "two", "three"), writes_undeclared)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory, **parts) as stage:
            await stage.ask("SET", "key", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert await stage.ask("INCR", "counter") == 1

            def crash(follow: Callable[[], None]) -> None:
                for replica in stage.current() if len(told) == 1 else ():
                    replica.domain.crash(1)
                follow()

            told = miscounted(stage, crash)
            held = await stage.agreed()
            await stage.cell.keeping.checkpoint(is_urgent=True)
            await stage.until(lambda: stage.told(RevivalEnded), "all begin anew")
            assert await stage.agreed() == held
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert sorted(await kept_names(stage)) == [b"counter", b"key", b"undeclared counter"]

    play(scene)


@pytest.mark.parametrize("strategy", ["shadow", "restart"])
def test_a_shadow_is_not_sealed_where_there_is_no_checkpoint_but_at_the_next(strategy: str) -> None:
    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            sealed: list[bool] = []

            def plant(name: str, at: str, share: float) -> None:
                if at == Role.CATCHING_UP.value and not told:
                    for replica in stage.current():
                        replica.keyspace.databases[0].values[b"ghost"] = b"boo"

            def follow_on(follow: Callable[[], None]) -> None:
                sealed.append(stage.cell.core.sweep.is_sealed())
                follow()

            told = miscounted(stage, follow_on)
            recovering = asyncio.ensure_future(stage.cell.recover(["b"], strategy, plant))
            while not recovering.done():
                await stage.ask("INCR", "counter")
            await recovering
            assert sealed == [True]
            assert stage.told(Convicted) == stage.told(RebuildFailed) == []
            assert [key for _, key, _ in await stage.agreed()] == [b"counter", b"ghost", b"key"]
            assert sorted(await kept_names(stage)) == [b"counter", b"ghost", b"key"]

    play(scene)


def test_who_is_to_be_sealed_when_the_keeper_ends_before_its_commit_is_told() -> None:
    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            pid = stage.cell.keeping.keeper().pid

            def stop(name: str, at: str, share: float) -> None:
                if at == Role.CATCHING_UP.value:
                    os.kill(pid, signal.SIGSTOP)

            recovering = asyncio.ensure_future(stage.cell.recover(["b"], None, stop))
            await stage.until(stage.cell.core.sweep.is_sealed, "the shadow is to be sealed")
            assert stage.cell.core.joining.begun
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(OperatorFault, match="replica b was not rebuilt: the keeper of the state store ended"):
                await recovering
            assert not stage.cell.core.joining.waiting

    play(scene)


def test_a_keeper_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was doing; and what nobody kept meanwhile is kept by the next one."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            keeping = stage.cell.keeping
            await keeping.checkpoint(is_urgent=True)
            hanging = keeping.keeper()
            os.kill(hanging.pid, signal.SIGSTOP)
            await stage.ask("SET", "other", "value")
            waiting = asyncio.ensure_future(keeping.checkpoint(is_urgent=True))
            with monkeypatch.context() as impatient:
                impatient.setattr("quorate.keeping.ANSWER_SECONDS_MAX", 0.01)
                with pytest.raises(StateFault, match="the keeper of the state store does not answer"):
                    await waiting
            await stage.until(lambda: keeping.has_keeper, "there is another keeper")
            assert keeping.keeper() is not hanging
            await keeping.checkpoint(is_urgent=True)
            assert sorted(await kept_names(stage)) == [b"key", b"other"]

    play(scene)


def test_a_key_that_one_replica_lost_is_found_out_by_its_number() -> None:
    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            await stage.ask("SET", "other", "value")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            del stage.current()[2].keyspace.databases[0].values[b"key"]
            await stage.ask("SET", "other", "again")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            await stage.until(lambda: stage.told(Convicted), "it is convicted")
            assert [notice.seat for notice in stage.told(Convicted)] == [2]
            await stage.until(lambda: stage.told(RebuildDone))
            assert len(await stage.agreed()) == 2

    play(scene)


def test_the_scrub_has_all_that_is_kept_read_again_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that rots where nobody writes or asks for it is found all the same, and its replica is replaced."""
    monkeypatch.setattr("quorate.keeping.SCRUB_SECONDS", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(scrub_keys_max=2) | {"checkpoint": {"every": "200ms"}}, directory) as stage:
            for number in range(7):
                await stage.ask("SET", f"key{number}", number)
            await stage.cell.keeping.checkpoint(is_urgent=True)
            stage.current()[1].keyspace.databases[0].values[b"key6"] = b"rotten"
            await stage.until(lambda: stage.told(Convicted), "it is convicted")
            assert [notice.seat for notice in stage.told(Convicted)] == [1]
            await stage.until(lambda: stage.told(RebuildDone))
            assert await stage.ask("GET", "key6") == b"6"
            assert len(await stage.agreed()) == 7

    play(scene)


def test_a_key_that_cannot_be_read_is_said_to_who_waits() -> None:
    async def scene(directory: Path) -> None:
        async with staged(document(reply_bytes_max=4_096, unordered_bytes_max=4_096), directory) as stage:
            for _ in range(5):
                await stage.ask("RPUSH", "long", "x" * 1_000)
            with pytest.raises(StateFault, match=r"database 0 key 'long' cannot be read: .* limit") as fault:
                await stage.cell.keeping.checkpoint(is_urgent=True)
            assert fault.value.hint == "see docs/recovery.md"
            assert [notice.key for notice in stage.told(StateUnreadable)] == [b"long"]
            await stage.ask("LPOP", "long")
            await stage.ask("LPOP", "long")
            await stage.cell.keeping.checkpoint(is_urgent=True)
            assert await kept_names(stage) == [b"long"]

    play(scene)


def test_without_its_keeper_a_cell_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told; nothing is noted any more; and a revival, which needs what was kept, waits for it in vain."""
    monkeypatch.setattr("quorate.keeping.KEPT_SECONDS_MAX", 0.05)
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", NEVER_SECONDS)
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_MAX", NEVER_SECONDS)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            keeping = stage.cell.keeping
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            with pytest.raises(StateFault):
                await keeping.checkpoint(is_urgent=True)
            await stage.until(lambda: stage.told(StateLost), "the operator is told")
            assert not keeping.has_keeper
            with pytest.raises(StateFault):
                keeping.keeper()
            assert await stage.ask("SET", "key", "again") == b"OK"
            assert stage.cell.core.changes.count == 0
            with pytest.raises(OperatorFault, match="replica b was not rebuilt"):
                await stage.cell.recover(["b"], None, no_progress)
            for seat in (0, 1):
                stage.current()[seat].domain.crash(1)
            await stage.until(lambda: stage.told(QuorumLost))
            assert "NOQUORUM" in str(await stage.ask("GET", "key"))

    play(scene)


def test_another_keeper_reads_all_that_the_replicas_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written, deleted and emptied while there was none is in the next checkpoint, and rebuilds go on."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.05)

    async def scene(directory: Path) -> None:
        async with staged(document() | {"journal": {"sync": "always"}}, directory) as stage:
            for name in ("kept", "changed", "deleted"):
                await stage.ask("SET", name, "before")
            for request in ("SELECT 3", "SET emptied x", "SELECT 5", "SET elsewhere x"):
                await stage.ask(*request.split())
            keeping = stage.cell.keeping
            await keeping.checkpoint(is_urgent=True)
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            await stage.until(lambda: not keeping.has_keeper, "it is lost")
            for request in ("SELECT 3", "FLUSHDB", "SELECT 0", "DEL deleted", "SET changed after"):
                await stage.ask(*request.split())
            assert "ended" in str(keeping.fault)
            await stage.until(lambda: stage.told(StateRegained), "state is kept again")
            assert len(stage.told(StateLost)) == 1
            assert keeping.keeper().checkpoint.counts == {0: 2, 5: 1}
            assert await kept_names(stage) == [b"changed", b"kept", b"elsewhere"]
            await stage.cell.recover(["b"], None, no_progress)
            held = await stage.agreed()
            for replica in stage.current():
                replica.domain.crash(1)
            await stage.until(lambda: stage.told(RevivalEnded), "all begin anew")
            assert await stage.ask("GET", "changed") == b"after"
            assert await stage.agreed() == held

    play(scene)


def test_a_keeper_is_tried_for_until_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less and less often; a checkpoint makes the next wait a short one again."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)
    failures: list[Exception] = [OSError("no process"), OperatorFault("no program"), StateFault("no room")]

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            keeping, begin = stage.cell.keeping, stage.cell.keeping._start
            assert begin is not None
            tried: list[str] = []

            async def start() -> Keeper:
                tried.append(str(keeping.fault))
                if failures:
                    raise failures.pop(0)
                return await begin()

            await stage.ask("SET", "key", "value")
            monkeypatch.setattr(keeping, "_start", start)
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            await stage.until(lambda: stage.told(StateRegained), "state is kept again")
            assert tried[1:] == ["no process", "no program", "no room"]
            assert keeping._renewal_seconds == 0
            assert await kept_names(stage) == [b"key"]

    play(scene)


def test_what_was_read_before_a_keeper_came_is_not_told_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it was decided in the very turn in which the keeper came: simulated seed 1000050605."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            keeping, core, begin = stage.cell.keeping, stage.cell.core, stage.cell.keeping._start
            assert begin is not None

            async def start() -> Keeper:
                await stage.ask("SET", "meanwhile", "value")
                keeper = await begin()
                core.sweep.effects.append(Checkpoint(core.order.next_slot - 1, {}))
                return keeper

            await stage.ask("SET", "key", "value")
            await keeping.checkpoint(is_urgent=True)
            monkeypatch.setattr(keeping, "_start", start)
            os.kill(keeping.keeper().pid, signal.SIGKILL)
            await stage.until(lambda: stage.told(StateRegained), "state is kept again")
            assert keeping.keeper().checkpoint.counts == {0: 2}
            assert await kept_names(stage) == [b"key", b"meanwhile"]

    play(scene)


async def again(stage: Stage, times: int) -> None:
    """Wait until so many keepers were lost, and as many came after them."""
    await stage.until(lambda: len(stage.told(StateLost)) >= times, f"{times} were lost")
    await stage.until(lambda: len(stage.told(StateRegained)) >= times, f"state is kept again after {times}")


def test_a_keeper_that_is_lost_while_a_checkpoint_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read for the one before is no checkpoint of the one after."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            keeping = stage.cell.keeping
            for round_number in range(4):
                for number in range(40):
                    await stage.ask("SET", f"key{number}", round_number)
                waiting = asyncio.ensure_future(keeping.checkpoint(is_urgent=True))
                await asyncio.sleep(0.001 * round_number)
                os.kill(keeping.keeper().pid, signal.SIGKILL)
                with suppress(StateFault):
                    await waiting
                await again(stage, round_number + 1)
                assert keeping.keeper().checkpoint.counts == {0: 40}
                await stage.cell.recover(["b"], None, no_progress)
            await stage.agreed()
            assert not stage.told(Convicted)

    play(scene)


def test_a_checkpoint_is_made_although_writers_change_keys_faster_than_they_are_read() -> None:
    """They are slowed down for it, and not stopped."""

    async def write(stage: Stage, seed: int) -> None:
        chance, connection = random.Random(seed), await stage.connect()
        while True:
            connection.send((b"SET", b"key%d" % chance.randrange(1_000), b"value") for _ in range(32))
            for _ in range(32):
                assert await connection.reply() == b"OK"

    async def scene(directory: Path) -> None:
        few = document(sweep_keys_max=8, closing_keys_max=8, checkpoint_wait_ns_max=100_000_000)
        async with staged(few, directory) as stage, asyncio.TaskGroup() as group:
            writers = [group.create_task(write(stage, seed)) for seed in range(4)]
            await stage.until(lambda: stage.cell.core.changes.count > 500, "much is written")
            for _ in range(2):
                slot = await stage.cell.keeping.checkpoint(is_urgent=False)
                await stage.until(lambda slot=slot: stage.cell.core.order.next_slot > slot + 500, "they write on")  # type: ignore[misc]
            for writer in writers:
                writer.cancel()

    play(scene)
