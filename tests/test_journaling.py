"""The journal of a cell, and a disk that fails or is full: with sync off that harms nobody."""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from quorate.facts import JournalLost, JournalMissing, RevivalEnded
from quorate.state.anchor import NO_ANCHOR
from quorate.state.journal_disk import Disk
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import SECTOR_BYTES, decode_head
from quorate.trusted.journal_record import JournalFault
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.shell import Clock
from tests.cell.inside import Stage, document, play, staged

HOUR_SECONDS = 3_600


def journaled(sync: str) -> dict[str, Any]:
    """A cell with this kind of journal."""
    return document() | {"journal": {"sync": sync}}


@contextmanager
def failing(call: str) -> Iterator[None]:
    """The disk fails at this system call."""
    with patch.object(Disk, call, side_effect=OSError(errno.EIO, os.strerror(errno.EIO))):
        yield


@pytest.mark.parametrize("sync", ["off", "interval", "always"])
def test_what_is_synced_is_said(sync: str) -> None:
    async def scene(directory: Path) -> None:
        async with staged(journaled(sync), directory) as stage:
            for number in range(5):
                await stage.ask("SET", "key", number)
            if sync == "off":
                assert stage.cell.journaling.synced_slot == 0
            else:
                await stage.until(lambda: stage.cell.journaling.synced_slot == 5, "all is on disk")

    play(scene)


def test_with_sync_always_no_reply_leaves_before_its_write_is_on_disk() -> None:
    """Nor does a read's, which may tell of such a write."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "old")
            under_way, may_end = asyncio.Event(), threading.Event()
            loop, sync = asyncio.get_running_loop(), Disk.sync

            def slow(disk: Disk, descriptor: int) -> None:
                loop.call_soon_threadsafe(under_way.set)
                may_end.wait()
                sync(disk, descriptor)

            with patch.object(Disk, "sync", slow):
                writing = asyncio.ensure_future(stage.ask("SET", "key", "new"))
                await under_way.wait()
                await stage.until(lambda: not stage.cell.core.order.inflight_slots, "it was decided")
                assert not writing.done()
                may_end.set()
                assert await writing == b"OK"

    play(scene)


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_journal_that_fails_ends_a_cell_that_promised_it(call: str) -> None:
    """Nobody is answered any more: what was not acknowledged may be lost, and nothing else."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "kept")
            with failing(call):
                with pytest.raises((EOFError, OSError)):
                    await stage.ask("SET", "key", "lost")
                await stage.until(stage.cell.stopping.is_set, "it ends")
            assert stage.cell.is_broken
            assert "Input/output error" in stage.told(JournalLost)[0].reason
            await stage.stop()
        async with staged(journaled("always"), directory) as stage:
            assert await stage.ask("GET", "key") in {b"kept", b"lost"}
            await stage.agreed()

    play(scene)


def test_with_sync_off_a_cell_goes_on_without_its_journal() -> None:
    """The operator is told. Only a revival is no longer possible: for that, what came after a checkpoint is missing."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("off"), directory) as stage:
            await stage.ask("SET", "key", "value")
            anchor = stage.cell.journaling.anchor()
            with failing("write"):
                assert await stage.ask("SET", "key", "again") == b"OK"
            assert len(stage.told(JournalLost)) == 1
            assert stage.cell.journaling.file is None
            # Checkpoints go on, and tell of the journal as it is.
            assert stage.cell.journaling.anchor()[:4] == anchor[:4] != NO_ANCHOR[:4]
            assert await stage.ask("SET", "key", "once more") == b"OK"
            assert not stage.cell.stopping.is_set()
            await stage.cell.recover(["b"], None, lambda replica, stage, share: None)
            for seat in (0, 1):
                stage.current()[seat].domain.crash(1)
            await stage.until(lambda: stage.told(RevivalEnded))
            assert "there is no journal" in stage.told(RevivalEnded)[0].reason
            with pytest.raises(JournalFault, match="Input/output error"):
                await stage.cell.journaling.again(stage.cell.keeping.keeper())

    play(scene)


def test_a_full_disk_refuses_writes_and_serves_reads() -> None:
    """Before they are ordered, so that no replica has executed them; and only until there is room again."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "value")
            with full(is_spent=False):
                await stage.ask("GET", "key")
                slot = stage.cell.core.order.next_slot
                told = await stage.ask("SET", "key", "refused")
                assert "disk" in str(told).lower() or "room" in str(told).lower()
                assert stage.cell.core.order.next_slot == slot
                assert await stage.ask("GET", "key") == b"value"
            await stage.ask("GET", "key")
            assert await stage.ask("SET", "key", "again") == b"OK"

    play(scene)


