"""The journal on a real file system, with its threads: what is written, when it is durable, what is found again."""

import asyncio
from pathlib import Path

import pytest

from quorate.state import journal_file
from quorate.state.anchor import EMPTY
from quorate.state.journal_file import RESERVE_BYTES, SEGMENT_BYTES, JournalFile
from quorate.state.journal_segment import BODY_AT, Sync
from quorate.trusted.journal_record import RECORD_BYTES_MAX, JournalFault
from tests.state.journal_desk import BODY_BYTES, Desk, HeldDisk, in_loop


async def closed(desk: Desk) -> None:
    assert desk.failures == []
    await desk.file.close()


def test_a_segment_holds_the_largest_record_and_the_reserve() -> None:
    assert RECORD_BYTES_MAX <= SEGMENT_BYTES - BODY_AT
    assert RESERVE_BYTES <= SEGMENT_BYTES - BODY_AT


@pytest.mark.parametrize("sync", ["interval", "always"])
@in_loop
async def test_what_was_written_is_found_after_a_clean_end(sync: Sync, tmp_path: Path) -> None:
    desk = Desk(tmp_path, sync).begin()
    assert desk.file.recovered.is_new
    desk.writes(1, b"SET a 1", b"SET b 2")
    desk.appends(5, b"DEL a")
    desk.appends(9, b"DEL b")
    desk.file.write()
    desk.file.write()
    await closed(desk)
    again = Desk(tmp_path, sync)
    assert again.told() == [(1, [b"SET a 1", b"SET b 2"]), (5, [b"DEL a"]), (9, [b"DEL b"])]
    assert again.told(1) == [(2, [b"SET b 2"]), (5, [b"DEL a"]), (9, [b"DEL b"])]
    assert again.told(9) == []
    recovered = again.file.recovered
    assert (recovered.is_new, recovered.last_slot, recovered.time) == (False, 9, 9000)
    assert again.file.synced_slot == 9


@in_loop
async def test_the_next_process_goes_on_in_a_segment_of_its_own(tmp_path: Path) -> None:
    for life in range(1, 5):
        desk = Desk(tmp_path).begin()
        assert desk.slots() == list(range(1, life))
        desk.writes(life, b"SET")
        await closed(desk)
        assert desk.names() == [f"{number:08}.journal" for number in range(1, life + 2)]


@in_loop
async def test_a_process_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        desk = Desk(tmp_path).begin()
        desk.file.write()
        await closed(desk)
        assert desk.names() == ["00000001.journal"]
        assert desk.file.recovered.is_new


@in_loop
async def test_tombstones_are_found_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET", b"DEADLY")
    desk.file.journal.tombstone(2, "it made f+1 replicas die", now=7)
    desk.file.write()
    assert not desk.file.may_release(2)
    await desk.hears(lambda: desk.file.may_release(2))
    await closed(desk)
    recovered = Desk(tmp_path).file.recovered
    assert recovered.tombstones.ranges == [(2, 2, "it made f+1 replicas die")]
    assert recovered.highest_slot == 2


@in_loop
async def test_what_is_buried_is_durable_when_that_returns(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.writes(1, b"DEADLY")
    await desk.hears(lambda: desk.file.may_release(1))
    await desk.file.bury(1, "it made f+1 replicas die", 7)
    assert desk.file._synced == 2
    disk.failing.add("sync")
    with pytest.raises(JournalFault, match="the journal has failed"):
        await desk.file.bury(1, "it made f+1 replicas die", 8)
    assert len(desk.failures) == 1
    await desk.file.close()
    assert 1 in [first for first, _ in Desk(tmp_path).file.recovered.tombstones.within(1, 1)]


# When replies may leave.


@in_loop
async def test_always_holds_back_all_that_is_behind_a_write_that_is_not_durable(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.synced == [1])
    assert desk.file.may_release(4)
    disk.may_sync.clear()
    desk.writes(5, b"SET")
    # Slot 4 was a read before it, slot 6 may be one behind it.
    assert [desk.file.may_release(slot) for slot in (4, 5, 6)] == [True, False, False]
    disk.may_sync.set()
    await desk.hears(lambda: desk.file.may_release(6))
    assert desk.synced == [1, 5]
    await closed(desk)


@in_loop
async def test_what_is_written_during_a_sync_shares_the_next_one(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.synced == [1] and desk.has_spare())
    syncs = disk.syncs
    disk.may_sync.clear()
    for slot in range(2, 40):
        desk.writes(slot, b"SET")
        await asyncio.sleep(0)
    assert desk.file.synced_slot == 1
    disk.may_sync.set()
    await desk.hears(lambda: desk.file.synced_slot == 39)
    assert desk.synced == [1, 2, 39]
    assert disk.syncs == syncs + 2
    await closed(desk)


@in_loop
async def test_interval_holds_nothing_back_and_syncs_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "INTERVAL_SECONDS", 0.05)
    disk = HeldDisk()
    desk = Desk(tmp_path, "interval", disk).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.synced == [1] and desk.has_spare())
    syncs = disk.syncs
    for slot in range(2, 40):
        desk.writes(slot, b"SET")
        assert desk.file.may_release(slot)
    assert desk.synced == [1]
    await desk.hears(lambda: desk.file.synced_slot == 39)
    assert disk.syncs == syncs + 1
    disk.may_sync.clear()
    desk.writes(40, b"SET")
    await desk.hears(lambda: desk.file._syncing is not None)
    desk.writes(41, b"SET")
    disk.may_sync.set()
    await desk.hears(lambda: desk.file.synced_slot == 41)
    desk.writes(42, b"SET")
    await closed(desk)
    assert desk.slots() == list(range(1, 43))


