"""Bytes into requests: cuts what one connection sends into commands. Knows no command and no socket."""

from .errors import ProtocolFault

LINE_BYTES_MAX = 64 * 1024
ARGUMENTS_MAX = 1024 * 1024
BULK_BYTES_MAX = 64 * 1024 * 1024
REQUEST_BYTES_MAX = 256 * 1024 * 1024

INVALID_COUNT = b"invalid multibulk length"
INVALID_LENGTH = b"invalid bulk length"


class RequestReader:
    """Holds the beginning of a request until its end arrives; every byte is looked at once, however it is cut."""

    __slots__ = ("_arguments", "_missing", "_needed", "_parts", "_size", "_taken")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0  # bytes in _parts
        self._needed = 0  # bytes without which the next argument cannot be complete
        self._arguments: list[bytes] = []
        self._missing = 0  # arguments still to come in the current request
        self._taken = 0  # bytes of the current request's arguments

    def feed(self, data: bytes, requests: list[list[bytes]]) -> None:
        """Append every request that `data` completes; raises ProtocolFault, after appending those before the fault."""
        self._size += len(data)
        if self._parts:
            self._parts.append(data)
            if self._size < self._needed:
                return
            data = b"".join(self._parts)
        at = self._cut(data, requests)
        self._parts = [data[at:]] if at < len(data) else []
        self._size = len(data) - at
        self._needed -= at

    def _cut(self, data: bytes, requests: list[list[bytes]]) -> int:
        """Returns how many bytes were used; leaves in `_needed` the length of `data` that allows the next step."""
        at = 0
        while True:
            if self._missing:
                at = self._cut_arguments(data, at)
                if self._missing:
                    return at
                requests.append(self._arguments)
            end = data.find(b"\r\n", at)
            if end < 0:
                self._await_line(data, at, b"too big mbulk count string")
                return at
            if data[at : at + 1] == b"*":
                self._open(_header(data[at + 1 : end], ARGUMENTS_MAX, INVALID_COUNT))
            elif end > at:
                raise ProtocolFault(b"expected '*', got '%b'" % data[at : at + 1])
            at = end + 2

    def _cut_arguments(self, data: bytes, at: int) -> int:
        arguments = self._arguments
        missing = self._missing
        while missing:
            end = data.find(b"\r\n", at)
            if end < 0:
                self._await_line(data, at, b"too big bulk count string")
                break
            if data[at] != 36:  # '$'
                raise ProtocolFault(b"expected '$', got '%b'" % data[at : at + 1])
            start = end + 2
            stop = start + self._length(data[at + 1 : end])
            if stop + 2 > len(data):
                self._needed = stop + 2
                break
            arguments.append(data[start:stop])
            self._taken += stop - start
            missing -= 1
            at = stop + 2
        self._missing = missing
        return at

    def _open(self, count: int) -> None:
        self._missing = max(count, 0)
        self._arguments = []
        self._taken = 0

    def _length(self, text: bytes) -> int:
        length = _header(text, BULK_BYTES_MAX, INVALID_LENGTH)
        if length < 0 or self._taken + length > REQUEST_BYTES_MAX:
            raise ProtocolFault(INVALID_LENGTH)
        return length

    def _await_line(self, data: bytes, at: int, why: bytes) -> None:
        if len(data) - at > LINE_BYTES_MAX:
            raise ProtocolFault(why)
        self._needed = len(data) + 1


def _header(text: bytes, most: int, why: bytes) -> int:
    if text.isdigit() and len(text) < 10 and (text[0] != 48 or len(text) == 1):
        number = int(text)
    elif text[:1] == b"-" and text[1:].isdigit() and text[1] != 48 and len(text) < 19:
        number = -1
    else:
        raise ProtocolFault(why)
    if number > most:
        raise ProtocolFault(why)
    return number
