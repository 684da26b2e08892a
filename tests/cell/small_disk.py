"""A file system of a few MiB that is really full when it is full. Any user may have one, in a namespace of its own."""

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1024 * 1024
PIECE_BYTES = 64 * 1024


class SmallDisk:
    """`size` bytes, mounted at `path` for processes that are started behind `prefix`, while this is entered."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        # An ordinary user may mount where it is root in the eyes of a namespace alone.
        self._is_user = os.geteuid() != 0

    def __enter__(self) -> Self:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        script = 'mount -t tmpfs -o size="$2",mode=700 small "$1" && echo mounted && exec cat'
        user = ["--user", "--map-root-user"] if self._is_user else []
        self._holder = subprocess.Popen(
            ["unshare", *user, "--mount", "sh", "-c", script, "sh", str(self._path), str(self._size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"mounted\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._holder.communicate()

    @property
    def prefix(self) -> list[str]:
        """What starts a process that sees this disk; the process has the number that it would have without."""
        user = ["--user", "--preserve-credentials"] if self._is_user else []
        return ["nsenter", "--target", str(self._holder.pid), *user, "--mount", "--"]

    @property
    def root(self) -> Path:
        """The disk as others see it. Do not give it to SQLite, which resolves what it cannot follow."""
        return Path(f"/proc/{self._holder.pid}/root{self._path}")

    @property
    def free_bytes(self) -> int:
        """What may still be written."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def fill(self, left: int) -> None:
        """Leave so many bytes, or fewer: whoever else writes meanwhile may be quicker."""
        with contextlib.suppress(OSError), (self.root / "ballast").open("ab", buffering=0) as ballast:
            while (room := self.free_bytes - left) > 0:
                ballast.write(bytes(min(room, PIECE_BYTES)))
                ballast.flush()

    def empty(self) -> None:
        """Make room: what `fill` took is there again."""
        (self.root / "ballast").unlink()
