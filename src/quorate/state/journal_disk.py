"""The system calls that the journal makes, one method each, so that a test can stop the world between any two of them.

Decides nothing. What fails raises `OSError`.
"""

import errno
import os
from pathlib import Path

# What says that there is no room, rather than that the disk is broken.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Disk:
    """The machine's own file system."""

    def names(self, directory: Path) -> list[str]:
        """The names in a directory, in any order."""
        return [path.name for path in directory.iterdir()]

    def make_directory(self, path: Path) -> None:
        """Make a directory that only this user may look into; it may be there already."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        """Make a new file; returns its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Open a file for reading and writing; returns its descriptor."""
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def size(self, descriptor: int) -> int:
        """A file's size in bytes."""
        return os.fstat(descriptor).st_size

    def allocate(self, descriptor: int, size: int) -> None:
        """Take `size` bytes of the disk for a new file: there will be room for what is written there.

        Where there are not so many nothing is taken, not even for a moment: others have their files on that disk too.
        """
        room = os.fstatvfs(descriptor)
        if room.f_blocks and room.f_bavail * room.f_frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.posix_fallocate(descriptor, 0, size)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` on; none at the end of the file."""
        return os.pread(descriptor, size, offset)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`. It is durable only when the file was synced."""
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            more = os.pwrite(descriptor, memoryview(data)[written:], offset + written)
            if not more:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            written += more

    def sync(self, descriptor: int) -> None:
        """Make what was written to a file durable. After a failure nothing is known of it any more."""
        os.fdatasync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, which nothing has yet."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)
