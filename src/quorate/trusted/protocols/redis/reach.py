"""What becomes long by a short request: strings as long as a number says, keys that take over what others hold."""

from typing import Final

from .arguments import integer_argument

REACHING: Final = frozenset(("setrange", "setbit", "bitfield"))
# What takes over one element of another's.
ELEMENTWISE: Final = frozenset(("lmove", "rpoplpush"))
# Where the names stand: the position of the key that takes over, of the first it takes from, and how many these are:
# 0 for all that follow, and -1 where a number before them says it.
_PLACES: Final = {
    "rename": (2, 1, 1),
    "renamenx": (2, 1, 1),
    "lmove": (2, 1, 1),
    "rpoplpush": (2, 1, 1),
    "bitop": (2, 3, 0),
    "zrangestore": (1, 2, 1),
    "geosearchstore": (1, 2, 1),
    "zdiffstore": (1, 3, -1),
    "zinterstore": (1, 3, -1),
    "zunionstore": (1, 3, -1),
}
_OTHERS: Final = (1, 2, 0)
_STORES: Final = frozenset((b"STORE", b"STOREDIST"))
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


def taking_over(name: str, arguments: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The key that may come to hold what others hold, and these; b"" and no more where there is none."""
    if name in {"sort", "georadius", "georadiusbymember"}:
        stores = [index for index, word in enumerate(arguments[:-1]) if word.upper() in _STORES]
        return (arguments[stores[-1] + 1], [arguments[1]]) if stores else (b"", [])
    target, first, count = _PLACES.get(name, _OTHERS)
    if count < 0:
        count = max(integer_argument(arguments[first - 1]) or 0, 0)
        return arguments[target], arguments[first : first + count]
    return arguments[target], arguments[first : first + count] if count else arguments[first:]
