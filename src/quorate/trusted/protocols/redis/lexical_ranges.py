"""Lexical ranges of sorted sets: only where all scores are equal, so that order by score is order by name.

Elsewhere Redis calls the result unspecified, and it is: the search descends a skip list whose levels are drawn by
chance, each replica's own, so that correct replicas find different ranges. So a range that is read comes, in one slot,
with the first and the last element's score, and is an error where these differ. A range that is written cannot be
undone once it differs: ZREMRANGEBYLEX and ZRANGESTORE … BYLEX are refused.
"""

from .base import Call, Compiled, Compiler, Dialect, Refusal, Transform
from .framing import encode_request
from .table import LEXICAL
from .values import elements, error, value_end

UNEQUAL = error("ERR quorate refuses lexical ranges of elements with different scores: each server finds its own")


class Guarded(Transform):
    """Three replies: the first element with its score, the last one with its own, and the range."""

    is_exact = False

    def canonical(self, reply: bytes) -> bytes:
        """The range, or an error where the scores differ."""
        first_end = value_end(reply, 0)
        last_end = value_end(reply, first_end)
        if _score(reply[:first_end]) != _score(reply[first_end:last_end]):
            return UNEQUAL
        return reply[last_end:]


def _score(reply: bytes) -> bytes:
    """The score in the reply for one element: its last part, in RESP3 that of a pair. None has none."""
    parts = elements(reply)
    if not parts:
        return b""
    return (elements(parts[-1]) or parts)[-1]


def _guarded(dialect: Dialect, call: Call) -> Compiled:
    key = call.arguments[1]
    ends = [[b"ZRANGE", key, position, position, b"WITHSCORES"] for position in (b"0", b"-1")]
    return Compiled(b"".join(map(encode_request, ends)) + call.raw, Guarded(), frames=3)


def _range(dialect: Dialect, call: Call) -> Compiled:
    return _guarded(dialect, call) if _is_lexical(call.arguments[4:]) else Compiled(call.raw)


def _store(dialect: Dialect, call: Call) -> Compiled:
    if _is_lexical(call.arguments[5:]):
        raise Refusal(f"ERR quorate refuses ZRANGESTORE BYLEX: {LEXICAL}")
    return Compiled(call.raw)


def _is_lexical(options: list[bytes]) -> bool:
    return any(option.upper().partition(b"\0")[0] == b"BYLEX" for option in options)


COMPILERS: dict[str, Compiler] = {
    "zlexcount": _guarded,
    "zrange": _range,
    "zrangebylex": _guarded,
    "zrangestore": _store,
    "zrevrangebylex": _guarded,
}
