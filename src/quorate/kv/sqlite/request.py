"""Bytes of one connection cut into requests, with Redis's limits and refusals. Knows no socket and no command.

A request is an array of bulk strings. Like Redis, the parser trusts a line to end at its first carriage return and
does not look at the two bytes that close a bulk string.
"""

from .errors import ProtocolError

LINE_BYTES_MAX = 64 * 1024
ARGUMENTS_MAX = 1_048_576
BULK_BYTES_MAX = 64 * 1024 * 1024
# All that one connection may have sent without completing a request.
REQUEST_BYTES_MAX = 256 * 1024 * 1024
_DIGITS_MAX = 8
# Nearly all length lines are among these, which saves checking them digit by digit.
_SHORT_LENGTHS = {b"$%d" % length: length for length in range(1024)}


class RequestParser:
    """Collects what a client sends and gives back whole requests, one by one."""

    __slots__ = ("_arguments", "_buffer", "_bulk_length", "_bytes", "_missing", "_position")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self._arguments: list[bytes] = []
        self._missing = 0
        self._bulk_length = -1
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        if self._position:
            del self._buffer[: self._position]
            self._position = 0
        self._buffer += data

    def next(self) -> list[bytes] | None:
        """The next whole request, None when more bytes are needed; raises `ProtocolError`."""
        while not self._missing:
            count = self._line(b"*", b"mbulk count")
            if count is None:
                return None
            if count > ARGUMENTS_MAX:
                raise ProtocolError(b"invalid multibulk length")
            self._missing = max(count, 0)
            self._arguments = []
            self._bytes = 0
        return self._bulks()

    def _bulks(self) -> list[bytes] | None:
        buffer, arguments = self._buffer, self._arguments
        while self._missing:
            length = self._bulk_length
            if length < 0:
                position = self._position
                end = buffer.find(b"\r", position)
                if 0 < end < len(buffer) - 1:
                    length = _SHORT_LENGTHS.get(bytes(buffer[position:end]), -1)
                if length >= 0:
                    self._position = end + 2
                elif (length := self._checked_length()) < 0:
                    return None
                self._count(length)
            start = self._position
            end = start + length
            if len(buffer) < end + 2:
                return None
            arguments.append(bytes(buffer[start:end]))
            self._position = end + 2
            self._bulk_length = -1
            self._missing -= 1
        return arguments

    def _count(self, length: int) -> None:
        """Note that a bulk string of this length follows; raises `ProtocolError` when the request grows too large."""
        self._bulk_length = length
        self._bytes += length
        if self._bytes > REQUEST_BYTES_MAX:
            raise ProtocolError(b"invalid bulk length")

    def _checked_length(self) -> int:
        """The length line of a bulk string, -1 when it is not whole; raises `ProtocolError`."""
        length = self._line(b"$", b"bulk count")
        if length is None:
            return -1
        if not 0 <= length <= BULK_BYTES_MAX:
            raise ProtocolError(b"invalid bulk length")
        return length

    def _line(self, kind: bytes, what: bytes) -> int | None:
        """The number on the next line, which must start with `kind`; None when the line is not whole."""
        buffer, start = self._buffer, self._position
        if kind == b"*" and len(buffer) > start and buffer[start] != kind[0]:
            raise ProtocolError(_unexpected(kind, buffer[start]))
        end = buffer.find(b"\r", start)
        if end < 0:
            if len(buffer) - start > LINE_BYTES_MAX:
                raise ProtocolError(b"too big %s string" % what)
            return None
        if end + 1 >= len(buffer):
            return None
        if buffer[start] != kind[0]:
            raise ProtocolError(_unexpected(kind, buffer[start]))
        self._position = end + 2
        return _number(bytes(buffer[start + 1 : end]), kind)


def _number(text: bytes, kind: bytes) -> int:
    """The strict decimal integer of a length line; raises `ProtocolError`."""
    if text.isdigit() and (text == b"0" or not text.startswith(b"0")) and len(text) <= _DIGITS_MAX:
        return int(text)
    if kind == b"*" and text[:1] == b"-" and text[1:].isdigit() and text[1:2] != b"0" and len(text) <= _DIGITS_MAX:
        return -1
    raise ProtocolError(b"invalid multibulk length" if kind == b"*" else b"invalid bulk length")


def _unexpected(kind: bytes, byte: int) -> bytes:
    """The refusal of a wrong first byte; C ends its text at a zero byte."""
    return b"expected '%s', got '%s" % (kind, b"%c'" % byte if byte else b"")
