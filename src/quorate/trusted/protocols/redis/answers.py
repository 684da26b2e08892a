"""What the coordinator answers itself: connection state, and questions about the one server that clients see."""

from hmac import compare_digest

from ...span import Answer, Close, Effect
from . import about
from .arguments import integer_argument, timeout_milliseconds
from .base import Call, Dialect, Refusal, Responder
from .session import Session
from .values import OK, aggregate, array, bulk, integer, null

DATABASES = 16
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
UNEXPECTED_AUTH = (
    "ERR AUTH <password> called without any password configured for the default user."
    " Are you sure your configuration is correct?"
)
HELLO_NOAUTH = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass>"
    " option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def _ping(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if len(call.arguments) > 2:
        raise Refusal("ERR wrong number of arguments for 'ping' command")
    session = call.session
    if session.protocol == 2 and session.subscriptions:
        return array([bulk(b"pong"), bulk(call.arguments[1] if len(call.arguments) == 2 else b"")])
    return bulk(call.arguments[1]) if len(call.arguments) == 2 else b"+PONG\r\n"


def _echo(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(call.arguments[1])


def _select(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    index = integer_argument(call.arguments[1])
    if index is None:
        raise Refusal("ERR value is not an integer or out of range")
    if not 0 <= index < DATABASES:
        raise Refusal("ERR DB index is out of range")
    call.session.database = index
    return OK


def _quit(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    # What it sent after this is not looked at, and what is published after this does not reach it.
    session = call.session
    session.is_over = True
    dialect.switchboard.end(session)
    effects.append(Answer(session.client, OK, dialect.switchboard.last_heard(session)))
    effects.append(Close(session.client))


def _reset(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    session = call.session
    dialect.transactions.drop(session)
    dialect.watchers.forget(session)
    dialect.switchboard.end(session)
    dialect.switchboard.speak(session, 2)
    session.database = 0
    session.name = b""
    if session.is_muted:
        session.is_muted = session.is_silent = False
    session.is_authenticated = not dialect.settings.password
    return b"+RESET\r\n"


def _authenticate(dialect: Dialect, session: Session, user: bytes, password: bytes) -> None:
    expected = dialect.settings.password
    if user != b"default" or (expected and not compare_digest(password, expected)):
        raise Refusal(WRONGPASS)
    session.is_authenticated = True


def _auth(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    arguments = call.arguments
    if len(arguments) > 3:
        raise Refusal("ERR syntax error")
    if len(arguments) == 2 and not dialect.settings.password:
        raise Refusal(UNEXPECTED_AUTH)
    _authenticate(dialect, call.session, arguments[1] if len(arguments) == 3 else b"default", arguments[-1])
    return OK


class _Greeting:
    """What a HELLO asks for, checked before anything changes."""

    def __init__(self, dialect: Dialect, arguments: list[bytes], protocol: int) -> None:
        self.protocol = protocol
        self.credentials: tuple[bytes, bytes] | None = None
        self.name: bytes | None = None
        if len(arguments) > 1:
            version = integer_argument(arguments[1])
            if version is None:
                raise Refusal("ERR Protocol version is not an integer or out of range")
            if version not in (2, 3):
                raise Refusal("NOPROTO unsupported protocol version")
            self.protocol = version
        position = 2
        while position < len(arguments):
            option = arguments[position].upper()
            if option == b"AUTH" and position + 2 < len(arguments):
                self.credentials = (arguments[position + 1], arguments[position + 2])
                position += 3
            elif option == b"SETNAME" and position + 1 < len(arguments):
                self.name = _checked_name(dialect, arguments[position + 1])
                position += 2
            else:
                raise Refusal(f"ERR Syntax error in HELLO option '{arguments[position].decode('latin-1')}'")


def _checked_name(dialect: Dialect, name: bytes) -> bytes:
    """A client's name, if it may have it."""
    if len(name) > dialect.limits.client_name_bytes_max:
        raise Refusal("ERR quorate: the name is over the limit (client_name_bytes_max)")
    if any(byte < 33 or byte > 126 for byte in name):
        raise Refusal("ERR Client names cannot contain spaces, newlines or special characters.")
    return name


def _hello(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    session = call.session
    greeting = _Greeting(dialect, call.arguments, session.protocol)
    if greeting.credentials is not None:
        _authenticate(dialect, session, *greeting.credentials)
    if not session.is_authenticated:
        raise Refusal(HELLO_NOAUTH)
    if greeting.name is not None:
        session.name = greeting.name
    dialect.switchboard.speak(session, greeting.protocol)
    facts = [bulk(b"server"), bulk(b"redis"), bulk(b"version"), bulk(about.VERSION)]
    facts += [bulk(b"proto"), integer(session.protocol), bulk(b"id"), integer(session.client.number)]
    facts += [bulk(b"mode"), bulk(b"standalone"), bulk(b"role"), bulk(b"master"), bulk(b"modules"), array([])]
    return aggregate(b"%", session.protocol, facts)


# CLIENT.


def _client_id(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return integer(call.session.client.number)


def _client_getname(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(call.session.name) if call.session.name else null(call.session.protocol)


def _client_setname(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    call.session.name = _checked_name(dialect, call.arguments[2])
    return OK


def _client_setinfo(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    option = call.arguments[2].upper()
    if option not in (b"LIB-NAME", b"LIB-VER"):
        raise Refusal(f"ERR Unrecognized option '{call.arguments[2].decode('latin-1')}'")
    call.session.library[option] = _checked_name(dialect, call.arguments[3])
    return OK


def _client_reply(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes | None:
    session = call.session
    option = call.arguments[2].upper()
    if option == b"ON":
        session.is_muted = False
        session.is_silent = False
        return OK
    if option == b"OFF":
        session.is_muted = True
    elif option == b"SKIP":
        session.skips = 0 if session.is_muted else 1
    else:
        raise Refusal("ERR syntax error")
    return None


def _client_getredir(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return integer(-1)


def _client_trackinginfo(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    protocol = call.session.protocol
    off = aggregate(b"~", protocol, [bulk(b"off")])
    return aggregate(
        b"%", protocol, [bulk(b"flags"), off, bulk(b"redirect"), integer(-1), bulk(b"prefixes"), array([])]
    )


def _client_info(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(about.client_line(call.session))


def _client_list(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(b"".join(about.client_line(session) for session in dialect.sessions.values()))


# The one server that clients see.


def _time(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    microseconds = call.now // 1000
    return array([bulk(b"%d" % (microseconds // 1_000_000)), bulk(b"%d" % (microseconds % 1_000_000))])


def _wait(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if integer_argument(call.arguments[1]) is None:
        raise Refusal("ERR value is not an integer or out of range")
    timeout_milliseconds(call.arguments[2])
    return integer(0)


def _role(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return array([bulk(b"master"), integer(0), array([])])


def _no_cluster(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    raise Refusal("ERR This instance has cluster support disabled")


def _lastsave(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return integer(0)


def _lolwut(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(b"Redis ver. " + about.VERSION + b"\n")


def _empty(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return array([])


def _whoami(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return bulk(b"default")


RESPONDERS: dict[str, Responder] = {
    "acl|whoami": _whoami,
    "auth": _auth,
    "client|getname": _client_getname,
    "client|getredir": _client_getredir,
    "client|id": _client_id,
    "client|info": _client_info,
    "client|list": _client_list,
    "client|reply": _client_reply,
    "client|setinfo": _client_setinfo,
    "client|setname": _client_setname,
    "client|trackinginfo": _client_trackinginfo,
    "echo": _echo,
    "hello": _hello,
    "lastsave": _lastsave,
    "lolwut": _lolwut,
    "module|list": _empty,
    "ping": _ping,
    "quit": _quit,
    "readonly": _no_cluster,
    "readwrite": _no_cluster,
    "reset": _reset,
    "role": _role,
    "select": _select,
    "time": _time,
    "wait": _wait,
    **about.RESPONDERS,
}
