"""What the keeper needs of a protocol, to make a replica's state and to read it back: a seam, and its implementations.

A request yields exactly one reply, unless it says otherwise. A new lane stands in database 0.
"""

from typing import Protocol

from ..trusted.limits import MIB
from ..trusted.protocol import Scanner
from ..trusted.protocols.redis.answers import DATABASES
from ..trusted.protocols.redis.framing import ReplyScanner, encode_request
from ..trusted.protocols.redis.state import expected_unit, kind_of, record_of, restore_requests, state_request
from ..trusted.protocols.redis.state_records import deadline_of
from ..trusted.protocols.redis.values import OK, integer, is_error, value_end

# How long a request of the keeper's becomes before it is split: far below what any service refuses.
REQUEST_BYTES_MAX = 1 * MIB


class StateDialect(Protocol):
    """One protocol's state: requests, the replies to expect, and what records hold."""

    databases: int
    # What most requests that change something are replied.
    acknowledgement: bytes

    def scanner(self) -> Scanner:
        """A new scanner of replies."""

    def select(self, database: int) -> tuple[bytes, bytes]:
        """What makes a database the lane's own, and the reply."""

    def count(self, rows: int) -> tuple[bytes, bytes]:
        """What asks how many keys the lane's database has, and the reply when it has `rows`."""

    def clear(self) -> bytes:
        """What empties the lane's database."""

    def delete(self, key: bytes) -> bytes:
        """What makes a key absent, whether or not it is."""

    def restore(self, key: bytes, record: bytes) -> list[bytes]:
        """What makes `key` as the record says where it is absent."""

    def first_error(self, replies: bytes, count: int) -> tuple[int, bytes]:
        """Which of `count` whole replies is the first error, and the error; an empty one where none is."""

    def ask(self, key: bytes, kind: int) -> tuple[bytes, int]:
        """What reads the state of a key thought to be of this kind, and how many replies that yields: its *unit*."""

    def expected(self, key: bytes, record: bytes) -> bytes | None:
        """The unit that a correct replica gives, or None where its order is the replica's own."""

    def told(self, kind: int, unit: bytes) -> bytes | None:
        """The record in a unit, None when it says that the key is absent. Raises `ValueError` when it says neither."""

    def kind(self, record: bytes) -> int:
        """The kind of what a record holds."""

    def deadline(self, record: bytes) -> int:
        """When the key ends, in ms as replicas hold it, or -1."""


class RedisState:
    """The Redis protocol's state, on a lane in RESP2, as every new connection is."""

    databases = DATABASES
    acknowledgement = OK

    def scanner(self) -> Scanner:
        """A new scanner of replies."""
        return ReplyScanner()

    def select(self, database: int) -> tuple[bytes, bytes]:
        """SELECT."""
        return encode_request([b"SELECT", b"%d" % database]), OK

    def count(self, rows: int) -> tuple[bytes, bytes]:
        """DBSIZE."""
        return encode_request([b"DBSIZE"]), integer(rows)

    def clear(self) -> bytes:
        """FLUSHDB."""
        return encode_request([b"FLUSHDB"])

    def delete(self, key: bytes) -> bytes:
        """DEL."""
        return encode_request([b"DEL", key])

    def restore(self, key: bytes, record: bytes) -> list[bytes]:
        """Requests of moderate length that make `key` what the record says."""
        return restore_requests(key, record, REQUEST_BYTES_MAX)

    def first_error(self, replies: bytes, count: int) -> tuple[int, bytes]:
        """Which of `count` whole replies is the first error, and the error; an empty one where none is."""
        if not replies.startswith(b"-") and b"\r\n-" not in replies:
            return 0, b""
        start = 0
        for index in range(count):
            end = value_end(replies, start)
            if is_error(replies[start:end]):
                return index, replies[start:end]
            start = end
        return 0, b""

    def told(self, kind: int, unit: bytes) -> bytes | None:
        """The record in a unit, None when it says that the key is absent."""
        _, record, is_settled = record_of(kind, unit)
        if not is_settled:
            raise ValueError("the reply tells of no state")
        return record

    # As they are: each row goes through these.
    ask = staticmethod(state_request)
    expected = staticmethod(expected_unit)
    kind = staticmethod(kind_of)
    deadline = staticmethod(deadline_of)


DIALECTS = {"redis": RedisState}


def make(protocol: str) -> StateDialect:
    """The dialect of a protocol by its name."""
    return DIALECTS[protocol]()
