"""Redis's glob patterns for key names: `*`, `?`, `[a-z]`, `[^a]` and the backslash. Pure functions over bytes.

A pattern is read once into a list of byte classes, with None for a star; matching then retries only from the last
star, so that no pattern costs more than the product of the two lengths.
"""

import os
from collections.abc import Callable

Classes = list[frozenset[int] | None]

ANY = frozenset(range(256))
CHAR_IS_SIGNED = os.uname().machine in ("x86_64", "i686")


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    """A function that says whether a name matches `pattern`."""
    if pattern == b"*":
        return lambda name: True
    classes = _classes(pattern)
    # Redis does not let stars match the empty name, but for the lone star above.
    return lambda name: _matches(classes, name) if name else not classes


def _classes(pattern: bytes) -> Classes:
    classes: Classes = []
    position = 0
    while position < len(pattern):
        byte = pattern[position]
        if byte == 0x2A:  # *
            if not classes or classes[-1] is not None:
                classes.append(None)
        elif byte == 0x3F:  # ?
            classes.append(ANY)
        elif byte == 0x5B:  # [
            members, position = _bracket(pattern, position + 1)
            classes.append(members)
        else:
            if byte == 0x5C and position + 1 < len(pattern):  # \
                position += 1
            classes.append(frozenset((pattern[position],)))
        position += 1
    return classes


def _bracket(pattern: bytes, position: int) -> tuple[frozenset[int], int]:
    """The bytes named by a bracket that opened before `position`, and where it closes or the pattern ends."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    members: set[int] = set()
    while position < len(pattern) and pattern[position] != 0x5D:  # ]
        left = len(pattern) - position
        if pattern[position] == 0x5C and left >= 2:
            members.add(pattern[position + 1])
            position += 2
        elif left >= 3 and pattern[position + 1] == 0x2D:  # -
            members.update(_range(pattern[position], pattern[position + 2]))
            position += 3
        else:
            members.add(pattern[position])
            position += 1
    return frozenset(ANY - members if negated else members), position


def _range(one: int, other: int) -> frozenset[int]:
    """The bytes from one to the other as Redis counts them: with the sign that the machine's `char` has."""
    start, end = sorted((one, other), key=lambda byte: byte - 256 if CHAR_IS_SIGNED and byte > 127 else byte)
    return frozenset(range(start, end + 1) if start <= end else (*range(start, 256), *range(end + 1)))


def _matches(classes: Classes, name: bytes) -> bool:
    at = position = 0
    star = resume = -1
    while position < len(name):
        current = classes[at] if at < len(classes) else frozenset()
        if current is None:
            star, resume = at, position
            at += 1
        elif name[position] in current:
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(each is None for each in classes[at:])
