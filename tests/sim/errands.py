"""Clients who come for one thing that takes the cell several slots: waiting for elements, drawing members, scanning.

What they are told depends on who came between these slots, so it is held against what must be true in any case: see
invariants/conservation.py and invariants/scans.py. They keep to keys of their own, in database 0.
"""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .clients import Guest
from .ledger import value_of
from .shell import Connection
from .timeline import MILLISECOND_NS

if TYPE_CHECKING:
    from .world import World

QUEUES = (b"q0", b"q1")
STACK = b"backwards"
DONE = b"done"
POOL = b"pool"
WAITS = (b"BLPOP", b"BRPOP", b"BLMOVE")
ERRANDS_BEGIN = 1000
STABLE_MAX = 40
BIG_MAX = 160


@dataclass(slots=True, eq=False)
class Question:
    """One request of an errand. `least` is the smallest size that the pool had since it was asked.

    `was_untold` says that in this time it once had too many members to be read.
    """

    request: list[bytes]
    asked_at: int
    least: int
    was_untold: bool

    def is_wait(self) -> bool:
        """Whether it asks for an element that may not be there yet."""
        return self.request[0] in WAITS

    def timeout_ns(self) -> int:
        """How long it waits at most; 0 for ever."""
        return int(float(self.request[-1]) * 1000) * MILLISECOND_NS


class Errand(Guest):
    """A client with few requests under way. `forfeited` are those whose answers it did not stay for."""

    def __init__(self, world: "World", name: int) -> None:
        super().__init__(world, name)
        self.asked: deque[Question] = deque()
        self.forfeited: list[Question] = []
        world.timeline.after(world.timeline.chance.randint(0, 50 * MILLISECOND_NS), self._act)

    def draw(self, chance: Random) -> list[list[bytes]]:
        """What to ask next."""
        raise NotImplementedError

    def connect(self) -> Connection:
        """Come, and sometimes ask for the newer version of the protocol."""
        self._forfeit()
        connection = super().connect()
        if self._world.timeline.chance.random() < 0.3:
            self.send([[b"HELLO", b"3"]])
        return connection

    def send(self, requests: list[list[bytes]]) -> None:
        """Ask these."""
        now = self._world.timeline.now
        size, is_untold = self._world.pool_size(), self._world.is_pool_untold()
        self.asked.extend(Question(request, now, size, is_untold) for request in requests)
        super().send(requests)

    def judge(self, reply: bytes) -> None:
        """One reply came."""
        self.unanswered -= 1
        if not self.asked:
            self._world.answered(self.name, None, reply)
            return
        question = self.asked.popleft()
        self._world.told(self, question, reply)
        self.learn(question, reply)

    def learn(self, question: Question, reply: bytes) -> None:
        """What follows from a reply for what is asked next."""

    def _forfeit(self) -> None:
        self.forfeited += self.asked
        self.asked.clear()
        self.unanswered = 0

    def _act(self) -> None:
        world = self._world
        chance = world.timeline.chance
        if not self.is_connected:
            self._forfeit()
            if world.is_over:
                return
            self.connect()
        elif world.is_over and not self.unanswered:
            return
        elif not (world.is_over or self.is_leaving) and self.unanswered < 3:
            self.send(self.draw(chance))
        if world.is_over:
            world.timeline.after(100 * MILLISECOND_NS, self._act)
            return
        self.perhaps_leave()
        world.timeline.after(chance.choice((100_000, MILLISECOND_NS, 10 * MILLISECOND_NS)), self._act)


class Pusher(Errand):
    """Pushes elements to queues. What comes first leaves first, in all of them."""

    def draw(self, chance: Random) -> list[list[bytes]]:
        """A push, or several in one piece."""
        pushes = [[b"RPUSH", queue, self.tag()] for queue in chance.choices(QUEUES, k=chance.choice((1, 1, 2, 3)))]
        if chance.random() < 0.2:
            pushes[0].append(self.tag())
        return pushes if chance.random() < 0.7 else [[b"LPUSH", STACK, self.tag()]]

    def feed(self, count: int) -> None:
        """Push enough for all who wait."""
        self.connect()
        self.send([[b"RPUSH", queue, *[self.tag() for _ in range(count)]] for queue in QUEUES])
        self.send([[b"LPUSH", STACK, *[self.tag() for _ in range(count)]]])


