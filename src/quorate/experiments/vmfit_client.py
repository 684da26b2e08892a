"""The client of VM-FIT's experiment: one request under way, the next one when it was answered (section 3.2).

A process of its own with a raw socket, so that it costs the machine little. It counts by interval, and takes every
reply for wrong that does not count one further. Knows a port and when to begin; knows no cell.
"""

import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from .client import encode
from .machine import stolen_ms
from .vmfit_schedule import INTERVAL_SECONDS
from .worker import print_result, when_asked_to_end

REQUEST = encode([b"INCR", b"counter"])
# How long the reply to the last request is waited for, after the end.
GRACE_SECONDS = 1.0
LOOK_SECONDS = 0.25
# After an error the client breathes, or it would ask a cell that serves nobody as fast as it can.
PAUSE_SECONDS = 0.01


@dataclass(slots=True)
class Counted:
    """What the client saw. Lists are by interval of `INTERVAL_SECONDS`; a request counts where it was answered.

    `worst_ms` is the longest round trip that ended in the interval: from when a request was first sent until it
    succeeded, however often it had to be sent. `stolen_ms` is the CPU time that the machine's host gave to others while
    the interval's round trips lasted. `unanswered_ms` is how long the last request has waited in vain, or 0.
    """

    requests: list[int]
    failed: list[int]
    worst_ms: list[float]
    stolen_ms: list[float]
    wrong: int = 0
    unanswered_ms: float = 0.0

    @classmethod
    def nothing(cls, intervals: int) -> "Counted":
        """Nothing seen in so many intervals."""
        return cls([0] * intervals, [0] * intervals, [0.0] * intervals, [0.0] * intervals)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Counted":
        """What a client printed."""
        return cls(**data)


class Client:
    """Asks `port` from the moment `begins` of the monotonic clock on, for so many seconds."""

    def __init__(self, port: int, begins: float, seconds: float) -> None:
        self.counted = Counted.nothing(max(1, round(seconds / INTERVAL_SECONDS)))
        self._port = port
        self._begins = begins
        self._ends = begins + seconds
        self._connection: socket.socket | None = None
        # The interval under way, and what was stolen before it.
        self._latest = 0
        self._stolen_before = 0.0
        # The last number that was told, and how many requests without a reply may have been executed since.
        self._number = 0
        self._doubtful = 0

    def end(self) -> None:
        """Ask no more, from any thread."""
        self._ends = min(self._ends, time.monotonic())

    def work(self) -> None:
        """Ask until the time is over."""
        time.sleep(max(0.0, self._begins - time.monotonic()))
        self._stolen_before = stolen_ms()
        while not self._is_over(0.0):
            self._ask()
        self._note_stolen(self._place(time.monotonic()))
        self._disconnect()

    def _is_over(self, grace: float) -> bool:
        return time.monotonic() > self._ends + grace

    def _ask(self) -> None:
        """One request, sent again after each failure, until it succeeds or the time is over."""
        sent = time.monotonic()
        while (number := self._exchange()) is None:
            if self._is_over(0.0):
                self.counted.unanswered_ms = (time.monotonic() - sent) * 1_000
                return
            time.sleep(PAUSE_SECONDS)
        now = time.monotonic()
        place = self._place(now)
        self.counted.requests[place] += 1
        self.counted.worst_ms[place] = max(self.counted.worst_ms[place], (now - sent) * 1_000)
        self.counted.wrong += not self._number < number <= self._number + 1 + self._doubtful
        self._number, self._doubtful = number, 0
        if place != self._latest:
            self._note_stolen(place)

    def _note_stolen(self, place: int) -> None:
        """A round trip has ended in another interval: it and those before it lasted while this was stolen."""
        stolen, before = stolen_ms(), self._stolen_before
        for interval in range(self._latest, place + 1):
            self.counted.stolen_ms[interval] += stolen - before
        self._latest, self._stolen_before = place, stolen

    def _exchange(self) -> int | None:
        """The number that one request was answered with, or None, counted as a failure."""
        with suppress(OSError, ValueError):
            reply = self._send_and_receive()
            if reply[:1] == b":":
                return int(reply[1:])
        self.counted.failed[self._place(time.monotonic())] += 1
        self._doubtful += 1
        return None

    def _send_and_receive(self) -> bytes:
        """The line of the reply. Raises `OSError` when there is none."""
        connection = self._connect()
        connection.sendall(REQUEST)
        reply = b""
        while not reply.endswith(b"\r\n"):
            try:
                piece = connection.recv(4_096)
            except TimeoutError:
                if not self._is_over(GRACE_SECONDS):
                    continue
                piece = b""
            if not piece:
                self._disconnect()
                raise ConnectionResetError
            reply += piece
        return reply

    def _connect(self) -> socket.socket:
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._port), LOOK_SECONDS)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _place(self, now: float) -> int:
        last = len(self.counted.requests) - 1
        return min(last, max(0, int((now - self._begins) / INTERVAL_SECONDS)))


def main() -> None:
    """Run as a worker: the port, the monotonic time to begin at, and for how many seconds."""
    client = Client(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    when_asked_to_end(client.end)
    client.work()
    print_result(asdict(client.counted))


if __name__ == "__main__":
    main()
