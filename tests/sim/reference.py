"""What a client must be told: a store without faults, asked by all clients in the order in which the core reads them.

It knows nothing of slots, replicas or rewritten requests, so it holds the dialect to what one server would say at the
ordered time. What it cannot answer exactly (`None` as expected reply) is left to the other invariants.
"""

from collections import deque

from .machine import Machine, Session
from .timeline import MILLISECOND_NS


class Expectation:
    """What one request must be answered with: `reply` exactly, or any reply when it is None."""

    __slots__ = ("reply", "request")

    def __init__(self, request: list[bytes], reply: bytes | None) -> None:
        self.request = request
        self.reply = reply


class Conversation:
    """One client's connection to the reference: requests it made, and what it must be told, in order."""

    def __init__(self, reference: "Reference") -> None:
        self.expected: deque[Expectation] = deque()
        self.asked = 0
        self._reference = reference
        self._session: Session = reference.machine.session()
        self._reader = Machine(None)

    def hears(self, data: bytes, now: int) -> None:
        """The core takes these bytes of the client now."""
        for request in self._reader.cut(data):
            reply = self._reference.machine.run(self._session, request, now // MILLISECOND_NS)
            is_own = request[0] == b"HELLO"
            self.expected.append(Expectation(request, None if is_own else reply))
            self.asked += 1

    def is_refused(self, data: bytes) -> None:
        """The core refuses everything in these bytes."""
        for request in self._reader.cut(data):
            self.expected.append(Expectation(request, None))
            self.asked += 1


class Reference:
    """The store, and who talks to it by client number."""

    def __init__(self) -> None:
        self.machine = Machine(None)
        self.conversations: dict[int, Conversation] = {}

    def admit(self, number: int) -> Conversation:
        """This client's replies are to be checked."""
        conversation = Conversation(self)
        self.conversations[number] = conversation
        return conversation