class Waiter(Errand):
    """Waits for elements."""

    @property
    def is_patient(self) -> bool:
        """Whether it waits until somebody pushes."""
        return bool(self.asked) and self.asked[0].is_wait() and not self.asked[0].timeout_ns()

    def waits_for(self) -> list[bytes]:
        """The keys that it is parked on, as far as the cell has its request."""
        if not (self.is_parked() and self.asked and self.asked[0].is_wait()):
            return []
        request = self.asked[0].request
        return request[1:2] if request[0] == b"BLMOVE" else request[1:-1]

    def draw(self, chance: Random) -> list[list[bytes]]:
        """A wait."""
        timeout = chance.choice((b"0", b"0.01", b"0.1", b"2"))
        kind = chance.random()
        if kind < 0.6:
            return [[b"BLPOP", *chance.sample(QUEUES, chance.choice((1, 1, 2))), timeout]]
        if kind < 0.8:
            return [[b"BRPOP", STACK, timeout]]
        return [[b"BLMOVE", QUEUES[0], DONE, b"LEFT", b"RIGHT", timeout]]


class Taker(Errand):
    """Puts members into a set that nobody ever puts in again, and takes members out of it by chance."""

    def draw(self, chance: Random) -> list[list[bytes]]:
        """A few members in, or a few out."""
        if chance.random() < 0.5:
            return [[b"SADD", POOL, *[self.tag() for _ in range(chance.choice((1, 2, 5)))]]]
        count = chance.choice((0, 0, 1, 3, 8))
        return [[b"SPOP", POOL, b"%d" % count] if count else [b"SPOP", POOL]]


class Scanner(Errand):
    """Makes keys and members that stay, and scans for them page by page while others come and go."""

    def __init__(self, world: "World", name: int) -> None:
        super().__init__(world, name)
        chance = world.timeline.chance
        self.stable = [b"s%d-%d" % (name, number) for number in range(chance.randint(1, STABLE_MAX))]
        self.members = [b"m%d" % number for number in range(chance.choice((5, BIG_MAX)))]
        self.passing = b"s%d-passing" % name
        self.big = b"big%d" % name
        self.is_settled = False
        self.found: list[bytes] | None = None
        self._cursor = b"0"
        self._scan: list[bytes] = []

    def draw(self, chance: Random) -> list[list[bytes]]:
        """Make what stays; then the next page, while a key of its own comes and goes."""
        if self.unanswered:
            return []
        if not self.is_settled:
            pairs = [word for key in self.stable for word in (key, b"1")]
            return [[b"MSET", *pairs], [b"SADD", self.big, *self.members]]
        if self.found is None:
            self.found = []
            self._cursor = b"0"
            self._scan = self._begin(chance)
        coming = [[b"SET", self.passing, b"1"], [b"DEL", self.passing]]
        return [chance.choice(coming), [*self._scan[:-1], self._cursor, *self._options(chance)]]

    def _begin(self, chance: Random) -> list[bytes]:
        return [b"SSCAN", self.big, b""] if chance.random() < 0.4 else [b"SCAN", b""]

    def _options(self, chance: Random) -> list[bytes]:
        options = [b"COUNT", chance.choice((b"1", b"7", b"30"))]
        if self._scan[0] == b"SCAN":
            options += [b"MATCH", b"s%d-*" % self.name]
        return options

    def learn(self, question: Question, reply: bytes) -> None:
        """Go on with the scan, or begin again."""
        command = question.request[0]
        if command == b"SADD":
            self.is_settled = not reply.startswith(b"-")
        if command not in (b"SCAN", b"SSCAN"):
            return
        page = None if reply.startswith(b"-") else value_of(reply)
        if not isinstance(page, list) or self.found is None:
            self.found = None
            return
        cursor, words = page
        assert isinstance(cursor, bytes)
        assert isinstance(words, list)
        self.found += [word for word in words if isinstance(word, bytes)]
        self._cursor = cursor
        if cursor == b"0":
            self._world.scanned(self, command, self.found)
            self.found = None

    def connect(self) -> Connection:
        """Come again: what was begun is forgotten."""
        self.found = None
        return super().connect()