@in_loop
async def test_off_syncs_nothing_can_be_read_back_and_is_void_at_the_next_start(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, "off", disk).begin()
    desk.writes(1, b"SET")
    await desk.hears(desk.has_spare)
    syncs = disk.syncs
    await desk.fills_segments(2, first=2)
    await desk.hears(desk.has_spare)
    assert disk.syncs == syncs + 1  # the next spare's own
    assert desk.slots() == [1, 2, 3]
    assert desk.file.may_release(3)
    assert desk.synced == []
    await closed(desk)
    again = Desk(tmp_path, "off")
    assert again.slots() == []
    assert again.file.recovered.is_new
    assert again.names() == ["00000003.journal"]


@in_loop
async def test_what_off_wrote_does_not_take_away_what_was_durable_before(tmp_path: Path) -> None:
    for sync, slot in (("always", 1), ("off", 2), ("always", 3)):
        desk = Desk(tmp_path, sync).begin()  # type: ignore[arg-type]
        desk.writes(slot, b"SET")
        await closed(desk)
    assert Desk(tmp_path).slots() == [1, 3]


# The disk fails.


@in_loop
async def test_a_failed_sync_is_told_once_and_nothing_leaves_any_more(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.synced == [1])
    disk.failing.add("sync")
    desk.writes(2, b"SET")
    await desk.hears(lambda: bool(desk.failures))
    disk.failing.clear()
    with pytest.raises(JournalFault, match="has failed"):
        desk.writes(3, b"SET")
    assert desk.file.is_failed
    assert not desk.file.may_release(1)
    assert desk.synced == [1]
    assert len(desk.failures) == 1
    assert "cannot be synced" in desk.failures[0]
    await desk.file.close()


