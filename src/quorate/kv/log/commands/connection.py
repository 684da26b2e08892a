"""Commands about the connection and the whole store. They know sessions; they touch no value."""

from ..faults import Refusal, error, syntax_error, wrong_arity
from ..framing import Request
from ..keyspace import SPACES
from ..numbers import INT32_MAX, INT32_MIN, integer_of, integer_within
from ..replies import EMPTY_ARRAY, OK, RESP2, RESP3, ZERO, bulk, integer, status
from ..session import Command, Session, container, read_option

SERVER_VERSION = b"7.0.15"


def _ping(session: Session, request: Request) -> bytes:
    if len(request) > 2:
        raise wrong_arity(b"ping")
    return bulk(request[1]) if len(request) == 2 else status(b"PONG")


def _echo(session: Session, request: Request) -> bytes:
    return bulk(request[1])


def _quit(session: Session, request: Request) -> bytes:
    session.is_closing = True
    return OK


def _reset(session: Session, request: Request) -> bytes:
    session.reset()
    return status(b"RESET")


def _select(session: Session, request: Request) -> bytes:
    session.select(space_number(request[1]))
    return OK


def space_number(text: bytes) -> int:
    """The number of a key space. Raises Refusal."""
    number = integer_within(text, INT32_MIN, INT32_MAX)
    if not 0 <= number < SPACES:
        raise error(b"DB index is out of range")
    return number


def _hello(session: Session, request: Request) -> bytes:
    version = session.encoding.version
    if len(request) > 1:
        version = integer_of(request[1], error(b"Protocol version is not an integer or out of range"))
        if version not in (2, 3):
            raise Refusal(b"NOPROTO unsupported protocol version")
    name = _hello_name(request)
    if name is not None:
        session.name = name
    session.encoding = RESP3 if version == 3 else RESP2
    return session.encoding.map(
        (
            *(bulk(b"server"), bulk(b"redis")),
            *(bulk(b"version"), bulk(SERVER_VERSION)),
            *(bulk(b"proto"), integer(version)),
            *(bulk(b"id"), integer(session.identity)),
            *(bulk(b"mode"), bulk(b"standalone")),
            *(bulk(b"role"), bulk(b"master")),
            *(bulk(b"modules"), EMPTY_ARRAY),
        )
    )


def _hello_name(request: Request) -> bytes | None:
    name = None
    at = 2
    while at < len(request):
        if read_option(request[at]) != b"setname" or at + 1 == len(request):
            raise error(b"Syntax error in HELLO option '%b'" % request[at].split(b"\0", 1)[0])
        name = _valid_name(request[at + 1])
        at += 2
    return name


def _valid_name(name: bytes) -> bytes:
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        raise error(b"Client names cannot contain spaces, newlines or special characters.")
    return name


def _client_id(session: Session, request: Request) -> bytes:
    return integer(session.identity)


def _client_setname(session: Session, request: Request) -> bytes:
    session.name = _valid_name(request[2])
    return OK


def _client_getname(session: Session, request: Request) -> bytes:
    return session.encoding.optional(session.name or None)


def _client_reply(session: Session, request: Request) -> bytes:
    match read_option(request[2]):
        case b"on":
            session.is_silent = session.skips_this = False
            return OK
        case b"off":
            session.is_silent = True
        case b"skip":
            session.skips_next = not session.is_silent
        case _:
            raise syntax_error()
    return b""


def _command(session: Session, request: Request) -> bytes:
    return EMPTY_ARRAY


def _command_count(session: Session, request: Request) -> bytes:
    return integer(len(COMMANDS))


def _command_docs(session: Session, request: Request) -> bytes:
    return session.encoding.map(())


def _dbsize(session: Session, request: Request) -> bytes:
    return integer(len(session.space))


def _check_flush(request: Request) -> None:
    if len(request) > 2 or (len(request) == 2 and read_option(request[1]) not in (b"sync", b"async")):
        raise syntax_error()


def _flushdb(session: Session, request: Request) -> bytes:
    _check_flush(request)
    session.space.clear()
    return OK


def _flushall(session: Session, request: Request) -> bytes:
    _check_flush(request)
    session.index.clear()
    return OK


def _swapdb(session: Session, request: Request) -> bytes:
    numbers = [
        integer_within(text, INT32_MIN, INT32_MAX, error(b"invalid %b DB index" % which))
        for text, which in zip(request[1:], (b"first", b"second"), strict=True)
    ]
    if not all(0 <= number < SPACES for number in numbers):
        raise error(b"DB index is out of range")
    session.index.swap(*numbers)
    return OK


def _publish(session: Session, request: Request) -> bytes:
    return ZERO


CLIENT = container(
    b"client",
    Command(b"client|id", _client_id, 2),
    Command(b"client|setname", _client_setname, 3),
    Command(b"client|getname", _client_getname, 2),
    Command(b"client|reply", _client_reply, 3),
)
COMMAND = {
    b"count": Command(b"command|count", _command_count, 2),
    b"docs": Command(b"command|docs", _command_docs, -2),
}
COMMANDS = (
    Command(b"ping", _ping, -1),
    Command(b"echo", _echo, 2),
    Command(b"quit", _quit, -1, is_queued=False),
    Command(b"reset", _reset, 1, is_queued=False),
    Command(b"select", _select, 2),
    Command(b"hello", _hello, -1),
    CLIENT,
    Command(b"command", _command, -1, subcommands=COMMAND),
    Command(b"dbsize", _dbsize, 1),
    Command(b"flushdb", _flushdb, -1),
    Command(b"flushall", _flushall, -1),
    Command(b"swapdb", _swapdb, 3),
    Command(b"publish", _publish, 3),
)
