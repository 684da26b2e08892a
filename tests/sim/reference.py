"""What a client must be told: a store without faults, asked by all clients in the order in which the core reads them.

It knows nothing of slots, replicas or rewritten requests, so it holds the dialect to what one server would say at the
ordered time. What it cannot answer exactly (`None` as expected reply) is left to the other invariants.

Subscriptions are those of the moment at which a PUBLISH is decided: then its message goes out.
"""

from collections import deque

from .machine import Machine, Session
from .timeline import MILLISECOND_NS

SUBSCRIBING = {b"SUBSCRIBE", b"UNSUBSCRIBE", b"PSUBSCRIBE", b"PUNSUBSCRIBE"}


class Expectation:
    """What one request must be answered with: `reply` exactly, or any reply when it is None."""

    __slots__ = ("reply", "request")

    def __init__(self, request: list[bytes], reply: bytes | None) -> None:
        self.request = request
        self.reply = reply


class Conversation:
    """One client's connection to the reference: requests it made, and what it must be told, in order.

    `pushes` are the messages and confirmations that it must be told beside its replies.
    """

    def __init__(self, reference: "Reference") -> None:
        self.expected: deque[Expectation] = deque()
        self.pushes: deque[bytes] = deque()
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.asked = 0
        self._reference = reference
        self._session: Session = reference.machine.session()
        self._reader = Machine(None)

    @property
    def version(self) -> int:
        """Its version of the protocol."""
        return self._session.reply.number

    def hears(self, data: bytes, now: int) -> None:
        """The core takes these bytes of the client now."""
        for request in self._reader.cut(data):
            self.asked += 1
            if request[0] in SUBSCRIBING:
                self._subscribe(*request)
                continue
            reply = self._reference.machine.run(self._session, request, now // MILLISECOND_NS)
            expectation = Expectation(request, None if request[0] in (b"HELLO", b"PUBLISH") else reply)
            self.expected.append(expectation)
            if request[0] == b"PUBLISH":
                self._reference.publications[request[2]] = expectation

    def is_refused(self, data: bytes) -> None:
        """The core refuses everything in these bytes."""
        for request in self._reader.cut(data):
            self.expected.append(Expectation(request, None))
            self.asked += 1

    def is_push(self, frame: bytes) -> bool:
        """Whether it is no reply. In the older version, who may subscribe asks nothing else."""
        return frame.startswith(b">") if self.version == 3 else not frame.startswith(b"-")

    def is_message(self, frame: bytes) -> bool:
        """Whether a push is a message, not the answer to a subscription."""
        return frame.split(b"\r\n", 3)[2] in (b"message", b"pmessage")

    def publish(self, channel: bytes, message: bytes) -> int:
        """A message goes out: how often it reaches this client."""
        found = [[b"message", channel, message]] if channel in self.channels else []
        matching = [pattern for pattern in self.patterns if channel.startswith(pattern.removesuffix(b"*"))]
        found += [[b"pmessage", pattern, channel, message] for pattern in matching]
        self.pushes.extend(self._push([_bulk(word) for word in words]) for words in found)
        return len(found)

    def _subscribe(self, command: bytes, name: bytes) -> None:
        own = self.patterns if b"PSUB" in command or b"PUNSUB" in command else self.channels
        if b"UNSUB" in command:
            own.pop(name, None)
        else:
            own[name] = None
        count = len(self.channels) + len(self.patterns)
        self.pushes.append(self._push([_bulk(command.lower()), _bulk(name), b":%d\r\n" % count]))

    def _push(self, parts: list[bytes]) -> bytes:
        return b"%b%d\r\n%b" % (b">" if self.version == 3 else b"*", len(parts), b"".join(parts))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


class Reference:
    """The store, and who talks to it by client number. `publications` are those not decided yet, by their message."""

    def __init__(self) -> None:
        self.machine = Machine(None)
        self.conversations: dict[int, Conversation] = {}
        self.publications: dict[bytes, Expectation] = {}

    def admit(self, number: int) -> Conversation:
        """This client's replies are to be checked."""
        conversation = Conversation(self)
        self.conversations[number] = conversation
        return conversation

    def left(self, number: int) -> None:
        """The client went; what it asked last may still be read."""
        conversation = self.conversations.get(number)
        if conversation is not None:
            conversation.channels.clear()
            conversation.patterns.clear()

    def published(self, request: list[bytes]) -> None:
        """A PUBLISH was decided: its message goes out now, and not again should the cell ask the replicas again."""
        if request[2] not in self.publications:
            return
        count = sum(conversation.publish(request[1], request[2]) for conversation in self.conversations.values())
        self.publications.pop(request[2]).reply = b":%d\r\n" % count
