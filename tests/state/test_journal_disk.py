import errno
import os
from pathlib import Path

import pytest

from quorate.state.journal_disk import Disk


def test_a_write_that_the_kernel_cuts_short_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    descriptor = disk.create(tmp_path / "file")
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, bytes(data)[:3], offset))
    disk.write(descriptor, b"0123456789", 2)
    assert disk.read(descriptor, 100, 0) == b"\0\x000123456789"
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: 3 if offset == 0 else 0)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.write(descriptor, b"0123456789", 0)
    disk.close(descriptor)


def test_a_file_is_new_private_and_as_large_as_was_allocated(tmp_path: Path) -> None:
    disk = Disk()
    path = tmp_path / "file"
    descriptor = disk.create(path)
    disk.allocate(descriptor, 4096)
    assert (disk.size(descriptor), path.stat().st_mode & 0o777) == (4096, 0o600)
    disk.sync(descriptor)
    disk.close(descriptor)
    with pytest.raises(FileExistsError):
        disk.create(path)
    disk.sync_directory(tmp_path)
    disk.rename(path, tmp_path / "other")
    assert disk.names(tmp_path) == ["other"]
    disk.unlink(tmp_path / "other")
    assert disk.names(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        Disk().open(tmp_path / "link")
