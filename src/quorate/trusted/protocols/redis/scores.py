"""Scores of sorted sets: minus zero is made zero before any replica sees it.

Redis keeps its sign in a sorted set that is, or ever was, large, and drops it in a small one. So a replica that lived
long and one that was rebuilt from the same state would answer the next minus zero differently.

Weights may make one of a score, in the replicas. Redis servers do so alike; the small stores never keep one. So in a
cell of both, a union or an intersection is stored only with weights of 1 and above, which make none.
"""

from .arguments import float_argument, integer_argument
from .base import Call, Compiled, Compiler, Dialect, Refusal
from .framing import encode_request
from .set_options import word

_SIGNS_DIFFER = "it may make zeros whose sign the variants of this cell do not all keep"
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
        while first < len(arguments) and word(arguments[first]) in _OPTIONS:
            first += 1
        positions = range(first, len(arguments), 2)
    for position in positions:
        score = cleaned[position]
        if score.startswith(b"-") and float_argument(score) == 0:
            cleaned[position] = b"0"
    return encode_request(cleaned)


def _weighed(dialect: Dialect, call: Call) -> Compiled:
    """ZUNIONSTORE or ZINTERSTORE destination count key … [WEIGHTS weight …] …, in a mixed cell."""
    arguments = call.arguments
    count = integer_argument(arguments[2])
    if count is None or not 0 < count <= len(arguments) - 3:
        return Compiled(call.raw)  # which is an error everywhere
    for position in range(3 + count, len(arguments)):
        if word(arguments[position]) == b"WEIGHTS":
            for weight in arguments[position + 1 : position + 1 + count]:
                if not (float_argument(weight) or 0) >= 1:
                    name = call.command.name.upper()
                    raise Refusal(f"ERR quorate refuses {name} with a weight below 1: {_SIGNS_DIFFER}")
    return Compiled(call.raw)


COMPILERS: dict[str, Compiler] = {"zunionstore": _weighed, "zinterstore": _weighed}
