"""Commands on strings. A counter is a string like any other: its number is parsed when it is asked for."""

from dataclasses import dataclass
from fractions import Fraction

from .. import reply
from ..errors import (
    FLOAT_OVERFLOW,
    INTEGER_OVERFLOW,
    STRING_TOO_LONG,
    SYNTAX,
    CommandError,
    arity_error,
    expire_error,
)
from ..numbers import (
    INT64_MAX,
    INT64_MIN,
    format_long_double,
    parse_integer,
    parse_long_double,
    round_long_double,
)
from ..registry import command
from ..schema import STRING
from ..session import Session, read_option
from .expiry import settle

# As a Redis with --proto-max-bulk-len 33554432: in a cell a value must fit into one reply.
STRING_BYTES_MAX = 32 * 1024 * 1024
TIME_OPTIONS = (b"ex", b"px", b"exat", b"pxat")


@dataclass(slots=True)
class Options:
    """What SET and GETEX were asked beside key and value; `unit` is the name of the time's option."""

    flags: set[bytes]
    unit: bytes = b""
    time: bytes = b""

    def deadline(self, session: Session, name: bytes) -> int | None:
        """The absolute deadline asked for, in milliseconds; raises `CommandError` when it is out of range."""
        return deadline_of(session, name, self.unit, self.time) if self.unit else None


def deadline_of(session: Session, name: bytes, unit: bytes, text: bytes) -> int:
    """The absolute milliseconds that `text` says in `unit` (ex, px, exat, pxat); raises `CommandError`."""
    time = parse_integer(text)
    if time > 0:
        time *= 1000 if unit in (b"ex", b"exat") else 1
        if time <= INT64_MAX:
            time += session.keys.now if unit in (b"ex", b"px") else 0
    if not 0 < time <= INT64_MAX:
        raise expire_error(name)
    return time


def _options(arguments: list[bytes], allowed: dict[bytes, tuple[bytes, ...]]) -> Options:
    """Parse options; `allowed` names the plain ones, each with those it excludes."""
    found, at = Options(set()), 0
    while at < len(arguments):
        option = read_option(arguments[at])
        if (
            option in allowed
            and not found.flags.intersection(allowed[option])
            and not (found.unit and option in (b"keepttl", b"persist"))
        ):
            found.flags.add(option)
        elif (
            option in TIME_OPTIONS
            and at + 1 < len(arguments)
            and found.unit in (b"", option)
            and not found.flags.intersection((b"keepttl", b"persist"))
        ):
            at += 1
            found.unit, found.time = option, arguments[at]
        else:
            raise CommandError(SYNTAX)
        at += 1
    return found


SET_OPTIONS: dict[bytes, tuple[bytes, ...]] = {b"nx": (b"xx",), b"xx": (b"nx",), b"get": (), b"keepttl": ()}
GETEX_OPTIONS: dict[bytes, tuple[bytes, ...]] = {b"persist": ()}


@command(b"get", 2)
def get(session: Session, arguments: list[bytes]) -> bytes:
    """GET key."""
    return reply.optional(session.protocol, session.keys.text(session.db, arguments[1]))


@command(b"set", -3)
def set_value(session: Session, arguments: list[bytes]) -> bytes:
    """SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]."""
    name, value = arguments[1], arguments[2]
    if len(arguments) == 3:
        session.keys.put_text(session.db, name, value)
        return reply.OK
    options = _options(arguments[3:], SET_OPTIONS)
    deadline = options.deadline(session, b"set")
    answer = get(session, arguments) if b"get" in options.flags else b""
    exists = session.keys.find(session.db, name) is not None
    if (b"nx" in options.flags and exists) or (b"xx" in options.flags and not exists):
        return answer or reply.null(session.protocol)
    _put(session, name, value, deadline, b"keepttl" in options.flags)
    return answer or reply.OK


