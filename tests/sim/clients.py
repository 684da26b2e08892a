"""Simulated clients. Callers ask what can be checked, reply by reply; rogues do whatever a client may do.

Both pipeline, send in pieces, leave in the middle, come back, and read late.
"""

from functools import partial
from typing import TYPE_CHECKING

from quorate.trusted.protocols.redis.framing import encode_request

from .ledger import reply_end
from .reference import Conversation
from .shell import Connection
from .timeline import MILLISECOND_NS
from .workload import TAGS, draw_request, draw_rogue

if TYPE_CHECKING:
    from .world import World


class Caller:
    """A client whose every reply is compared with the reference. `unanswered` counts requests sent and not answered."""

    def __init__(self, world: "World", name: int) -> None:
        self.name = name
        self.unanswered = 0
        self.is_leaving = False
        self._world = world
        self._connection: Connection | None = None
        self._conversation: Conversation | None = None
        self._buffer = bytearray()
        self._tags = 0
        self._sent_at = 0
        self._window = world.timeline.chance.choice((1, 10, 100))
        world.timeline.after(world.timeline.chance.randint(0, 50 * MILLISECOND_NS), self._act)

    def greet(self) -> None:
        """Come when all others have fallen silent, and ask one thing of each kind."""
        self._connect()
        self.send([[b"PING"], [b"SET", b"newcomer", b"1"], [b"GET", b"newcomer"], [b"SMEMBERS", b"set"]])

    def _act(self) -> None:
        """One thing that a client does, and then the next."""
        timeline = self._world.timeline
        connection = self._connection
        if connection is None or not connection.is_open:
            self.unanswered = 0
            if self._world.is_over:
                return
            self._connect()
        elif not connection.has_ended and self.unanswered < self._window and not self._world.is_over:
            self._ask()
        elif self._world.is_over and not self.unanswered:
            return
        if self._world.is_over:
            pause = 100 * MILLISECOND_NS
        else:
            pause = timeline.chance.choice((10_000, MILLISECOND_NS, 20 * MILLISECOND_NS))
            self._perhaps_leave()
        timeline.after(pause, self._act)

    def _connect(self) -> None:
        world = self._world
        connection = world.shell.connect(self._is_told)
        self._connection = connection
        self._conversation = world.reference.admit(connection.client.number)
        self._buffer.clear()
        self.unanswered = 0
        self.is_leaving = False
        world.timeline.note(f"caller {self.name} connects as client {connection.client.number}")
        if world.timeline.chance.random() < 0.4:
            self.send([[b"HELLO", b"3"]])

    def _perhaps_leave(self) -> None:
        chance = self._world.timeline.chance
        connection = self._connection
        if connection is None or chance.random() > 0.01:
            return
        if chance.random() < 0.5:
            self._world.timeline.note(f"caller {self.name} leaves")
            connection.lose()
            self.unanswered = 0
        elif not self.is_leaving:
            self._world.timeline.note(f"caller {self.name} will send no more")
            self.is_leaving = connection.has_ended = True
            connection.read()

    def _ask(self) -> None:
        chance = self._world.timeline.chance
        requests: list[list[bytes]] = []
        for _ in range(chance.choice((1, 1, 4, self._window))):
            requests += draw_request(chance)
            if chance.random() < 0.1:
                self._tags += 1
                requests.append([b"RPUSH", TAGS, b"%d-%d" % (self.name, self._tags)])
        if not self.is_leaving:
            self.send(requests)

    def send(self, requests: list[list[bytes]]) -> None:
        """Ask these, in pieces of chance."""
        connection = self._connection
        assert connection is not None
        self.unanswered += len(requests)
        timeline = self._world.timeline
        timeline.note(f"caller {self.name} asks " + b" | ".join(map(b" ".join, requests)).decode("latin-1"))
        due = max(self._sent_at, timeline.now)
        for part in self._world.shell.cut(b"".join(map(encode_request, requests))):
            due += timeline.chance.randint(0, 20_000)
            timeline.after(due - timeline.now, partial(_arrive, connection, part))
        self._sent_at = due

    def _is_told(self, data: bytes) -> None:
        connection = self._connection
        assert connection is not None
        timeline = self._world.timeline
        delay = timeline.chance.choice((1_000, 1_000, MILLISECOND_NS, 20 * MILLISECOND_NS))
        timeline.after(delay, lambda: self._read(connection))

    def _read(self, connection: Connection) -> None:
        if connection is not self._connection or not connection.is_open:
            return
        self._buffer += connection.took()
        start = 0
        while start < len(self._buffer):
            end = reply_end(self._buffer, start)
            if end < 0:
                break
            self._judge(bytes(self._buffer[start:end]))
            start = end
        del self._buffer[:start]

    def _judge(self, reply: bytes) -> None:
        conversation = self._conversation
        assert conversation is not None
        self.unanswered -= 1
        expectation = conversation.expected.popleft() if conversation.expected else None
        self._world.answered(self.name, expectation, reply)


class Rogue:
    """A client that means no good, or is merely broken."""

    def __init__(self, world: "World", name: int) -> None:
        self.name = name
        self._world = world
        self._connection: Connection | None = None
        chance = world.timeline.chance
        self._patience = chance.choice((1_000, MILLISECOND_NS, 10_000 * MILLISECOND_NS))
        world.timeline.after(chance.randint(0, 50 * MILLISECOND_NS), self._act)

    def _act(self) -> None:
        world = self._world
        chance = world.timeline.chance
        connection = self._connection
        if world.is_over:
            if connection is not None:
                connection.lose()
            return
        if connection is None or not connection.is_open:
            self._connection = connection = world.shell.connect(self._is_told)
            world.timeline.note(f"rogue {self.name} connects as client {connection.client.number}")
        elif chance.random() < 0.05:
            world.timeline.note(f"rogue {self.name} leaves")
            connection.lose()
        else:
            data = draw_rogue(chance)
            world.timeline.note(f"rogue {self.name} sends {data[:200]!r}")
            for part in world.shell.cut(data):
                _arrive(connection, part)
        world.timeline.after(chance.choice((100_000, 5 * MILLISECOND_NS)), self._act)

    def _is_told(self, data: bytes) -> None:
        connection = self._connection
        if connection is not None:
            self._world.timeline.after(self._patience, partial(_take_all, connection))


def _take_all(connection: Connection) -> None:
    """A client reads, and does not look."""
    connection.took()


def _arrive(connection: Connection, part: bytes) -> None:
    """Bytes reach the cell's end of the connection; they wait there until the shell reads."""
    if connection.is_open and not connection.is_closing:
        connection.unread.append(part)
        connection.read()
