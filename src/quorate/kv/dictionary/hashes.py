"""The commands on hashes, each kept as a dict. Each takes the session and the whole request, and returns the reply."""

from fractions import Fraction

from . import reply
from .errors import OVERFLOW, Refusal, wrong_arity
from .numerals import INTEGER_MAX, INTEGER_MIN, integer, long_double, long_double_sum
from .session import Arguments, Command, Session, named

HASH_NOT_INTEGER = Refusal(b"ERR hash value is not an integer")
HASH_NOT_FLOAT = Refusal(b"ERR hash value is not a float")


def hset(session: Session, arguments: Arguments) -> bytes:
    """HSET and HMSET key field value…."""
    if len(arguments) % 2:
        raise wrong_arity(named(arguments))
    fields = session.database.hash(arguments[1])
    fields = {} if fields is None else fields
    before = len(fields)
    fields.update(zip(arguments[2::2], arguments[3::2], strict=True))
    session.database.change(arguments[1], fields)
    return reply.OK if named(arguments) == b"hmset" else reply.integer(len(fields) - before)


def hsetnx(session: Session, arguments: Arguments) -> bytes:
    """HSETNX key field value."""
    fields = session.database.hash(arguments[1]) or {}
    if arguments[2] in fields:
        return reply.ZERO
    fields[arguments[2]] = arguments[3]
    session.database.change(arguments[1], fields)
    return reply.ONE


def hget(session: Session, arguments: Arguments) -> bytes:
    """HGET key field."""
    fields = session.database.hash(arguments[1])
    return session.reply.optional(fields.get(arguments[2]) if fields else None)


def hmget(session: Session, arguments: Arguments) -> bytes:
    """HMGET key field…."""
    fields = session.database.hash(arguments[1]) or {}
    return reply.array([session.reply.optional(fields.get(field)) for field in arguments[2:]])


def hdel(session: Session, arguments: Arguments) -> bytes:
    """HDEL key field…."""
    fields = session.database.hash(arguments[1]) or {}
    deleted = sum(fields.pop(field, None) is not None for field in arguments[2:])
    if deleted:
        session.database.settle(arguments[1], fields)
    return reply.integer(deleted)


def hexists(session: Session, arguments: Arguments) -> bytes:
    """HEXISTS key field."""
    return reply.integer(arguments[2] in (session.database.hash(arguments[1]) or {}))


def hlen(session: Session, arguments: Arguments) -> bytes:
    """HLEN key."""
    return reply.integer(len(session.database.hash(arguments[1]) or {}))


def hstrlen(session: Session, arguments: Arguments) -> bytes:
    """HSTRLEN key field."""
    return reply.integer(len((session.database.hash(arguments[1]) or {}).get(arguments[2], b"")))


def hgetall(session: Session, arguments: Arguments) -> bytes:
    """HGETALL key."""
    fields = session.database.hash(arguments[1]) or {}
    return session.reply.map([(reply.bulk(field), reply.bulk(value)) for field, value in fields.items()])


def hkeys(session: Session, arguments: Arguments) -> bytes:
    """HKEYS key."""
    return reply.bulks(list(session.database.hash(arguments[1]) or {}))


def hvals(session: Session, arguments: Arguments) -> bytes:
    """HVALS key."""
    return reply.bulks(list((session.database.hash(arguments[1]) or {}).values()))


def hincrby(session: Session, arguments: Arguments) -> bytes:
    """HINCRBY key field amount."""
    amount = integer(arguments[3])
    fields = session.database.hash(arguments[1]) or {}
    number = integer(fields.get(arguments[2], b"0"), HASH_NOT_INTEGER) + amount
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        raise OVERFLOW
    fields[arguments[2]] = b"%d" % number
    session.database.change(arguments[1], fields)
    return reply.integer(number)


def hincrbyfloat(session: Session, arguments: Arguments) -> bytes:
    """HINCRBYFLOAT key field amount."""
    amount = long_double(arguments[3])
    if amount is None:
        raise Refusal(b"ERR value is NaN or Infinity")
    fields = session.database.hash(arguments[1]) or {}
    former = fields.get(arguments[2])
    number = Fraction() if former is None else long_double(former, HASH_NOT_FLOAT)
    value = long_double_sum(number, amount)
    fields[arguments[2]] = value
    session.database.change(arguments[1], fields)
    return reply.bulk(value)


COMMANDS = {
    b"HSET": Command(-4, hset),
    b"HMSET": Command(-4, hset),
    b"HSETNX": Command(4, hsetnx),
    b"HGET": Command(3, hget),
    b"HMGET": Command(-3, hmget),
    b"HDEL": Command(-3, hdel),
    b"HEXISTS": Command(3, hexists),
    b"HLEN": Command(2, hlen),
    b"HSTRLEN": Command(3, hstrlen),
    b"HGETALL": Command(2, hgetall),
    b"HKEYS": Command(2, hkeys),
    b"HVALS": Command(2, hvals),
    b"HINCRBY": Command(4, hincrby),
    b"HINCRBYFLOAT": Command(4, hincrbyfloat),
}
