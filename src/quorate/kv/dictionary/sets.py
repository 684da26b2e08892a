"""The commands on sets. Each takes the session and the whole request, and returns the reply."""

from . import reply
from .errors import SYNTAX, Refusal
from .lists import NO_KEYS
from .numerals import INTEGER_MAX, integer_between, positive
from .session import Arguments, Command, Session, named, read_option

TOO_MANY_KEYS = Refusal(b"ERR Number of keys can't be greater than number of args")
NEGATIVE_LIMIT = Refusal(b"ERR LIMIT can't be negative")


def sadd(session: Session, arguments: Arguments) -> bytes:
    """SADD key member…."""
    members = session.database.set(arguments[1])
    members = set() if members is None else members
    before = len(members)
    members.update(arguments[2:])
    if len(members) != before:
        session.database.change(arguments[1], members)
    return reply.integer(len(members) - before)


def srem(session: Session, arguments: Arguments) -> bytes:
    """SREM key member…."""
    members = session.database.set(arguments[1]) or set()
    before = len(members)
    members.difference_update(arguments[2:])
    if len(members) != before:
        session.database.settle(arguments[1], members)
    return reply.integer(before - len(members))


def sismember(session: Session, arguments: Arguments) -> bytes:
    """SISMEMBER key member."""
    return reply.integer(arguments[2] in (session.database.set(arguments[1]) or ()))


def smismember(session: Session, arguments: Arguments) -> bytes:
    """SMISMEMBER key member…."""
    members = session.database.set(arguments[1]) or set()
    return reply.array([reply.integer(member in members) for member in arguments[2:]])


def scard(session: Session, arguments: Arguments) -> bytes:
    """SCARD key."""
    return reply.integer(len(session.database.set(arguments[1]) or ()))


def smembers(session: Session, arguments: Arguments) -> bytes:
    """SMEMBERS key."""
    return session.reply.set(session.database.set(arguments[1]) or ())


def smove(session: Session, arguments: Arguments) -> bytes:
    """SMOVE source destination member."""
    database, member = session.database, arguments[3]
    source = database.set(arguments[1])
    if source is None:
        return reply.ZERO
    target = database.set(arguments[2])
    if member not in source or source is target:
        return reply.integer(member in source)
    source.remove(member)
    database.settle(arguments[1], source)
    target = set() if target is None else target
    if member not in target:
        target.add(member)
        database.change(arguments[2], target)
    return reply.ONE


def _combined(session: Session, operation: bytes, keys: list[bytes]) -> set[bytes]:
    """The intersection, union or difference of the sets at the keys; every key's type is checked first."""
    sets = [session.database.set(key) or set() for key in keys]
    if operation == b"sinter":
        return set.intersection(*sorted(sets, key=len))
    return set.union(*sets) if operation == b"sunion" else sets[0].difference(*sets[1:])


def combine(session: Session, arguments: Arguments) -> bytes:
    """SINTER, SUNION and SDIFF key…."""
    return session.reply.set(_combined(session, named(arguments), arguments[1:]))


def combine_store(session: Session, arguments: Arguments) -> bytes:
    """SINTERSTORE, SUNIONSTORE and SDIFFSTORE destination key…."""
    members = _combined(session, named(arguments).removesuffix(b"store"), arguments[2:])
    session.database.replace(arguments[1], members)
    return reply.integer(len(members))


def sintercard(session: Session, arguments: Arguments) -> bytes:
    """SINTERCARD numkeys key… [LIMIT limit]."""
    count = integer_between(arguments[1], 1, INTEGER_MAX, NO_KEYS)
    if count > len(arguments) - 2:
        raise TOO_MANY_KEYS
    limit = 0
    for at in range(2 + count, len(arguments), 2):
        if read_option(arguments[at]) != b"LIMIT" or at + 1 == len(arguments):
            raise SYNTAX
        limit = positive(arguments[at + 1], NEGATIVE_LIMIT)
    found = len(_combined(session, b"sinter", arguments[2 : 2 + count]))
    return reply.integer(min(found, limit) if limit else found)


COMMANDS = {
    b"SADD": Command(-3, sadd),
    b"SREM": Command(-3, srem),
    b"SISMEMBER": Command(3, sismember),
    b"SMISMEMBER": Command(-3, smismember),
    b"SCARD": Command(2, scard),
    b"SMEMBERS": Command(2, smembers),
    b"SMOVE": Command(4, smove),
    b"SINTER": Command(-2, combine),
    b"SUNION": Command(-2, combine),
    b"SDIFF": Command(-2, combine),
    b"SINTERSTORE": Command(-3, combine_store),
    b"SUNIONSTORE": Command(-3, combine_store),
    b"SDIFFSTORE": Command(-3, combine_store),
    b"SINTERCARD": Command(-3, sintercard),
}