def _put(session: Session, name: bytes, value: bytes, deadline: int | None, keep: bool = False) -> None:
    session.keys.put_text(session.db, name, value, keep)
    if deadline is not None:
        key = session.keys.find(session.db, name)
        if key is not None:
            session.keys.set_deadline(key, deadline)


@command(b"setnx", 3)
def setnx(session: Session, arguments: list[bytes]) -> bytes:
    """SETNX key value."""
    if session.keys.find(session.db, arguments[1]) is not None:
        return reply.ZERO
    session.keys.put_text(session.db, arguments[1], arguments[2])
    return reply.ONE


@command(b"setex", 4)
def setex(session: Session, arguments: list[bytes]) -> bytes:
    """SETEX key seconds value."""
    deadline = deadline_of(session, b"setex", b"ex", arguments[2])
    _put(session, arguments[1], arguments[3], deadline)
    return reply.OK


@command(b"psetex", 4)
def psetex(session: Session, arguments: list[bytes]) -> bytes:
    """PSETEX key milliseconds value."""
    deadline = deadline_of(session, b"psetex", b"px", arguments[2])
    _put(session, arguments[1], arguments[3], deadline)
    return reply.OK


@command(b"getset", 3)
def getset(session: Session, arguments: list[bytes]) -> bytes:
    """GETSET key value."""
    answer = get(session, arguments)
    session.keys.put_text(session.db, arguments[1], arguments[2])
    return answer


@command(b"getdel", 2)
def getdel(session: Session, arguments: list[bytes]) -> bytes:
    """GETDEL key."""
    answer = get(session, arguments)
    session.keys.discard(session.db, arguments[1])
    return answer


