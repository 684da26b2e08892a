"""Commands about the connection and the server: PING, HELLO, CLIENT, SELECT, FLUSHALL and their like."""

from .. import reply
from ..errors import DATABASE_RANGE, SYNTAX, CommandError, arity_error
from ..keyspace import DATABASES
from ..numbers import parse_int32, parse_integer
from ..registry import COMMANDS, CONTAINERS, command
from ..session import Session, read_option

VERSION = b"7.0.15"
DEFAULT_USER = b"default"


@command(b"ping", -1)
def ping(session: Session, arguments: list[bytes]) -> bytes:
    """PING [message]."""
    if len(arguments) > 2:
        raise arity_error(b"ping")
    return b"+PONG\r\n" if len(arguments) == 1 else reply.bulk(arguments[1])


@command(b"echo", 2)
def echo(session: Session, arguments: list[bytes]) -> bytes:
    """ECHO message."""
    return reply.bulk(arguments[1])


@command(b"select", 2)
def select(session: Session, arguments: list[bytes]) -> bytes:
    """SELECT index."""
    session.db = database(arguments[1])
    return reply.OK


def database(text: bytes, refusal: bytes | None = None) -> int:
    """The database number in `text`; raises `CommandError` (`refusal` when it is no number)."""
    index = parse_int32(text, refusal)
    if not 0 <= index < DATABASES:
        raise CommandError(DATABASE_RANGE)
    return index


@command(b"swapdb", 3)
def swapdb(session: Session, arguments: list[bytes]) -> bytes:
    """SWAPDB first second."""
    first = parse_int32(arguments[1], b"ERR invalid first DB index")
    second = parse_int32(arguments[2], b"ERR invalid second DB index")
    if not (0 <= first < DATABASES and 0 <= second < DATABASES):
        raise CommandError(DATABASE_RANGE)
    session.keys.swap(first, second)
    return reply.OK


@command(b"dbsize", 1)
def dbsize(session: Session, arguments: list[bytes]) -> bytes:
    """DBSIZE."""
    return reply.integer(session.keys.count(session.db))


@command(b"flushdb", -1)
def flushdb(session: Session, arguments: list[bytes]) -> bytes:
    """FLUSHDB [ASYNC | SYNC]."""
    _check_flush(arguments)
    session.keys.flush(range(session.db, session.db + 1))
    return reply.OK


@command(b"flushall", -1)
def flushall(session: Session, arguments: list[bytes]) -> bytes:
    """FLUSHALL [ASYNC | SYNC]."""
    _check_flush(arguments)
    session.keys.flush(range(DATABASES))
    return reply.OK


def _check_flush(arguments: list[bytes]) -> None:
    if len(arguments) > 2 or (len(arguments) == 2 and read_option(arguments[1]) not in (b"async", b"sync")):
        raise CommandError(SYNTAX)


@command(b"reset", 1, queued=False)
def reset(session: Session, arguments: list[bytes]) -> bytes:
    """RESET."""
    session.reset()
    return b"+RESET\r\n"


@command(b"hello", -1)
def hello(session: Session, arguments: list[bytes]) -> bytes:
    """HELLO [version [AUTH user password] [SETNAME name]]."""
    protocol = session.protocol
    if len(arguments) > 1:
        protocol = parse_integer(arguments[1], b"ERR Protocol version is not an integer or out of range")
        if protocol not in (2, 3):
            raise CommandError(b"NOPROTO unsupported protocol version")
    _take_hello_options(session, arguments)
    session.protocol = protocol
    return reply.mapping(protocol, _server_facts(session))


def _take_hello_options(session: Session, arguments: list[bytes]) -> None:
    """Follow the options one by one, as Redis does: a name stays set when a later option is wrong."""
    at = 2
    while at < len(arguments):
        option, left = read_option(arguments[at]), len(arguments) - at - 1
        if option == b"auth" and left >= 2:
            if arguments[at + 1] != DEFAULT_USER:
                raise CommandError(b"WRONGPASS invalid username-password pair or user is disabled.")
            at += 3
        elif option == b"setname" and left >= 1:
            session.name = _checked_name(arguments[at + 1])
            at += 2
        else:
            raise CommandError(b"ERR Syntax error in HELLO option '%s'" % arguments[at].split(b"\0", 1)[0])


def _server_facts(session: Session) -> list[bytes]:
    texts = [b"server", b"redis", b"version", VERSION]
    facts = [reply.bulk(text) for text in texts]
    facts += [reply.bulk(b"proto"), reply.integer(session.protocol), reply.bulk(b"id"), reply.integer(session.identity)]
    facts += [reply.bulk(text) for text in (b"mode", b"standalone", b"role", b"master", b"modules")]
    return [*facts, reply.EMPTY_ARRAY]


@command(b"client|id", 2)
def client_id(session: Session, arguments: list[bytes]) -> bytes:
    """CLIENT ID."""
    return reply.integer(session.identity)


@command(b"client|getname", 2)
def client_getname(session: Session, arguments: list[bytes]) -> bytes:
    """CLIENT GETNAME."""
    return reply.optional(session.protocol, session.name or None)


@command(b"client|setname", 3)
def client_setname(session: Session, arguments: list[bytes]) -> bytes:
    """CLIENT SETNAME name."""
    session.name = _checked_name(arguments[2])
    return reply.OK


def _checked_name(name: bytes) -> bytes:
    if not all(0x21 <= byte <= 0x7E for byte in name):
        raise CommandError(b"ERR Client names cannot contain spaces, newlines or special characters.")
    return name


@command(b"client|reply", 3)
def client_reply(session: Session, arguments: list[bytes]) -> bytes:
    """CLIENT REPLY ON | OFF | SKIP."""
    mode = read_option(arguments[2])
    if mode == b"on":
        session.off = session.skip = False
        return reply.OK
    if mode == b"off":
        session.off = True
    elif mode == b"skip":
        session.skip_next = session.skip_next or not session.off
    else:
        raise CommandError(SYNTAX)
    return b""


@command(b"command", -1)
def command_table(session: Session, arguments: list[bytes]) -> bytes:
    """COMMAND: this store describes none of its commands."""
    return reply.EMPTY_ARRAY


@command(b"command|count", 2)
def command_count(session: Session, arguments: list[bytes]) -> bytes:
    """COMMAND COUNT."""
    return reply.integer(len(COMMANDS.keys() | CONTAINERS.keys()))


@command(b"command|docs", -2)
def command_docs(session: Session, arguments: list[bytes]) -> bytes:
    """COMMAND DOCS [name ...]: this store documents none of its commands."""
    return reply.mapping(session.protocol, [])


@command(b"publish", 3)
def publish(session: Session, arguments: list[bytes]) -> bytes:
    """PUBLISH channel message: nobody can subscribe here."""
    return reply.ZERO
