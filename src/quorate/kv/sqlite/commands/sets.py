"""Commands on sets; their algebra is done by SQL."""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

import json
from collections.abc import Callable

from .. import reply
from ..errors import LIMIT, NUMKEYS, NUMKEYS_RANGE, SYNTAX, CommandError
from ..keyspace import Key
from ..numbers import INT64_MAX, parse_positive, parse_range
from ..registry import Handler, command
from ..schema import SET
from ..session import Session, read_option

# A statement and its values; None stands for an empty result.
Query = tuple[str, tuple[int | str, ...]] | None
Algebra = Callable[[list[Key | None]], Query]

# The members of one set for which none of the others has (EXISTS) or lacks (NOT EXISTS) them.
EACH_WITHOUT = """
SELECT member FROM members AS m WHERE key = ? AND NOT EXISTS (
    SELECT 1 FROM json_each(?) AS other
    WHERE {} (SELECT 1 FROM members WHERE key = other.value AND member = m.member)
)"""


@command(b"sadd", -3)
def sadd(session: Session, arguments: list[bytes]) -> bytes:
    """SADD key member [member ...]."""
    key = session.keys.obtain(session.db, arguments[1], SET)
    rows = [(key.id, member) for member in arguments[2:]]
    added = session.keys.run_many("INSERT OR IGNORE INTO members VALUES (?, ?)", rows).rowcount
    if added:
        session.keys.resize(key, key.size + added)
    return reply.integer(added)


@command(b"srem", -3)
def srem(session: Session, arguments: list[bytes]) -> bytes:
    """SREM key member [member ...]."""
    key = session.keys.typed(session.db, arguments[1], SET)
    if key is None:
        return reply.ZERO
    return reply.integer(_remove(session, key, arguments[2:]))


def _remove(session: Session, key: Key, members: list[bytes]) -> int:
    rows = [(key.id, member) for member in members]
    removed: int = session.keys.run_many("DELETE FROM members WHERE key = ? AND member = ?", rows).rowcount
    if removed:
        session.keys.resize(key, key.size - removed)
    return removed


def _holds(session: Session, key: Key | None, member: bytes) -> bool:
    if key is None:
        return False
    found = session.keys.run("SELECT 1 FROM members WHERE key = ? AND member = ?", (key.id, member)).fetchone()
    return found is not None


@command(b"sismember", 3)
def sismember(session: Session, arguments: list[bytes]) -> bytes:
    """SISMEMBER key member."""
    key = session.keys.typed(session.db, arguments[1], SET)
    return reply.integer(_holds(session, key, arguments[2]))


@command(b"smismember", -3)
def smismember(session: Session, arguments: list[bytes]) -> bytes:
    """SMISMEMBER key member [member ...]."""
    key = session.keys.typed(session.db, arguments[1], SET)
    return reply.array([reply.integer(_holds(session, key, member)) for member in arguments[2:]])


@command(b"scard", 2)
def scard(session: Session, arguments: list[bytes]) -> bytes:
    """SCARD key."""
    key = session.keys.typed(session.db, arguments[1], SET)
    return reply.integer(key.size if key else 0)


@command(b"smembers", 2)
def smembers(session: Session, arguments: list[bytes]) -> bytes:
    """SMEMBERS key."""
    return _members(session, _union([session.keys.typed(session.db, arguments[1], SET)]))


def _members(session: Session, query: Query) -> bytes:
    rows = session.keys.run(*query) if query else ()
    return reply.unordered(session.protocol, [member for (member,) in rows])


@command(b"smove", 4)
def smove(session: Session, arguments: list[bytes]) -> bytes:
    """SMOVE source destination member."""
    _, source_name, target_name, member = arguments
    source = session.keys.find(session.db, source_name)
    if source is None:
        return reply.ZERO
    session.keys.typed(session.db, source_name, SET)
    session.keys.typed(session.db, target_name, SET)
    if source_name == target_name:
        return reply.integer(_holds(session, source, member))
    if not _remove(session, source, [member]):
        return reply.ZERO
    sadd(session, [b"sadd", target_name, member])
    return reply.ONE


# Set algebra. Each operation is one query over the ids of its keys; missing keys are None.


def _union(keys: list[Key | None]) -> Query:
    ids = json.dumps([key.id for key in keys if key is not None])
    return "SELECT DISTINCT member FROM members WHERE key IN (SELECT value FROM json_each(?))", (ids,)


def _intersection(keys: list[Key | None]) -> Query:
    present = [key for key in keys if key is not None]
    if len(present) < len(keys):
        return None
    # The smallest set is walked; each of its members is looked up in the others until one lacks it.
    present.sort(key=lambda key: key.size)
    others = json.dumps([key.id for key in present[1:]])
    return EACH_WITHOUT.format("NOT EXISTS"), (present[0].id, others)


def _difference(keys: list[Key | None]) -> Query:
    if keys[0] is None:
        return None
    others = json.dumps([key.id for key in keys[1:] if key is not None])
    return EACH_WITHOUT.format("EXISTS"), (keys[0].id, others)


def _sets(session: Session, names: list[bytes]) -> list[Key | None]:
    return [session.keys.typed(session.db, name, SET) for name in names]


def _algebra_command(name: bytes, algebra: Algebra) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        return _members(session, algebra(_sets(session, arguments[1:])))

    return command(name, -2)(handler)


def _store_command(name: bytes, algebra: Algebra) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        query = algebra(_sets(session, arguments[2:]))
        # The result is read before the target goes, because the target may be one of the sources.
        found = session.keys.run(*query).fetchall() if query else []
        if not found:
            session.keys.discard(session.db, arguments[1])
            return reply.ZERO
        key = session.keys.replace(session.db, arguments[1], SET, len(found))
        session.keys.run_many("INSERT INTO members VALUES (?, ?)", [(key.id, member) for (member,) in found])
        return reply.integer(len(found))

    return command(name, -3)(handler)


sinter = _algebra_command(b"sinter", _intersection)
sunion = _algebra_command(b"sunion", _union)
sdiff = _algebra_command(b"sdiff", _difference)
sinterstore = _store_command(b"sinterstore", _intersection)
sunionstore = _store_command(b"sunionstore", _union)
sdiffstore = _store_command(b"sdiffstore", _difference)


def card_arguments(arguments: list[bytes]) -> tuple[list[bytes], int]:
    """The keys and the limit (0 for none) of SINTERCARD, from its key count on; raises `CommandError`."""
    count = parse_range(arguments[0], 1, INT64_MAX, NUMKEYS)
    if count > len(arguments) - 1:
        raise CommandError(NUMKEYS_RANGE)
    names, options, limit = arguments[1 : count + 1], arguments[count + 1 :], 0
    while options:
        if read_option(options[0]) != b"limit" or len(options) == 1:
            raise CommandError(SYNTAX)
        limit = parse_positive(options[1], LIMIT)
        options = options[2:]
    return names, limit


@command(b"sintercard", -3)
def sintercard(session: Session, arguments: list[bytes]) -> bytes:
    """SINTERCARD numkeys key [key ...] [LIMIT limit]."""
    names, limit = card_arguments(arguments[1:])
    query = _intersection(_sets(session, names))
    if query is None:
        return reply.ZERO
    statement, values = query
    counted = f"SELECT count(*) FROM ({statement} LIMIT ?)"
    return reply.integer(session.keys.run(counted, (*values, limit or -1)).fetchone()[0])
