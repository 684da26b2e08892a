"""Commands on keys of any kind: DEL, EXISTS, TYPE, RENAME, COPY, MOVE, KEYS and their like."""

from .. import reply
from ..errors import NO_SUCH_KEY, SAME_OBJECT, SYNTAX, CommandError
from ..glob import matcher
from ..keyspace import Key
from ..registry import command
from ..schema import KIND_NAMES
from ..session import Session, read_option
from .connection import database


@command(b"del", -2)
@command(b"unlink", -2)
def delete(session: Session, arguments: list[bytes]) -> bytes:
    """DEL key [key ...]."""
    return reply.integer(sum(session.keys.discard(session.db, name) for name in arguments[1:]))


@command(b"exists", -2)
@command(b"touch", -2)
def exists(session: Session, arguments: list[bytes]) -> bytes:
    """EXISTS key [key ...]: a key named twice counts twice."""
    return reply.integer(sum(session.keys.find(session.db, name) is not None for name in arguments[1:]))


@command(b"type", 2)
def kind(session: Session, arguments: list[bytes]) -> bytes:
    """TYPE key."""
    key = session.keys.find(session.db, arguments[1])
    return b"+%s\r\n" % (b"none" if key is None else KIND_NAMES[key.kind])


@command(b"keys", 2)
def names(session: Session, arguments: list[bytes]) -> bytes:
    """KEYS pattern."""
    return reply.bulks(list(filter(matcher(arguments[1]), session.keys.names(session.db))))


@command(b"rename", 3)
def rename(session: Session, arguments: list[bytes]) -> bytes:
    """RENAME key newkey."""
    _, source, target = arguments
    key = _existing(session, source)
    if source != target:
        session.keys.discard(session.db, target)
        session.keys.move(key, session.db, target)
    return reply.OK


@command(b"renamenx", 3)
def renamenx(session: Session, arguments: list[bytes]) -> bytes:
    """RENAMENX key newkey."""
    _, source, target = arguments
    key = _existing(session, source)
    if source == target or session.keys.find(session.db, target) is not None:
        return reply.ZERO
    session.keys.move(key, session.db, target)
    return reply.ONE


def _existing(session: Session, name: bytes) -> Key:
    key = session.keys.find(session.db, name)
    if key is None:
        raise CommandError(NO_SUCH_KEY)
    return key


@command(b"move", 3)
def move(session: Session, arguments: list[bytes]) -> bytes:
    """MOVE key db."""
    target = database(arguments[2])
    if target == session.db:
        raise CommandError(SAME_OBJECT)
    key = session.keys.find(session.db, arguments[1])
    if key is None or session.keys.find(target, arguments[1]) is not None:
        return reply.ZERO
    session.keys.move(key, target, arguments[1])
    return reply.ONE


@command(b"copy", -3)
def copy(session: Session, arguments: list[bytes]) -> bytes:
    """COPY source destination [DB number] [REPLACE]."""
    source, target = arguments[1:3]
    db, replace = _copy_options(session, arguments[3:])
    if db == session.db and source == target:
        raise CommandError(SAME_OBJECT)
    key = session.keys.find(session.db, source)
    if key is None:
        return reply.ZERO
    if session.keys.find(db, target) is not None:
        if not replace:
            return reply.ZERO
        session.keys.discard(db, target)
    session.keys.copy(key, db, target)
    return reply.ONE


def _copy_options(session: Session, options: list[bytes]) -> tuple[int, bool]:
    db, replace, at = session.db, False, 0
    while at < len(options):
        option = read_option(options[at])
        if option == b"replace":
            replace = True
        elif option == b"db" and at + 1 < len(options):
            at += 1
            db = database(options[at])
        else:
            raise CommandError(SYNTAX)
        at += 1
    return db, replace
