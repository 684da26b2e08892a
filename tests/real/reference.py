"""A real redis-server, and raw conversations with it: what the dialect is compared with."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.trusted.protocols.redis.framing import ReplyScanner, encode_request
from quorate.trusted.protocols.redis.values import elements, integer_of, is_null, payload

PATIENCE_S = 20.0

Value = int | bytes | None | list["Value"]


class Connection:
    """One connection to a server."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(path))
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, replies: int) -> bytes:
        """Exactly so many replies."""
        scanner = ReplyScanner()
        while not scanner.scan(self._buffer, 0, len(self._buffer), 1, replies):
            received = self._socket.recv(65536)
            assert received, f"the server closed the connection after {bytes(self._buffer)!r}"
            self._buffer += received
        reply = bytes(self._buffer[: scanner.end])
        del self._buffer[: scanner.end]
        return reply

    def receive_until(self, end: bytes) -> bytes:
        """Everything up to and with `end`."""
        while not self._buffer.endswith(end):
            received = self._socket.recv(65536)
            assert received, f"the server closed the connection after {bytes(self._buffer)!r}"
            self._buffer += received
        received = bytes(self._buffer)
        self._buffer.clear()
        return received

    def receive_all(self) -> bytes:
        """Everything until the server closes the connection."""
        while received := self._socket.recv(65536):
            self._buffer += received
        return bytes(self._buffer)

    def ask(self, *arguments: bytes | str | int) -> bytes:
        """The reply to one request."""
        words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
        self.send(encode_request(words))
        return self.receive(1)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Path]:
    """A redis-server without persistence; the path of its socket."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "socket"
    program = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--dir",
        str(directory),
        *options,
    ]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(path)
            yield path
        finally:
            process.terminate()


def _wait_for(path: Path) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            assert time.monotonic() < give_up, "redis-server does not start"
            time.sleep(0.02)


def decoded(reply: bytes) -> Value:
    """A reply as a value: integers, strings (errors too) and lists of them."""
    number = integer_of(reply)
    if number is not None:
        return number
    if reply[:1] in b"*~>%":
        return [decoded(part) for part in elements(reply)]
    return None if is_null(reply) else payload(reply)


def mapped(value: Value) -> dict[bytes, Value]:
    """A flat list of keys and values as a dictionary."""
    assert isinstance(value, list)
    pairs = zip(value[::2], value[1::2], strict=True)
    return {key: item for key, item in pairs if isinstance(key, bytes)}
