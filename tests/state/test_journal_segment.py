from pathlib import Path

import pytest

from quorate.state import journal_segment
from quorate.state.journal_disk import Disk
from quorate.state.journal_segment import BODY_AT, SECTOR_BYTES, Head, Segment, decode_head, number_of, path_of
from quorate.trusted.journal_record import JournalFault

HEAD = Head("redis", "a service", 7, True, False, b"k" * 16, 1, 2, 3, 4, b"previous", b"w" * 16, b"b" * 16, 5)
PATH = Path("journal", "00000007.journal")


def test_a_head_is_read_back_as_it_was() -> None:
    for head in (HEAD, Head("p" * 32, "s" * 64, 1, is_volatile=True)):
        data = head.encode()
        assert len(data) == SECTOR_BYTES <= BODY_AT
        assert decode_head(data, PATH) == head


def test_any_damage_to_a_head_is_refused() -> None:
    data = bytearray(HEAD.encode())
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(JournalFault, match=str(PATH.parent)):
            decode_head(bytes(data), PATH)
        data[bit // 8] ^= 1 << bit % 8
    for size in range(SECTOR_BYTES):
        with pytest.raises(JournalFault, match="cut short"):
            decode_head(bytes(data[:size]), PATH)
    with pytest.raises(JournalFault, match="no segment of a journal"):
        decode_head(bytes(SECTOR_BYTES), PATH)


def test_another_release_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_segment, "FORMAT_VERSION", 3)
    data = HEAD.encode()
    monkeypatch.undo()
    with pytest.raises(JournalFault, match="has format 3; this release reads format 2") as caught:
        decode_head(data, PATH)
    assert "with the release that wrote it" in caught.value.hint


def test_segments_are_known_by_their_names() -> None:
    assert path_of(Path("journal"), 7) == PATH
    assert number_of(PATH.name) == 7
    assert number_of("123456789.journal") == 123456789
    names = ("7.journal", "00000007", "00000007.new", "0000007x.journal", "٠٠٠٠٠٠٠٩.journal", "²²²²²²²².journal", "")
    assert [number_of(name) for name in names] == [None] * len(names)


def test_a_segment_is_given_up_when_nothing_in_it_is_needed_and_nobody_has_it_open() -> None:
    segment = Segment(PATH, HEAD, BODY_AT + 100)
    assert (segment.room, segment.last_slot) == (100, 3)
    assert [segment.is_given_up(slot) for slot in (2, 3)] == [False, True]
    segment.descriptor = 0
    assert not segment.is_given_up(3)


def test_a_segment_is_closed_once(tmp_path: Path) -> None:
    segment = Segment(PATH, HEAD, BODY_AT, Disk().create(tmp_path / "file"))
    for _ in range(2):
        segment.close(Disk())
        assert segment.descriptor == -1
