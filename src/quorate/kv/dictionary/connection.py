"""The commands on the connection itself. Each takes the session and the whole request, and returns the reply."""

from . import reply
from .errors import SYNTAX, Refusal, formatted, quoted, wrong_arity
from .numerals import integer, small_integer
from .reply import VERSIONS
from .session import Arguments, Command, Session, incomplete, read_option

REDIS_VERSION = b"7.0.15"
BAD_NAME = Refusal(b"ERR Client names cannot contain spaces, newlines or special characters.")


def ping(session: Session, arguments: Arguments) -> bytes:
    """PING [message]."""
    if len(arguments) > 2:
        raise wrong_arity(b"ping")
    return reply.bulk(arguments[1]) if len(arguments) == 2 else b"+PONG\r\n"


def echo(session: Session, arguments: Arguments) -> bytes:
    """ECHO message."""
    return reply.bulk(arguments[1])


def select(session: Session, arguments: Arguments) -> bytes:
    """SELECT database."""
    session.select(small_integer(arguments[1]))
    return reply.OK


def quit_(session: Session, arguments: Arguments) -> bytes:
    """QUIT."""
    session.is_closing = True
    return reply.OK


def reset(session: Session, arguments: Arguments) -> bytes:
    """RESET."""
    session.reset()
    return b"+RESET\r\n"


def _checked_name(name: bytes) -> bytes:
    if any(not 33 <= byte <= 126 for byte in name):
        raise BAD_NAME
    return name


def hello(session: Session, arguments: Arguments) -> bytes:
    """HELLO [2 | 3 [SETNAME name]]."""
    number = session.reply.number
    if len(arguments) > 1:
        number = integer(arguments[1], Refusal(b"ERR Protocol version is not an integer or out of range"))
        if number not in VERSIONS:
            raise Refusal(b"NOPROTO unsupported protocol version")
    # Redis sets the name before it reads the next option, even one that it refuses.
    for at in range(2, len(arguments), 2):
        if read_option(arguments[at]) != b"SETNAME" or at + 1 == len(arguments):
            raise formatted(b"Syntax error in HELLO option '%b'" % quoted(arguments[at]))
        session.name = _checked_name(arguments[at + 1])
    session.reply = VERSIONS[number]
    facts = [
        (b"server", reply.bulk(b"redis")),
        (b"version", reply.bulk(REDIS_VERSION)),
        (b"proto", reply.integer(number)),
        (b"id", reply.integer(session.number)),
        (b"mode", reply.bulk(b"standalone")),
        (b"role", reply.bulk(b"master")),
        (b"modules", reply.EMPTY_ARRAY),
    ]
    return session.reply.map([(reply.bulk(fact), value) for fact, value in facts])


def client_id(session: Session, arguments: Arguments) -> bytes:
    """CLIENT ID."""
    return reply.integer(session.number)


def client_getname(session: Session, arguments: Arguments) -> bytes:
    """CLIENT GETNAME."""
    return session.reply.optional(session.name or None)


def client_setname(session: Session, arguments: Arguments) -> bytes:
    """CLIENT SETNAME name."""
    session.name = _checked_name(arguments[2])
    return reply.OK


def client_reply(session: Session, arguments: Arguments) -> bytes:
    """CLIENT REPLY ON | OFF | SKIP."""
    mode = read_option(arguments[2])
    if mode == b"ON":
        session.is_silent = session.skips_this = False
        return reply.OK
    if mode == b"OFF":
        session.is_silent = True
    elif mode == b"SKIP":
        session.skips_next = not session.is_silent
    else:
        raise SYNTAX
    return b""


def command(session: Session, arguments: Arguments) -> bytes:
    """COMMAND: none is described."""
    return reply.EMPTY_ARRAY


def command_count(session: Session, arguments: Arguments) -> bytes:
    """COMMAND COUNT: any number will do."""
    return reply.integer(0)


def command_docs(session: Session, arguments: Arguments) -> bytes:
    """COMMAND DOCS [name…]: none is described."""
    return session.reply.map([])


def publish(session: Session, arguments: Arguments) -> bytes:
    """PUBLISH channel message: there are no subscribers."""
    return reply.ZERO


CLIENT = {
    b"ID": Command(2, client_id),
    b"GETNAME": Command(2, client_getname),
    b"SETNAME": Command(3, client_setname),
    b"REPLY": Command(3, client_reply),
}

COMMANDS = {
    b"PING": Command(-1, ping),
    b"ECHO": Command(2, echo),
    b"SELECT": Command(2, select),
    b"QUIT": Command(-1, quit_, is_immediate=True),
    b"RESET": Command(1, reset, is_immediate=True),
    b"HELLO": Command(-1, hello),
    b"CLIENT": Command(-2, incomplete, subcommands=CLIENT),
    b"COMMAND": Command(
        -1, command, subcommands={b"COUNT": Command(2, command_count), b"DOCS": Command(-2, command_docs)}
    ),
    b"PUBLISH": Command(3, publish),
}
