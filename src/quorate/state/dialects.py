"""What the keeper needs of a protocol, to make a replica's state and to read it back: a seam, and its implementations.

A request yields exactly one reply, unless it says otherwise. A new lane stands in database 0.
"""

from typing import Protocol

from ..trusted.limits import MIB
from ..trusted.protocol import Scanner
from ..trusted.protocols.redis.answers import DATABASES
from ..trusted.protocols.redis.framing import ReplyScanner, encode_request
from ..trusted.protocols.redis.state_proofs import FRAMES, absence, canonical_answer, proof_for
from ..trusted.protocols.redis.state_records import Content, deadline_of, kind_of
from ..trusted.protocols.redis.state_restore import requests_for
from ..trusted.protocols.redis.values import OK, bulk, integer, is_error, value_end

# How long a request of the keeper's becomes before it is split: far below what any service refuses.
REQUEST_BYTES_MAX = 1 * MIB


class StateDialect(Protocol):
    """One protocol's state: requests, the replies to expect, and what records hold."""

    databases: int
    # What most requests that change something are replied.
    acknowledgement: bytes
    # How many replies make the answer to a proof: its *unit*.
    proof_frames: int

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

    def feed(self, key: bytes, record: bytes) -> tuple[list[bytes], bytes, bytes, int]:
        """What makes `key` as the record says where it is absent, and the proof of it.

        The proof is what reads `key` back, the unit that it yields if the key is as the record says, and a kind. The
        kind is 0 where a correct replica tells this very unit; else what it tells is brought into `canonical` form.
        """

    def first_error(self, replies: bytes, count: int) -> tuple[int, bytes]:
        """Which of `count` whole replies is the first error, and the error; an empty one where none is."""

    def canonical(self, kind: int, unit: bytes) -> bytes:
        """What a replica told, in the one order for all. Raises `ValueError` when it tells no such thing."""

    def absence(self, key: bytes) -> tuple[bytes, bytes]:
        """What reads `key` back, and the reply if it is absent."""

    def kind(self, record: bytes) -> int:
        """The kind of what a record holds."""

    def deadline(self, record: bytes) -> int:
        """When the key ends, in ms as replicas hold it, or -1."""


class RedisState:
    """The Redis protocol's state, on a lane in RESP2, as every new connection is."""

    databases = DATABASES
    acknowledgement = OK
    proof_frames = FRAMES

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

    def feed(self, key: bytes, record: bytes) -> tuple[list[bytes], bytes, bytes, int]:
        """Requests of moderate length that make `key` what the record says, and the proof."""
        name = bulk(key)
        content = Content(record)
        request, unit, kind = proof_for(name, content)
        return requests_for(key, name, content, REQUEST_BYTES_MAX), request, unit, kind

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

    def canonical(self, kind: int, unit: bytes) -> bytes:
        """What a replica told, in the one order for all."""
        try:
            return canonical_answer(kind, unit)
        except IndexError:
            raise ValueError("the reply ends early") from None

    # As they are: each row goes through these.
    absence = staticmethod(absence)
    kind = staticmethod(kind_of)
    deadline = staticmethod(deadline_of)


DIALECTS = {"redis": RedisState}


def make(protocol: str) -> StateDialect:
    """The dialect of a protocol by its name."""
    return DIALECTS[protocol]()
