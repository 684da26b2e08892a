"""The disk under the journal: a file takes all of its room at once, or none of it."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from quorate.state.journal_disk import Disk

FILE_BYTES = 1024 * 1024
BLOCK_BYTES = 4096


def says(monkeypatch: pytest.MonkeyPatch, free_bytes: int, blocks: int = 1_000_000) -> None:
    """The file system tells this of itself."""
    told = SimpleNamespace(f_blocks=blocks, f_bavail=free_bytes // BLOCK_BYTES, f_frsize=BLOCK_BYTES)
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: told)


def allocated(path: Path) -> int:
    """Make a file and give it its room; its size then."""
    disk = Disk()
    descriptor = disk.create(path)
    try:
        disk.allocate(descriptor, FILE_BYTES)
        return disk.size(descriptor)
    finally:
        os.close(descriptor)


def test_where_there_is_too_little_room_not_even_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, FILE_BYTES - BLOCK_BYTES)
    with pytest.raises(OSError, match="No space left") as caught:
        allocated(tmp_path / "file")
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "file").stat().st_blocks == 0


@pytest.mark.parametrize(("free_bytes", "blocks"), [(FILE_BYTES, 1_000_000), (0, 0)])
def test_where_there_is_room_or_nobody_can_tell_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, blocks: int
) -> None:
    says(monkeypatch, free_bytes, blocks)
    assert allocated(tmp_path / "file") == FILE_BYTES
