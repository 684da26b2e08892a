"""How the deadline and the value of a key are read, and the one form of what replicas tell in orders of their own.

Reads are made in RESP2, where a score is the string that it is given as.
"""

from typing import Final

from ...changes import HASH, LIST, SET, STREAM, STRING, ZSET
from .order_free import Unordered
from .state_streams import flat, stream_of

DEADLINE: Final = b"*2\r\n$11\r\nPEXPIRETIME\r\n"
# How each kind is read: what stands before the key, and what after it.
_READS: Final = {
    STRING: (b"*2\r\n$3\r\nGET\r\n", b""),
    LIST: (b"*4\r\n$6\r\nLRANGE\r\n", b"$1\r\n0\r\n$2\r\n-1\r\n"),
    SET: (b"*2\r\n$8\r\nSMEMBERS\r\n", b""),
    HASH: (b"*2\r\n$7\r\nHGETALL\r\n", b""),
    ZSET: (b"*5\r\n$6\r\nZRANGE\r\n", b"$1\r\n0\r\n$2\r\n-1\r\n$10\r\nWITHSCORES\r\n"),
    # Without a count it tells of ten entries only; 0 stands for all.
    STREAM: (b"*6\r\n$5\r\nXINFO\r\n$6\r\nSTREAM\r\n", b"$4\r\nFULL\r\n$5\r\nCOUNT\r\n$1\r\n0\r\n"),
}
# In place of a reply that tells of no stream.
_NO_STREAM = b"-ERR quorate: this tells of no stream\r\n"


def value_request(kind: int, name: bytes) -> bytes:
    """What reads the value of the key that is encoded as `name`, if it is of this kind. One reply."""
    before, after = _READS[kind]
    return b"%b%b%b" % (before, name, after)


def is_exact(kind: int) -> bool:
    """Whether correct replicas tell a value of this kind in the same bytes."""
    return kind not in (SET, HASH, STREAM)


def canonical_value(kind: int, value: bytes) -> bytes:
    """The value of a set, a hash or a stream, as a replica told it, in the one form for all."""
    if kind == STREAM:
        return value if value.startswith(b"-") else _canonical_stream(value)
    return Unordered(1 if kind == SET else 2).canonical(value)


def _canonical_stream(value: bytes) -> bytes:
    try:
        return flat(stream_of(value))
    except (ValueError, IndexError):
        return _NO_STREAM
