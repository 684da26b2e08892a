"""What XINFO STREAM tells: the part of it that all correct replicas agree on. Knows no other command."""

from .base import Transform
from .values import ZERO, elements, error, payload, with_elements

NO_SUCH_KEY = error("ERR no such key")
_NONE = b"0-0"
_IDENTIFIER_DIGITS_MAX = 41
_HISTORY = (b"radix-tree-keys", b"radix-tree-nodes")


def without_history(reply: bytes) -> bytes:
    """The reply of XINFO STREAM with the counts that follow a replica's own history told as 0."""
    parts = elements(reply)
    for index in range(0, len(parts) - 1, 2):
        if payload(parts[index]) in _HISTORY:
            parts[index + 1] = ZERO
    return with_elements(reply, parts) if parts else reply


def last_id(reply: bytes) -> bytes:
    """The last identifier that a stream gave out, from the reply of XINFO STREAM; 0-0 when it says none."""
    parts = elements(reply)
    for index in range(0, len(parts) - 1, 2):
        if payload(parts[index]) == b"last-generated-id":
            identifier = payload(parts[index + 1])
            milliseconds, _, sequence = identifier.partition(b"-")
            is_whole = milliseconds.isdigit() and sequence.isdigit() and len(identifier) <= _IDENTIFIER_DIGITS_MAX
            return identifier if is_whole else _NONE
    return _NONE


class Information(Transform):
    """The reply of XINFO STREAM."""

    is_exact = False

    def canonical(self, reply: bytes) -> bytes:
        """The reply without what differs between correct replicas."""
        return without_history(reply)
