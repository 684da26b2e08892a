"""Redis's glob-style patterns. Never exponential: a star that fails is retried only at the last star."""

import platform
from functools import lru_cache

STAR = None
ANY = frozenset(range(256))
# Redis compares the ends of a range as C's `char`, which has a sign on x86: there 0x80 to 0xff come before 0.
SIGN = 0x80 if platform.machine() in ("x86_64", "i686") else 0

Token = frozenset[int] | None


def matches(tokens: list[Token], text: bytes) -> bool:
    """Whether the whole text matches the pattern that `compiled` cut into tokens."""
    at = place = 0
    star = -1
    resume = 0
    while at < len(text):
        token = tokens[place] if place < len(tokens) else frozenset()
        if token is STAR:
            star, resume = place, at
            place += 1
        elif text[at] in token:
            at += 1
            place += 1
        elif star < 0:
            return False
        else:
            resume += 1
            at, place = resume, star + 1
    return all(token is STAR for token in tokens[place:])


@lru_cache(maxsize=64)
def _literal(byte: int) -> frozenset[int]:
    return frozenset((byte,))


def compiled(pattern: bytes) -> list[Token]:
    """The pattern as a list of tokens: each the bytes it admits, or a star."""
    tokens: list[Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"*":
            if not tokens or tokens[-1] is not STAR:
                tokens.append(STAR)
        elif byte == b"?":
            tokens.append(ANY)
        elif byte == b"[":
            token, at = _class(pattern, at + 1)
            tokens.append(token)
        else:
            at += byte == b"\\" and at + 1 < len(pattern)
            tokens.append(_literal(pattern[at]))
        at += 1
    return tokens


def _class(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """The bytes of a class that opens before `at`, and the place of its closing bracket or the pattern's end."""
    admitted: set[int] = set()
    is_negated = pattern[at : at + 1] == b"^"
    at += is_negated
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
            admitted.add(pattern[at])
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at] ^ SIGN, pattern[at + 2] ^ SIGN))
            admitted.update(place ^ SIGN for place in range(low, high + 1))
            at += 2
        else:
            admitted.add(pattern[at])
        at += 1
    return (ANY - admitted if is_negated else frozenset(admitted)), at
