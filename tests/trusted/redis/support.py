"""A dialect without its requests: what a part of it may ask of the whole, with notes of what it asked."""

from quorate.trusted.client import Client
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Call, Dialect, Settings
from quorate.trusted.protocols.redis.deadlines import Deadlines
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.pubsub import Switchboard
from quorate.trusted.protocols.redis.session import Session
from quorate.trusted.protocols.redis.table import commands
from quorate.trusted.span import Effect

MILLISECOND_NS = 1_000_000
TABLE = commands()


class NotingDialect(Dialect):
    """Notes the keys that were touched, by database, and the answers that ended a wait."""

    def __init__(self, limits: Limits | None = None, settings: Settings | None = None) -> None:
        super().__init__(limits or Limits(), settings or Settings(), b"seed")
        self.deadlines = Deadlines(self.limits)
        self.switchboard = Switchboard(self.limits)
        self.noted: list[tuple[int, list[bytes]]] = []
        self.resumed: list[bytes] = []

    def touched(self, database: int, keys: list[bytes], now: int, effects: list[Effect]) -> None:
        self.noted.append((database, keys))

    def resume(self, session: Session, answer: bytes, now: int, effects: list[Effect], after: int = 0) -> None:
        session.client.is_waiting = False
        self.resumed.append(answer)


def session_of(dialect: Dialect, database: int = 0, protocol: int = 2) -> Session:
    """A new client's session."""
    session = Session(Client(len(dialect.sessions) + 1, "test"), dialect.limits, is_authenticated=True)
    session.database = database
    session.protocol = protocol
    dialect.sessions[session.client.number] = session
    return session


def call_of(session: Session, arguments: list[bytes], now_ms: int = 1_000, in_transaction: bool = False) -> Call:
    """The call that this request is, at `now_ms`."""
    command = TABLE[arguments[0].upper()]
    if command.subcommands:
        command = command.subcommands[arguments[1].upper()]
    return Call(session, command, arguments, encode_request(arguments), now_ms * MILLISECOND_NS, in_transaction)
