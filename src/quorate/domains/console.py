"""The tail of what a service writes: always drained, so that it never blocks, and bounded, so that it fills nothing.

Knows one pipe and the event loop. It never interprets what it holds: a replica wrote it.
"""

import asyncio
import os

CONSOLE_BYTES_MAX = 16 * 1024

# One read per turn of the loop, so that a flooding replica cannot keep the coordinator to itself.
READ_BYTES_MAX = 64 * 1024
FINAL_READS_MAX = 32


class Console:
    """Drains the reading end `descriptor` of a pipe, which it owns."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._tail = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._drain)

    def _drain(self) -> bool:
        """Read once; False when there is nothing more to read now."""
        try:
            data = os.read(self._descriptor, READ_BYTES_MAX)
        except BlockingIOError:
            return False
        self._tail += data
        if len(self._tail) > CONSOLE_BYTES_MAX:
            del self._tail[:-CONSOLE_BYTES_MAX]
        if not data:
            self._loop.remove_reader(self._descriptor)
        return bool(data)

    def close(self) -> None:
        """Take what the pipe still holds, and close it; idempotent."""
        if self._descriptor < 0:
            return
        for _ in range(FINAL_READS_MAX):
            if not self._drain():
                break
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def text(self) -> str:
        """The tail, as text. What could steer a terminal is replaced: an operator will look at it."""
        text = self._tail.decode("utf-8", "replace")
        return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
