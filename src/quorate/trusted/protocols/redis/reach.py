"""How long a string may become of a few bytes: what makes it as long as a number says, zeros before."""

from typing import Final

REACHING: Final = frozenset(("setrange", "setbit", "bitfield"))
_OFFSET_DIGITS_MAX: Final = 10
# How many words an operation of BITFIELD has, with its own; all others have four.
_FIELD_WORDS: Final = {b"GET": 3, b"OVERFLOW": 2}


def reach(name: str, arguments: list[bytes]) -> int:
    """The bytes up to which SETRANGE key offset …, SETBIT key offset … or BITFIELD key … may write, and few more."""
    if name == "bitfield":
        return _reach_of_fields(arguments)
    offset = _offset(arguments[2])
    return offset if name == "setrange" else offset // 8 + 1


def _reach_of_fields(arguments: list[bytes]) -> int:
    """Operations are GET type offset, SET type offset value, INCRBY type offset increment, and OVERFLOW word."""
    farthest = 0
    index = 2
    while index + 2 < len(arguments):
        operation = arguments[index].upper()
        if operation != b"OVERFLOW":
            # In bits or, after #, in fields, which have 8 bytes at most.
            word = arguments[index + 2]
            farthest = max(farthest, 8 * _offset(word[1:]) if word[:1] == b"#" else _offset(word) // 8)
        index += _FIELD_WORDS.get(operation, 4)
    return farthest + 8


def _offset(word: bytes) -> int:
    """The number that this is; 0 where no server takes it for an offset."""
    return int(word) if word.isdigit() and len(word) <= _OFFSET_DIGITS_MAX else 0
