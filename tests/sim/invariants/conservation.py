"""What is put in comes out once, and in order: BLPOP, BRPOP, BLMOVE woken by pushes; members drawn by SPOP.

Checks that each element or member that a client is told was put in before, and is told to nobody else; that no client
is told elements of one queue out of the order in which they were pushed; that a wait gets null only after its time, and
goes on only while there is nothing; that SPOP gives less than was asked only if the set had less at some moment since,
or could not be read again.
At the end, against a machine without faults: what is missing from a queue are the elements pushed first, and somebody
was told each, unless the one who asked left. Cannot see which of several waiting clients should have been first, nor
runs with more than f faulty replicas.
"""

from collections import deque
from typing import TYPE_CHECKING

from tests.sim.errands import POOL, QUEUES, STACK, WAITS, Errand, Question, Waiter
from tests.sim.invariants.base import Invariant
from tests.sim.ledger import value_of
from tests.sim.swarm import Phase

if TYPE_CHECKING:
    from tests.sim.world import World

PUSHES = (b"RPUSH", b"LPUSH")


class Conservation(Invariant):
    """Nothing is lost, invented, or given twice."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._pushed: dict[bytes, dict[bytes, int]] = {key: {} for key in (*QUEUES, STACK)}
        self._added: set[bytes] = set()
        self._told: set[bytes] = set()
        self._last: dict[tuple[int, bytes], int] = {}

    def executed(self, arguments: list[bytes]) -> None:
        """The machine without faults ran this, in the order of the lanes."""
        command = arguments[0]
        if command in PUSHES and arguments[1] in self._pushed:
            order = self._pushed[arguments[1]]
            for element in arguments[2:]:
                order[element] = len(order)
        elif command in (b"SADD", b"SREM") and arguments[1] == POOL:
            if command == b"SADD":
                self._added.update(arguments[2:])
            size, is_untold = self.world.pool_size(), self.world.is_pool_untold()
            for errand in self.world.errands:
                for question in errand.asked:
                    question.least = min(question.least, size)
                    question.was_untold |= is_untold

    def told(self, errand: Errand, question: Question, reply: bytes) -> None:
        """An errand's request was answered."""
        if self.world.swarm.phase is Phase.BEYOND:
            return
        command = question.request[0]
        if command in WAITS:
            self._told_element(errand, question, reply)
        elif command == b"SPOP":
            self._told_members(question, reply)
        elif command == b"SADD" and question.request[1] == POOL and value_of(reply) != len(question.request) - 2:
            raise self.broken(f"{question.request} added {reply!r}")
        elif command in PUSHES and not reply.startswith(b":"):
            raise self.broken(f"{question.request} was answered {reply!r}")

    def _told_element(self, errand: Errand, question: Question, reply: bytes) -> None:
        found = value_of(reply)
        if found is None:
            timeout = question.timeout_ns()
            # All that comes in one turn has the time at which that turn began.
            began_at = question.asked_at - self.world.swarm.turn_ns
            if not timeout or self.world.timeline.now < began_at + timeout:
                raise self.broken(f"{question.request} gave up too early")
            return
        key, element = found if isinstance(found, list) else (question.request[1], found)
        if not (isinstance(key, bytes) and isinstance(element, bytes) and key in question.request[1:-1]):
            raise self.broken(f"{question.request} was answered {reply!r}")
        order = self._pushed[key].get(element)
        if order is None:
            raise self.broken(f"{question.request} was told {element!r}, which nobody pushed")
        self._take(element, question)
        if self._last.get((errand.name, key), -1) > order:
            raise self.broken(f"{question.request} was told {element!r} after what was pushed later")
        self._last[errand.name, key] = order

    def _told_members(self, question: Question, reply: bytes) -> None:
        if reply.startswith(b"-NOQUORUM") and b"over the limit" in reply:
            return
        found = value_of(reply)
        members = found if isinstance(found, list) else [] if found is None else [found]
        wanted = int(question.request[2]) if len(question.request) > 2 else 1
        for member in members:
            if not isinstance(member, bytes) or member not in self._added:
                raise self.broken(f"{question.request} was told {member!r}, which nobody added")
            self._take(member, question)
        # What was taken is told even where the set cannot be read again for the others.
        has_all = len(members) >= wanted or (members and question.was_untold)
        if len(members) > wanted or (question.least >= wanted and not has_all):
            raise self.broken(f"{question.request} was told {reply!r}; the set never had less than {question.least}")

    def _take(self, element: bytes, question: Question) -> None:
        if element in self._told:
            raise self.broken(f"{question.request} was told {element!r}, which somebody else has")
        self._told.add(element)

    def turned(self) -> None:
        """Who waits while nothing is under way waits for what is not there."""
        if self.world.core.order.inflight_slots or self.world.swarm.phase is Phase.BEYOND:
            return
        values = self.world.truth.keyspace.databases[0].values
        for errand in self.world.errands:
            if isinstance(errand, Waiter) and any(key in values for key in errand.waits_for()):
                raise self.broken(f"{errand.asked[0].request} waits, and there is {values}")

    def ended(self) -> None:
        """All have been told what they are to be told."""
        if self.world.swarm.phase is Phase.BEYOND:
            return
        missing = 0
        for key, order in self._pushed.items():
            left = self._values(key)[:: -1 if key == STACK else 1]
            pushed = list(order)
            gone = pushed[: len(pushed) - len(left)]
            if pushed[len(gone) :] != left:
                raise self.broken(f"{key!r} holds {left}, pushed were {pushed}")
            missing += len(set(gone) - self._told)
        forfeits = self._forfeits()
        if missing > sum(question.request[0] in WAITS for question in forfeits):
            raise self.broken(f"{missing} elements were told to nobody")
        pool = set(self._values(POOL))
        lost = len(self._added - self._told - pool)
        most = sum(int([*question.request, b"1"][2]) for question in forfeits if question.request[0] == b"SPOP")
        if lost > most or pool & self._told:
            raise self.broken(f"{lost} members were told to nobody, {sorted(pool & self._told)} are still there")

    def _values(self, key: bytes) -> list[bytes]:
        """The elements or members at this key, as far as the lanes were told."""
        value = self.world.truth.keyspace.databases[0].values.get(key, ())
        return list(value) if isinstance(value, deque | set) else []

    def _forfeits(self) -> list[Question]:
        return [question for errand in self.world.errands for question in (*errand.forfeited, *errand.asked)]
