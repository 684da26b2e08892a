"""Room on the disk, taken before it is needed: one spare segment is kept ready, by a thread of its own.

A segment that no checkpoint needs any more becomes the spare, or is removed, oldest first, one after the other, each
step durable before the next: whatever moment a crash takes, no gap is left in the chain. When the disk has no room for
a spare, that is known while there is still room in the segment being written.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from .journal_disk import NO_ROOM, Disk
from .journal_segment import NEW_SUFFIX, Head, Segment, path_of

FILL_BYTES = 1024 * 1024
RETRY_SECONDS = 1.0


class Space:
    """The spare segment of a journal. `blank` is the head of a spare; `next_segment` the number of the next one.

    `is_filled` has a new spare written with zeros: it takes a while, and halves the time that syncing it takes later.
    """

    def __init__(self, disk: Disk, directory: Path, blank: Head, size: int, is_filled: bool, next_segment: int) -> None:
        self._disk = disk
        self._directory = directory
        self._blank = blank
        self._is_filled = is_filled
        self._next_segment = next_segment
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-space")
        self._loop: asyncio.AbstractEventLoop
        self._on_gained: Callable[[], None]
        self._on_failed: Callable[[str], None]
        self._spares: list[Segment] = []
        self._preparing: Future[Segment] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._is_stuck = False
        self.size = size
        self.lacks_room = False

    def start(self, on_gained: Callable[[], None], on_failed: Callable[[str], None]) -> None:
        """From now on keep a spare. Say when one was gained, or when the disk failed and why."""
        self._loop = asyncio.get_running_loop()
        self._on_gained = on_gained
        self._on_failed = on_failed
        self.ensure()

    @property
    def has_spare(self) -> bool:
        """Whether a spare is ready."""
        return bool(self._spares)

    def adopt(self, spare: Segment) -> None:
        """A spare was found on the disk."""
        spare.descriptor = self._disk.open(spare.path)
        self._spares.append(spare)

    def prepare_now(self) -> None:
        """Make a spare before the cell starts, if there is none; it may lack room. Raises `OSError`."""
        if self._spares:
            return
        try:
            self._spares.append(self._make(self._number()))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.lacks_room = True

    def ensure(self) -> None:
        """Begin to make a spare, if there is none."""
        if not self._spares and self._preparing is None:
            self._prepare(self._pool.submit(self._make, self._number()))

    def take(self) -> Segment:
        """The spare, to begin it; waits for it while it is being made. Raises `OSError` when there is none."""
        if not self._spares:
            self.ensure()
            future, self._preparing = self._preparing, None
            assert future is not None
            self._spares.append(future.result())
        spare = self._spares.pop(0)
        self.ensure()
        return spare

    def give_back(self, segments: list[Segment]) -> None:
        """`segments`, the oldest ones, are not needed any more. What becomes of them becomes so in their order."""
        for segment in segments:
            if self._spares or self._preparing is not None:
                self._pool.submit(self._remove, segment).add_done_callback(self._tell(self._removed))
            else:
                self._prepare(self._pool.submit(self._recycle, segment, self._number()))

    def close(self) -> None:
        """End the thread, when it has done what it was given."""
        if self._retry is not None:
            self._retry.cancel()
        self._pool.shutdown(wait=True)
        if self._preparing is not None and self._preparing.exception() is None:
            self._spares.append(self._preparing.result())
        for spare in self._spares:
            spare.close(self._disk)

    def _number(self) -> int:
        self._next_segment += 1
        return self._next_segment - 1

    def _prepare(self, future: Future[Segment]) -> None:
        self._preparing = future
        future.add_done_callback(self._tell(self._prepared))

    def _tell(self, callback: Callable[[Future[Segment]], None]) -> Callable[[Future[Segment]], None]:
        """Call back in the loop, unless it is gone by then."""

        def tell(future: Future[Segment]) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback, future)

        return tell

    def _prepared(self, future: Future[Segment]) -> None:
        if future is not self._preparing:
            return
        self._preparing = None
        error = future.exception()
        if error is None:
            self.lacks_room = False
            self._spares.append(future.result())
            self._on_gained()
        elif isinstance(error, OSError) and error.errno in NO_ROOM:
            self.lacks_room = True
            self._retry = self._loop.call_later(RETRY_SECONDS, self.ensure)
        else:
            self._on_failed(f"no room could be prepared: {error}")

    def _removed(self, future: Future[Segment]) -> None:
        error = future.exception()
        if error is not None:
            self._on_failed(f"a segment could not be removed: {error}")

    # In the thread.

    def _make(self, number: int) -> Segment:
        path = path_of(self._directory, number)
        new = path.with_suffix(NEW_SUFFIX)
        descriptor = self._disk.create(new)
        try:
            self._disk.allocate(descriptor, self.size)
            if self._is_filled:
                self._fill(descriptor)
            return self._settle(descriptor, new, number)
        except OSError:
            self._disk.close(descriptor)
            with contextlib.suppress(OSError):
                self._disk.unlink(new)
            raise

    def _fill(self, descriptor: int) -> None:
        for offset in range(0, self.size, FILL_BYTES):
            self._disk.write(descriptor, bytes(min(FILL_BYTES, self.size - offset)), offset)

    def _recycle(self, segment: Segment, number: int) -> Segment:
        with self._stopping():
            descriptor = self._disk.open(segment.path)
            try:
                return self._settle(descriptor, segment.path, number)
            except OSError:
                self._disk.close(descriptor)
                raise

    def _settle(self, descriptor: int, path: Path, number: int) -> Segment:
        """The file at `path` says that it is a spare before it gets a spare's name."""
        head = replace(self._blank, segment=number)
        self._disk.write(descriptor, head.encode(), 0)
        self._disk.sync(descriptor)
        final = path_of(self._directory, number)
        self._disk.rename(path, final)
        self._disk.sync_directory(self._directory)
        return Segment(final, head, self._disk.size(descriptor), descriptor)

    def _remove(self, segment: Segment) -> Segment:
        with self._stopping():
            self._disk.unlink(segment.path)
            self._disk.sync_directory(self._directory)
            return segment

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Once one old segment could not be got rid of, no later one is: that would leave a gap in the chain."""
        if self._is_stuck:
            raise OSError(errno.EIO, "an older segment is still there")
        try:
            yield
        except OSError as error:
            self._is_stuck = True
            # Want of room here is no reason to try again.
            raise OSError(errno.EIO, f"an old segment is still there: {error}") from error
