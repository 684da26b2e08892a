"""Reading back, piece by piece, whatever the sizes."""

from pathlib import Path

import pytest

from quorate.state import journal_recovery
from quorate.trusted.journal_record import JournalFault
from tests.state.journal_desk import Desk, in_loop


@pytest.mark.parametrize("piece", [1, 100, 5000])
def test_the_size_of_the_pieces_does_not_matter(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [b"%d" % slot + bytes(100 * slot) for slot in range(12)]

    @in_loop
    async def life() -> None:
        desk = Desk(tmp_path).begin()
        for slot, request in enumerate(requests, start=1):
            desk.writes(slot, request)
        await desk.file.close()

    life()
    monkeypatch.setattr(journal_recovery, "PIECE_BYTES", piece)
    entries = list(Desk(tmp_path).file.entries(0))
    assert [request for entry in entries for request in entry.requests] == requests
    assert [(entry.mode, entry.frames, entry.changes) for entry in entries] == [(7, 1, [(0, 1, b"k")])] * 12


@in_loop
async def test_only_the_segments_that_are_needed_are_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(4)
    await desk.file.close()
    again = Desk(tmp_path)
    desk.path(1).write_bytes(b"")
    desk.path(2).write_bytes(b"")
    assert again.slots(2) == [3, 4]
    with pytest.raises(JournalFault, match=r"can no longer be read to its end|are lost or damaged"):
        again.slots(1)
    desk.path(4).write_bytes(b"")
    with pytest.raises(JournalFault, match="can no longer be read to its end"):
        again.slots(2)


@in_loop
async def test_more_tombstones_than_can_be_remembered_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_recovery, "TOMBSTONES_MAX", 2)
    desk = Desk(tmp_path).begin()
    for slot in (1, 3, 5):
        desk.file.journal.tombstone(slot, "", now=0)
    desk.file.write()
    await desk.file.close()
    with pytest.raises(JournalFault, match="more than 2 tombstones"):
        Desk(tmp_path)
