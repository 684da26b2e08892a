"""Subscriptions: they live here, not in replicas. PUBLISH takes a slot; its message goes out when that is decided."""

from ...limits import Limits
from ...span import Answer, Effect
from .base import Call, Compiled, Compiler, Dialect, Refusal, Responder, Transform
from .glob import matches
from .session import Session
from .values import aggregate, array, bulk, integer, is_error, null

Subscribers = dict[bytes, dict[int, Session]]


class Switchboard:
    """Who is subscribed to what. The number of all subscriptions and the bytes of their names are bounded."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._bytes = 0
        self.channels: Subscribers = {}
        self.patterns: Subscribers = {}
        self.shard_channels: Subscribers = {}

    def add(self, board: Subscribers, own: dict[bytes, None], session: Session, name: bytes) -> None:
        """Subscribe `session` to `name`. Raises `Refusal` past the limits."""
        if name in own:
            return
        limits = self._limits
        if session.subscriptions >= limits.subscriptions_max or self._total >= limits.subscriptions_total_max:
            raise Refusal("ERR quorate: too many subscriptions")
        if self._bytes + len(name) > limits.subscriptions_bytes_max:
            raise Refusal("ERR quorate: the names of all subscriptions are over the limit (subscriptions_bytes_max)")
        own[name] = None
        board.setdefault(name, {})[session.client.number] = session
        self._total += 1
        self._bytes += len(name)

    def remove(self, board: Subscribers, own: dict[bytes, None], session: Session, name: bytes) -> None:
        """End a subscription, if there is one."""
        if name not in own:
            return
        del own[name]
        self._total -= 1
        self._bytes -= len(name)
        subscribers = board[name]
        del subscribers[session.client.number]
        if not subscribers:
            del board[name]

    def left(self, session: Session) -> None:
        """End all subscriptions of `session`."""
        for board, own in (
            (self.channels, session.channels),
            (self.patterns, session.patterns),
            (self.shard_channels, session.shard_channels),
        ):
            for name in list(own):
                self.remove(board, own, session, name)

    def receivers(self, channel: bytes, message: bytes) -> list[tuple[Session, bytes]]:
        """Every subscriber of `channel`, and of each pattern that matches it, with what it is sent."""
        subscribers = self.channels.get(channel, {})
        found = [(session, _sent(session, [b"message", channel, message])) for session in subscribers.values()]
        for pattern, sessions in self.patterns.items():
            if matches(pattern, channel):
                parts = [b"pmessage", pattern, channel, message]
                found += [(session, _sent(session, parts)) for session in sessions.values()]
        return found

    def shard_receivers(self, channel: bytes, message: bytes) -> list[tuple[Session, bytes]]:
        """As `receivers`, for shard channels: patterns do not see them."""
        subscribers = self.shard_channels.get(channel, {})
        return [(session, _sent(session, [b"smessage", channel, message])) for session in subscribers.values()]


def _sent(session: Session, parts: list[bytes]) -> bytes:
    return aggregate(b">", session.protocol, [bulk(part) for part in parts])


class Publication(Transform):
    """A PUBLISH: the replicas, who have no subscribers, order it; the coordinator hands its message out."""

    def __init__(self, call: Call) -> None:
        self._channel = call.arguments[1]
        self._message = call.arguments[2]
        self._is_shard = call.command.name == "spublish"
        # Who is subscribed to what it publishes has the message before the answer, but not inside EXEC's.
        self._publisher = None if call.in_transaction or call.session.is_silent else call.session

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """How many received it."""
        if is_error(reply):
            return reply
        switchboard = dialect.switchboard
        receivers = switchboard.shard_receivers if self._is_shard else switchboard.receivers
        found = receivers(self._channel, self._message)
        own = b""
        for session, data in found:
            if session is self._publisher:
                own += data
            else:
                effects.append(Answer(session.client, data))
        return own + integer(len(found))


def _publish(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(call.raw, Publication(call))


def _board(dialect: Dialect, session: Session, name: str) -> tuple[Subscribers, dict[bytes, None]]:
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
    dialect.answer(session, aggregate(b">", session.protocol, parts), effects)


def _names(board: Subscribers, call: Call) -> bytes:
    if len(call.arguments) > 3:
        name = call.arguments[1].decode("latin-1")
        raise Refusal(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP.")
    pattern = call.arguments[2] if len(call.arguments) == 3 else b"*"
    return array([bulk(name) for name in sorted(board) if matches(pattern, name)])


def _counts(board: Subscribers, call: Call) -> bytes:
    parts: list[bytes] = []
    for channel in call.arguments[2:]:
        parts += (bulk(channel), integer(len(board.get(channel, {}))))
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
    return integer(len(dialect.switchboard.patterns))


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
