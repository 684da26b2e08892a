"""The commands on keys of any type and on whole databases.

Each takes the session and the whole request, and returns the reply.
"""

from . import reply
from .errors import NO_SUCH_KEY, SAME_OBJECT, SYNTAX, Refusal
from .glob import compiled, matches
from .keyspace import TYPE_NAMES, Database, Value
from .numerals import integer_between, small_integer
from .session import Arguments, Command, Session, named, read_option


def delete(session: Session, arguments: Arguments) -> bytes:
    """DEL and UNLINK key…."""
    database = session.database
    return reply.integer(sum([database.get(key) is not None and database.remove(key) for key in arguments[1:]]))


def exists(session: Session, arguments: Arguments) -> bytes:
    """EXISTS and TOUCH key…."""
    return reply.integer(sum([session.database.get(key) is not None for key in arguments[1:]]))


def type_(session: Session, arguments: Arguments) -> bytes:
    """TYPE key."""
    value = session.database.get(arguments[1])
    return b"+%b\r\n" % (b"none" if value is None else TYPE_NAMES[type(value)])


def _place(database: Database, key: bytes, value: Value, deadline: int | None) -> None:
    database.put(key, value)
    if deadline is not None:
        database.deadlines[key] = deadline


def rename(session: Session, arguments: Arguments) -> bytes:
    """RENAME and RENAMENX key new-key."""
    source, target, database = arguments[1], arguments[2], session.database
    only_new = named(arguments) == b"renamenx"
    value = database.get(source)
    if value is None:
        raise NO_SUCH_KEY
    if source == target:
        return reply.ZERO if only_new else reply.OK
    if only_new and database.get(target) is not None:
        return reply.ZERO
    deadline = database.deadlines.get(source)
    database.remove(source)
    _place(database, target, value, deadline)
    return reply.ONE if only_new else reply.OK


def move(session: Session, arguments: Arguments) -> bytes:
    """MOVE key database."""
    key, source = arguments[1], session.database
    target = session.keyspace.database(small_integer(arguments[2]))
    if target is source:
        raise SAME_OBJECT
    value = source.get(key)
    if value is None or target.get(key) is not None:
        return reply.ZERO
    deadline = source.deadlines.get(key)
    source.remove(key)
    _place(target, key, value, deadline)
    return reply.ONE


def copy(session: Session, arguments: Arguments) -> bytes:
    """COPY source destination [DB database] [REPLACE]."""
    target, replaces, at = session.database, False, 3
    while at < len(arguments):
        option = read_option(arguments[at])
        if option == b"REPLACE":
            replaces = True
        elif option == b"DB" and at + 1 < len(arguments):
            at += 1
            target = session.keyspace.database(small_integer(arguments[at]))
        else:
            raise SYNTAX
        at += 1
    source, destination = arguments[1], arguments[2]
    if source == destination and target is session.database:
        raise SAME_OBJECT
    value = session.database.get(source)
    if value is None or (target.get(destination) is not None and not replaces):
        return reply.ZERO
    duplicate = value if isinstance(value, bytes) else value.copy()
    _place(target, destination, duplicate, session.database.deadlines.get(source))
    return reply.ONE


def keys(session: Session, arguments: Arguments) -> bytes:
    """KEYS pattern."""
    tokens = compiled(arguments[1])
    return reply.bulks([key for key in session.database.live_keys() if matches(tokens, key)])


def dbsize(session: Session, arguments: Arguments) -> bytes:
    """DBSIZE."""
    return reply.integer(session.database.live_count())


def _check_flush(arguments: Arguments) -> None:
    if len(arguments) > 2 or (len(arguments) == 2 and read_option(arguments[1]) not in (b"ASYNC", b"SYNC")):
        raise SYNTAX


def flushdb(session: Session, arguments: Arguments) -> bytes:
    """FLUSHDB [ASYNC | SYNC]."""
    _check_flush(arguments)
    session.database.flush()
    return reply.OK


def flushall(session: Session, arguments: Arguments) -> bytes:
    """FLUSHALL [ASYNC | SYNC]."""
    _check_flush(arguments)
    for database in session.keyspace.databases:
        database.flush()
    return reply.OK


def swapdb(session: Session, arguments: Arguments) -> bytes:
    """SWAPDB database database."""
    most = (1 << 31) - 1
    first = integer_between(arguments[1], -most - 1, most, Refusal(b"ERR invalid first DB index"))
    second = integer_between(arguments[2], -most - 1, most, Refusal(b"ERR invalid second DB index"))
    databases = session.keyspace.database(first), session.keyspace.database(second)
    if first != second:
        databases[0].swap(databases[1])
    return reply.OK


COMMANDS = {
    b"DEL": Command(-2, delete),
    b"UNLINK": Command(-2, delete),
    b"EXISTS": Command(-2, exists),
    b"TOUCH": Command(-2, exists),
    b"TYPE": Command(2, type_),
    b"RENAME": Command(3, rename),
    b"RENAMENX": Command(3, rename),
    b"MOVE": Command(3, move),
    b"COPY": Command(-3, copy),
    b"KEYS": Command(2, keys),
    b"DBSIZE": Command(1, dbsize),
    b"FLUSHDB": Command(-1, flushdb),
    b"FLUSHALL": Command(-1, flushall),
    b"SWAPDB": Command(3, swapdb),
}
