"""Glob-style patterns, exactly as Redis matches them (util.c, stringmatchlen), in bounded time.

A pattern becomes tokens, each the bytes that may stand at one place, or a star. Only the last star passed is ever gone
back to: so the steps are at most pattern times text, and those are counted. Quirks kept: a class that is never closed
ends with the pattern, `[^` alone stands for any byte, and no pattern but the empty one matches an empty text.
"""

from .base import Refusal

_STAR = 42
_QUESTION = 63
_OPEN = 91
_CLOSE = 93
_CARET = 94
_BACKSLASH = 92
_DASH = 45
_ANY = bytes(range(256))
_BYTES_MAX = 4096
_STEPS_MAX = 1_000_000


class Glob:
    """One pattern. Raises `Refusal` when it is over `bytes_max`, or all its matches take over `steps_max` steps."""

    def __init__(self, pattern: bytes, bytes_max: int, steps_max: int) -> None:
        if len(pattern) > bytes_max:
            raise Refusal("ERR quorate: the pattern is too long (limit pattern_bytes_max)")
        self._steps_left = steps_max
        self._tokens: list[bytes | None] = []
        position = 0
        while position < len(pattern):
            position = self._token(pattern, position)

    def matches(self, text: bytes) -> bool:
        """Whether the whole of `text` fits."""
        tokens = self._tokens
        if not text:
            return not tokens
        size = len(text)
        count = len(tokens)
        position = token = 0
        resume_token = -1
        resume_position = 0
        steps = 0
        while position < size:
            steps += 1
            if steps > self._steps_left:
                raise Refusal("ERR quorate: the pattern takes too long to match (limit match_steps_max)")
            if token < count:
                accepted = tokens[token]
                if accepted is None:
                    token += 1
                    if token == count:
                        position = size
                    resume_token, resume_position = token, position
                    continue
                if text[position] in accepted:
                    position += 1
                    token += 1
                    continue
            if resume_token < 0:
                break
            resume_position += 1
            position, token = resume_position, resume_token
        self._steps_left -= steps
        return position == size and all(accepted is None for accepted in tokens[token:])

    def _token(self, pattern: bytes, position: int) -> int:
        """Read the token at `position`; the offset after it."""
        byte = pattern[position]
        if byte == _STAR:
            if not self._tokens or self._tokens[-1] is not None:
                self._tokens.append(None)
        elif byte == _QUESTION:
            self._tokens.append(_ANY)
        elif byte == _OPEN:
            return self._class(pattern, position + 1)
        else:
            if byte == _BACKSLASH and position + 1 < len(pattern):
                position += 1
            self._tokens.append(pattern[position : position + 1])
        return position + 1

    def _class(self, pattern: bytes, position: int) -> int:
        size = len(pattern)
        is_negated = position < size and pattern[position] == _CARET
        position += is_negated
        members: dict[int, None] = {}
        while position < size and pattern[position] != _CLOSE:
            first = last = pattern[position]
            if first == _BACKSLASH and position + 1 < size:
                position += 1
                first = last = pattern[position]
            elif position + 2 < size and pattern[position + 1] == _DASH:
                position += 2
                last = pattern[position]
            for byte in range(min(first, last), max(first, last) + 1):
                members[byte] = None
            position += 1
        self._tokens.append(bytes(byte for byte in range(256) if (byte in members) is not is_negated))
        return position + 1


def matches(pattern: bytes, text: bytes) -> bool:
    """Whether the whole of `text` fits `pattern`; no, where finding out would take too long."""
    try:
        return Glob(pattern, _BYTES_MAX, _STEPS_MAX).matches(text)
    except Refusal:
        return False
