"""Fault drills: what a replica may be made to do, at its edge, between its lane and the coordinator's core.

A drill changes what the core hears of one replica, or burdens its domain. Nothing here is inside the trusted core, and
no cell allows it unless its configuration says `drills = true`.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from .trusted.protocol import Scanner

# Those that act on the replica's domain; a domain cannot be given back what it lost.
ON_DOMAIN = ("crash", "hog")
FAULTS = ("corrupt", "mute", "slow", "flood", "collude", *ON_DOMAIN)

SLOW_SECONDS = 0.05
FLOOD_REPLIES = b"+OK\r\n" * 200_000

Deliver = Callable[[bytes], None]


class Drill:
    """What stands at a lane's edge: it is given the replica's bytes, and delivers what the core shall hear."""

    def __call__(self, data: bytes, deliver: Deliver) -> None:
        """`data` came from the replica."""
        raise NotImplementedError

    def end(self, deliver: Deliver) -> None:
        """The drill is over: deliver what it still holds, before anything that comes later."""


def lie(reply: bytes, salt: int) -> bytes:
    """Another plausible reply than `reply`; replicas with the same `salt` tell the same lie."""
    body = bytearray(reply)
    last = len(body) - 3
    if reply[:1] in b"+-$:,*~%" and last > 0 and chr(body[last]).isalnum() and b"-1\r\n" not in reply:
        step = 1 + salt % 8
        if chr(body[last]).isdigit():
            body[last] = 48 + (body[last] - 48 + step) % 10
        else:
            body[last] = 97 + (body[last] - 97 + step) % 26
        if reply[:1] in b"+-:," or _is_in_payload(reply):
            return bytes(body)
    return b"+lie %d\r\n" % salt


def _is_in_payload(reply: bytes) -> bool:
    """Whether the last byte before the closing CRLF belongs to a string, not to a header."""
    return reply[:1] == b"$" and reply.count(b"\r\n") >= 2


class Corrupt(Drill):
    """Every reply is replaced by a lie, frame by frame."""

    def __init__(self, scanner: Scanner, salt: int) -> None:
        self._scanner = scanner
        self._salt = salt
        self._buffer = bytearray()

    def __call__(self, data: bytes, deliver: Deliver) -> None:
        """Lie about each reply that is complete."""
        self._buffer += data
        lies: list[bytes] = []
        while self._scanner.scan(self._buffer, 0, len(self._buffer), 1, 1):
            end = self._scanner.end
            lies.append(lie(bytes(self._buffer[:end]), self._salt))
            del self._buffer[:end]
            self._scanner.shift(end)
        if lies:
            deliver(b"".join(lies))

    def end(self, deliver: Deliver) -> None:
        """Half a reply is left: its other half is yet to come."""
        if self._buffer:
            deliver(bytes(self._buffer))


class Mute(Drill):
    """The replica goes on working, and nothing of it is heard."""

    def __call__(self, data: bytes, deliver: Deliver) -> None:
        """Say nothing."""


class Slow(Drill):
    """Every reply comes late."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_waiting = False

    def __call__(self, data: bytes, deliver: Deliver) -> None:
        """Hold `data` back."""
        self._late.append((self._loop.time() + SLOW_SECONDS, data))
        self._wait(deliver)

    def _wait(self, deliver: Deliver) -> None:
        if self._late and not self._is_waiting:
            self._is_waiting = True
            self._loop.call_at(self._late[0][0], self._due, deliver)

    def _due(self, deliver: Deliver) -> None:
        self._is_waiting = False
        while self._late and self._late[0][0] <= self._loop.time():
            deliver(self._late.popleft()[1])
        self._wait(deliver)

    def end(self, deliver: Deliver) -> None:
        """Nothing is late any more."""
        while self._late:
            deliver(self._late.popleft()[1])


class Flood(Drill):
    """Each piece of replies is followed by a flood of replies that nobody asked for."""

    def __call__(self, data: bytes, deliver: Deliver) -> None:
        """Add the flood."""
        deliver(data + FLOOD_REPLIES)


def drill(fault: str, scanner: Scanner, seat: int) -> Drill:
    """What stands at the edge of this seat's lane for `fault`, one of those that act there."""
    match fault:
        case "corrupt":
            return Corrupt(scanner, seat + 1)
        case "collude":
            return Corrupt(scanner, 0)
        case "mute":
            return Mute()
        case "slow":
            return Slow()
        case "flood":
            return Flood()
    raise ValueError(fault)
