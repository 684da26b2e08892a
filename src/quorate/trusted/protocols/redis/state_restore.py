"""The requests that make a key what its record tells, on a replica where it is absent.

Each has one reply, and that is all that is known of replies here. Long values come in pieces: one request is not longer
than it may be, unless one element is.
"""

from typing import Final

from ...changes import HASH, LIST, SET, STREAM, STRING, ZSET
from .batches import batches
from .framing import encode_request
from .state_records import Content
from .state_streams import restore_stream, unflat
from .values import array, bulk, payload

# How many groups of elements one request makes.
_GROUPS_MAX: Final = 16_384
# What a request holds beside its key and its elements, at most.
_AROUND_BYTES = 128
# Of how many parts a group of elements is, and the command that adds groups to a key.
_ADDITIONS: Final = {LIST: (1, b"RPUSH"), SET: (1, b"SADD"), HASH: (2, b"HSET")}

_NEGATIVE_ZERO: Final = b"$2\r\n-0\r\n"
# Longer than any member that a server keeps in its compact encoding.
_LONG_MEMBER_BYTES = 16 * 1024


def restore_requests(key: bytes, record: bytes, request_bytes_max: int) -> list[bytes]:
    """Encoded requests that make `key` what `record` tells where it is absent. Each yields one reply, none an error."""
    return requests_for(key, bulk(key), Content(record), request_bytes_max)


def requests_for(key: bytes, name: bytes, content: Content, request_bytes_max: int) -> list[bytes]:
    """The same for a record that was taken apart; `name` is the key, encoded."""
    room = max(request_bytes_max - len(name) - _AROUND_BYTES, request_bytes_max // 2)
    if content.kind == STRING:
        requests = _restore_string(name, content.body, room)
    elif content.kind == STREAM:
        requests = restore_stream(key, unflat(_parts(content)), room)
    elif content.kind == ZSET:
        requests = _restore_ranked(name, content, room)
    else:
        requests = _restore_collection(name, content, room)
    if content.deadline != b"-1":
        requests.append(encode_request([b"PEXPIREAT", key, content.deadline]))
    return requests


def _parts(content: Content) -> list[bytes]:
    return [payload(part) for part in content.elements()]


def _restore_string(name: bytes, body: bytes, room: int) -> list[bytes]:
    if len(body) <= room:
        return [b"*3\r\n$3\r\nSET\r\n%b%b" % (name, body)]
    value = payload(body)
    pieces = [bulk(value[start : start + room]) for start in range(0, len(value), room)]
    requests = [array([b"$6\r\nAPPEND\r\n", name, piece]) for piece in pieces[1:]]
    return [array([b"$3\r\nSET\r\n", name, pieces[0]]), *requests]


def _restore_collection(name: bytes, content: Content, room: int) -> list[bytes]:
    """What is sent to add elements is what stands in the record."""
    stride, command = _ADDITIONS[content.kind]
    before = bulk(command) + name
    if len(content.body) <= room and content.count <= _GROUPS_MAX * stride:
        return [b"*%d\r\n%b%b" % (content.count + 2, before, content.body)]
    pieces = batches(content.elements(), stride, _GROUPS_MAX, room)
    return [b"*%d\r\n%b%b" % (len(piece) + 2, before, b"".join(piece)) for piece in pieces]


def _restore_ranked(name: bytes, content: Content, room: int) -> list[bytes]:
    """ZADD takes each score before its member.

    Redis keeps the sign of -0 only in its large encoding, and keeps to that once it took it: a long member that comes
    first and goes last makes it take it.
    """
    parts = content.elements()
    swapped: list[bytes] = []
    is_zero_negative = False
    for index in range(0, content.count, 2):
        score = parts[index + 1]
        is_zero_negative = is_zero_negative or score == _NEGATIVE_ZERO
        swapped.append(score)
        swapped.append(parts[index])
    if not is_zero_negative and len(content.body) <= room and content.count <= _GROUPS_MAX * 2:
        return [b"*%d\r\n$4\r\nZADD\r\n%b%b" % (content.count + 2, name, b"".join(swapped))]
    pieces = batches(swapped, 2, _GROUPS_MAX, room)
    if not is_zero_negative:
        return [array([b"$4\r\nZADD\r\n", name, *piece]) for piece in pieces]
    long = bulk(b"-" * _LONG_MEMBER_BYTES)
    while long in swapped:
        long = bulk(payload(long) + b"-")
    pieces.insert(0, [bulk(b"0"), long])
    requests = [array([b"$4\r\nZADD\r\n", name, *piece]) for piece in pieces]
    requests.append(array([b"$4\r\nZREM\r\n", name, long]))
    return requests
