"""Bytes from a client, cut into requests. Knows the protocol's bounds and errors; knows no command and no socket.

A request is an array of bulk strings. What Redis accepts is accepted: empty arrays are nothing, and the two bytes
behind a bulk are not looked at. What is malformed ends the connection, after the requests before it were answered.
"""

from .numbers import parse_integer

ARGUMENTS_MAX = 1_048_576
BULK_BYTES_MAX = 64 << 20
REQUEST_BYTES_MAX = 256 << 20
LINE_BYTES_MAX = 64 << 10

Request = list[bytes]


class Framing:
    """The cutting of one connection's bytes; `fault` is the text of the error that ended it, if one did."""

    def __init__(self) -> None:
        self.fault: bytes | None = None
        self._buffer = b""
        self._at = 0
        self._later: list[bytes] = []
        self._later_bytes = 0
        self._missing_bytes = 0
        self._arguments: Request = []
        self._missing_arguments = 0
        self._bulk_length = -1
        self._request_bytes = 0

    def feed(self, data: bytes) -> list[Request]:
        """Take bytes; returns the requests that are complete now."""
        self._later.append(data)
        self._later_bytes += len(data)
        # While a large bulk arrives its parts are only collected, so that the work stays linear in its size.
        if self._later_bytes < self._missing_bytes or self.fault:
            return []
        self._buffer = b"".join((self._buffer[self._at :], *self._later))
        self._at = self._later_bytes = self._missing_bytes = 0
        self._later = []
        requests: list[Request] = []
        while self._advance(requests):
            pass
        return requests

    def _advance(self, requests: list[Request]) -> bool:
        """One header, and the bulks of its request that are there; returns whether there may be more."""
        if not self._missing_arguments:
            return self._read_header()
        while self._missing_arguments:
            if not self._read_bulk():
                return False
        requests.append(self._arguments)
        self._arguments = []
        self._request_bytes = 0
        return True

    def _read_header(self) -> bool:
        if self._at >= len(self._buffer):
            return False
        if self._buffer[self._at] != 0x2A:  # *
            self._fail(b"expected '*', got '%c'" % self._buffer[self._at])
            return False
        line = self._read_line(b"too big mbulk count string")
        if line is None:
            return False
        count = parse_integer(line)
        if count is None or count > ARGUMENTS_MAX:
            self._fail(b"invalid multibulk length")
            return False
        self._missing_arguments = max(count, 0)
        return True

    def _read_bulk(self) -> bool:
        """One bulk into the request; returns False when it is not all there, or wrong."""
        if self._bulk_length < 0 and not self._read_bulk_length():
            return False
        end = self._at + self._bulk_length
        if end + 2 > len(self._buffer):
            self._missing_bytes = end + 2 - len(self._buffer)
            return False
        self._arguments.append(self._buffer[self._at : end])
        self._at = end + 2
        self._bulk_length = -1
        self._missing_arguments -= 1
        return True

    def _read_bulk_length(self) -> bool:
        if self._at < len(self._buffer) and self._buffer[self._at] != 0x24:  # $
            self._fail(b"expected '$', got '%c'" % self._buffer[self._at])
            return False
        line = self._read_line(b"too big bulk count string")
        if line is None:
            return False
        length = parse_integer(line)
        if length is None or not 0 <= length <= BULK_BYTES_MAX or self._request_bytes + length > REQUEST_BYTES_MAX:
            self._fail(b"invalid bulk length")
            return False
        self._bulk_length = length
        self._request_bytes += length
        return True

    def _read_line(self, too_long: bytes) -> bytes | None:
        """The rest of the line behind its sign, or None when its end is not there yet."""
        end = self._buffer.find(b"\r", self._at)
        if end < 0:
            if len(self._buffer) - self._at > LINE_BYTES_MAX:
                self._fail(too_long)
            return None
        if end + 2 > len(self._buffer):
            return None
        line = self._buffer[self._at + 1 : end]
        self._at = end + 2
        return line

    def _fail(self, text: bytes) -> None:
        self.fault = b"ERR Protocol error: " + text
        self._buffer = b""
        self._arguments = []
