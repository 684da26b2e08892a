"""Simulated clients. Callers ask what can be checked, reply by reply; rogues do whatever a client may do.

All pipeline, send in pieces, leave in the middle, come back, and read late. Clients who come for one thing are in
errands.py.
"""

from functools import partial
from typing import TYPE_CHECKING

from quorate.trusted.protocols.redis.framing import encode_request

from .ledger import reply_end
from .reference import Conversation, Push
from .shell import Connection
from .timeline import MILLISECOND_NS
from .workload import (
    TAGS,
    draw_expiring_watch,
    draw_move,
    draw_publication,
    draw_request,
    draw_rogue,
    draw_subscription,
)

if TYPE_CHECKING:
    from .world import World


class Guest:
    """A client that comes back when its connection is lost. `unanswered` counts requests sent and not answered."""

    def __init__(self, world: "World", name: int) -> None:
        self.name = name
        self.unanswered = 0
        self.is_leaving = False
        self._world = world
        self._connection: Connection | None = None
        self._buffer = bytearray()
        self._sent_at = 0
        self._tags = 0

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection that is open."""
        return self._connection is not None and self._connection.is_open

    @property
    def is_patient(self) -> bool:
        """Whether it waits for what may never come."""
        return False

    def is_parked(self) -> bool:
        """Whether it has read all that it was told, and the cell makes its next request wait."""
        connection = self._connection
        if connection is None or not connection.is_open:
            return False
        is_held = self._world.holds_back(connection.client)
        return connection.client.is_waiting and not connection.untaken and not connection.client.out and not is_held

    def connect(self) -> Connection:
        """Begin a new connection; forget what the old one was owed."""
        world = self._world
        connection = world.shell.connect(self._is_told)
        self._connection = connection
        self._buffer.clear()
        self.unanswered = 0
        self.is_leaving = False
        world.timeline.note(f"{type(self).__name__} {self.name} connects as client {connection.client.number}")
        return connection

    def send(self, requests: list[list[bytes]]) -> None:
        """Ask these, in pieces of chance."""
        connection = self._connection
        assert connection is not None
        self.unanswered += len(requests)
        timeline = self._world.timeline
        told = b" | ".join(map(b" ".join, requests)).decode("latin-1")
        timeline.note(f"{type(self).__name__} {self.name} asks {told}")
        due = max(self._sent_at, timeline.now)
        for part in self._world.shell.cut(b"".join(map(encode_request, requests))):
            due += timeline.chance.randint(0, 20_000)
            timeline.after(due - timeline.now, partial(_arrive, connection, part))
        self._sent_at = due

    def judge(self, reply: bytes) -> None:
        """One reply came."""
        raise NotImplementedError

    def tag(self) -> bytes:
        """A word that no client ever said before."""
        self._tags += 1
        return b"%d-%d" % (self.name, self._tags)

    def perhaps_leave(self) -> None:
        """Once in a while, leave at once, or say that nothing more will come."""
        chance = self._world.timeline.chance
        connection = self._connection
        if connection is None or chance.random() > 0.01:
            return
        if chance.random() < 0.5:
            self._world.timeline.note(f"{type(self).__name__} {self.name} leaves")
            connection.lose()
            self.unanswered = 0
        elif not self.is_leaving:
            self._world.timeline.note(f"{type(self).__name__} {self.name} will send no more")
            self.is_leaving = connection.has_ended = True
            connection.read()

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
            self.judge(bytes(self._buffer[start:end]))
            start = end
        del self._buffer[:start]


class Caller(Guest):
    """A client whose every reply is compared with the reference."""

    def __init__(self, world: "World", name: int) -> None:
        super().__init__(world, name)
        self.conversation: Conversation | None = None
        self._window = world.timeline.chance.choice(world.swarm.windows)
        world.timeline.after(world.timeline.chance.randint(0, 50 * MILLISECOND_NS), self._act)

    def greet(self) -> None:
        """Come when all others have fallen silent, and ask one thing of each kind."""
        self.connect()
        self.send([[b"PING"], [b"SET", b"newcomer", b"1"], [b"GET", b"newcomer"], [b"SMEMBERS", b"set"]])

    def connect(self) -> Connection:
        """Come, and sometimes ask for the newer version of the protocol."""
        connection = super().connect()
        self.conversation = self._world.reference.admit(connection.client.number)
        if self._world.timeline.chance.random() < 0.4:
            self.send([[b"HELLO", b"3"]])
        return connection

    def ask(self) -> None:
        """Ask something."""
        chance = self._world.timeline.chance
        requests: list[list[bytes]] = []
        for _ in range(chance.choice((1, 1, 4, self._window))):
            requests += draw_request(chance)
            if chance.random() < 0.1:
                requests.append([b"RPUSH", TAGS, self.tag()])
            if chance.random() < 0.03:
                requests += draw_expiring_watch(chance, b"t" + self.tag())
            if chance.random() < 0.1:
                requests.append(draw_publication(chance, self.tag()))
        self.send(requests)

    def judge(self, reply: bytes) -> None:
        """Compare a reply with what is due."""
        conversation = self.conversation
        assert conversation is not None
        self.unanswered -= 1
        expectation = conversation.expected.popleft() if conversation.expected else None
        assert not isinstance(expectation, Push)
        self._world.answered(self.name, expectation, reply)

    def _act(self) -> None:
        """One thing that a client does, and then the next."""
        timeline = self._world.timeline
        connection = self._connection
        is_over = self._world.is_over
        if connection is None or not connection.is_open:
            self.unanswered = 0
            if is_over:
                return
            self.connect()
        elif is_over and not self.unanswered:
            return
        elif not (is_over or self.is_leaving or connection.has_ended) and self.unanswered < self._window:
            self.ask()
        if is_over:
            pause = 100 * MILLISECOND_NS
        else:
            pause = timeline.chance.choice((10_000, MILLISECOND_NS, 20 * MILLISECOND_NS))
            self.perhaps_leave()
        timeline.after(pause, self._act)


class Mover(Caller):
    """A caller who changes whole databases, which are its kind's alone."""

    def ask(self) -> None:
        """Fill, swap, empty, look."""
        chance = self._world.timeline.chance
        for _ in range(min(chance.choice((1, 1, 4)), self._window)):
            self.send(draw_move(chance))


class Listener(Caller):
    """A caller who subscribes. In the older version of the protocol it does nothing else."""

    def ask(self) -> None:
        """Subscribe, unsubscribe, or ask as other callers do."""
        chance = self._world.timeline.chance
        conversation = self.conversation
        assert conversation is not None
        if conversation.version == 3 and chance.random() < 0.5:
            self.send(draw_request(chance))
        elif self._world.timeline.chance.random() < 0.3:
            self.send([draw_subscription(chance)])

    def judge(self, reply: bytes) -> None:
        """Messages and confirmations are held against what was published, in their place among the replies."""
        conversation = self.conversation
        assert conversation is not None
        due = conversation.next()
        is_push = conversation.is_push(reply)
        if not is_push and not isinstance(due, Push):
            super().judge(reply)
            return
        self.unanswered -= not (is_push and conversation.is_message(reply))
        if isinstance(due, Push):
            conversation.expected.popleft()
        self._world.pushed(self.name, due.frame if isinstance(due, Push) and due.is_due else None, reply)


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
