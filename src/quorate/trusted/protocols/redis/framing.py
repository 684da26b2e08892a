"""Where requests and replies of the Redis protocol (RESP2, RESP3, inline commands) begin and end: exact bounds.

Requests are cut strictly: a length is a plain decimal number, each line and each bulk string ends in CRLF. So the bytes
that go to the replicas can be read in one way only, and nothing is encoded anew. Replies are framed by counting the
values still to come, so that depth costs nothing, and a reply under way is never read twice from its beginning.
"""

from typing import Final

from ...errors import ClientFault
from ...limits import Limits
from ...protocol import Scanner

LENGTH_DIGITS_MAX: Final = 10
SHORT_DIGITS_MAX: Final = 4
# What says how many arguments follow is looked through so far for its end, however its bytes come.
HEADER_BYTES_MAX: Final = LENGTH_DIGITS_MAX + 5
LINE_BYTES_MAX: Final = 64 * 1024

# Most lengths are small: a look-up is faster than parsing, and as strict.
_LENGTHS: Final = {b"%d" % number: number for number in range(1024)}
_HEADERS: Final = [b"$%d" % number for number in range(1024)]
_COUNTS: Final = {b"*%d" % number: number for number in range(1, 64)}

# The kinds of values by their first byte: one line; a length and as many bytes; a length and as many values or pairs.
_LINES: Final = frozenset(b"+-:_,#(")
_BULKS: Final = frozenset(b"$=!")
_ATTRIBUTE: Final = 124  # |
_VALUES_EACH: Final = {42: 1, 126: 1, 62: 1, 37: 2, _ATTRIBUTE: 2}  # * ~ > %
_KINDS: Final = _LINES | _BULKS | frozenset(_VALUES_EACH)
_NULLABLE: Final = frozenset(b"$*")
# How a browser that was tricked into talking to this port begins: its page's author must not get a request through.
_HTTP = frozenset((b"post", b"host:"))


def parse_length(token: bytes) -> int:
    """A length in plain decimal digits, or -1 when `token` is anything else."""
    length = _LENGTHS.get(token)
    if length is not None:
        return length
    if not token.isdigit() or len(token) > LENGTH_DIGITS_MAX or token.startswith(b"0"):
        return -1
    return int(token)


