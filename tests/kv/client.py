"""A raw client of the stores: shows each reply's exact bytes, and judges none."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Command = tuple[bytes, ...]

REPLY_SECONDS_MAX = 30.0
CONSUMED_BYTES_MAX = 1 << 20
AGGREGATES = b"*%~>"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply's exact bytes and, where it is an aggregate, those of its elements."""

    raw: bytes
    elements: tuple[Reply, ...] = ()

    def sorted(self, width: int = 1) -> Reply:
        """The same aggregate with its elements, taken `width` at a time, in byte order."""
        groups = [self.elements[at : at + width] for at in range(0, len(self.elements), width)]
        groups.sort(key=lambda group: [element.raw for element in group])
        return self.rebuilt(element for group in groups for element in group)

    def rebuilt(self, elements: Iterable[Reply]) -> Reply:
        """The same aggregate around other elements."""
        kept = tuple(elements)
        header = self.raw[: self.raw.index(b"\r\n") + 2]
        return Reply(header + b"".join(element.raw for element in kept), kept)


class Client:
    """A blocking connection to a store's unix socket that shows every reply as it was sent."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(REPLY_SECONDS_MAX)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._buffer = b""
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *commands: Command) -> None:
        """Send the commands in one write."""
        self.send_bytes(b"".join(map(encode, commands)))

    def send_bytes(self, data: bytes) -> None:
        """Send raw bytes, well-formed or not."""
        self._socket.sendall(data)

    def reply(self) -> Reply:
        """The next reply; raises EOFError when the store closed the connection."""
        if self._at > CONSUMED_BYTES_MAX:
            self._buffer, self._at = self._buffer[self._at :], 0
        start = self._at
        line = self._line()
        if line[:1] == b"$":
            length = int(line[1:])
            if length >= 0:
                self._take(length + 2)
            return Reply(self._buffer[start : self._at])
        if line[:1] in AGGREGATES:
            count = int(line[1:]) * (2 if line[:1] == b"%" else 1)
            return self._aggregate(line + b"\r\n", count)
        return Reply(line + b"\r\n")

    def call(self, *words: bytes | str) -> bytes:
        """Send one command and return its reply's bytes."""
        self.send(tuple(word.encode() if isinstance(word, str) else word for word in words))
        return self.reply().raw

    def is_closed(self) -> bool:
        """Whether the store ends the connection without another byte, within the deadline."""
        try:
            return self._at == len(self._buffer) and self._socket.recv(1) == b""
        except ConnectionError:
            return True

    def _aggregate(self, header: bytes, count: int) -> Reply:
        elements = tuple(self.reply() for _ in range(count))
        return Reply(header + b"".join(element.raw for element in elements), elements)

    def _line(self) -> bytes:
        end = self._buffer.find(b"\r\n", self._at)
        while end < 0:
            self._receive()
            end = self._buffer.find(b"\r\n", self._at)
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line

    def _take(self, size: int) -> None:
        while len(self._buffer) - self._at < size:
            self._receive()
        self._at += size

    def _receive(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise EOFError(f"the store closed the connection after {self._buffer[self._at :]!r}")
        self._buffer += data


def encode(command: Command) -> bytes:
    """The command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(command)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in command]
    return b"".join(parts)
