"""A feed's lane: requests go out pipelined, replies are held against what is expected, in turn.

The replica behind it may do anything. It is read within bounds, and wrong bytes, an end, or bytes that nobody asked for
raise `FeedFault`. Knows sockets; must not know rows or requests.
"""

import socket
from collections import deque

from ..trusted.limits import KIB, MIB
from .expectations import Expectation, wrong
from .faults import FeedFault

# What may be under way on a lane: requests not answered yet, and the replies that they will yield.
WINDOW_BYTES_MAX = 4 * MIB
RECEIVE_BYTES = 512 * KIB
# Reads in one turn: who sends without end must not keep the keeper from other work.
RECEIVES_MAX = 8
# What counts as progress, beside replies that are complete: a trickle does not.
PROGRESS_BYTES_MIN = 64 * KIB


class FeedLane:
    """One lane of a feed, on a connected stream socket, which becomes its own."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._unsent: deque[bytes] = deque()
        self._sent = 0
        self._expectations: deque[Expectation] = deque()
        self._under_way = 0
        self._buffer = bytearray(RECEIVE_BYTES)
        self._moved = 0
        self.waited = 0.0

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def has_room(self) -> bool:
        """Whether more may be asked."""
        return self._under_way < WINDOW_BYTES_MAX

    @property
    def is_idle(self) -> bool:
        """Whether all that was asked has been answered."""
        return not self._expectations

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    def ask(self, requests: bytes, expectations: list[Expectation]) -> None:
        """Send requests whose replies are these."""
        self._unsent.append(requests)
        expectations[0].size += len(requests)
        self._expectations += expectations
        self._under_way += sum(expectation.size for expectation in expectations)

    def wait(self, seconds: float) -> None:
        """So much time was spent listening, without progress as far as is known."""
        if self._expectations:
            self.waited += seconds

    def write(self) -> None:
        """Send as much as goes at once. A replica that takes nothing any more is found out by `read`, or by time."""
        while self._unsent:
            data = self._unsent[0]
            try:
                with memoryview(data)[self._sent :] as rest:
                    sent = self._socket.send(rest)
            except BlockingIOError:
                return
            except OSError:
                self._unsent.clear()
                return
            self._progress(sent)
            self._sent += sent
            if self._sent == len(data):
                self._unsent.popleft()
                self._sent = 0

    def read(self) -> None:
        """Hold what came against what is expected. Raises `FeedFault` when that is something else."""
        for _ in range(RECEIVES_MAX):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                raise wrong(f"the lane broke: {error.strerror}") from None
            if not size:
                raise wrong("the replica closed its lane")
            self._progress(size)
            self._take(size)

    def _take(self, size: int) -> None:
        start = 0
        while start < size:
            if not self._expectations:
                raise wrong("the replica says more than it was asked")
            expectation = self._expectations[0]
            start += expectation.take(self._buffer, start, size)
            if expectation.is_done:
                self._expectations.popleft()
                self._under_way -= expectation.size
                self.waited = 0.0

    def _progress(self, size: int) -> None:
        self._moved += size
        if self._moved >= PROGRESS_BYTES_MIN:
            self._moved = 0
            self.waited = 0.0

    def close(self) -> None:
        """End the lane. Idempotent."""
        self._socket.close()


def silent(seconds: float) -> FeedFault:
    """The fault of a replica that has not come on for so long."""
    return wrong(f"the replica has made no progress for {seconds:.0f} s")