def encode_request(arguments: list[bytes]) -> bytes:
    """`arguments` as the array of bulk strings that servers read."""
    bulks = [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"*%d\r\n" % len(arguments) + b"".join(bulks)


def _broken(why: bytes) -> ClientFault:
    return ClientFault(b"-ERR Protocol error: " + why + b"\r\n", fatal=True)


class Request:
    """One request: its `arguments`, command name first, and the `raw` bytes that servers read."""

    __slots__ = ("arguments", "raw")

    def __init__(self, arguments: list[bytes], raw: bytes) -> None:
        self.arguments = arguments
        self.raw = raw


class RequestFramer:
    """Cuts one client's bytes into requests. What is incomplete waits here, within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tail = b""
        self._chunks: list[bytes] = []
        self._chunk_bytes = 0
        self._needed = 0
        self._arguments: list[bytes] = []
        self._missing = 0
        self._raw: list[bytes] = []
        self._raw_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of incomplete requests are kept."""
        return self._raw_bytes + len(self._tail) + self._chunk_bytes

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete with `data`. Raises `ClientFault` at bytes that cannot be a request.

        Requests before the fault are in the fault's `requests`.
        """
        self._chunks.append(data)
        self._chunk_bytes += len(data)
        if len(self._tail) + self._chunk_bytes < self._needed:
            return []
        buffer = self._tail + b"".join(self._chunks) if self._tail else b"".join(self._chunks)
        self._chunks.clear()
        self._chunk_bytes = 0
        self._needed = 0
        return self._cut(buffer)

    def _cut(self, buffer: bytes) -> list[Request]:
        requests: list[Request] = []
        position = 0
        size = len(buffer)
        if not self._missing and size <= self._limits.inline_bytes_max:
            position = cut_ordinary(buffer, requests)
        try:
            while position < size:
                if self._missing:
                    end = self._cut_arguments(buffer, position)
                elif buffer[position] == 42:  # *
                    end = self._cut_header(buffer, position)
                else:
                    end = self._cut_inline(buffer, position, requests)
                if end < 0:
                    break
                position = end
                if not self._missing and self._arguments:
                    requests.append(self._complete())
        except ClientFault as fault:
            raise RequestFault(fault.answer, requests) from None
        self._tail = buffer[position:] if position else buffer
        return requests

    def _complete(self) -> Request:
        raw = self._raw[0] if len(self._raw) == 1 else b"".join(self._raw)
        request = Request(self._arguments, raw)
        self._arguments = []
        self._raw = []
        self._raw_bytes = 0
        return request

    def _cut_header(self, buffer: bytes, position: int) -> int:
        stop = buffer.find(b"\r\n", position, position + HEADER_BYTES_MAX)
        if stop < 0:
            if len(buffer) - position >= HEADER_BYTES_MAX:
                raise _broken(b"too big mbulk count string")
            return -1
        token = buffer[position + 1 : stop]
        count = parse_length(token)
        if count > self._limits.request_arguments_max:
            raise _broken(b"invalid multibulk length")
        if count < 0:
            if token != b"-1":
                raise _broken(b"invalid multibulk length")
            count = 0
        self._missing = count
        if not count:
            return stop + 2
        return self._cut_arguments_from(buffer, position, stop + 2)

    def _cut_arguments(self, buffer: bytes, position: int) -> int:
        return self._cut_arguments_from(buffer, position, position)

    def _cut_arguments_from(self, buffer: bytes, start: int, position: int) -> int:
        """Cut missing arguments from `position` on; the bytes from `start` on belong to the request's raw bytes."""
        arguments = self._arguments
        size = len(buffer)
        begun = position
        while self._missing:
            stop = buffer.find(b"\r\n", position, position + LENGTH_DIGITS_MAX + 3)
            if stop < 0:
                self._check_bulk_header(buffer, position)
                break
            if buffer[position] != 36:  # $
                self._check_bulk_header(buffer, position)
            length = parse_length(buffer[position + 1 : stop])
            if length < 0 or length > self._limits.request_bytes_max:
                raise _broken(b"invalid bulk length")
            end = stop + 2 + length
            if end + 2 > size:
                self._needed = end + 2 - position
                if self._raw_bytes + end - start > self._limits.request_bytes_max:
                    raise _broken(b"request is over the limit")
                break
            if buffer[end] != 13 or buffer[end + 1] != 10:
                raise _broken(b"bulk string does not end in CRLF")
            arguments.append(buffer[stop + 2 : end])
            position = end + 2
            self._missing -= 1
        if position == begun and start == begun:
            return -1
        self._raw.append(buffer[start:position])
        self._raw_bytes += position - start
        if self._raw_bytes > self._limits.request_bytes_max:
            raise _broken(b"request is over the limit")
        return position

    def _check_bulk_header(self, buffer: bytes, position: int) -> None:
        if position < len(buffer) and buffer[position] != 36:
            raise _broken(b"expected '$', got '%c'" % buffer[position])
        if len(buffer) - position > LENGTH_DIGITS_MAX + 3:
            raise _broken(b"too big bulk count string")

    def _cut_inline(self, buffer: bytes, position: int, requests: list[Request]) -> int:
        stop = buffer.find(b"\n", position)
        if stop < 0:
            if len(buffer) - position > self._limits.inline_bytes_max:
                raise _broken(b"too big inline request")
            return -1
        if stop - position > self._limits.inline_bytes_max:
            raise _broken(b"too big inline request")
        line = buffer[position:stop]
        arguments = split_inline(line[:-1] if line.endswith(b"\r") else line)
        if arguments:
            if arguments[0].lower() in _HTTP:
                raise _broken(b"this is HTTP, not Redis")
            requests.append(Request(arguments, encode_request(arguments)))
        return stop + 1


def cut_ordinary(buffer: bytes, requests: list[Request]) -> int:
    """Cut the ordinary requests that `buffer` begins with, append them, and return where the rest begins.

    One split at CRLF yields headers and values in turn, as long as no value holds a CRLF. Each header must be, to the
    byte, the one that its value calls for, which is as strict as parsing it. What is anything else is left to others.
    """
    lines = buffer.split(b"\r\n")
    whole = len(lines) - 1
    position = 0
    line = 0
    while line < whole:
        count = _COUNTS.get(lines[line])
        if count is None or line + 2 * count >= whole:
            break
        end = line + 1 + 2 * count
        arguments = lines[line + 2 : end : 2]
        size = len(lines[line]) + 2
        for index, argument in enumerate(arguments):
            length = len(argument)
            header = _HEADERS[length] if length < 1024 else b"$%d" % length
            if lines[line + 1 + 2 * index] != header:
                return position
            size += len(header) + length + 4
        requests.append(Request(arguments, buffer[position : position + size]))
        position += size
        line = end
    return position


class RequestFault(ClientFault):
    """Bytes that cannot be a request; `requests` are the complete ones before them. Nothing after can be understood."""

    def __init__(self, answer: bytes, requests: list[Request]) -> None:
        super().__init__(answer, fatal=True)
        self.requests = requests


_ESCAPES = {110: b"\n", 114: b"\r", 116: b"\t", 98: b"\b", 97: b"\a"}
_SPACES = frozenset(b" \n\r\t\v\f\0")
_HEX = frozenset(b"0123456789abcdefABCDEF")


def split_inline(line: bytes) -> list[bytes]:
    """The words of an inline command, with "double" quotes (escapes inside) and 'single' ones, as Redis splits them."""
    words: list[bytes] = []
    position = 0
    while True:
        while position < len(line) and line[position] in _SPACES:
            position += 1
        if position == len(line):
            return words
        word, position = _inline_word(line, position)
        words.append(word)


def _inline_word(line: bytes, position: int) -> tuple[bytes, int]:
    word = bytearray()
    while position < len(line) and line[position] not in _SPACES:
        byte = line[position]
        if byte in (34, 39):  # " '
            position = _inline_quoted(line, position + 1, byte, word)
            if position < len(line) and line[position] not in _SPACES:
                raise _broken(b"unbalanced quotes in request")
            return bytes(word), position
        word.append(byte)
        position += 1
    return bytes(word), position


def _inline_quoted(line: bytes, position: int, quote: int, word: bytearray) -> int:
    while position < len(line):
        byte = line[position]
        if byte == quote:
            return position + 1
        if byte == 92 and position + 1 < len(line):  # backslash
            position = _inline_escape(line, position, quote, word)
        else:
            word.append(byte)
            position += 1
    raise _broken(b"unbalanced quotes in request")


def _inline_escape(line: bytes, position: int, quote: int, word: bytearray) -> int:
    following = line[position + 1]
    if quote == 39:
        if following == 39:
            word.append(39)
            return position + 2
        word.append(92)
        return position + 1
    digits = line[position + 2 : position + 4]
    if following == 120 and len(digits) == 2 and all(digit in _HEX for digit in digits):
        word.append(int(digits, 16))
        return position + 4
    word += _ESCAPES.get(following, bytes((following,)))
    return position + 2


class ReplyScanner(Scanner):
    """Finds where replies end.

    Inside the first unit of a buffer, `_position` is where to read on and `_pending` counts the values still missing
    there; 0 means that the unit has not been begun. `_skip` bytes are still to be thrown away.
    """

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._pending = 0
        self._skip = 0

    def fresh(self) -> Scanner:
        """Another scanner, with nothing read."""
        return ReplyScanner()

    def scan(self, buffer: bytearray, start: int, limit: int, units: int, frames: int) -> int:
        """Find up to `units` units of `frames` frames each in `buffer[start:limit]`; return how many are complete."""
        is_first = start == 0
        position = self._position if is_first else start
        pending = self._pending if is_first and self._pending else frames
        self.is_garbage = False
        self.end = start
        found = 0
        while found < units:
            following, values = _value(buffer, position, limit)
            if values < 0:
                self.is_garbage = values == GARBAGE
                break
            position = following
            pending += values - 1
            if not pending:
                found += 1
                self.end = position
                pending = frames
        if is_first:
            self._position = 0 if found else position
            self._pending = 0 if found else pending
        return found

    def skip(self, buffer: bytearray) -> bool:
        """Throw away the unit under way as far as it is in `buffer`; whether it ended."""
        if self._skip:
            dropped = min(self._skip, len(buffer))
            del buffer[:dropped]
            self._skip -= dropped
            if self._skip:
                return False
            if not self._pending:
                return True
        if self.scan(buffer, 0, len(buffer), 1, self._pending):
            del buffer[: self.end]
            self.shift(self.end)
            return True
        del buffer[: self._position]
        self._position = 0
        return self._skip_bulk(buffer)

    def _skip_bulk(self, buffer: bytearray) -> bool:
        """The buffer begins with a value that is not all there; if it is a long string, throw away what there is."""
        stop = buffer.find(b"\r\n")
        if stop < 0 or self.is_garbage:
            return False
        self._skip = stop + 4 + _reply_length(buffer, 0, stop) - len(buffer)
        self._pending -= 1
        buffer.clear()
        return False

    def shift(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole units, are gone."""
        self._position = 0
        self._pending = 0


MISSING: Final = -1
GARBAGE: Final = -2


def _value(buffer: bytearray, position: int, limit: int) -> tuple[int, int]:
    """The value at `position`: the offset after its own bytes, and how many values it holds that come after it.

    Instead of the latter, `MISSING` says that more bytes are needed, and `GARBAGE` that no value begins like this.
    """
    if position >= limit:
        return position, MISSING
    kind = buffer[position]
    stop = buffer.find(b"\r\n", position, limit)
    if stop < 0:
        is_garbage = kind not in _KINDS or limit - position > LINE_BYTES_MAX
        return position, GARBAGE if is_garbage else MISSING
    if kind in _LINES:
        return stop + 2, 0
    if kind not in _KINDS:
        return position, GARBAGE
    length = _reply_length(buffer, position, stop)
    if length < 0:
        return (stop + 2, 0) if length == NULL and kind in _NULLABLE else (position, GARBAGE)
    if kind in _BULKS:
        end = stop + length + 4
        if end > limit:
            return position, MISSING
        is_whole = buffer[end - 2] == 13 and buffer[end - 1] == 10
        return (end, 0) if is_whole else (position, GARBAGE)
    # An attribute comes before the value that it belongs to, and is none itself.
    return stop + 2, length * _VALUES_EACH[kind] + (1 if kind == _ATTRIBUTE else 0)


NULL: Final = -1
NO_LENGTH: Final = -2


def _short_length(buffer: bytearray, start: int, stop: int) -> int:
    """A length of few digits, or -1 where it is no such: most are, and this needs no bytes of their own for them."""
    if not 0 < stop - start <= SHORT_DIGITS_MAX or (buffer[start] == 48 and stop - start > 1):
        return -1
    length = 0
    for index in range(start, stop):
        digit = buffer[index] - 48
        if not 0 <= digit <= 9:
            return -1
        length = length * 10 + digit
    return length


def _reply_length(buffer: bytearray, position: int, stop: int) -> int:
    """The length in a header, `NULL`, or `NO_LENGTH` when it is no number."""
    length = _short_length(buffer, position + 1, stop)
    if length >= 0:
        return length
    token = bytes(buffer[position + 1 : stop])
    if token == b"-1":
        return NULL
    length = parse_length(token)
    return length if length >= 0 else NO_LENGTH
