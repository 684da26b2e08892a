"""What the store remembers of one connection: database, protocol, reply mode, transaction. Knows no socket.

Sessions of one store share its keyspace and its loaded scripts.
"""

from collections.abc import Callable

from .keyspace import Keyspace

Script = Callable[["Session", list[bytes], list[bytes]], bytes]


class Session:
    """One connection's state, and the replies it has yet to be sent."""

    def __init__(self, identity: int, keys: Keyspace, scripts: dict[bytes, Script]) -> None:
        self.identity = identity
        self.keys = keys
        self.scripts = scripts
        self.output: list[bytes] = []
        self.output_bytes = 0
        self.closing = False
        # CLIENT REPLY: `off` until ON; `skip_next` is SKIP as asked for, `skip` while the command after it runs.
        self.off = False
        self.skip = False
        self.skip_next = False
        self.name = b""
        self.db = 0
        self.protocol = 2
        self.queue: list[list[bytes]] | None = None
        self.queue_bytes = 0
        self.refused = False
        self.spoiled = False
        self.watched: set[tuple[int, bytes]] = set()

    def emit(self, reply: bytes) -> None:
        """Add a reply to the output, unless the client asked not to be answered."""
        if not (self.off or self.skip):
            self.output.append(reply)
            self.output_bytes += len(reply)

    def begin(self) -> None:
        """Open a transaction."""
        self.queue, self.queue_bytes, self.refused = [], 0, False

    def leave(self) -> None:
        """Forget the transaction and every watched key."""
        self.queue, self.queue_bytes, self.refused = None, 0, False
        self.unwatch()

    def watch(self, name: bytes) -> None:
        """Watch a key of the current database."""
        if (self.db, name) not in self.watched:
            # Looking for the key deletes it if its deadline has passed, which must not count as a change.
            self.keys.find(self.db, name)
            self.watched.add((self.db, name))
            self.keys.watch(self, self.db, name)

    def unwatch(self) -> None:
        """Stop watching all keys."""
        for db, name in self.watched:
            self.keys.unwatch(self, db, name)
        self.watched.clear()
        self.spoiled = False

    def is_spoiled(self) -> bool:
        """Whether a watched key was changed or has passed its deadline since."""
        for db, name in self.watched:
            self.keys.find(db, name)
        return self.spoiled

    def reset(self) -> None:
        """Everything as on a new connection, the output excepted."""
        self.leave()
        self.off = self.skip_next = False
        self.name, self.db, self.protocol = b"", 0, 2


def read_option(text: bytes) -> bytes:
    """An option in small letters; what stands behind a zero byte is not looked at, as in C."""
    return text.partition(b"\0")[0].lower()
