"""One replica's program: the dictionary store driven in process, on a clock and a set order of its own.

The store knows time and hash order from its modules; `store_in_simulation` replaces both for the length of a run. So a
machine is deterministic, and two machines still differ where real servers do: in clock and in the order of sets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from random import Random
from unittest.mock import patch

from quorate.kv.dictionary import expiry, generic, keyspace, reply, strings
from quorate.kv.dictionary.dispatch import TABLE, answer
from quorate.kv.dictionary.errors import ProtocolFault
from quorate.kv.dictionary.keyspace import Keyspace
from quorate.kv.dictionary.ranking import SortedSet
from quorate.kv.dictionary.reply import Version2, Version3, bulk
from quorate.kv.dictionary.request import RequestReader
from quorate.kv.dictionary.session import Arguments, Command, Session

Shuffle = Callable[[list[bytes]], None]


def no_shuffle(parts: list[bytes]) -> None:
    """Leave them in canonical order."""


class Surroundings:
    """What the machine that runs at the moment takes from outside: milliseconds since 1970, and an order of sets."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.shuffle: Shuffle = no_shuffle


SURROUNDINGS = Surroundings()


def _now_ms() -> int:
    return SURROUNDINGS.now_ms


def _arranged(parts: list[bytes]) -> list[bytes]:
    parts.sort()
    SURROUNDINGS.shuffle(parts)
    return parts


class Shuffled2(Version2):
    """RESP2, with sets and maps in the present machine's order."""

    def set(self, words: Iterable[bytes]) -> bytes:
        """A set of bulk strings."""
        return reply.array(_arranged([bulk(word) for word in words]))

    def map(self, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A map of ready replies."""
        return b"*%d\r\n%b" % (2 * len(pairs), b"".join(_arranged([key + value for key, value in pairs])))


class Shuffled3(Version3):
    """RESP3, with sets and maps in the present machine's order."""

    def set(self, words: Iterable[bytes]) -> bytes:
        """A set of bulk strings."""
        return b"~" + reply.array(_arranged([bulk(word) for word in words]))[1:]

    def map(self, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A map of ready replies."""
        return b"%%%d\r\n%b" % (len(pairs), b"".join(_arranged([key + value for key, value in pairs])))


def _columns(session: Session, arguments: Arguments) -> bytes:
    """HKEYS and HVALS in the order of HGETALL, as a store with one hash order has them."""
    fields = session.database.hash(arguments[1]) or {}
    place = 0 if arguments[0].upper() == b"HKEYS" else 1
    pairs = sorted((bulk(field), bulk(value)) for field, value in fields.items())
    return reply.array([pair[place] for pair in pairs])


def _unlooked(command: Command) -> Command:
    """A command after which every watch fails: the coordinator does not look which key it changed."""

    def run(session: Session, arguments: Arguments) -> bytes:
        for database in session.keyspace.databases:
            database.touch_all(list(database.watchers))
        return command.handler(session, arguments)

    return Command(command.arity, run)


UNLOOKED = {name: _unlooked(generic.COMMANDS[name]) for name in (b"COPY", b"SWAPDB", b"FLUSHDB")}


@contextmanager
def store_in_simulation() -> Iterator[None]:
    """While this lasts, the store has no clock and no hash order but those of the machine that runs."""
    with ExitStack() as stack:
        for module in (keyspace, strings, expiry):
            stack.enter_context(patch.object(module, "now_ms", _now_ms))
        stack.enter_context(patch.dict(reply.VERSIONS, {2: Shuffled2(), 3: Shuffled3()}))
        stack.enter_context(patch.dict(TABLE, {name: Command(2, _columns) for name in (b"HKEYS", b"HVALS")}))
        stack.enter_context(patch.dict(TABLE, UNLOOKED))
        yield


class Machine:
    """A store and its one lane. `order` is its private chance for the order of sets; None keeps them canonical."""

    def __init__(self, order: Random | None) -> None:
        self._shuffle: Shuffle = no_shuffle if order is None else order.shuffle
        self.keyspace = Keyspace()
        self._scripts: dict[bytes, bytes] = {}
        self._reader = RequestReader()
        self._sessions = 0

    def session(self) -> Session:
        """A new connection to this store."""
        self._sessions += 1
        return Session(self.keyspace, self._scripts, self._sessions)

    def cut(self, data: bytes) -> list[list[bytes]]:
        """The requests that `data` completes on the lane."""
        requests: list[list[bytes]] = []
        self._reader.feed(data, requests)
        return requests

    def run(self, session: Session, arguments: list[bytes], now_ms: int) -> bytes:
        """Execute one request at this machine's `now_ms`; the reply, empty where none is wanted."""
        SURROUNDINGS.now_ms = now_ms
        SURROUNDINGS.shuffle = self._shuffle
        return answer(session, arguments)

    def state(self) -> list[tuple[int, bytes, str, int | None]]:
        """All that is stored, in canonical order: database, key, value, deadline (ms)."""
        return [
            (index, key, _shown(database.values[key]), database.deadlines.get(key))
            for index, database in enumerate(self.keyspace.databases)
            for key in sorted(database.values)
        ]


def copy_of(machine: Machine) -> Machine:
    """Another machine that holds the same."""
    copy = Machine(None)
    for database, source in zip(copy.keyspace.databases, machine.keyspace.databases, strict=True):
        database.values = deepcopy(source.values)
        database.deadlines = dict(source.deadlines)
    return copy


def _shown(value: object) -> str:
    if isinstance(value, set):
        return repr(sorted(value))
    if isinstance(value, dict):
        return repr(sorted(value.items()))
    if isinstance(value, SortedSet):
        return repr(sorted(value.scores.items()))
    return repr(value)


__all__ = ["Machine", "ProtocolFault", "Session", "copy_of", "store_in_simulation"]
