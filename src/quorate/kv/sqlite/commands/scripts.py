"""SCRIPT LOAD and EVALSHA for the few scripts this store knows by their first line; they run natively, not as Lua."""

from hashlib import sha1

from .. import reply
from ..errors import NO_SCRIPT, NOT_AN_INTEGER, NUMKEYS_RANGE, CommandError
from ..keyspace import Key
from ..numbers import INT64_MAX, INT64_MIN, parse_integer
from ..registry import command
from ..schema import STRING
from ..session import Script, Session
from .expiry import settle

DIGEST_LENGTH = 40


@command(b"script|load", 3)
def load(session: Session, arguments: list[bytes]) -> bytes:
    """SCRIPT LOAD text: any text has a digest, but only known ones are kept."""
    text = arguments[2]
    digest = sha1(text, usedforsecurity=False).hexdigest().encode()
    for opening, script in SCRIPTS.items():
        if text.startswith(opening) and text[len(opening) : len(opening) + 1] in (b":", b" ", b"\r", b"\n", b""):
            session.scripts[digest] = script
    return reply.bulk(digest)


@command(b"evalsha", -3)
def evalsha(session: Session, arguments: list[bytes]) -> bytes:
    """EVALSHA digest numkeys [key ...] [argument ...]."""
    if len(arguments[1]) != DIGEST_LENGTH:
        raise CommandError(NO_SCRIPT)
    count = parse_integer(arguments[2])
    if count > len(arguments) - 3:
        raise CommandError(NUMKEYS_RANGE)
    if count < 0:
        raise CommandError(b"ERR Number of keys can't be negative")
    digest = arguments[1].lower()
    script = session.scripts.get(digest)
    if script is None:
        raise CommandError(NO_SCRIPT)
    try:
        return script(session, arguments[3 : count + 3], arguments[count + 3 :])
    except CommandError as refusal:
        # Every command that can fail in these scripts is their first, on the second line.
        raise CommandError(b"%s script: %s, on @user_script:2." % (refusal.text, digest)) from refusal


def _reap(session: Session, names: list[bytes], arguments: list[bytes]) -> bytes:
    """Delete each key whose deadline is not later than the argument; answers how many that were."""
    now, deleted = _milliseconds(arguments, 0), 0
    for name in names:
        key = session.keys.find(session.db, name)
        if key is not None and key.deadline is not None and key.deadline <= now:
            session.keys.delete(key)
            deleted += 1
    return reply.integer(deleted)


def _held(session: Session, names: list[bytes], arguments: list[bytes]) -> Key | None:
    """The lock, if it holds the token."""
    if not names or not arguments:
        raise CommandError(b"ERR Lua redis lib command arguments must be strings or integers")
    if session.keys.text(session.db, names[0]) != arguments[0]:
        return None
    return session.keys.typed(session.db, names[0], STRING)


def _milliseconds(arguments: list[bytes], index: int) -> int:
    if len(arguments) <= index:
        raise CommandError(NOT_AN_INTEGER)
    return parse_integer(arguments[index])


def _release(session: Session, names: list[bytes], arguments: list[bytes]) -> bytes:
    key = _held(session, names, arguments)
    if key is None:
        return reply.ZERO
    session.keys.delete(key)
    return reply.ONE


def _extend(session: Session, names: list[bytes], arguments: list[bytes]) -> bytes:
    key = _held(session, names, arguments)
    if key is None or key.deadline is None:
        return reply.ZERO
    base = key.deadline if arguments[2:3] == [b"0"] else _milliseconds(arguments, 3)
    _postpone(session, key, base + _milliseconds(arguments, 1))
    return reply.ONE


def _reacquire(session: Session, names: list[bytes], arguments: list[bytes]) -> bytes:
    key = _held(session, names, arguments)
    if key is None:
        return reply.ZERO
    _postpone(session, key, _milliseconds(arguments, 2) + _milliseconds(arguments, 1))
    return reply.ONE


def _postpone(session: Session, key: Key, deadline: int) -> None:
    if not INT64_MIN <= deadline <= INT64_MAX:
        raise CommandError(NOT_AN_INTEGER)
    settle(session, key, deadline)


SCRIPTS: dict[bytes, Script] = {
    b"-- quorate reap 1": _reap,
    b"-- quorate lock-release 1": _release,
    b"-- quorate lock-extend 1": _extend,
    b"-- quorate lock-reacquire 1": _reacquire,
}
