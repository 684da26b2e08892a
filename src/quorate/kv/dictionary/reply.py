"""Replies as bytes, in either version of the protocol. Knows no command."""

from collections.abc import Iterable, Sequence
from math import isinf

from .numerals import shown_double

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY_BULK = b"$0\r\n\r\n"
EMPTY_ARRAY = b"*0\r\n"


def integer(number: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % number


def bulk(word: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


def error(text: bytes) -> bytes:
    """An error, code first."""
    return b"-%b\r\n" % text


def array(replies: Sequence[bytes]) -> bytes:
    """An array of ready replies."""
    return b"*%d\r\n%b" % (len(replies), b"".join(replies))


def bulks(words: Sequence[bytes]) -> bytes:
    """An array of bulk strings."""
    return array([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Version2:
    """The replies that differ between the versions, as RESP2 has them."""

    number = 2
    null = b"$-1\r\n"
    null_array = b"*-1\r\n"

    def optional(self, word: bytes | None) -> bytes:
        """A bulk string, or null."""
        return self.null if word is None else b"$%d\r\n%b\r\n" % (len(word), word)

    def double(self, number: float) -> bytes:
        """A double."""
        return bulk(shown_double(number))

    def map(self, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A map of ready replies."""
        return b"*%d\r\n%b" % (2 * len(pairs), b"".join([part for pair in pairs for part in pair]))

    def set(self, words: Iterable[bytes]) -> bytes:
        """A set of bulk strings."""
        return bulks(list(words))

    def scored(self, pairs: Iterable[tuple[float, bytes]]) -> bytes:
        """Members with their scores."""
        return array([part for score, member in pairs for part in (bulk(member), self.double(score))])


class Version3(Version2):
    """The replies that differ between the versions, as RESP3 has them."""

    number = 3
    null = b"_\r\n"
    null_array = b"_\r\n"

    def double(self, number: float) -> bytes:
        """A double."""
        return b",%b\r\n" % (shown_double(number) if not isinf(number) else b"inf" if number > 0 else b"-inf")

    def map(self, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A map of ready replies."""
        return b"%%%d\r\n%b" % (len(pairs), b"".join([part for pair in pairs for part in pair]))

    def set(self, words: Iterable[bytes]) -> bytes:
        """A set of bulk strings."""
        return b"~" + bulks(list(words))[1:]

    def scored(self, pairs: Iterable[tuple[float, bytes]]) -> bytes:
        """Members with their scores, each pair an array of its own."""
        return array([array([bulk(member), self.double(score)]) for score, member in pairs])


VERSIONS: dict[int, Version2] = {2: Version2(), 3: Version3()}
