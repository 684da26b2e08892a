"""Glob patterns as Redis matches them (`*`, `?`, `[a-c]`, `[^x]`, backslash), in time linear in text times pattern."""

import re
from collections.abc import Callable
from platform import machine

_ANY = b"[\\x00-\\xff]"
_NONE = b"[^\\x00-\\xff]"
_HAS_SIGN = machine() in ("x86_64", "i686")


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    """A function that says whether a key matches the whole pattern."""
    if pattern == b"*":
        return lambda key: True
    pieces = _pieces(pattern)
    # Each piece matches a fixed number of bytes, so the leftmost place is as good as any: no backtracking is needed,
    # and atomic groups forbid it. Only the last piece is bound to the end.
    source = pieces[0]
    for piece in pieces[1:-1]:
        source += b"(?>" + _ANY + b"*?" + piece + b")"
    if len(pieces) > 1:
        source += _ANY + b"*" + pieces[-1]
    compiled = re.compile(source)
    # Redis's loop ends before the pattern is looked at when the key is empty.
    return lambda key: compiled.fullmatch(key) is not None if key else not pattern


def _pieces(pattern: bytes) -> list[bytes]:
    """Regular expressions for what stands between the stars."""
    pieces = [b""]
    at = 0
    while at < len(pattern):
        sign = pattern[at : at + 1]
        at += 1
        if sign == b"*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append(b"")
        elif sign == b"?":
            pieces[-1] += _ANY
        elif sign == b"[":
            matched, at = _class(pattern, at)
            pieces[-1] += matched
        else:
            if sign == b"\\" and at < len(pattern):
                sign = pattern[at : at + 1]
                at += 1
            pieces[-1] += re.escape(sign)
    return pieces


def _as_char(byte: int) -> int:
    """The number that a byte is to C, where Redis compares it: below zero from 128 on, unless `char` has no sign."""
    return byte - 256 if byte >= 128 and _HAS_SIGN else byte


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The regular expression of one bracket that opens before `at`, and where the pattern goes on behind it."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and (pattern[at] != 0x5D):
        if pattern[at] == 0x5C and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1] == 0x2D:
            low, high = sorted(map(_as_char, (pattern[at], pattern[at + 2])))
            members.update(char % 256 for char in range(low, high + 1))
            at += 3
        else:
            members.add(pattern[at])
            at += 1
    # A bracket that is never closed ends with the pattern.
    listed = b"".join(b"\\x%02x" % member for member in sorted(members))
    if not listed:
        return (_ANY if negated else _NONE), at + 1
    return b"[" + (b"^" if negated else b"") + listed + b"]", at + 1
