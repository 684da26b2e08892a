"""Scores of sorted sets: minus zero is made zero before any replica sees it.

Redis keeps its sign in a sorted set that is, or ever was, large, and drops it in a small one. So a replica that lived
long and one that was rebuilt from the same state would answer the next minus zero differently.
"""

from .arguments import float_argument
from .framing import encode_request

_OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))


def may_hold_minus_zero(raw: bytes) -> bool:
    """Whether an argument of this request begins with a minus."""
    return b"\r\n-" in raw


def without_minus_zero(arguments: list[bytes]) -> bytes:
    """ZADD key [options] score member … or ZINCRBY key score member, with zero for each score of minus zero."""
    cleaned = list(arguments)
    if arguments[0].upper() == b"ZINCRBY":
        positions = range(2, 3)
    else:
        first = 2
        while first < len(arguments) and arguments[first].upper() in _OPTIONS:
            first += 1
        positions = range(first, len(arguments), 2)
    for position in positions:
        score = cleaned[position]
        if score.startswith(b"-") and float_argument(score) == 0:
            cleaned[position] = b"0"
    return encode_request(cleaned)
