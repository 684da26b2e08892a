"""How a key of a replica is proved to be what its record tells: a read, and the answer that a correct replica gives.

Each proof reads the deadline, then the value in a way that only its kind knows: of another kind the answer is an error,
and of an absent key it is not this one. Members that have no order are asked for by name, and counted, where they are
few, so that nearly every answer is known to the byte; else it has to be brought into canonical form.
"""

from typing import Final

from ...changes import HASH, SET, STRING, UNKNOWN
from .state_reads import DEADLINE, canonical_value, is_exact, value_request
from .state_records import Content
from .values import ONE, bulk, integer, value_end

# How many replies make an answer that is not known to the byte: a deadline and a value.
FRAMES: Final = 2
# Members are asked for by name where they are no more, and together no longer.
NAMED_MAX: Final = 64
NAMED_BYTES_MAX: Final = 64 * 1024


def proof_of(key: bytes, record: bytes) -> tuple[bytes, bytes, int]:
    """How to prove that `key` is what `record` tells: what to ask, the answer in canonical form, the kind.

    The kind is `UNKNOWN` where a correct replica gives just this answer; else the answer, `FRAMES` replies, has to be
    brought into `canonical_answer` for this kind.
    """
    return proof_for(bulk(key), Content(record))


def proof_for(name: bytes, content: Content) -> tuple[bytes, bytes, int]:
    """The same for a record that was taken apart; `name` is the key, encoded."""
    kind, count, body = content.kind, content.count, content.body
    if count <= NAMED_MAX and len(body) <= NAMED_BYTES_MAX:
        if kind == SET:
            return _named_set(name, content)
        if kind == HASH:
            return _named_hash(name, content)
    request = b"%b%b%b" % (DEADLINE, name, value_request(kind, name))
    value = body if kind == STRING else b"*%d\r\n%b" % (count, body)
    return request, b":%b\r\n%b" % (content.deadline, value), UNKNOWN if is_exact(kind) else kind


def _named_set(name: bytes, content: Content) -> tuple[bytes, bytes, int]:
    """All of these are members, and there are as many."""
    count = content.count
    request = b"%b%b*2\r\n$5\r\nSCARD\r\n%b*%d\r\n$10\r\nSMISMEMBER\r\n%b%b" % (
        DEADLINE, name, name, count + 2, name, content.body,
    )  # fmt: skip
    return request, b":%b\r\n:%d\r\n*%d\r\n%b" % (content.deadline, count, count, ONE * count), UNKNOWN


def _named_hash(name: bytes, content: Content) -> tuple[bytes, bytes, int]:
    """Each of these fields has its value, and there are as many."""
    parts = content.elements()
    fields, values = parts[::2], parts[1::2]
    count = len(fields)
    request = b"%b%b*2\r\n$4\r\nHLEN\r\n%b*%d\r\n$5\r\nHMGET\r\n%b%b" % (
        DEADLINE, name, name, count + 2, name, b"".join(fields),
    )  # fmt: skip
    answer = b":%b\r\n:%d\r\n*%d\r\n%b" % (content.deadline, count, count, b"".join(values))
    return request, answer, UNKNOWN


def canonical_answer(kind: int, answer: bytes) -> bytes:
    """The answer to the proof of a set, a hash or a stream that was read in full, its value in canonical form."""
    start = value_end(answer, 0)
    return answer[:start] + canonical_value(kind, answer[start:])


def absence(key: bytes) -> tuple[bytes, bytes]:
    """How to prove that there is no `key`: what to ask, and the answer."""
    return DEADLINE + bulk(key), integer(-2)