@contextmanager
def full(is_spent: bool) -> Iterator[None]:
    """The disk has no room, or not even for what the cell writes of its own."""
    with ExitStack() as stack:
        for name, value in (("is_full", True), ("is_short", True), ("is_spent", is_spent)):
            stack.enter_context(patch.object(JournalFile, name, value))
        yield


async def unserved(stage: Stage) -> None:
    """Ask until nobody is served, for something has expired that cannot be deleted."""
    told: object = b"value"
    while told == b"value":
        told = await stage.ask("GET", "kept")
    assert "no room to write down that keys expire" in str(told)


def mortals(stage: Stage) -> int:
    """How many keys may have a deadline."""
    protocol = stage.cell.protocol
    assert isinstance(protocol, RedisProtocol)
    return len(protocol.deadlines)


def test_what_expires_on_a_full_disk_is_deleted_while_that_can_be_written() -> None:
    """Then nobody is served, since nobody may see it; nothing is lost, and the cell does not end."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            for request in (("SET", "kept", "value"), ("SET", "early", "x", "PX", 1), ("SET", "late", "x", "PX", 500)):
                await stage.ask(*request)
            with full(is_spent=False):
                await stage.ask("GET", "kept")
                await stage.until(lambda: mortals(stage) < 2, "it has expired")
                assert await stage.ask("EXISTS", "early") == 0
            with full(is_spent=True):
                await unserved(stage)
                slot = stage.cell.core.order.next_slot
                assert "MISCONF" in str(await stage.ask("SET", "kept", "x"))
                assert stage.cell.core.order.next_slot == slot
            stage.cell.shell.synced()
            await stage.until(lambda: not mortals(stage), "the other one has expired too")
            assert await stage.ask("EXISTS", "late", "kept") == 1
            assert not stage.cell.is_broken

    play(scene)


def test_a_cell_starts_without_any_room_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though keys have expired while nobody ran."""
    now = Clock.now

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "kept", "value")
            await stage.ask("SET", "late", "x", "EX", HOUR_SECONDS)
        monkeypatch.setattr(Clock, "now", lambda clock: now(clock) + 2 * HOUR_SECONDS * 10**9)
        with full(is_spent=True):
            async with staged(journaled("always"), directory) as stage:
                file = stage.cell.journaling.file
                assert file is not None
                await unserved(stage)
                assert file._current is None
        async with staged(journaled("always"), directory) as stage:
            await stage.until(lambda: not mortals(stage), "it has expired")
            assert await stage.ask("EXISTS", "late", "kept") == 1

    play(scene)


def test_requests_wait_while_room_is_being_made() -> None:
    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "value")
            with patch.object(JournalFile, "is_short", True):
                await stage.ask("GET", "key")
                waiting = asyncio.ensure_future(stage.ask("SET", "key", "later"))
                await stage.until(lambda: stage.cell.core.is_stalled, "nothing more is taken in")
                assert not waiting.done()
            stage.cell.shell.synced()
            assert await waiting == b"OK"

    play(scene)


def test_checkpoints_cut_the_journal_off() -> None:
    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            file = stage.cell.journaling.file
            assert file is not None
            await stage.ask("SET", "key", "value")
            with patch.object(JournalFile, "truncate") as truncate:
                slot = await stage.cell.keeping.checkpoint(is_urgent=True)
            truncate.assert_called_with(slot)

    play(scene)


# The store and the journal beside it.


async def left(directory: Path, *values: str) -> Path:
    """A cell that wrote these, had a checkpoint made after each, wrote once more and was stopped; what it keeps."""
    async with staged(journaled("always"), directory) as stage:
        for value in values:
            await stage.ask("SET", "key", value)
            await stage.cell.keeping.checkpoint(is_urgent=True)
        await stage.ask("INCR", "starts")
    return directory / "state" / "durable"


