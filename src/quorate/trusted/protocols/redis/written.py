"""Which keys a write may change: for the marks of WATCH and for clients parked on keys.

Too many is right, too few wrong.
"""

from .base import Command

# Writes whose keys are counted by a number: its position in the arguments; the keys follow it.
_COUNTED = {"lmpop": 1, "zmpop": 1, "blmpop": 2, "bzmpop": 2, "eval": 2, "evalsha": 2}
_STORING = {"sort": (b"STORE",), "georadius": (b"STORE", b"STOREDIST"), "georadiusbymember": (b"STORE", b"STOREDIST")}
_UNKNOWN = frozenset(("flushall", "flushdb", "swapdb", "move", "copy"))


def written_keys(command: Command, arguments: list[bytes]) -> list[bytes] | None:
    """The keys that this request may change in its database; None when any key of any database may be among them."""
    name = command.name
    if name in _UNKNOWN:
        return None
    if name in _COUNTED:
        position = _COUNTED[name]
        count = arguments[position]
        return arguments[position + 1 : position + 1 + int(count)] if count.isdigit() else []
    if name == "xreadgroup":
        return _after_streams(arguments)
    keys = command.keys_of(arguments)
    if name in _STORING:
        for index, argument in enumerate(arguments[:-1]):
            if argument.upper() in _STORING[name]:
                keys = [*keys, arguments[index + 1]]
    return keys


def _after_streams(arguments: list[bytes]) -> list[bytes]:
    """XREADGROUP … STREAMS key … id …: the first half of what follows the word."""
    for index, argument in enumerate(arguments):
        if argument.upper() == b"STREAMS":
            rest = arguments[index + 1 :]
            return rest[: len(rest) // 2]
    return []
