"""What a client must be told: a store without faults, asked by all clients in the order in which the core reads them.

It knows nothing of slots, replicas or rewritten requests, so it holds the dialect to what one server would say at the
ordered time. What it cannot answer exactly (`None` as expected reply) is left to the other invariants.

Subscriptions are those of the moment at which a PUBLISH is read: there its message has its place among all that its
receivers are told. Was it not decided, the place stays empty.
"""

from collections import deque

from quorate.trusted.protocols.redis.allow_list import NO_ROOM
from quorate.trusted.protocols.redis.table import commands

from .machine import Machine, Session
from .timeline import MILLISECOND_NS

COMMANDS = commands()
SUBSCRIBING = {b"SUBSCRIBE", b"UNSUBSCRIBE", b"PSUBSCRIBE", b"PUNSUBSCRIBE"}


class Expectation:
    """What one request must be answered with: `reply` exactly, or any reply when it is None."""

    __slots__ = ("reply", "request")

    def __init__(self, request: list[bytes], reply: bytes | None) -> None:
        self.request = request
        self.reply = reply


class Push:
    """A message or a confirmation. `is_due`: None while nobody knows whether it will ever be told."""

    __slots__ = ("frame", "is_due")

    def __init__(self, frame: bytes, is_due: bool | None) -> None:
        self.frame = frame
        self.is_due = is_due


class Publication:
    """A PUBLISH that is not decided yet, and its places among what others are told."""

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self.places: list[tuple[Conversation, Push]] = []


class Conversation:
    """One client's connection to the reference: what it must be told, replies and pushes, in order."""

    def __init__(self, reference: "Reference") -> None:
        self.expected: deque[Expectation | Push] = deque()
        self.is_gone = False
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

    def hears(self, data: bytes, now: int, is_full: bool = False) -> None:
        """The core takes these bytes of the client now; `is_full`: the disk has no room for writes."""
        for request in self._reader.cut(data):
            self.asked += 1
            if request[0] in SUBSCRIBING:
                self._subscribe(*request)
                continue
            if is_full and self._is_without_room(request):
                self.expected.append(Expectation(request, b"-%b\r\n" % NO_ROOM.encode()))
                continue
            reply = self._reference.machine.run(self._session, request, now // MILLISECOND_NS)
            expectation = Expectation(request, None if request[0] in (b"HELLO", b"PUBLISH") else reply)
            if request[0] == b"PUBLISH":
                # Who hears itself hears before it is answered.
                self._reference.publish(expectation)
            self.expected.append(expectation)

    def _is_without_room(self, request: list[bytes]) -> bool:
        """Whether a full disk is why this is refused: it is a write, or the EXEC of one."""
        session = self._session
        command = COMMANDS.get(request[0])
        if command is not None and command.is_write and command.fits(len(request)):
            session.is_doomed = session.is_doomed or session.queue is not None
            return True
        queue = session.queue if request[0] == b"EXEC" else None
        for index, key in list(session.watched) if queue else ():
            session.keyspace.databases[index].get(key)
        if not queue or session.is_doomed or session.stale:
            return False
        if any(COMMANDS[queued[0]].is_write for _, queued in queue if queued[0] in COMMANDS):
            session.leave_transaction()
            return True
        return False

    def next(self) -> Expectation | Push | None:
        """What it must be told next."""
        expected = self.expected
        while expected and isinstance(expected[0], Push) and expected[0].is_due is False:
            expected.popleft()
        return expected[0] if expected else None

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

    def publish(self, channel: bytes, message: bytes) -> list[Push]:
        """A message has its place: for each time that it is to reach this client."""
        found = [[b"message", channel, message]] if channel in self.channels else []
        matching = [pattern for pattern in self.patterns if channel.startswith(pattern.removesuffix(b"*"))]
        found += [[b"pmessage", pattern, channel, message] for pattern in matching]
        pushes = [Push(self._push([_bulk(word) for word in words]), None) for words in found]
        self.expected.extend(pushes)
        return pushes

    def _subscribe(self, command: bytes, name: bytes) -> None:
        own = self.patterns if b"PSUB" in command or b"PUNSUB" in command else self.channels
        if b"UNSUB" in command:
            own.pop(name, None)
        else:
            own[name] = None
        count = len(self.channels) + len(self.patterns)
        self.expected.append(Push(self._push([_bulk(command.lower()), _bulk(name), b":%d\r\n" % count]), True))

    def _push(self, parts: list[bytes]) -> bytes:
        return b"%b%d\r\n%b" % (b">" if self.version == 3 else b"*", len(parts), b"".join(parts))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


class Reference:
    """The store, and who talks to it by client number. `publications` are those not decided yet, by their message."""

    def __init__(self) -> None:
        self.machine = Machine(None)
        self.conversations: dict[int, Conversation] = {}
        self.publications: dict[bytes, Publication] = {}

    def admit(self, number: int) -> Conversation:
        """This client's replies are to be checked."""
        conversation = Conversation(self)
        self.conversations[number] = conversation
        return conversation

    def left(self, number: int) -> None:
        """The client went; what it asked last may still be read."""
        conversation = self.conversations.get(number)
        if conversation is not None:
            conversation.is_gone = True
            conversation.channels.clear()
            conversation.patterns.clear()

    def publish(self, expectation: Expectation) -> None:
        """A PUBLISH was read."""
        _, channel, message = expectation.request
        publication = self.publications[message] = Publication(expectation)
        for conversation in self.conversations.values():
            publication.places += [(conversation, push) for push in conversation.publish(channel, message)]

    def published(self, message: bytes, is_decided: bool) -> None:
        """A PUBLISH was decided, or closed: its message goes out now, or never, whatever the cell asks again."""
        publication = self.publications.pop(message, None)
        if publication is None:
            return
        for _, push in publication.places:
            push.is_due = is_decided
        if is_decided:
            count = sum(not conversation.is_gone for conversation, _ in publication.places)
            publication.expectation.reply = b":%d\r\n" % count
