"""Which keys a write may change: for the marks of WATCH, for clients parked on keys, and for the state store.

Too many is right, too few wrong.
"""

from ...changes import UNKNOWN, Changes
from .answers import DATABASES
from .arguments import integer_argument
from .base import Command
from .expiry import copied_to

# Writes whose keys are counted by a number: its position in the arguments; the keys follow it.
_COUNTED = {"lmpop": 1, "zmpop": 1, "blmpop": 2, "bzmpop": 2, "eval": 2, "evalsha": 2}
# What may change other keys than it names.
_SCRIPTS = frozenset(("eval", "evalsha"))
_STORING = {"sort": (b"STORE",), "georadius": (b"STORE", b"STOREDIST"), "georadiusbymember": (b"STORE", b"STOREDIST")}
_UNKNOWN = frozenset(("flushall", "flushdb", "swapdb", "move", "copy"))
# How many words follow an option of XREADGROUP.
_OPTION_VALUES = {b"GROUP": 2, b"COUNT": 1, b"BLOCK": 1}


def note_written(changes: Changes, database: int, command: Command, arguments: list[bytes]) -> None:
    """Note what this request may change; `database` is its client's."""
    name = command.name
    if name == "flushall":
        for every in range(DATABASES):
            changes.note_whole(every)
    elif name == "flushdb":
        changes.note_whole(database)
    elif name == "swapdb":
        for argument in arguments[1:]:
            other = integer_argument(argument)
            if other is not None and 0 <= other < DATABASES:
                changes.note_whole(other)
    elif name in {"move", "copy"}:
        for place, key in _moved(database, name, arguments):
            changes.note(place, key, UNKNOWN)
    else:
        if name in _SCRIPTS:
            changes.note_hidden(database)
        for key in written_keys(command, arguments) or ():
            changes.note(database, key, command.kind)


def _moved(database: int, name: str, arguments: list[bytes]) -> list[tuple[int, bytes]]:
    """Where MOVE key database, or COPY source target [DB database] [REPLACE], takes from, and where it puts that.

    These two alone: the journal has room for a request's keys no more than twice. What replicas refuse stays at home.
    """
    source = target = arguments[1]
    if name == "move":
        other = integer_argument(arguments[2])
    else:
        target = arguments[2]
        other = copied_to(arguments, database)
    if other is None or not 0 <= other < DATABASES:
        other = database
    return list({(database, source): True, (other, target): True})


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
    """XREADGROUP … STREAMS key … id …: the first half of what follows the word, which may be a group's name too."""
    index = 1
    while index < len(arguments):
        option = arguments[index].upper()
        index += 1
        if option == b"STREAMS":
            rest = arguments[index:]
            return rest[: len(rest) // 2]
        index += _OPTION_VALUES.get(option, 0)
    return []