@command(b"getex", -2)
def getex(session: Session, arguments: list[bytes]) -> bytes:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]."""
    options = _options(arguments[2:], GETEX_OPTIONS)
    answer = get(session, arguments)
    key = session.keys.find(session.db, arguments[1])
    if key is None:
        return answer
    deadline = options.deadline(session, b"getex")
    if deadline is not None:
        settle(session, key, deadline)
    elif b"persist" in options.flags and key.deadline is not None:
        session.keys.set_deadline(key, None)
    return answer


@command(b"mget", -2)
def mget(session: Session, arguments: list[bytes]) -> bytes:
    """MGET key [key ...]: a key of another kind counts as missing."""
    return reply.array([_text_or_null(session, name) for name in arguments[1:]])


def _text_or_null(session: Session, name: bytes) -> bytes:
    try:
        return reply.optional(session.protocol, session.keys.text(session.db, name))
    except CommandError:
        return reply.null(session.protocol)


@command(b"mset", -3)
def mset(session: Session, arguments: list[bytes]) -> bytes:
    """MSET key value [key value ...]."""
    if len(arguments) % 2 == 0:
        raise arity_error(b"mset")
    for name, value in zip(arguments[1::2], arguments[2::2], strict=True):
        session.keys.put_text(session.db, name, value)
    return reply.OK


@command(b"msetnx", -3)
def msetnx(session: Session, arguments: list[bytes]) -> bytes:
    """MSETNX key value [key value ...]."""
    if len(arguments) % 2 == 0:
        raise arity_error(b"msetnx")
    if any(session.keys.find(session.db, name) is not None for name in arguments[1::2]):
        return reply.ZERO
    mset(session, arguments)
    return reply.ONE


@command(b"append", 3)
def append(session: Session, arguments: list[bytes]) -> bytes:
    """APPEND key value."""
    old = session.keys.text(session.db, arguments[1])
    if old is not None and len(old) + len(arguments[2]) > STRING_BYTES_MAX:
        raise CommandError(STRING_TOO_LONG)
    value = (old or b"") + arguments[2]
    session.keys.put_text(session.db, arguments[1], value, keep_deadline=True)
    return reply.integer(len(value))


@command(b"strlen", 2)
def strlen(session: Session, arguments: list[bytes]) -> bytes:
    """STRLEN key."""
    key = session.keys.typed(session.db, arguments[1], STRING)
    if key is None:
        return reply.ZERO
    length = session.keys.run("SELECT length(value) FROM strings WHERE key = ?", (key.id,)).fetchone()[0]
    return reply.integer(length)


@command(b"getrange", 4)
@command(b"substr", 4)
def getrange(session: Session, arguments: list[bytes]) -> bytes:
    """GETRANGE key start end."""
    start, end = parse_integer(arguments[2]), parse_integer(arguments[3])
    key = session.keys.typed(session.db, arguments[1], STRING)
    if key is None or (start < 0 and end < 0 and start > end):
        return reply.EMPTY_BULK
    length = session.keys.run("SELECT length(value) FROM strings WHERE key = ?", (key.id,)).fetchone()[0]
    start = max(start + length, 0) if start < 0 else start
    end = min(max(end + length, 0) if end < 0 else end, length - 1)
    if start > end:
        return reply.EMPTY_BULK
    part = session.keys.run(
        "SELECT substr(value, ?, ?) FROM strings WHERE key = ?", (start + 1, end - start + 1, key.id)
    ).fetchone()[0]
    return reply.bulk(part)


@command(b"setrange", 4)
def setrange(session: Session, arguments: list[bytes]) -> bytes:
    """SETRANGE key offset value."""
    offset, part = parse_integer(arguments[2]), arguments[3]
    if offset < 0:
        raise CommandError(b"ERR offset is out of range")
    old = session.keys.text(session.db, arguments[1])
    if not part:
        return reply.integer(len(old or b""))
    if offset + len(part) > STRING_BYTES_MAX:
        raise CommandError(STRING_TOO_LONG)
    value = bytearray((old or b"").ljust(offset + len(part), b"\0"))
    value[offset : offset + len(part)] = part
    session.keys.put_text(session.db, arguments[1], bytes(value), keep_deadline=True)
    return reply.integer(len(value))


@command(b"incr", 2)
def incr(session: Session, arguments: list[bytes]) -> bytes:
    """INCR key."""
    return _add(session, arguments[1], 1)


@command(b"decr", 2)
def decr(session: Session, arguments: list[bytes]) -> bytes:
    """DECR key."""
    return _add(session, arguments[1], -1)


@command(b"incrby", 3)
def incrby(session: Session, arguments: list[bytes]) -> bytes:
    """INCRBY key increment."""
    return _add(session, arguments[1], parse_integer(arguments[2]))


@command(b"decrby", 3)
def decrby(session: Session, arguments: list[bytes]) -> bytes:
    """DECRBY key decrement."""
    decrement = parse_integer(arguments[2])
    if decrement == INT64_MIN:
        raise CommandError(b"ERR decrement would overflow")
    return _add(session, arguments[1], -decrement)


def _add(session: Session, name: bytes, increment: int) -> bytes:
    old = session.keys.text(session.db, name)
    value = (0 if old is None else parse_integer(old)) + increment
    if not INT64_MIN <= value <= INT64_MAX:
        raise CommandError(INTEGER_OVERFLOW)
    session.keys.put_text(session.db, name, b"%d" % value, keep_deadline=True)
    return reply.integer(value)


@command(b"incrbyfloat", 3)
def incrbyfloat(session: Session, arguments: list[bytes]) -> bytes:
    """INCRBYFLOAT key increment."""
    old = session.keys.text(session.db, arguments[1])
    value = Fraction(0) if old is None else parse_long_double(old)
    text = add_long_doubles(value, parse_long_double(arguments[2]))
    session.keys.put_text(session.db, arguments[1], text, keep_deadline=True)
    return reply.bulk(text)


def add_long_doubles(value: Fraction | None, increment: Fraction | None) -> bytes:
    """The printed sum; raises `CommandError` when it is not finite (None stands for an infinity)."""
    total = None if value is None or increment is None else round_long_double(value + increment)
    if total is None:
        raise CommandError(FLOAT_OVERFLOW)
    return format_long_double(total)
