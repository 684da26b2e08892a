"""The coordinator's few scripts, done natively: known by the name in the first line, called by the digest of the text.

There is no Lua here. A text that names none of them is loaded in name only: its digest is answered as unknown.
"""

from collections.abc import Callable
from hashlib import sha1

from ..faults import Refusal, WrongKind, error, out_of_range
from ..framing import Request
from ..numbers import INT64_MAX, INT64_MIN, integer_of
from ..replies import ZERO, bulk, integer
from ..session import Command, Session, container
from .expiry import move_deadline
from .strings import read

# Digests remembered; the oldest is forgotten first.
SCRIPTS_MAX = 1024
DIGEST_LENGTH = 40

_Script = Callable[[Session, Request, Request], bytes]


def _reap(session: Session, keys: Request, words: Request) -> bytes:
    """Delete each key whose deadline is not later than the one given."""
    limit = integer_of(words[0])
    reaped = 0
    for key in keys:
        is_there = session.space.find(key) is not None
        deadline = session.space.deadline(key)
        if is_there and deadline is not None and deadline <= limit:
            reaped += session.space.remove(key)
    return integer(reaped)


def _holds(session: Session, key: bytes, token: bytes) -> bool:
    return read(session, key) == token


def _release(session: Session, keys: Request, words: Request) -> bytes:
    """Delete the key if it holds the token."""
    if not _holds(session, keys[0], words[0]):
        return ZERO
    return integer(session.space.remove(keys[0]))


def _extend(session: Session, keys: Request, words: Request) -> bytes:
    """Move the deadline of a key that holds the token: from where it is, or from now."""
    if not _holds(session, keys[0], words[0]):
        return ZERO
    deadline = session.space.deadline(keys[0])
    if deadline is None:
        return ZERO
    start = deadline if words[2] == b"0" else integer_of(words[3])
    return _set_deadline(session, keys[0], start + integer_of(words[1]))


def _reacquire(session: Session, keys: Request, words: Request) -> bytes:
    """Give a key that holds the token a new deadline, from now."""
    if not _holds(session, keys[0], words[0]):
        return ZERO
    return _set_deadline(session, keys[0], integer_of(words[2]) + integer_of(words[1]))


def _set_deadline(session: Session, key: bytes, deadline: int) -> bytes:
    if not INT64_MIN <= deadline <= INT64_MAX:
        raise out_of_range()
    return move_deadline(session, key, deadline)


# Name → what it does, how many keys and further words it needs.
_SCRIPTS: dict[bytes, tuple[_Script, int, int]] = {
    b"reap 1": (_reap, 0, 1),
    b"lock-release 1": (_release, 1, 1),
    b"lock-extend 1": (_extend, 1, 4),
    b"lock-reacquire 1": (_reacquire, 1, 3),
}
_OPENING = b"-- quorate "


def _load(session: Session, request: Request) -> bytes:
    text = request[2]
    digest = sha1(text, usedforsecurity=False).hexdigest().encode()
    for name in _SCRIPTS:
        if text.startswith(_OPENING + name):
            known = session.index.scripts
            known[digest] = name
            if len(known) > SCRIPTS_MAX:
                del known[next(iter(known))]
    return bulk(digest)


def _evalsha(session: Session, request: Request) -> bytes:
    unknown = Refusal(b"NOSCRIPT No matching script. Please use EVAL.")
    digest = request[1].lower()
    if len(digest) != DIGEST_LENGTH:
        raise unknown
    number = integer_of(request[2])
    if number > len(request) - 3:
        raise error(b"Number of keys can't be greater than number of args")
    if number < 0:
        raise error(b"Number of keys can't be negative")
    name = session.index.scripts.get(digest)
    if name is None:
        raise unknown
    keys, words = request[3 : 3 + number], request[3 + number :]
    script, keys_min, words_min = _SCRIPTS[name]
    if len(keys) < keys_min or len(words) < words_min:
        raise _script_error(b"ERR Lua redis lib command arguments must be strings or integers", digest)
    try:
        return script(session, keys, words)
    except WrongKind as refusal:
        raise _script_error(refusal.text, digest) from None


def _script_error(text: bytes, digest: bytes) -> Refusal:
    # Every script that reads a value does so in its second line.
    return Refusal(b"%b script: %b, on @user_script:2." % (text, digest))


COMMANDS = (
    container(b"script", Command(b"script|load", _load, 3)),
    Command(b"evalsha", _evalsha, -3),
)