def store_files(durable: Path) -> list[Path]:
    """All of a state store."""
    return list(durable.glob("checkpoint.sqlite3*"))


def copy_store(durable: Path, to: Path) -> None:
    """Put this state store in place of another."""
    for path in store_files(to):
        path.unlink()
    for path in store_files(durable):
        shutil.copy(path, to)


def copy_journal(durable: Path, to: Path) -> None:
    """Put this journal in place of another."""
    shutil.rmtree(to / "journal")
    shutil.copytree(durable / "journal", to / "journal")


async def refused(directory: Path, said: str, hint: str) -> None:
    """The cell does not start, and says why."""
    with pytest.raises(JournalFault, match=said) as caught:
        async with staged(journaled("always"), directory):
            pass
    assert hint in caught.value.hint


async def holds(directory: Path, value: bytes, starts: bytes | None) -> None:
    """The cell starts, with this."""
    async with staged(journaled("always"), directory) as stage:
        assert await stage.ask("GET", "key") == value
        assert await stage.ask("GET", "starts") == starts
        await stage.agreed()


def test_the_store_of_one_cell_and_the_journal_of_another_are_not_joined() -> None:
    """They are of the same name, and the journal reaches back far enough. What the hint says does help."""

    async def scene(directory: Path) -> None:
        for name in ("ours", "theirs"):
            (directory / name).mkdir()
        ours, theirs = await left(directory / "ours", "our"), await left(directory / "theirs", "their", "their last")
        shutil.copytree(ours, directory / "copy")
        copy_store(theirs, ours)
        await refused(directory / "ours", "do not belong together", "restore state store and journal from one copy")
        shutil.rmtree(ours)
        shutil.copytree(directory / "copy", ours)
        await holds(directory / "ours", b"our", b"1")
        copy_journal(directory / "copy", theirs)
        await refused(directory / "theirs", "do not belong together", "or move the journal away")
        (theirs / "journal").rename(directory / "aside")
        await holds(directory / "theirs", b"their last", None)
        await holds(directory / "theirs", b"their last", None)

    play(scene)


def test_two_copies_of_one_cell_that_both_went_on_are_not_joined() -> None:
    """However often they were started since, and whatever is the same in them."""

    async def scene(directory: Path) -> None:
        (directory / "ours").mkdir()
        await left(directory / "ours", "both")
        shutil.copytree(directory / "ours", directory / "theirs")
        for value in (1, 2):
            ours = await left(directory / "ours", f"our {value}")
            theirs = await left(directory / "theirs", f"their {value}")
        copy_store(theirs, ours)
        await refused(directory / "ours", "do not belong together", "restore state store and journal from one copy")

    play(scene)


def test_a_journal_that_is_older_than_the_checkpoint_is_not_gone_on_with() -> None:
    """Nobody could tell it from one that had lost its end."""

    async def scene(directory: Path) -> None:
        durable = directory / "state" / "durable"
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "old")
            # A segment that is being made is renamed when it is.
            shutil.copytree(durable, directory / "copy", ignore=shutil.ignore_patterns("*.new"))
            await stage.ask("SET", "key", "new")
            await stage.until(lambda: stage.cell.journaling.synced_slot == 2, "it is on disk")
            await stage.cell.keeping.checkpoint(is_urgent=True)
        copy_journal(directory / "copy", durable)
        await refused(directory, "older than the state store beside it: it ends with record 1, and 2 were", "one copy")
        copy_store(directory / "copy", durable)
        await holds(directory, b"old", None)

    play(scene)


def test_that_what_was_written_down_is_gone_is_said_at_each_start_until_a_checkpoint() -> None:
    """Room for more is there, and so are files; only what was written in them is not."""

    async def scene(directory: Path) -> None:
        journal = await left(directory, "value") / "journal"
        for path in journal.glob("*.journal"):
            if decode_head(path.read_bytes()[:SECTOR_BYTES], path).has_begun:
                path.unlink()
        assert list(journal.iterdir())
        for is_told, writes in ((True, False), (True, True), (False, False)):
            async with staged(journaled("always"), directory) as stage:
                assert len(stage.told(JournalMissing)) == is_told
                assert await stage.ask("GET", "key") == b"value"
                if writes:
                    await stage.ask("SET", "other", "value")
                    await stage.cell.keeping.checkpoint(is_urgent=True)

    play(scene)


