"""Subscriptions: they live here, not in replicas. PUBLISH takes a slot; its message goes out when that is decided.

A subscription has its place in the order too, though no slot: publications are numbered as they are ordered, and it
holds for those ordered after it, until it is ended. So who ended one stays in the books until all that was published
before is decided. The messages of a slot are an `Announcement`, which stands where the slot does; what a subscriber is
answered without a slot waits for all that it may hear of what was ordered before.
"""

from collections import deque

from ...client import Client
from ...limits import Limits
from ...span import Announcement, Answer, Effect
from .base import Call, Compiled, Compiler, Dialect, Refusal, Responder, Transform
from .glob import matches
from .session import Session
from .values import aggregate, array, bulk, integer, is_error, null


class Subscription:
    """`session` hears what is published after publication `since`, and while `until` is not 0 only up to that one."""

    __slots__ = ("session", "since", "until")

    def __init__(self, session: Session, since: int) -> None:
        self.session = session
        self.since = since
        self.until = 0

    def hears(self, number: int) -> bool:
        """Whether this publication reaches it."""
        return self.since < number and (not self.until or number <= self.until) and not self.session.client.is_gone


Subscribers = dict[bytes, dict[int, Subscription]]


class Switchboard:
    """Who is subscribed to what. The number of all subscriptions and the bytes of their names are bounded.

    `ordered` publications have their places in the order so far; those up to `decided` have been told.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._bytes = 0
        self._last = 0
        self._ended: deque[tuple[int, Subscribers, bytes, int]] = deque()
        self.ordered = 0
        self.decided = 0
        self.channels: Subscribers = {}
        self.patterns: Subscribers = {}
        self.shard_channels: Subscribers = {}

    def add(self, board: Subscribers, own: dict[bytes, int], session: Session, name: bytes) -> None:
        """Subscribe `session` to `name`. Raises `Refusal` past the limits."""
        if name in own:
            return
        limits = self._limits
        if session.subscriptions >= limits.subscriptions_max or self._total >= limits.subscriptions_total_max:
            raise Refusal("ERR quorate: too many subscriptions")
        if self._bytes + len(name) > limits.subscriptions_bytes_max:
            raise Refusal("ERR quorate: the names of all subscriptions are over the limit (subscriptions_bytes_max)")
        if not session.subscriptions:
            session.subscribed_at = self.ordered
        self._last += 1
        own[name] = self._last
        board.setdefault(name, {})[self._last] = Subscription(session, self.ordered)
        self._total += 1
        self._bytes += len(name)

    def remove(self, board: Subscribers, own: dict[bytes, int], session: Session, name: bytes) -> None:
        """End a subscription, if there is one: it holds for what was published until now."""
        key = own.pop(name, 0)
        if not key:
            return
        subscription = board[name][key]
        if self.ordered in (self.decided, subscription.since):
            self._forget(board, name, key)
            return
        subscription.until = session.hears_until = self.ordered
        self._ended.append((self.ordered, board, name, key))

    def end(self, session: Session) -> None:
        """End all subscriptions of `session`."""
        for board, own in self._boards(session):
            for name in list(own):
                self.remove(board, own, session, name)

    def left(self, session: Session) -> None:
        """The client went: nothing reaches it any more."""
        for board, own in self._boards(session):
            for name, key in own.items():
                self._forget(board, name, key)
            own.clear()

    def speak(self, session: Session, protocol: int) -> None:
        """`session` changes its protocol version: what was published until now is told in the old one."""
        spoken = session.spoken
        while spoken and spoken[0][0] <= self.decided:
            spoken.popleft()
        if self.ordered > (spoken[-1][0] if spoken else self.decided):
            spoken.append((self.ordered, session.protocol))
        session.protocol = protocol

    def order(self) -> int:
        """A publication is being ordered. Returns its number."""
        self.ordered += 1
        return self.ordered

    def told(self, number: int) -> None:
        """This publication was decided, or will not be: forget who ended a subscription before."""
        self.decided = number
        while self._ended and self._ended[0][0] <= number:
            _, board, name, key = self._ended.popleft()
            self._forget(board, name, key)

    def last_heard(self, session: Session) -> int:
        """The last publication so far that may reach `session`: what it is answered now, it is told after that."""
        if session.subscriptions and self.ordered > session.subscribed_at:
            return self.ordered
        return session.hears_until

    def receivers(self, channel: bytes, message: bytes, number: int) -> list[tuple[Session, bytes]]:
        """Whom this publication reaches: each subscriber of `channel`, and of each pattern that matches."""
        found = _reached(self.channels.get(channel, {}), [b"message", channel, message], number)
        for pattern, subscribers in self.patterns.items():
            if matches(pattern, channel):
                found += _reached(subscribers, [b"pmessage", pattern, channel, message], number)
        return found

    def shard_receivers(self, channel: bytes, message: bytes, number: int) -> list[tuple[Session, bytes]]:
        """As `receivers`, for shard channels: patterns do not see them."""
        return _reached(self.shard_channels.get(channel, {}), [b"smessage", channel, message], number)

    def _boards(self, session: Session) -> tuple[tuple[Subscribers, dict[bytes, int]], ...]:
        return (
            (self.channels, session.channels),
            (self.patterns, session.patterns),
            (self.shard_channels, session.shard_channels),
        )

    def _forget(self, board: Subscribers, name: bytes, key: int) -> None:
        self._total -= 1
        self._bytes -= len(name)
        subscribers = board[name]
        del subscribers[key]
        if not subscribers:
            del board[name]


def _reached(subscribers: dict[int, Subscription], parts: list[bytes], number: int) -> list[tuple[Session, bytes]]:
    """Whom publication `number` reaches, each with the message `parts` in its protocol version, made once for all."""
    made: dict[int, bytes] = {}
    found: list[tuple[Session, bytes]] = []
    for subscription in subscribers.values():
        if subscription.hears(number):
            session = subscription.session
            version = session.protocol_at(number)
            if version not in made:
                made[version] = aggregate(b">", version, [bulk(part) for part in parts])
            found.append((session, made[version]))
    return found


def _lasting(board: Subscribers, name: bytes) -> int:
    """How many subscriptions to `name` have not been ended."""
    return sum(not subscription.until for subscription in board.get(name, {}).values())


class Publication(Transform):
    """A PUBLISH: the replicas, who have no subscribers, order it; the coordinator hands its message out."""

    def __init__(self, call: Call, number: int) -> None:
        self._channel = call.arguments[1]
        self._message = call.arguments[2]
        self._is_shard = call.command.name == "spublish"
        self._number = number
        # Who is subscribed to what it publishes has the message before the answer; with EXEC's, behind all of it.
        self._publisher = call.session if call.in_transaction and not call.session.is_silent else None

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """How many receive it."""
        if is_error(reply):
            self.failed(reply, dialect, now, effects)
            return reply
        switchboard = dialect.switchboard
        receivers = switchboard.shard_receivers if self._is_shard else switchboard.receivers
        found = receivers(self._channel, self._message, self._number)
        told: list[tuple[Client, bytes]] = []
        for session, data in found:
            if session is self._publisher:
                self.behind += data
            else:
                told.append((session.client, data))
        switchboard.told(self._number)
        effects.append(Announcement(self._number, told))
        return integer(len(found))

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nobody receives it."""
        dialect.switchboard.told(self._number)
        effects.append(Announcement(self._number, []))