@pytest.mark.parametrize("is_first", [True, False])
@in_loop
async def test_a_failed_write_is_told_and_raised(is_first: bool, tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    if not is_first:
        desk.writes(1, b"SET")
        await desk.hears(desk.has_spare)
    disk.failing.add("write")
    with pytest.raises(JournalFault, match="cannot be written"):
        desk.writes(2, b"SET")
    assert desk.file.is_failed
    assert "cannot be written" in desk.failures[0]
    disk.failing.clear()
    await desk.file.close()


@in_loop
async def test_a_failure_while_closing_is_told(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, "interval", disk=disk).begin()
    desk.writes(1, b"SET")
    disk.failing.add("sync")
    await desk.file.close()
    assert "cannot be synced" in desk.failures[0]


@in_loop
async def test_a_record_that_no_segment_holds_is_a_failure(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    with pytest.raises(JournalFault, match="larger than a segment"):
        desk.writes(1, bytes(BODY_BYTES))
    await desk.file.close()
    assert Desk(tmp_path).slots() == []


@in_loop
async def test_what_cannot_be_read_back_is_a_fault(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.writes(1, b"SET")
    disk.failing.add("read")
    with pytest.raises(JournalFault, match="cannot be read"):
        desk.slots()
    disk.failing.clear()
    await closed(desk)


def test_a_disk_that_gives_no_spare_is_a_fault(tmp_path: Path) -> None:
    disk = HeldDisk()
    disk.failing.add("write")
    with pytest.raises(JournalFault, match="cannot use the journal"):
        Desk(tmp_path, disk=disk)


# Room.


@in_loop
async def test_a_segment_being_made_is_waited_for(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    desk.file.reserve_bytes = BODY_BYTES
    disk.may_allocate.clear()
    desk.writes(1, bytes(BODY_BYTES - 500))
    assert (desk.file.is_short, desk.file.is_full) == (True, False)
    asyncio.get_running_loop().call_later(0, disk.may_allocate.set)
    await desk.hears(lambda: not desk.file.is_short)
    disk.may_allocate.clear()
    desk.writes(2, bytes(BODY_BYTES - 500))
    disk.may_allocate.set()
    # This one comes before the loop could hear that there is room again.
    desk.writes(3, bytes(BODY_BYTES - 500))
    await desk.hears(lambda: desk.file.synced_slot == 3)
    assert desk.slots() == [1, 2, 3]
    await closed(desk)


# Behind a checkpoint.


@in_loop
async def test_segments_behind_a_checkpoint_are_used_again_or_removed(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(4)
    await desk.hears(desk.has_spare)
    assert desk.names() == [f"{number:08}.journal" for number in range(1, 6)]
    desk.file.truncate(2)
    await desk.hears(lambda: len(desk.names()) == 3)
    assert desk.slots(2) == [3, 4]
    with pytest.raises(JournalFault, match="begins behind slot 2, but the last checkpoint is of slot 1"):
        desk.slots(1)
    desk.file.truncate(2)
    desk.file.truncate(9)
    await closed(desk)
    assert desk.names() == ["00000004.journal", "00000005.journal"]
    assert Desk(tmp_path).slots(3) == [4]


@in_loop
async def test_an_old_segment_becomes_the_spare_where_there_is_none(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk).begin()
    await desk.fills_segments(2)
    await desk.hears(desk.has_spare)
    # As if the disk had had no room for one.
    desk.file._space._spares.pop().close(disk)
    desk.path(3).unlink()
    desk.file.truncate(1)
    await desk.hears(desk.has_spare)
    assert desk.names() == ["00000002.journal", "00000004.journal"]
    await desk.fills_segments(1, first=3)
    await closed(desk)
    assert Desk(tmp_path).slots(1) == [2, 3]


@in_loop
async def test_nothing_is_taken_away_from_one_who_reads(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(4)
    entries = desk.file.entries(0)
    assert next(entries).first == 1
    desk.file.truncate(3)
    assert [entry.first for entry in entries] == [2, 3, 4]
    desk.file.truncate(3)
    await closed(desk)
    assert "00000001.journal" not in desk.names()


@in_loop
async def test_what_was_read_by_a_new_process_can_be_given_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(3)
    await closed(desk)
    again = Desk(tmp_path)
    again.file.truncate(3)
    assert again.slots() == [1, 2, 3]
    again.begin().file.truncate(3)
    await closed(again)
    assert again.names() == ["00000003.journal", "00000004.journal"]


def test_threads_outlive_their_loop_without_a_word(tmp_path: Path) -> None:
    disk = HeldDisk()
    desk = Desk(tmp_path, disk=disk)

    async def life() -> None:
        desk.begin()
        disk.may_allocate.clear()
        disk.may_sync.clear()
        desk.file._space.take()

    asyncio.run(life())
    disk.may_allocate.set()
    disk.may_sync.set()
    desk.file._space.close()
    assert desk.failures == []


# Damage.


@in_loop
async def test_any_damage_to_a_journal_that_was_closed_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET")
    desk.writes(2, b"SET")
    await closed(desk)
    assert desk.file._current is not None
    end = desk.file._current.position
    path = desk.path(1)
    sound = bytearray(path.read_bytes())
    last = sound.rindex(sound[BODY_AT : BODY_AT + 8])  # the record of the clean end itself proves nothing
    for offset in [*range(200), *range(BODY_AT, last)]:
        sound[offset] ^= 0x10
        path.write_bytes(sound)
        with pytest.raises(JournalFault) as caught:
            Desk(tmp_path)
        assert caught.value.hint
        assert path.read_bytes() == sound
        assert desk.names() == ["00000001.journal", "00000002.journal"]
        sound[offset] ^= 0x10
    path.write_bytes(sound[:last] + bytes(end - last) + sound[end:])
    assert Desk(tmp_path).slots() == [1, 2]


@in_loop
async def test_a_torn_tail_is_cut_and_never_seen_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.synced == [1])
    for slot in (2, 3, 4):
        desk.writes(slot, b"SET")
    assert desk.file._current is not None
    end = desk.file._current.position
    await desk.hears(lambda: desk.file.synced_slot == 4)
    path = desk.path(1)
    whole = path.read_bytes()
    starts = [index for index in range(BODY_AT, end) if whole[index:].startswith(whole[BODY_AT : BODY_AT + 8])]
    # The disk lost the middle one of three that were under way.
    path.write_bytes(whole[: starts[2]] + bytes(starts[3] - starts[2]) + whole[starts[3] :])
    for expected, slot in (([1, 2], 7), ([1, 2, 7], 8), ([1, 2, 7, 8], 9)):
        again = Desk(tmp_path).begin()
        assert again.slots() == expected
        again.writes(slot, b"SET")
        await closed(again)
    await closed(desk)


@in_loop
async def test_a_file_that_is_no_segment_is_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET")
    await closed(desk)
    for name in ("notes.txt", "1.journal", "٠٠٠٠٠٠٠٩.journal", "00000000.journal"):
        (desk.directory / name).write_text("not ours")
    (desk.directory / "00000009.new").write_text("a spare that was never finished")
    again = Desk(tmp_path)
    assert again.slots() == [1]
    assert "notes.txt" in again.names()
    assert "00000009.new" not in again.names()


def test_a_journal_is_opened_by_its_name_alone(tmp_path: Path) -> None:
    file = JournalFile.open(tmp_path / "new" / "state", "redis", "", "off", EMPTY)
    assert (tmp_path / "new" / "state" / "journal").stat().st_mode & 0o777 == 0o700
    assert file.room_bytes == SEGMENT_BYTES - BODY_AT
    assert (file.is_short, file.is_full) == (False, False)
