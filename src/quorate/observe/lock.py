"""The exclusive lock on a cell's state directory: a second cell on it would mix two histories.

The kernel drops the lock when its holder ends, however it ends, so that nothing stale can keep a cell from starting.
"""

import fcntl
import os
from pathlib import Path

from ..trusted.errors import OperatorFault

LOCK_FILE = "lock"


class StateLock:
    """Holds the state directory of one cell until released or until the process ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Create the directory if need be and lock it.

        Raises `OperatorFault` when another cell holds it, or when the directory cannot be used.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            hint = "set cell.state to a directory that you may write"
            raise OperatorFault(f"cannot use the state directory {self._path.parent}: {error.strerror}", hint) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise OperatorFault(
                f"a second cell on one state directory: {self._path.parent} belongs to process {holder or 'unknown'}",
                "stop that cell, or give this one its own cell.state",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the directory back; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "StateLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
