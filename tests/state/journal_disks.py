"""Disks for the journal's tests: one in memory that loses power, one that is watched, and threads that wait for nobody.

    disk = PowerDisk()
    disk.on_step = lambda: crashed.append(disk.after_power_loss(random))

`on_step` is called before each system call that changes anything, so between any two.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from quorate.state.journal_disk import Disk

SECTOR = 512


def nothing() -> None:
    """No step is watched."""


class InlinePool(Executor):
    """Does at once what a thread would do soon, so that a run is the same every time."""

    def __init__(self, workers: int, thread_name_prefix: str) -> None:
        assert workers == 1
        assert thread_name_prefix

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except OSError as error:
            future.set_exception(error)
        return future


class LatePool(InlinePool):
    """Does it some turns of the loop later, so that others get in between."""

    turns = 3

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run(turns: int) -> None:
            if turns:
                asyncio.get_running_loop().call_soon(run, turns - 1)
                return
            try:
                future.set_result(function(*args, **kwargs))
            except OSError as error:
                future.set_exception(error)

        run(self.turns)
        return future


class File:
    """What a file holds now, what of that is durable, and the sectors written since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable
        self.live = bytearray(durable)
        self.pending: list[tuple[int, bytes]] = []


class PowerDisk(Disk):
    """A directory in memory. Of what was not synced, a loss of power keeps any sectors and any changes of names."""

    def __init__(self, files: dict[str, File] | None = None) -> None:
        self.durable_names = dict(files or {})
        self.files = dict(files or {})
        self.pending: list[tuple[str, str]] = []
        self.open_files: dict[int, File] = {}
        self.on_step: Callable[[], None] = nothing
        self.capacity = 1 << 40
        self.created: dict[str, File] = {}
        self.failing: set[str] = set()
        self._next_descriptor = 100

    def after_power_loss(self, chance: Random) -> "PowerDisk":
        """This disk when power is back; `chance` chooses what was kept."""
        names = dict(self.durable_names)
        for old, new in self.pending:
            if chance.random() < 0.5:
                _rename(names, old, new, self.created)
        return PowerDisk({name: _kept(file, chance) for name, file in names.items()})

    def after_kill(self) -> "PowerDisk":
        """This disk as another process finds it when this one was killed: all that was written is there."""
        disk = PowerDisk()
        copies = {file: _copy(file) for file in {*self.files.values(), *self.durable_names.values()}}
        disk.files = {name: copies[file] for name, file in self.files.items()}
        disk.durable_names = {name: copies[file] for name, file in self.durable_names.items()}
        disk.created = {name: copies.get(file, file) for name, file in self.created.items()}
        disk.pending = list(self.pending)
        return disk

    # What the journal calls.

    def names(self, directory: Path) -> list[str]:
        return list(self.files)

    def make_directory(self, path: Path) -> None:
        self._step("make_directory")

    def create(self, path: Path) -> int:
        self._step("create")
        assert path.name not in self.files
        self.files[path.name] = self.created[path.name] = File()
        self.pending.append(("", path.name))
        return self.open(path)

    def open(self, path: Path) -> int:
        self._next_descriptor += 1
        self.open_files[self._next_descriptor] = self.files[path.name]
        return self._next_descriptor

    def size(self, descriptor: int) -> int:
        return len(self.open_files[descriptor].live)

    def allocate(self, descriptor: int, size: int) -> None:
        self._step("allocate")
        if sum(len(file.live) for file in self.files.values()) + size > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.open_files[descriptor].live += bytes(size)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if "read" in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return bytes(self.open_files[descriptor].live[offset : offset + size])

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        self._step("write")
        file = self.open_files[descriptor]
        file.live[offset : offset + len(data)] = data
        first, end = offset // SECTOR * SECTOR, offset + len(data)
        file.pending += [(at, bytes(file.live[at : at + SECTOR])) for at in range(first, end, SECTOR)]

    def sync(self, descriptor: int) -> None:
        self._step("sync")
        file = self.open_files[descriptor]
        file.durable = bytes(file.live)
        file.pending.clear()

    def sync_directory(self, directory: Path) -> None:
        self._step("sync_directory")
        self.durable_names = dict(self.files)
        self.pending.clear()

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename")
        assert new.name not in self.files
        self.files[new.name] = self.files.pop(old.name)
        self.pending.append((old.name, new.name))

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        del self.files[path.name]
        self.pending.append((path.name, ""))

    def close(self, descriptor: int) -> None:
        del self.open_files[descriptor]

    def _step(self, name: str) -> None:
        self.on_step()
        if name in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _rename(names: dict[str, File], old: str, new: str, created: dict[str, File]) -> None:
    """Do to `names` what was done: without an old name a file was made, without a new one removed."""
    file = names.pop(old, None) if old else created[new]
    if file is not None and new:
        names[new] = file


def _copy(file: File) -> File:
    copy = File(file.durable)
    copy.live = bytearray(file.live)
    copy.pending = list(file.pending)
    return copy


def _kept(file: File, chance: Random) -> File:
    content = bytearray(file.durable)
    if len(content) < len(file.live) and chance.random() < 0.5:
        content += bytes(len(file.live) - len(content))
    for at, sector in file.pending:
        if at + len(sector) <= len(content) and chance.random() < 0.5:
            content[at : at + len(sector)] = sector
    return File(bytes(content))


class WatchedDisk(Disk):
    """The machine's file system; whoever watches sees it before each system call that changes anything.

    The calls of several threads come one after the other, so that what is seen is of one moment.
    """

    def __init__(self) -> None:
        self.on_step: Callable[[], None] = nothing
        self._lock = threading.Lock()

    @contextmanager
    def _step(self) -> Iterator[None]:
        with self._lock:
            self.on_step()
            yield

    def create(self, path: Path) -> int:
        with self._step():
            return super().create(path)

    def allocate(self, descriptor: int, size: int) -> None:
        with self._step():
            super().allocate(descriptor, size)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        with self._step():
            super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        with self._step():
            super().sync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        with self._step():
            super().sync_directory(directory)

    def rename(self, old: Path, new: Path) -> None:
        with self._step():
            super().rename(old, new)

    def unlink(self, path: Path) -> None:
        with self._step():
            super().unlink(path)
