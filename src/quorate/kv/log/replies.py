"""Replies as exact bytes, in RESP2 and RESP3. Knows nothing of commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isinf

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY_ARRAY = b"*0\r\n"
EMPTY_BULK = b"$0\r\n\r\n"


def integer(number: int) -> bytes:
    """An integer reply."""
    return b":%d\r\n" % number


def status(text: bytes) -> bytes:
    """A simple string reply; `text` holds no line break."""
    return b"+%b\r\n" % text


def failure(text: bytes) -> bytes:
    """An error reply; line breaks at its end are left out and others become spaces, as Redis does it."""
    return b"-%b\r\n" % text.rstrip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ")


def bulk(content: bytes) -> bytes:
    """A bulk string reply."""
    return b"$%d\r\n%b\r\n" % (len(content), content)


def array(parts: Iterable[bytes]) -> bytes:
    """An array of replies that are encoded already."""
    encoded = list(parts)
    return b"*%d\r\n%b" % (len(encoded), b"".join(encoded))


def bulks(contents: Iterable[bytes]) -> bytes:
    """An array of bulk strings."""
    return array(map(bulk, contents))


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the two versions of the protocol write differently."""

    version: int
    null: bytes
    null_array: bytes
    map_sign: bytes
    set_sign: bytes

    def double(self, number: float) -> bytes:
        """A floating-point reply: seventeen significant digits."""
        text = (b"inf" if number > 0 else b"-inf") if isinf(number) else b"%.17g" % number
        return b",%b\r\n" % text if self.version == 3 else bulk(text)

    def map(self, parts: Iterable[bytes]) -> bytes:
        """A map of encoded keys and values, alternating."""
        encoded = list(parts)
        count = len(encoded) // 2 if self.version == 3 else len(encoded)
        return b"%b%d\r\n%b" % (self.map_sign, count, b"".join(encoded))

    def set(self, contents: Iterable[bytes]) -> bytes:
        """A set of bulk strings."""
        encoded = list(map(bulk, contents))
        return b"%b%d\r\n%b" % (self.set_sign, len(encoded), b"".join(encoded))

    def optional(self, content: bytes | None) -> bytes:
        """A bulk string, or null."""
        return self.null if content is None else bulk(content)


RESP2 = Encoding(2, b"$-1\r\n", b"*-1\r\n", b"*", b"*")
RESP3 = Encoding(3, b"_\r\n", b"_\r\n", b"%", b"~")