def test_a_cell_that_nobody_wrote_to_lacks_no_journal() -> None:
    async def scene(directory: Path) -> None:
        for _ in range(2):
            async with staged(journaled("always"), directory) as stage:
                assert await stage.ask("GET", "key") is None
                await stage.cell.keeping.checkpoint(is_urgent=True)
                assert stage.told(JournalMissing) == []

    play(scene)


def test_an_emptied_store_is_not_joined_with_a_journal_that_began_behind_a_checkpoint() -> None:
    """Nothing was cut off from that journal, and yet it does not hold all: the one before it was moved away."""

    async def scene(directory: Path) -> None:
        durable = await left(directory, "value")
        shutil.rmtree(durable / "journal")
        async with staged(journaled("always"), directory) as stage:
            assert len(stage.told(JournalMissing)) == 1
            assert await stage.ask("INCR", "starts") == 1
        for path in store_files(durable):
            path.unlink()
        await refused(
            directory, r"begins behind slot \d, but the last checkpoint is of slot 0", "there is no checkpoint"
        )

    play(scene)


def test_an_emptied_store_is_filled_from_a_journal_that_holds_everything() -> None:
    """Though checkpoints were made meanwhile."""

    async def scene(directory: Path) -> None:
        durable = await left(directory, "first", "second")
        for path in store_files(durable):
            path.unlink()
        await holds(directory, b"second", b"1")
        await holds(directory, b"second", b"1")

    play(scene)


def test_a_cell_is_never_refused_what_it_left_itself() -> None:
    """Whether it wrote or not, had a checkpoint made or not, was stopped or not, and in any order."""

    async def scene(directory: Path) -> None:
        starts = 0
        for does_write in (False, True, True, False, False, True):
            for has_checkpoint in (False, True):
                async with staged(journaled("interval" if has_checkpoint else "always"), directory) as stage:
                    assert await stage.ask("GET", "starts") == (b"%d" % starts if starts else None)
                    if has_checkpoint:
                        await stage.cell.keeping.checkpoint(is_urgent=True)
                    if does_write:
                        starts += 1
                        assert await stage.ask("INCR", "starts") == starts

    play(scene)


def test_a_keeper_that_is_renewed_says_how_the_journal_stands() -> None:
    """Its store is what the cell starts from next."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            keeping = stage.cell.keeping
            await stage.ask("SET", "key", "value")
            keeping.keeper().give_up()
            await stage.until(lambda: keeping.has_keeper and not keeping.is_lost, "there is another")
            slot = keeping.checkpoint_slot
            file = stage.cell.journaling.file
            assert file is not None
            writer = file.anchor.writer
        async with staged(journaled("always"), directory) as stage:
            base = stage.cell.keeping.keeper().base
            assert (base.slot, base.anchor.writer, base.anchor.synced) == (slot, writer, 1)
            assert await stage.ask("GET", "key") == b"value"

    play(scene)


def test_what_lies_behind_the_checkpoint_is_not_buried_any_more() -> None:
    """Its records stay where they are until their segment is given back."""

    async def scene(directory: Path) -> None:
        async with staged(journaled("always"), directory) as stage:
            await stage.ask("SET", "key", "value")
            recording, slot = stage.cell.core.recording, stage.cell.core.order.next_slot
            recording.bury(slot, "unanswered", stage.cell.shell.now())
            stage.cell.core.begin_at(slot)
            await stage.ask("SET", "key", "again")
            kept = await stage.cell.keeping.checkpoint(is_urgent=True)
            assert kept > slot
            assert recording.tombstones.ranges == []
            later = stage.cell.core.order.next_slot
            recording.bury(later, "unanswered", stage.cell.shell.now())
        async with staged(journaled("always"), directory) as stage:
            file = stage.cell.journaling.file
            assert file is not None
            assert [(one[0], one[1]) for one in stage.cell.core.recording.tombstones.ranges] == [(later, later)]
            assert stage.cell.core.order.next_slot > later

    play(scene)
