"""What one connection has chosen (key space, protocol version, transaction, silence), and the one way a command is run.

Knows the table of commands only as something to look names up in; knows no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .faults import Refusal, error, wrong_arity
from .framing import Request
from .keyspace import Index, Keyspace
from .replies import QUEUED, RESP2, Encoding, failure

# What one transaction may hold before its EXEC.
QUEUED_REQUESTS_MAX = 1 << 20
QUEUED_BYTES_MAX = 256 << 20
# How much of a name or of arguments an error repeats.
REPEATED_BYTES_MAX = 128

Handler = Callable[["Session", Request], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `arity` counts the name too, and is the least number of words when negative."""

    name: bytes
    run: Handler
    arity: int
    is_queued: bool = True
    subcommands: Mapping[bytes, Command] = field(default_factory=dict)

    def accepts(self, count: int) -> bool:
        """Whether a request of `count` words fits."""
        return count == self.arity if self.arity > 0 else count >= -self.arity


def container(name: bytes, *subcommands: Command) -> Command:
    """A command that only its subcommands make something of."""

    def refuse(session: Session, request: Request) -> bytes:
        raise wrong_arity(name)

    return Command(name, refuse, -2, subcommands={command.name.split(b"|")[1]: command for command in subcommands})


class Session:
    """One connection's state; replies gather in `outgoing`."""

    def __init__(self, index: Index, table: Mapping[bytes, Command], identity: int) -> None:
        self.index = index
        self.identity = identity
        self.outgoing: list[bytes] = []
        self.outgoing_bytes = 0
        self.is_closing = False
        self._table = table
        self._watched: set[tuple[Keyspace, bytes]] = set()
        self.reset()

    def reset(self) -> None:
        """Be as a new connection."""
        self.select(0)
        self.encoding: Encoding = RESP2
        self.name = b""
        self.is_silent = False
        self.skips_this = False
        self.skips_next = False
        self.leave_transaction()

    def select(self, number: int) -> None:
        """Use the key space of this number."""
        self.number = number
        self.space = self.index.spaces[number]

    def serve(self, request: Request) -> None:
        """Run or queue one request; its reply, if it has one, is added to `outgoing`."""
        self.emit(self._answer(request))
        self.skips_this, self.skips_next = self.skips_next, False

    def emit(self, reply: bytes) -> None:
        """Send a reply, unless the client asked for silence."""
        if reply and not self.is_silent and not self.skips_this:
            self.outgoing.append(reply)
            self.outgoing_bytes += len(reply)

    def execute(self, command: Command, request: Request) -> bytes:
        """Run a command that fits its request; an error becomes its reply."""
        try:
            return command.run(self, request)
        except Refusal as refusal:
            return failure(refusal.text)

    def note_write(self) -> None:
        """A watched key was written: the transaction will not run."""
        self.is_overtaken = True

    def watch(self, key: bytes) -> None:
        """Have the next transaction fail if the key is written before."""
        self.space.find(key)
        self.space.watch(key, self)
        self._watched.add((self.space, key))

    def unwatch(self) -> None:
        """Watch nothing any more."""
        for space, key in self._watched:
            space.unwatch(key, self)
        self._watched.clear()
        self.is_overtaken = False

    def notice_expiry(self) -> None:
        """A watched key whose deadline has passed since counts as written."""
        for space, key in self._watched:
            space.find(key)

    def leave_transaction(self) -> None:
        """Forget what was queued and watched."""
        self.queue: list[tuple[Command, Request]] | None = None
        self.queue_failed = False
        self._queued_bytes = 0
        self.unwatch()

    def forget(self) -> None:
        """The connection is gone."""
        self.leave_transaction()
        self.outgoing.clear()

    def _answer(self, request: Request) -> bytes:
        try:
            command = self._find_command(request)
            if self.queue is not None and command.is_queued:
                self._enqueue(self.queue, command, request)
                return QUEUED
        except Refusal as refusal:
            return self._refuse(request, refusal)
        return self.execute(command, request)

    def _enqueue(self, queue: list[tuple[Command, Request]], command: Command, request: Request) -> None:
        self._queued_bytes += sum(map(len, request))
        if len(queue) >= QUEUED_REQUESTS_MAX or self._queued_bytes > QUEUED_BYTES_MAX:
            queue.clear()
            raise error(b"transaction is too large")
        queue.append((command, request))

    def _refuse(self, request: Request, refusal: Refusal) -> bytes:
        self.queue_failed = True
        if request[0].lower() != b"exec":
            return failure(refusal.text)
        self.leave_transaction()
        return failure(b"EXECABORT Transaction discarded because of: " + refusal.text.removeprefix(b"ERR "))

    def _find_command(self, request: Request) -> Command:
        command = self._table.get(request[0].lower())
        if command is None:
            raise _unknown_command(request)
        if command.subcommands and len(request) > 1:
            command = command.subcommands.get(request[1].lower())
            if command is None:
                raise _unknown_subcommand(request)
        if not command.accepts(len(request)):
            raise wrong_arity(command.name)
        return command


def _until_nul(text: bytes, length: int) -> bytes:
    """What C prints of a string under a precision."""
    return text.split(b"\0", 1)[0][:length]


def _unknown_command(request: Request) -> Refusal:
    shown = b""
    for argument in request[1:]:
        if len(shown) >= REPEATED_BYTES_MAX:
            break
        shown += b"'%b' " % _until_nul(argument, REPEATED_BYTES_MAX - len(shown))
    name = _until_nul(request[0], REPEATED_BYTES_MAX)
    return error(b"unknown command '%b', with args beginning with: %b" % (name, shown))


def _unknown_subcommand(request: Request) -> Refusal:
    name = _until_nul(request[1], REPEATED_BYTES_MAX)
    return error(b"unknown subcommand '%b'. Try %b HELP." % (name, request[0].upper()))


def read_option(word: bytes) -> bytes:
    """What Redis compares of an option: all before a zero byte, whatever its case; here in small letters."""
    return _until_nul(word, len(word)).lower()
