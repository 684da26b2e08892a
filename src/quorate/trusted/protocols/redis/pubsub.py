"""Subscriptions: they live here, not in replicas. PUBLISH takes a slot, and its message goes out when that is decided."""

from ...limits import Limits
from ...span import Answer, Effect
from .base import Call, Compiled, Compiler, Dialect, Refusal, Responder, Transform
from .glob import matches
from .session import Session
from .values import aggregate, array, bulk, integer, is_error, null

Subscribers = dict[bytes, dict[int, Session]]


class Switchboard:
    """Who is subscribed to what. The `total` of all subscriptions is bounded."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
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
        own[name] = None
        board.setdefault(name, {})[session.client.number] = session
        self._total += 1

    def remove(self, board: Subscribers, own: dict[bytes, None], session: Session, name: bytes) -> None:
        """End a subscription, if there is one."""
        if name not in own:
            return
        del own[name]
        self._total -= 1
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

    def publish(self, channel: bytes, message: bytes, effects: list[Effect]) -> int:
        """Hand `message` to every subscriber of `channel` and of patterns that match it; how many there were."""
        receivers = 0
        for session in self.channels.get(channel, {}).values():
            _deliver(session, [bulk(b"message"), bulk(channel), bulk(message)], effects)
            receivers += 1
        for pattern, sessions in self.patterns.items():
            if matches(pattern, channel):
                for session in sessions.values():
                    _deliver(session, [bulk(b"pmessage"), bulk(pattern), bulk(channel), bulk(message)], effects)
                    receivers += 1
        return receivers

    def publish_shard(self, channel: bytes, message: bytes, effects: list[Effect]) -> int:
        """As `publish`, for shard channels: patterns do not see them."""
        subscribers = self.shard_channels.get(channel, {})
        for session in subscribers.values():
            _deliver(session, [bulk(b"smessage"), bulk(channel), bulk(message)], effects)
        return len(subscribers)


def _deliver(session: Session, parts: list[bytes], effects: list[Effect]) -> None:
    effects.append(Answer(session.client, aggregate(b">", session.protocol, parts)))


class Publication(Transform):
    """A PUBLISH: the replicas, who have no subscribers, order it; the coordinator hands its message out."""

    def __init__(self, channel: bytes, message: bytes, is_shard: bool) -> None:
        self._channel = channel
        self._message = message
        self._is_shard = is_shard

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """How many received it."""
        if is_error(reply):
            return reply
        switchboard = dialect.switchboard
        publish = switchboard.publish_shard if self._is_shard else switchboard.publish
        return integer(publish(self._channel, self._message, effects))


def _publish(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(call.raw, Publication(call.arguments[1], call.arguments[2], call.command.name == "spublish"))


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
        raise Refusal(f"ERR wrong number of arguments for '{call.command.name}' command")
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
