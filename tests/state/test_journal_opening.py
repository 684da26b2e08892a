"""What is found at the start: whose journal it is, and what a crash left of it."""

import os
from pathlib import Path

import pytest

from quorate.state import journal_segment
from quorate.state.anchor import EMPTY
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import SECTOR_BYTES
from quorate.trusted.errors import OperatorFault
from quorate.trusted.journal_record import JournalFault
from tests.state.journal_desk import Desk, in_loop


@in_loop
async def test_the_journal_of_another_protocol_or_service_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, service="counter").begin()
    desk.writes(1, b"SET")
    await desk.file.close()
    with pytest.raises(JournalFault, match="belongs to the protocol 'redis', not 'sdk'") as caught:
        Desk(tmp_path, protocol="sdk")
    assert "another directory" in caught.value.hint or "own" in caught.value.hint
    with pytest.raises(JournalFault, match="belongs to the service 'counter', not ''"):
        Desk(tmp_path)
    assert Desk(tmp_path, service="counter").slots() == [1]


def test_the_journal_of_another_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_segment, "FORMAT_VERSION", 3)
    Desk(tmp_path)
    monkeypatch.undo()
    with pytest.raises(JournalFault, match=r"/journal has format 3; this release reads format 2"):
        Desk(tmp_path)


@pytest.mark.parametrize(("protocol", "service"), [("p" * 33, ""), ("redis", "é" * 33)])
def test_names_that_do_not_fit_are_the_operators_fault(protocol: str, service: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="is longer than"):
        JournalFile.open(tmp_path, protocol, service, "always", EMPTY)


def test_what_is_no_directory_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(JournalFault, match="cannot use the journal") as caught:
        Desk(tmp_path)
    assert "cell.state" in caught.value.hint


@in_loop
async def test_a_segment_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET")
    await desk.file.close()
    desk.path(1).rename(desk.path(5))
    with pytest.raises(JournalFault, match="segment 1 under a wrong name"):
        Desk(tmp_path)


@in_loop
@pytest.mark.parametrize("share", [2, 4])
async def test_a_segment_that_was_cut_short_is_refused(tmp_path: Path, share: int) -> None:
    """Within its records, which would be gone without a word, as well as behind them."""
    desk = Desk(tmp_path).begin()
    for slot in range(1, 9):
        desk.writes(slot, b"SET")
    await desk.file.close()
    used = len(desk.path(1).read_bytes().rstrip(b"\0"))
    for size in (used - 100, used // share + SECTOR_BYTES, used):
        whole = desk.path(1).read_bytes()
        os.truncate(desk.path(1), size)
        with pytest.raises(JournalFault, match=r"is corrupt: .* is cut short") as caught:
            Desk(tmp_path)
        assert "restore the state directory" in caught.value.hint
        desk.path(1).write_bytes(whole)
    assert Desk(tmp_path).slots() == list(range(1, 9))


@in_loop
async def test_a_missing_segment_is_a_corrupt_middle(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(3)
    await desk.file.close()
    desk.path(2).rename(desk.path(2).with_suffix(".aside"))
    with pytest.raises(JournalFault, match=r"its records 2 to \d are lost or damaged") as caught:
        Desk(tmp_path)
    assert str(desk.path(3)) in str(caught.value)
    desk.path(2).with_suffix(".aside").rename(desk.path(2))
    desk.path(1).rename(desk.path(1).with_suffix(".aside"))
    with pytest.raises(JournalFault, match="begins behind slot 1"):
        Desk(tmp_path).slots()


@in_loop
async def test_spares_of_another_size_or_out_of_turn_are_removed(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    await desk.fills_segments(1)
    await desk.hears(desk.has_spare)
    await desk.file.close()
    assert desk.names() == ["00000001.journal", "00000002.journal"]
    desk.path(2).rename(desk.path(9))
    assert Desk(tmp_path).names() == ["00000001.journal", "00000010.journal"]
    with desk.path(10).open("ab") as spare:
        spare.write(b"more")
    assert Desk(tmp_path).names() == ["00000001.journal", "00000011.journal"]
