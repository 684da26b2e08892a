"""A journal at work in a test: who appends to it, and what it said.

desk = Desk(tmp_path, "always")
desk.begin()
desk.writes(1, b"SET a 1")
await desk.hears(lambda: desk.file.synced_slot == 1)
"""

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Self

from quorate.state.anchor import EMPTY, Base
from quorate.state.journal_disk import Disk
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import BODY_AT, Sync, path_of
from quorate.trusted.span import Span

BODY_BYTES = 8192
WAIT_SECONDS_MAX = 30


def in_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run an asynchronous test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Desk:
    """One journal, opened by one process; the reserve of room is none unless a test sets it."""

    def __init__(
        self,
        state: Path,
        sync: Sync = "always",
        disk: Disk | None = None,
        protocol: str = "redis",
        service: str = "",
        base: Base = EMPTY,
    ) -> None:
        self.file = JournalFile.open(state, protocol, service, sync, base, BODY_AT + BODY_BYTES, disk or Disk())
        self.file.reserve_bytes = 0
        self.directory = state / "journal"
        self.synced: list[int] = []
        self.failures: list[str] = []
        self.gained = 0

    def begin(self) -> Self:
        """The cell starts."""
        self.file.begin(self.synced.append, self.failures.append, self._gain)
        return self

    def _gain(self) -> None:
        self.gained += 1

    def appends(self, slot: int, *requests: bytes) -> None:
        """Order these requests, from `slot` on."""
        span = Span(None, list(requests), 7, is_write=True)
        span.first, span.ordered_at = slot, slot * 1000
        self.file.journal.append(span, [(0, 1, b"k")])

    def writes(self, slot: int, *requests: bytes) -> None:
        """Order these requests in a turn of their own."""
        self.appends(slot, *requests)
        self.file.write()

    async def hears(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.001)

    async def fills_segments(self, count: int, first: int = 1) -> None:
        """Write one record to each of so many segments, each durable before the next."""
        for slot in range(first, first + count):
            self.writes(slot, b"%d" % slot + bytes(BODY_BYTES - 500))
            if self.file.sync != "off":
                await self.hears(lambda slot=slot: self.file.synced_slot == slot)  # type: ignore[misc]

    def told(self, after: int = 0) -> list[tuple[int, list[bytes]]]:
        """What is to be executed again behind slot `after`; of each request the front."""
        return [(entry.first, [request[:20] for request in entry.requests]) for entry in self.file.entries(after)]

    def slots(self, after: int = 0) -> list[int]:
        """The slots that are to be executed again."""
        return [entry.first + index for entry in self.file.entries(after) for index in range(len(entry.requests))]

    def has_spare(self) -> bool:
        """Whether the next segment is ready, and known to be."""
        return self.file._space.has_spare

    def names(self) -> list[str]:
        """The journal's files."""
        return sorted(path.name for path in self.directory.iterdir())

    def path(self, segment: int) -> Path:
        """A segment's file."""
        return path_of(self.directory, segment)


class HeldDisk(Disk):
    """The machine's file system, where syncs or allocations wait until they are let go on; counts syncs."""

    def __init__(self) -> None:
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.may_allocate = threading.Event()
        self.may_allocate.set()
        self.syncs = 0
        self.failing: set[str] = set()

    def allocate(self, descriptor: int, size: int) -> None:
        assert self.may_allocate.wait(WAIT_SECONDS_MAX)
        super().allocate(descriptor, size)

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        self._fail("write")
        super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        assert self.may_sync.wait(WAIT_SECONDS_MAX)
        self._fail("sync")
        self.syncs += 1
        super().sync(descriptor)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        self._fail("read")
        return super().read(descriptor, size, offset)

    def _fail(self, what: str) -> None:
        if what in self.failing:
            raise OSError(5, os.strerror(5))
