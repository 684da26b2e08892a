"""Commands on hashes."""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

from fractions import Fraction

from .. import reply
from ..errors import INTEGER_OVERFLOW, CommandError, arity_error
from ..keyspace import Key
from ..numbers import INT64_MAX, INT64_MIN, parse_integer, parse_long_double
from ..registry import command
from ..schema import HASH
from ..session import Session
from .strings import add_long_doubles


def _value(session: Session, key: Key | None, field: bytes) -> bytes | None:
    if key is None:
        return None
    row = session.keys.run("SELECT value FROM fields WHERE key = ? AND field = ?", (key.id, field)).fetchone()
    return None if row is None else row[0]


def _store(session: Session, key: Key, pairs: list[tuple[bytes, bytes]]) -> int:
    """Set fields, in order; returns how many are new."""
    rows = [(key.id, field, value) for field, value in pairs]
    added: int = session.keys.run_many("INSERT OR IGNORE INTO fields VALUES (?, ?, ?)", rows).rowcount
    if added < len(rows):
        session.keys.run_many("UPDATE fields SET value = ?3 WHERE key = ?1 AND field = ?2", rows)
    session.keys.resize(key, key.size + added)
    return added


def _set(session: Session, arguments: list[bytes], name: bytes) -> int:
    if len(arguments) % 2:
        raise arity_error(name)
    key = session.keys.obtain(session.db, arguments[1], HASH)
    return _store(session, key, list(zip(arguments[2::2], arguments[3::2], strict=True)))


@command(b"hset", -4)
def hset(session: Session, arguments: list[bytes]) -> bytes:
    """HSET key field value [field value ...]."""
    return reply.integer(_set(session, arguments, b"hset"))


@command(b"hmset", -4)
def hmset(session: Session, arguments: list[bytes]) -> bytes:
    """HMSET key field value [field value ...]."""
    _set(session, arguments, b"hmset")
    return reply.OK


@command(b"hsetnx", 4)
def hsetnx(session: Session, arguments: list[bytes]) -> bytes:
    """HSETNX key field value."""
    _, name, field, value = arguments
    key = session.keys.obtain(session.db, name, HASH)
    if _value(session, key, field) is not None:
        return reply.ZERO
    _store(session, key, [(field, value)])
    return reply.ONE


@command(b"hget", 3)
def hget(session: Session, arguments: list[bytes]) -> bytes:
    """HGET key field."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    return reply.optional(session.protocol, _value(session, key, arguments[2]))


@command(b"hmget", -3)
def hmget(session: Session, arguments: list[bytes]) -> bytes:
    """HMGET key field [field ...]."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    return reply.array([reply.optional(session.protocol, _value(session, key, field)) for field in arguments[2:]])


@command(b"hdel", -3)
def hdel(session: Session, arguments: list[bytes]) -> bytes:
    """HDEL key field [field ...]."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    if key is None:
        return reply.ZERO
    rows = [(key.id, field) for field in arguments[2:]]
    removed = session.keys.run_many("DELETE FROM fields WHERE key = ? AND field = ?", rows).rowcount
    if removed:
        session.keys.resize(key, key.size - removed)
    return reply.integer(removed)


@command(b"hexists", 3)
def hexists(session: Session, arguments: list[bytes]) -> bytes:
    """HEXISTS key field."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    return reply.ZERO if _value(session, key, arguments[2]) is None else reply.ONE


@command(b"hlen", 2)
def hlen(session: Session, arguments: list[bytes]) -> bytes:
    """HLEN key."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    return reply.integer(key.size if key else 0)


@command(b"hstrlen", 3)
def hstrlen(session: Session, arguments: list[bytes]) -> bytes:
    """HSTRLEN key field."""
    key = session.keys.typed(session.db, arguments[1], HASH)
    return reply.integer(len(_value(session, key, arguments[2]) or b""))


def _column(session: Session, name: bytes, columns: str) -> list[bytes]:
    """Those columns of all fields, row after row."""
    key = session.keys.typed(session.db, name, HASH)
    if key is None:
        return []
    rows = session.keys.run(f"SELECT {columns} FROM fields WHERE key = ?", (key.id,))
    return [value for row in rows for value in row]


@command(b"hgetall", 2)
def hgetall(session: Session, arguments: list[bytes]) -> bytes:
    """HGETALL key."""
    values = _column(session, arguments[1], "field, value")
    return reply.mapping(session.protocol, [reply.bulk(value) for value in values])


@command(b"hkeys", 2)
def hkeys(session: Session, arguments: list[bytes]) -> bytes:
    """HKEYS key."""
    return reply.bulks(_column(session, arguments[1], "field"))


@command(b"hvals", 2)
def hvals(session: Session, arguments: list[bytes]) -> bytes:
    """HVALS key."""
    return reply.bulks(_column(session, arguments[1], "value"))


@command(b"hincrby", 4)
def hincrby(session: Session, arguments: list[bytes]) -> bytes:
    """HINCRBY key field increment."""
    increment = parse_integer(arguments[3])
    old = _value(session, session.keys.typed(session.db, arguments[1], HASH), arguments[2])
    value = (0 if old is None else parse_integer(old, b"ERR hash value is not an integer")) + increment
    if not INT64_MIN <= value <= INT64_MAX:
        raise CommandError(INTEGER_OVERFLOW)
    key = session.keys.obtain(session.db, arguments[1], HASH)
    _store(session, key, [(arguments[2], b"%d" % value)])
    return reply.integer(value)


@command(b"hincrbyfloat", 4)
def hincrbyfloat(session: Session, arguments: list[bytes]) -> bytes:
    """HINCRBYFLOAT key field increment."""
    increment = parse_long_double(arguments[3])
    if increment is None:
        raise CommandError(b"ERR value is NaN or Infinity")
    old = _value(session, session.keys.typed(session.db, arguments[1], HASH), arguments[2])
    value = Fraction(0) if old is None else parse_long_double(old, b"ERR hash value is not a float")
    text = add_long_doubles(value, increment)
    key = session.keys.obtain(session.db, arguments[1], HASH)
    _store(session, key, [(arguments[2], text)])
    return reply.bulk(text)
