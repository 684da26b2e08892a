"""The few scripts that this store knows by their first line and runs natively; any other stays unknown."""

import re
from collections.abc import Callable
from hashlib import sha1

from . import reply
from .errors import WRONG_TYPE, Refusal
from .numerals import integer
from .session import Arguments, Command, Session, incomplete
from .sets import TOO_MANY_KEYS

FIRST_LINE = re.compile(rb"-- quorate ([a-z-]+) 1\b")
DIGEST_CHARACTERS = 40
NO_SCRIPT = Refusal(b"NOSCRIPT No matching script. Please use EVAL.")
NOT_ARGUMENTS = Refusal(b"ERR wrong arguments for this script")


def _held(session: Session, key: bytes, token: bytes) -> bool:
    """Whether the lock at the key holds the token."""
    return session.database.string(key) == token


def _reap(session: Session, keys: list[bytes], values: list[bytes]) -> int:
    latest = integer(values[0], NOT_ARGUMENTS)
    database = session.database
    due = [key for key in dict.fromkeys(keys) if database.get(key) is not None]
    return sum([database.remove(key) for key in due if database.deadlines.get(key, latest + 1) <= latest])


def _lock_release(session: Session, keys: list[bytes], values: list[bytes]) -> int:
    return int(_held(session, keys[0], values[0]) and session.database.remove(keys[0]))


def _lock_extend(session: Session, keys: list[bytes], values: list[bytes]) -> int:
    if not _held(session, keys[0], values[0]):
        return 0
    deadline = session.database.deadlines.get(keys[0])
    if deadline is None:
        return 0
    if values[2] != b"0":
        deadline = integer(values[3], NOT_ARGUMENTS)
    session.database.expire(keys[0], deadline + integer(values[1], NOT_ARGUMENTS))
    return 1


def _lock_reacquire(session: Session, keys: list[bytes], values: list[bytes]) -> int:
    if not _held(session, keys[0], values[0]):
        return 0
    session.database.expire(keys[0], integer(values[2], NOT_ARGUMENTS) + integer(values[1], NOT_ARGUMENTS))
    return 1


# Each with how many keys and how many other arguments it needs at least.
SCRIPTS: dict[bytes, tuple[Callable[[Session, list[bytes], list[bytes]], int], int, int]] = {
    b"reap": (_reap, 0, 1),
    b"lock-release": (_lock_release, 1, 1),
    b"lock-extend": (_lock_extend, 1, 4),
    b"lock-reacquire": (_lock_reacquire, 1, 3),
}


def load(session: Session, arguments: Arguments) -> bytes:
    """SCRIPT LOAD text."""
    text = arguments[2]
    digest = sha1(text, usedforsecurity=False).hexdigest().encode()
    match = FIRST_LINE.match(text)
    if match and match[1] in SCRIPTS:
        session.scripts[digest] = match[1]
    return reply.bulk(digest)


def evalsha(session: Session, arguments: Arguments) -> bytes:
    """EVALSHA digest numkeys key… argument…."""
    if len(arguments[1]) != DIGEST_CHARACTERS:
        raise NO_SCRIPT
    count = integer(arguments[2])
    if count > len(arguments) - 3:
        raise TOO_MANY_KEYS
    if count < 0:
        raise Refusal(b"ERR Number of keys can't be negative")
    digest = arguments[1].lower()
    name = session.scripts.get(digest)
    if name is None:
        raise NO_SCRIPT
    keys, values = arguments[3 : 3 + count], arguments[3 + count :]
    run, keys_needed, values_needed = SCRIPTS[name]
    if len(keys) < keys_needed or len(values) < values_needed:
        raise NOT_ARGUMENTS
    try:
        return reply.integer(run(session, keys, values))
    except Refusal as refusal:
        if refusal is not WRONG_TYPE:
            raise
        # Where Redis's Lua says the call failed: the second line of each script that reads a lock.
        raise Refusal(b"%b script: %b, on @user_script:2." % (refusal.taken(), digest)) from None


COMMANDS = {
    b"SCRIPT": Command(-2, incomplete, subcommands={b"LOAD": Command(3, load)}),
    b"EVALSHA": Command(-3, evalsha),
}
