"""Which keys a write may change: for the marks of WATCH, for clients parked on keys, and for the state store.

Too many is right, too few wrong.
"""

from ...changes import ALONE_BYTES, LARGE_BYTES, LIST, UNKNOWN, Changes
from .answers import DATABASES
from .arguments import integer_argument
from .base import Command
from .expiry import copied_to
from .reach import ELEMENTWISE, REACHING, reach, taking_over

# Writes whose keys are counted by a number: its position in the arguments; the keys follow it.
_COUNTED = {"lmpop": 1, "zmpop": 1, "blmpop": 2, "bzmpop": 2, "eval": 2, "evalsha": 2}
# What may change other keys than it names.
_SCRIPTS = frozenset(("eval", "evalsha"))
_STORING = {"sort": (b"STORE",), "georadius": (b"STORE", b"STOREDIST"), "georadiusbymember": (b"STORE", b"STOREDIST")}
_WHOLE = frozenset(("flushall", "flushdb", "swapdb"))
_UNKNOWN = _WHOLE | {"move", "copy"}
_MSETS = frozenset(("mset", "msetnx"))
# What writes the name of a consumer into a stream with each entry that it is given, and which names are long.
_CLAIMING = frozenset(("xreadgroup", "xclaim", "xautoclaim"))
_NAME_BYTES_MAX = 256
# What adds to a key, although a server full of memory does not refuse it.
_ADDING = _CLAIMING | {"smove"}
# How many words follow an option of XREADGROUP.
_OPTION_VALUES = {b"GROUP": 2, b"COUNT": 1, b"BLOCK": 1}


def note_written(changes: Changes, database: int, command: Command, arguments: list[bytes], size: int) -> None:
    """Note what this request of so many bytes may change; `database` is its client's."""
    name = command.name
    if command.takes_over:
        _note_taken_over(changes, database, command, arguments, size)
    elif name in _WHOLE:
        _note_whole(changes, database, name, arguments)
    elif name in REACHING:
        changes.note(database, arguments[1], command.kind, 0, size + reach(name, arguments))
    elif name in _MSETS:
        for index in range(1, len(arguments) - 1, 2):
            changes.note(database, arguments[index], command.kind, len(arguments[index + 1]))
    else:
        if name in _SCRIPTS:
            changes.note_hidden(database)
        added = size if command.grows or name in _ADDING else 0
        if command.kind == LIST:
            changes.longest = max(changes.longest, added)
        least = ALONE_BYTES if name in _CLAIMING and max(map(len, arguments)) > _NAME_BYTES_MAX else 0
        for key in written_keys(command, arguments) or ():
            changes.note(database, key, command.kind, added, least)


def _note_whole(changes: Changes, database: int, name: str, arguments: list[bytes]) -> None:
    if name == "flushall":
        for every in range(DATABASES):
            changes.note_whole(every)
    elif name == "flushdb":
        changes.note_whole(database)
    else:
        for argument in arguments[1:]:
            other = integer_argument(argument)
            if other is not None and 0 <= other < DATABASES:
                changes.note_whole(other)


def _note_taken_over(changes: Changes, database: int, command: Command, arguments: list[bytes], size: int) -> None:
    """Keys one of which may come to hold what others hold. The others may change too, but do not grow."""
    name = command.name
    if name in {"move", "copy"}:
        (source_at, source), *targets = _moved(database, name, arguments)
        changes.note(source_at, source, UNKNOWN)
        for target_at, target in targets:
            changes.note(target_at, target, UNKNOWN, size, _held(changes, database, [source]))
        return
    target, sources = taking_over(name, arguments)
    for key in written_keys(command, arguments) or ():
        if key != target:
            changes.note(database, key, command.kind)
        elif name in ELEMENTWISE:
            changes.note(database, key, command.kind, size + changes.element_of(database, sources[0], key))
        else:
            least = ALONE_BYTES if name == "sort" and b"GET" in map(bytes.upper, arguments) else 0
            changes.note(database, key, command.kind, size, max(least, _held(changes, database, sources)))


def _held(changes: Changes, database: int, keys: list[bytes]) -> int:
    """What these keys may hold together. Of most it is only known that it is not much."""
    return sum([max(changes.may_weigh(database, key), LARGE_BYTES) for key in keys])


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
        count = integer_argument(arguments[position]) or 0
        return arguments[position + 1 : position + 1 + count] if count > 0 else []
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
