"""A small replica in memory, and the records that the tests of kept state use.

It speaks as much of the Redis protocol as a feed needs, for strings and sets, and lies as it is told.
"""

from collections.abc import Callable

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.framing import RequestFramer, encode_request
from quorate.trusted.protocols.redis.values import array, bulk, integer

PROTOCOL = "redis"
SERVICE = "test"

# What becomes of a reply: the request's arguments and the honest reply, to what is sent instead.
Lie = Callable[[list[bytes], bytes], bytes]


def string(value: bytes, deadline: int = -1) -> bytes:
    """The record of a string."""
    return encode_request([b"s", b"%d" % deadline, value])


def members(*names: bytes) -> bytes:
    """The record of a set: members in the order of their encoded bytes."""
    return array([bulk(b"S"), bulk(b"-1"), *sorted(bulk(name) for name in names)])


class Replica:
    """Keys by database. `heard` is every request that came. `lie` changes replies; `is_silent` keeps them back.

    It is over after `requests_max` requests. `unsent` is for whoever carries replies.
    """

    def __init__(self, lie: Lie | None = None, requests_max: int | None = None) -> None:
        self.databases: dict[int, dict[bytes, bytes | set[bytes]]] = {}
        self.deadlines: dict[tuple[int, bytes], int] = {}
        self.heard: list[list[bytes]] = []
        self.lie = lie
        self.is_silent = False
        self._requests_max = requests_max
        self.unsent = bytearray()
        self._framer = RequestFramer(Limits())
        self._database = 0

    def receive(self, data: bytes) -> bytes:
        """The replies to what is complete with `data`."""
        replies = [self._reply(request.arguments) for request in self._framer.feed(data) if not self.is_over]
        return b"" if self.is_silent else b"".join(replies)

    @property
    def is_over(self) -> bool:
        """Whether it has answered as many requests as it may."""
        return self._requests_max is not None and len(self.heard) >= self._requests_max

    def _reply(self, arguments: list[bytes]) -> bytes:
        self.heard.append(arguments)
        reply = self._execute(arguments[0], arguments[1:])
        return self.lie(arguments, reply) if self.lie is not None else reply

    @property
    def keys(self) -> dict[bytes, bytes | set[bytes]]:
        """The present database."""
        return self.databases.setdefault(self._database, {})

    def _execute(self, name: bytes, words: list[bytes]) -> bytes:
        match name:
            case b"SELECT":
                self._database = int(words[0])
            case b"SET":
                self.keys[words[0]] = words[1]
            case b"FLUSHDB":
                self.keys.clear()
            case b"APPEND":
                value = self.keys[words[0]]
                assert isinstance(value, bytes)
                self.keys[words[0]] = value + words[1]
                return integer(len(value) + len(words[1]))
            case b"SADD":
                found = self.keys.setdefault(words[0], set())
                assert isinstance(found, set)
                found.update(words[1:])
                return integer(len(words) - 1)
            case b"PEXPIREAT":
                self.deadlines[(self._database, words[0])] = int(words[1])
                return integer(1)
            case b"DEL":
                self.deadlines.pop((self._database, words[0]), None)
                return integer(self.keys.pop(words[0], None) is not None)
            case _:
                return self._tell(name, words)
        return b"+OK\r\n"

    def _tell(self, name: bytes, words: list[bytes]) -> bytes:
        if name == b"DBSIZE":
            return integer(len(self.keys))
        value = self.keys.get(words[0])
        match name:
            case b"PEXPIRETIME":
                return integer(-2 if value is None else self.deadlines.get((self._database, words[0]), -1))
            case b"GET":
                return bulk(value) if isinstance(value, bytes) else b"$-1\r\n"
            case b"SCARD":
                assert isinstance(value, set)
                return integer(len(value))
            case b"SMISMEMBER":
                assert isinstance(value, set)
                return array([integer(member in value) for member in words[1:]])
            case b"SMEMBERS":
                assert isinstance(value, set)
                # In an order of its own.
                return array([bulk(member) for member in sorted(value, key=lambda member: member[::-1])])
        return b"-ERR unknown command\r\n"
