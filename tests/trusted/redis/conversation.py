"""Clients who talk to the dialect while the test plays the replicas: requests are seen in order, replies made by hand.

talk = Conversation()
a = talk.client()
a.says("BLPOP k 0")
talk.orders("LMPOP 1 k LEFT", reply="*-1")      # the oldest slot not yet decided, and its agreed reply
a.hears()                                       # nothing: it waits
"""

import shlex

from quorate.trusted.client import Client
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import RequestFramer, encode_request
from quorate.trusted.reply import Reply
from quorate.trusted.span import Announcement, Answer, Close, Continue, Effect, Span

SECOND_NS = 1_000_000_000


def wire(reply: str) -> bytes:
    """Lines of a reply as bytes, blanks between lines: `*1 $1 a`."""
    return b"".join(line.encode() + b"\r\n" for line in reply.split(" "))


def request_of(line: str) -> bytes:
    return encode_request([word.encode() for word in shlex.split(line)])


class Talker:
    """One client of a conversation."""

    def __init__(self, talk: "Conversation", client: Client) -> None:
        self.talk = talk
        self.client = client

    def says(self, *lines: str) -> "Talker":
        """Send these requests in one piece."""
        data = b"".join(map(request_of, lines))
        self.talk.perform(self.talk.protocol.read(self.client, data, self.talk.now))
        return self

    def hears(self) -> bytes:
        """All that came since the last time."""
        data = b"".join(self.client.out)
        self.client.out.clear()
        return data

    def leaves(self) -> None:
        self.client.is_gone = True
        self.talk.protocol.left(self.client, self.talk.now)


class Conversation:
    """A dialect between clients and replicas that are played by the test."""

    def __init__(self, limits: Limits | None = None, settings: Settings | None = None) -> None:
        self.protocol = RedisProtocol(limits or Limits(), settings or Settings(), b"seed")
        self.now = 1_000 * SECOND_NS
        self.reply = Reply()
        self.spans: list[Span] = []
        self.clients = 0

    def client(self, protocol: int = 2) -> Talker:
        self.clients += 1
        client = Client(self.clients, "test")
        self.protocol.connected(client, self.now)
        self.protocol.sessions[client.number].protocol = protocol
        return Talker(self, client)

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Span):
                if effect.owner is not None:
                    effect.owner.asked += effect.count
                self.spans.append(effect)
            elif isinstance(effect, Answer):
                self.reply.answer(effect.client, effect.data, effect.after)
            elif isinstance(effect, Announcement):
                self.reply.announce(effect)
            elif isinstance(effect, Close):
                self.reply.close(effect.client)
            else:
                assert isinstance(effect, Continue)

    def waiting(self) -> list[str]:
        """The requests of all slots not yet decided, each slot as words."""
        return [words(request) for span in self.spans for request in span.requests]

    def orders(self, line: str, reply: str) -> None:
        """The oldest slot not yet decided is this request; the replicas agree on `reply`."""
        assert words(self.spans[0].requests[0]) == line
        self.decide(wire(reply))

    def decide(self, reply: bytes) -> None:
        """The oldest slot is decided: `reply` is what one of the replicas said."""
        span = self._next()
        data = span.form.canonical(reply) if span.form is not None else reply
        effects: list[Effect] = []
        if span.form is not None:
            data = self.protocol.finish(span, data, self.now, effects)
        self.perform(effects)
        if span.owner is not None:
            self.reply.release(span.owner, data, 1)

    def abandon(self) -> None:
        """The oldest slot is closed without a decision."""
        span = self._next()
        effects: list[Effect] = []
        data = self.protocol.abandon(span, 7, "split", self.now, effects)
        self.perform(effects)
        if span.owner is not None:
            self.reply.release(span.owner, data, 1)

    def passes(self, seconds: float, lost: str = "") -> None:
        """Time passes, and the cell can decide nothing any more for the reason `lost`."""
        self.now += int(seconds * SECOND_NS)
        self.perform(self.protocol.woken(self.now, lost))

    def _next(self) -> Span:
        span = self.spans[0]
        if span.count > 1:
            one = Span(span.owner, [span.requests.pop(0)], span.mode, span.is_write, span.form)
            span.count -= 1
            return one
        return self.spans.pop(0)


def words(raw: bytes) -> str:
    """What a slot holds, as words; several requests in one slot are parted by semicolons."""
    requests = RequestFramer(Limits()).feed(raw)
    return "; ".join(shlex.join(word.decode("latin-1") for word in request.arguments) for request in requests)