def _publish(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(call.raw, Publication(call, dialect.switchboard.order()))


def _board(dialect: Dialect, session: Session, name: str) -> tuple[Subscribers, dict[bytes, int]]:
    if name.startswith("p"):
        return dialect.switchboard.patterns, session.patterns
    if name.startswith("s") and name != "subscribe":
        return dialect.switchboard.shard_channels, session.shard_channels
    return dialect.switchboard.channels, session.channels


def _count(session: Session, name: str) -> int:
    """The number in a confirmation: shard channels are counted apart from channels and patterns."""
    if name in ("ssubscribe", "sunsubscribe"):
        return len(session.shard_channels)
    return len(session.channels) + len(session.patterns)


def _subscribe(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes | None:
    session, name = call.session, call.command.name
    board, own = _board(dialect, session, name)
    for channel in call.arguments[1:]:
        dialect.switchboard.add(board, own, session, channel)
        _confirm(dialect, session, name, bulk(channel), effects)
    return None


def _unsubscribe(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes | None:
    session, name = call.session, call.command.name
    board, own = _board(dialect, session, name.replace("unsubscribe", "subscribe"))
    channels = call.arguments[1:] or list(own)
    for channel in channels:
        dialect.switchboard.remove(board, own, session, channel)
        _confirm(dialect, session, name, bulk(channel), effects)
    if not channels:
        _confirm(dialect, session, name, null(session.protocol), effects)
    return None


def _confirm(dialect: Dialect, session: Session, name: str, channel: bytes, effects: list[Effect]) -> None:
    parts = [bulk(name.encode()), channel, integer(_count(session, name))]
    # A push as messages are: who wants no replies wants it all the same.
    confirmation = aggregate(b">", session.protocol, parts)
    effects.append(Answer(session.client, confirmation, dialect.switchboard.last_heard(session)))


def _names(board: Subscribers, call: Call) -> bytes:
    if len(call.arguments) > 3:
        name = call.arguments[1].decode("latin-1")
        raise Refusal(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP.")
    pattern = call.arguments[2] if len(call.arguments) == 3 else b"*"
    return array([bulk(name) for name in sorted(board) if _lasting(board, name) and matches(pattern, name)])


def _counts(board: Subscribers, call: Call) -> bytes:
    parts: list[bytes] = []
    for channel in call.arguments[2:]:
        parts += (bulk(channel), integer(_lasting(board, channel)))
    return array(parts)


def _pubsub_channels(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return _names(dialect.switchboard.channels, call)


def _pubsub_shard_channels(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return _names(dialect.switchboard.shard_channels, call)


def _pubsub_numsub(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return _counts(dialect.switchboard.channels, call)


def _pubsub_shard_numsub(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return _counts(dialect.switchboard.shard_channels, call)


def _pubsub_numpat(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    patterns = dialect.switchboard.patterns
    return integer(sum(_lasting(patterns, pattern) > 0 for pattern in patterns))


COMPILERS: dict[str, Compiler] = {"publish": _publish, "spublish": _publish}

RESPONDERS: dict[str, Responder] = {
    "subscribe": _subscribe,
    "psubscribe": _subscribe,
    "ssubscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "punsubscribe": _unsubscribe,
    "sunsubscribe": _unsubscribe,
    "pubsub|channels": _pubsub_channels,
    "pubsub|numpat": _pubsub_numpat,
    "pubsub|numsub": _pubsub_numsub,
    "pubsub|shardchannels": _pubsub_shard_channels,
    "pubsub|shardnumsub": _pubsub_shard_numsub,
}
