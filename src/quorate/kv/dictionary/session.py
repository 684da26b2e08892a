"""What the store remembers of one connection, and the shape of a command. Knows no socket and no one command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import wrong_arity
from .keyspace import Database, Keyspace
from .reply import VERSIONS, Version2

Arguments = list[bytes]

QUEUED_BYTES_MAX = 256 * 1024 * 1024


class Session:
    """One connection: its database, protocol version, transaction, watched keys, and whether it wants replies."""

    __slots__ = (
        "database",
        "index",
        "is_closing",
        "is_doomed",
        "is_silent",
        "keyspace",
        "name",
        "number",
        "queue",
        "queued_bytes",
        "reply",
        "scripts",
        "skips_next",
        "skips_this",
        "stale",
        "watched",
    )

    def __init__(self, keyspace: Keyspace, scripts: dict[bytes, bytes], number: int) -> None:
        self.keyspace = keyspace
        self.scripts = scripts  # shared by all connections: digest -> the native script's name
        self.number = number
        self.watched: set[tuple[int, bytes]] = set()
        self.is_closing = False
        self.skips_this = False
        self.reset()

    @property
    def is_mute(self) -> bool:
        """Whether the client wants no reply to the present command."""
        return self.is_silent or self.skips_this

    def reset(self) -> None:
        """Forget everything but the connection itself."""
        self.leave_transaction()
        self.select(0)
        self.reply: Version2 = VERSIONS[2]
        self.name = b""
        self.is_silent = False
        self.skips_next = False

    def select(self, index: int) -> None:
        """Use another database; raises the refusal for a number out of range."""
        self.database: Database = self.keyspace.database(index)
        self.index = index

    def leave_transaction(self) -> None:
        """Forget the queue and every watched key."""
        self.queue: list[tuple[Command, Arguments]] | None = None
        self.queued_bytes = 0
        self.is_doomed = False
        self.unwatch()

    def watch(self, key: bytes) -> None:
        """Hear of changes to a key of the selected database."""
        self.database.get(key)
        self.watched.add((self.index, key))
        self.database.watchers.setdefault(key, set()).add(self)

    def unwatch(self) -> None:
        """Hear of no key any more."""
        for index, key in self.watched:
            watchers = self.keyspace.databases[index].watchers
            watchers[key].discard(self)
            if not watchers[key]:
                del watchers[key]
        self.watched.clear()
        self.stale = False

    def close(self) -> None:
        """Leave nothing of this connection behind."""
        self.leave_transaction()
        self.is_closing = True


Handler = Callable[[Session, Arguments], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: how many words it takes (at least, where negative), what it does, whether MULTI lets it run."""

    arity: int
    handler: Handler
    is_immediate: bool = False
    subcommands: dict[bytes, Command] = field(default_factory=dict)

    def takes(self, count: int) -> bool:
        """Whether the command may have `count` words, its name included."""
        return count == self.arity if self.arity > 0 else count >= -self.arity


def incomplete(session: Session, arguments: Arguments) -> bytes:
    """The handler of a command that is nothing without its subcommand."""
    raise wrong_arity(named(arguments))


def named(arguments: Arguments) -> bytes:
    """The command's name as Redis writes it in an error."""
    return arguments[0].lower()


def read_option(word: bytes) -> bytes:
    """An option in capital letters, read as C reads a string: it ends at a zero byte."""
    return word.split(b"\0", 1)[0].upper()
