"""Room taken before it is needed, and what happens when there is none."""

import asyncio
from pathlib import Path

import pytest

from quorate.state import journal_space
from quorate.trusted.journal_record import JournalFault
from tests.state.journal_desk import BODY_BYTES, Desk, in_loop
from tests.state.journal_disks import PowerDisk

STATE = Path("state")


class FullDesk(Desk):
    """A desk whose disk has room for so many segments; the cell needs to be able to write most of one."""

    def __init__(self, segments: int) -> None:
        self.disk = PowerDisk()
        self.disk.capacity = segments * (BODY_BYTES + 4096)
        super().__init__(STATE, disk=self.disk)
        self.file.reserve_bytes = BODY_BYTES // 2


def spent_at(desk: Desk, size: int) -> bool:
    """Whether too little is left where so much must be."""
    desk.file.spent_bytes = size
    return desk.file.is_spent


@in_loop
async def test_a_full_disk_is_known_while_there_is_room_and_ends_when_there_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_space, "RETRY_SECONDS", 0.001)
    desk = FullDesk(1).begin()
    assert not desk.file.is_full
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.file._space.lacks_room)
    # There is no spare, but enough is left in the segment.
    assert (desk.file.is_short, desk.file.is_full) == (False, False)
    desk.writes(2, bytes(BODY_BYTES - 2000))
    assert (desk.file.is_short, desk.file.is_full) == (True, True)
    assert 1000 < desk.file.room_bytes < 2000
    assert spent_at(desk, 3000)
    assert not spent_at(desk, 1000)
    # What was admitted before is still written.
    desk.writes(3, bytes(1000))
    await desk.hears(lambda: desk.file.synced_slot == 3)
    assert desk.gained == 0
    desk.disk.capacity *= 2
    await desk.hears(lambda: not desk.file.is_full)
    assert desk.gained == 1
    desk.writes(4, bytes(BODY_BYTES - 500))
    await desk.hears(lambda: desk.file.synced_slot == 4)
    assert desk.failures == []
    await desk.file.close()


@in_loop
async def test_a_checkpoint_makes_room_on_a_full_disk() -> None:
    desk = FullDesk(2).begin()
    await desk.fills_segments(2)
    await desk.hears(lambda: desk.file.is_full)
    desk.file.truncate(1)
    await desk.hears(lambda: not desk.file.is_full)
    await desk.fills_segments(1, first=3)
    assert desk.slots(1) == [2, 3]
    assert desk.failures == []
    await desk.file.close()


@in_loop
async def test_what_does_not_fit_all_the_same_is_a_failure() -> None:
    desk = FullDesk(1).begin()
    await desk.fills_segments(1)
    assert desk.file.is_full
    with pytest.raises(JournalFault, match="No space left"):
        desk.writes(2, bytes(1000))
    assert len(desk.failures) == 1
    await desk.file.close()


@in_loop
async def test_a_cell_starts_on_a_full_disk_and_refuses_writes() -> None:
    desk = FullDesk(0).begin()
    assert (desk.file.is_full, desk.file.room_bytes) == (True, 0)
    assert desk.slots() == []
    await desk.file.close()


@pytest.mark.parametrize("failing", ["allocate", "sync_directory"])
def test_a_disk_that_fails_is_not_a_full_one(failing: str) -> None:
    @in_loop
    async def life() -> None:
        desk = FullDesk(9).begin()
        desk.disk.failing.add(failing)
        desk.writes(1, bytes(BODY_BYTES - 500))
        await desk.hears(lambda: bool(desk.failures))
        assert "no room could be prepared: " in desk.failures[0]
        assert not desk.file.is_full
        desk.disk.failing.clear()
        await desk.file.close()

    life()


@pytest.mark.parametrize("failing", ["write", "rename", "unlink", "sync_directory"])
def test_an_old_segment_that_cannot_be_given_back_stops_the_cell_and_leaves_no_gap(failing: str) -> None:
    @in_loop
    async def life() -> None:
        desk = FullDesk(4).begin()
        await desk.fills_segments(4)
        await desk.hears(lambda: desk.file.is_full)
        desk.disk.failing.add(failing)
        # The first of the three would become the spare, the others would be removed.
        desk.file.truncate(3)
        await desk.hears(lambda: len(desk.failures) == 1)
        desk.disk.failing.clear()
        await desk.file.close()
        again = Desk(STATE, disk=desk.disk.after_kill())
        assert again.slots(3) == [4]

    life()


def test_an_old_segment_that_was_not_given_back_keeps_the_later_ones() -> None:
    @in_loop
    async def life() -> None:
        desk = FullDesk(4).begin()
        await desk.fills_segments(4)
        await desk.hears(lambda: desk.file.is_full)
        desk.disk.failing.add("write")
        desk.file.truncate(3)
        await desk.hears(lambda: bool(desk.failures))
        await asyncio.sleep(0)
        desk.disk.failing.clear()
        await desk.file.close()
        assert sorted(desk.disk.files) == [f"{number:08}.journal" for number in range(1, 5)]
        assert Desk(STATE, disk=desk.disk.after_kill()).slots() == [1, 2, 3, 4]

    life()
