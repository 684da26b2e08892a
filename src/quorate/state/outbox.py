"""What waits to be written to a socket, and sockets that are to be handed over with it (SCM_RIGHTS, unix(7))."""

import array
import socket
from collections import deque


class Outbox:
    """Bytes for a non-blocking unix stream socket, in order. `size` is how many wait."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._fresh: list[bytes] = []
        # Each: bytes, and the socket to hand over with their first one.
        self._segments: deque[tuple[bytes, socket.socket | None]] = deque()
        self._sent = 0
        self.size = 0

    def append(self, data: bytes) -> None:
        """Write this, too."""
        self._fresh.append(data)
        self.size += len(data)

    def append_with(self, data: bytes, sock: socket.socket) -> None:
        """Write this, too, and hand over a socket with it; ours is closed then."""
        self._close_segment()
        self._segments.append((data, sock))
        self.size += len(data)

    def _close_segment(self) -> None:
        if self._fresh:
            self._segments.append((b"".join(self._fresh), None))
            self._fresh = []

    def send(self) -> bool:
        """Write what goes at once, in one call if there is nothing to hand over; whether all went.

        A socket whose other end is gone takes everything: who reads from it will notice.
        """
        self._close_segment()
        while self._segments:
            data, handed = self._segments[0]
            try:
                sent = self._send(data, handed)
            except BlockingIOError:
                return False
            except OSError:
                self.close()
                return True
            self._sent += sent
            self.size -= sent
            if self._sent == len(data):
                self._segments.popleft()
                self._sent = 0
        return True

    def _send(self, data: bytes, handed: socket.socket | None) -> int:
        with memoryview(data)[self._sent :] as rest:
            if handed is None or self._sent:
                return self._socket.send(rest)
            rights = array.array("i", [handed.fileno()])
            sent = self._socket.sendmsg([rest], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        handed.close()
        return sent

    def close(self) -> None:
        """Forget all, and close what was to be handed over."""
        for _, handed in self._segments:
            if handed is not None:
                handed.close()
        self._segments.clear()
        self._fresh.clear()
        self.size = 0
        self._sent = 0
