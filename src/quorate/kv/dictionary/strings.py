"""The commands on strings. Each takes the session and the whole request, and returns the reply."""

from fractions import Fraction

from . import reply
from .errors import OVERFLOW, SYNTAX, Refusal, invalid_expiry, wrong_arity
from .keyspace import now_ms
from .numerals import INTEGER_MAX, INTEGER_MIN, integer, long_double, long_double_sum
from .session import Arguments, Command, Session, named, read_option

# Where a Redis ends strings that is told so, as in the examples: half of the longest reply of a cell.
STRING_BYTES_MAX = 32 * 1024 * 1024
TOO_LONG = Refusal(b"ERR string exceeds maximum allowed size (proto-max-bulk-len)")
RELATIVE = frozenset((b"EX", b"PX"))
SECONDS = frozenset((b"EX", b"EXAT"))
TIMED = frozenset((b"EX", b"PX", b"EXAT", b"PXAT"))


def get(session: Session, arguments: Arguments) -> bytes:
    """GET key."""
    return session.reply.optional(session.database.string(arguments[1]))


def parsed_options(arguments: Arguments, start: int, flags: frozenset[bytes]) -> tuple[set[bytes], bytes]:
    """The options of SET or GETEX: their names, and the text of the time that one of them brought."""
    seen: set[bytes] = set()
    time = b""
    at = start
    while at < len(arguments):
        option = read_option(arguments[at])
        if option in TIMED and at + 1 < len(arguments) and not seen & ((TIMED - {option}) | {b"KEEPTTL", b"PERSIST"}):
            at += 1
            time = arguments[at]
        elif option not in flags or _contradicts(option, seen):
            raise SYNTAX
        seen.add(option)
        at += 1
    return seen, time


def _contradicts(option: bytes, seen: set[bytes]) -> bool:
    if option in (b"KEEPTTL", b"PERSIST"):
        return bool(seen & TIMED)
    return (option == b"NX" and b"XX" in seen) or (option == b"XX" and b"NX" in seen)


def deadline_of(options: set[bytes], time: bytes, name: bytes) -> int | None:
    """The absolute deadline in milliseconds that the options ask for, or None."""
    units = options & TIMED
    if not units:
        return None
    unit = units.pop()
    amount = integer(time)
    if amount <= 0:
        raise invalid_expiry(name)
    deadline = amount * 1000 if unit in SECONDS else amount
    if deadline > INTEGER_MAX:
        raise invalid_expiry(name)
    if unit in RELATIVE:
        deadline += now_ms()
    if deadline > INTEGER_MAX:
        raise invalid_expiry(name)
    return deadline


def set_(session: Session, arguments: Arguments) -> bytes:
    """SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]."""
    key, value = arguments[1], arguments[2]
    database = session.database
    if len(arguments) == 3:
        database.put(key, value)
        return reply.OK
    options, time = parsed_options(arguments, 3, frozenset((b"NX", b"XX", b"GET", b"KEEPTTL")))
    deadline = deadline_of(options, time, b"set")
    answer = session.reply.optional(database.string(key)) if b"GET" in options else b""
    is_there = database.get(key) is not None
    if (b"NX" in options and is_there) or (b"XX" in options and not is_there):
        return answer or session.reply.null
    if b"KEEPTTL" in options:
        database.change(key, value)
    else:
        database.put(key, value)
    if deadline is not None:
        database.deadlines[key] = deadline
    return answer or reply.OK


def setnx(session: Session, arguments: Arguments) -> bytes:
    """SETNX key value."""
    if session.database.get(arguments[1]) is not None:
        return reply.ZERO
    session.database.put(arguments[1], arguments[2])
    return reply.ONE


def setex(session: Session, arguments: Arguments) -> bytes:
    """SETEX key seconds value; PSETEX key milliseconds value."""
    name = named(arguments)
    deadline = deadline_of({b"PX" if name == b"psetex" else b"EX"}, arguments[2], name)
    assert deadline is not None
    session.database.put(arguments[1], arguments[3])
    session.database.deadlines[arguments[1]] = deadline
    return reply.OK


def getset(session: Session, arguments: Arguments) -> bytes:
    """GETSET key value."""
    former = session.database.string(arguments[1])
    session.database.put(arguments[1], arguments[2])
    return session.reply.optional(former)


def getdel(session: Session, arguments: Arguments) -> bytes:
    """GETDEL key."""
    value = session.database.string(arguments[1])
    session.database.remove(arguments[1])
    return session.reply.optional(value)


def getex(session: Session, arguments: Arguments) -> bytes:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]."""
    options, time = parsed_options(arguments, 2, frozenset((b"PERSIST",)))
    key, database = arguments[1], session.database
    value = database.string(key)
    if value is None:
        return session.reply.null
    deadline = deadline_of(options, time, b"getex")
    if deadline is not None:
        database.expire(key, deadline)
    elif b"PERSIST" in options and database.deadlines.pop(key, None) is not None:
        database.touch(key)
    return reply.bulk(value)


def mget(session: Session, arguments: Arguments) -> bytes:
    """MGET key…."""
    values = [session.database.get(key) for key in arguments[1:]]
    return reply.array([session.reply.optional(value if isinstance(value, bytes) else None) for value in values])


def _pairs(arguments: Arguments) -> list[tuple[bytes, bytes]]:
    if len(arguments) % 2 == 0:
        raise wrong_arity(named(arguments))
    return list(zip(arguments[1::2], arguments[2::2], strict=True))


def mset(session: Session, arguments: Arguments) -> bytes:
    """MSET key value…."""
    for key, value in _pairs(arguments):
        session.database.put(key, value)
    return reply.OK


def msetnx(session: Session, arguments: Arguments) -> bytes:
    """MSETNX key value…."""
    pairs = _pairs(arguments)
    if any(session.database.get(key) is not None for key, _ in pairs):
        return reply.ZERO
    mset(session, arguments)
    return reply.ONE


def append(session: Session, arguments: Arguments) -> bytes:
    """APPEND key value."""
    former = session.database.string(arguments[1]) or b""
    if former and len(former) + len(arguments[2]) > STRING_BYTES_MAX:
        raise TOO_LONG
    value = former + arguments[2]
    session.database.change(arguments[1], value)
    return reply.integer(len(value))


def strlen(session: Session, arguments: Arguments) -> bytes:
    """STRLEN key."""
    return reply.integer(len(session.database.string(arguments[1]) or b""))


def getrange(session: Session, arguments: Arguments) -> bytes:
    """GETRANGE and SUBSTR key start end."""
    start, end = integer(arguments[2]), integer(arguments[3])
    value = session.database.string(arguments[1]) or b""
    if start < 0 and end < 0 and start > end:
        return reply.EMPTY_BULK
    start = max(start + len(value), 0) if start < 0 else start
    end = max(end + len(value), 0) if end < 0 else end
    return reply.bulk(value[start : end + 1])


def setrange(session: Session, arguments: Arguments) -> bytes:
    """SETRANGE key offset value."""
    offset, part = integer(arguments[2]), arguments[3]
    if offset < 0:
        raise Refusal(b"ERR offset is out of range")
    value = session.database.string(arguments[1]) or b""
    if not part:
        return reply.integer(len(value))
    if offset + len(part) > STRING_BYTES_MAX:
        raise TOO_LONG
    value = value[:offset].ljust(offset, b"\0") + part + value[offset + len(part) :]
    session.database.change(arguments[1], value)
    return reply.integer(len(value))


def _add(session: Session, key: bytes, amount: int) -> bytes:
    former = session.database.string(key)
    number = (0 if former is None else integer(former)) + amount
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        raise OVERFLOW
    session.database.change(key, b"%d" % number)
    return b":%d\r\n" % number


def incr(session: Session, arguments: Arguments) -> bytes:
    """INCR key."""
    return _add(session, arguments[1], 1)


def decr(session: Session, arguments: Arguments) -> bytes:
    """DECR key."""
    return _add(session, arguments[1], -1)


def incrby(session: Session, arguments: Arguments) -> bytes:
    """INCRBY key amount."""
    return _add(session, arguments[1], integer(arguments[2]))


def decrby(session: Session, arguments: Arguments) -> bytes:
    """DECRBY key amount."""
    amount = integer(arguments[2])
    if amount == INTEGER_MIN:
        raise Refusal(b"ERR decrement would overflow")
    return _add(session, arguments[1], -amount)


def incrbyfloat(session: Session, arguments: Arguments) -> bytes:
    """INCRBYFLOAT key amount."""
    former = session.database.string(arguments[1])
    number = Fraction() if former is None else long_double(former)
    amount = long_double(arguments[2])
    value = long_double_sum(number, amount)
    session.database.change(arguments[1], value)
    return reply.bulk(value)


COMMANDS = {
    b"GET": Command(2, get),
    b"SET": Command(-3, set_),
    b"SETNX": Command(3, setnx),
    b"SETEX": Command(4, setex),
    b"PSETEX": Command(4, setex),
    b"GETSET": Command(3, getset),
    b"GETDEL": Command(2, getdel),
    b"GETEX": Command(-2, getex),
    b"MGET": Command(-2, mget),
    b"MSET": Command(-3, mset),
    b"MSETNX": Command(-3, msetnx),
    b"APPEND": Command(3, append),
    b"STRLEN": Command(2, strlen),
    b"GETRANGE": Command(4, getrange),
    b"SUBSTR": Command(4, getrange),
    b"SETRANGE": Command(4, setrange),
    b"INCR": Command(2, incr),
    b"DECR": Command(2, decr),
    b"INCRBY": Command(3, incrby),
    b"DECRBY": Command(3, decrby),
    b"INCRBYFLOAT": Command(3, incrbyfloat),
}
