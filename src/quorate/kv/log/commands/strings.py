"""Commands on whole strings and parts of them; arithmetic is in `counters`."""

from dataclasses import dataclass

from ..faults import error, syntax_error, wrong_arity
from ..framing import Request
from ..keyspace import now_ms
from ..numbers import integer_of
from ..replies import EMPTY_BULK, OK, ONE, ZERO, array, bulk, integer
from ..session import Command, Handler, Session, read_option
from ..values import Text
from .expiry import SECOND_MS, deadline_of

# No longer than a cell can read back in one reply; the Redis of the examples is told to end strings here too.
STRING_BYTES_MAX = 32 << 20

# Option → unit in milliseconds, and whether it counts from now.
_EXPIRIES = {b"ex": (SECOND_MS, True), b"px": (1, True), b"exat": (SECOND_MS, False), b"pxat": (1, False)}


@dataclass(slots=True)
class _Options:
    """What SET or GETEX was asked beside key and value; `lifetime` is one of _EXPIRIES, keepttl, persist or empty."""

    condition: bytes = b""
    lifetime: bytes = b""
    amount: bytes = b""
    wants_former: bool = False

    def deadline(self, name: bytes) -> int | None:
        """The deadline asked for, or None. Raises Refusal."""
        if self.lifetime not in _EXPIRIES:
            return None
        return deadline_of(self.amount, *_EXPIRIES[self.lifetime], name)


def _parse_options(words: Request, is_set: bool) -> _Options:
    options = _Options()
    at = 0
    while at < len(words):
        word = read_option(words[at])
        if is_set and word in (b"nx", b"xx") and options.condition in (b"", word):
            options.condition = word
        elif is_set and word == b"get":
            options.wants_former = True
        elif word == (b"keepttl" if is_set else b"persist") and options.lifetime in (b"", word):
            options.lifetime = word
        elif word in _EXPIRIES and options.lifetime in (b"", word) and at + 1 < len(words):
            at += 1
            options.lifetime, options.amount = word, words[at]
        else:
            raise syntax_error()
        at += 1
    return options


def read(session: Session, key: bytes) -> bytes | None:
    """The string at the key, or None. Raises WrongKind."""
    text = session.space.find_as(key, Text)
    return None if text is None else text.read()


def write(session: Session, key: bytes, content: bytes, *, keep_deadline: bool = False) -> None:
    """Make the key this string, whatever it was before."""
    session.space.put(key, Text(session.index.log, content), keep_deadline=keep_deadline)


def _get(session: Session, request: Request) -> bytes:
    return session.encoding.optional(read(session, request[1]))


def _set(session: Session, request: Request) -> bytes:
    key, content = request[1:3]
    options = _parse_options(request[3:], is_set=True)
    deadline = options.deadline(b"set")
    former = session.encoding.optional(read(session, key)) if options.wants_former else b""
    exists = session.space.find(key) is not None
    if (options.condition == b"nx" and exists) or (options.condition == b"xx" and not exists):
        return former or session.encoding.null
    write(session, key, content, keep_deadline=options.lifetime == b"keepttl")
    if deadline is not None:
        session.space.set_deadline(key, deadline)
    return former or OK


def _setnx(session: Session, request: Request) -> bytes:
    if session.space.find(request[1]) is not None:
        return ZERO
    write(session, request[1], request[2])
    return ONE


def _setex(name: bytes, unit_ms: int) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        deadline = deadline_of(request[2], unit_ms, True, name)
        write(session, request[1], request[3])
        session.space.set_deadline(request[1], deadline)
        return OK

    return run


def _getset(session: Session, request: Request) -> bytes:
    former = session.encoding.optional(read(session, request[1]))
    write(session, request[1], request[2])
    return former


def _getdel(session: Session, request: Request) -> bytes:
    former = session.encoding.optional(read(session, request[1]))
    session.space.remove(request[1])
    return former


def _getex(session: Session, request: Request) -> bytes:
    key = request[1]
    options = _parse_options(request[2:], is_set=False)
    content = read(session, key)
    if content is None:
        return session.encoding.null
    deadline = options.deadline(b"getex")
    if deadline is not None and deadline <= now_ms():
        session.space.remove(key)
    elif options.lifetime:
        session.space.set_deadline(key, deadline)
        session.space.note_write(key)
    return bulk(content)


def _mget(session: Session, request: Request) -> bytes:
    texts = (session.space.find(key) for key in request[1:])
    contents = (text.read() if isinstance(text, Text) else None for text in texts)
    return array(map(session.encoding.optional, contents))


def _mset(session: Session, request: Request) -> bytes:
    if len(request) % 2 == 0:
        raise wrong_arity(b"mset")
    for key, content in zip(request[1::2], request[2::2], strict=True):
        write(session, key, content)
    return OK


def _msetnx(session: Session, request: Request) -> bytes:
    if len(request) % 2 == 0:
        raise wrong_arity(b"msetnx")
    if any(session.space.find(key) is not None for key in request[1::2]):
        return ZERO
    for key, content in zip(request[1::2], request[2::2], strict=True):
        write(session, key, content)
    return ONE


def _check_length(length: int) -> None:
    if length > STRING_BYTES_MAX:
        raise error(b"string exceeds maximum allowed size (proto-max-bulk-len)")


def _append(session: Session, request: Request) -> bytes:
    key, content = request[1:]
    text = session.space.find_as(key, Text)
    if text is None:
        write(session, key, content)
        return integer(len(content))
    _check_length(text.length + len(content))
    text.append(content)
    session.space.note_write(key)
    return integer(text.length)


def _strlen(session: Session, request: Request) -> bytes:
    text = session.space.find_as(request[1], Text)
    return integer(0 if text is None else text.length)


def _getrange(session: Session, request: Request) -> bytes:
    start, end = integer_of(request[2]), integer_of(request[3])
    content = read(session, request[1])
    if not content or (start < 0 and end < 0 and start > end):
        return EMPTY_BULK
    start = max(start + len(content), 0) if start < 0 else start
    end = max(end + len(content), 0) if end < 0 else end
    return bulk(content[start : end + 1])


def _setrange(session: Session, request: Request) -> bytes:
    key, part = request[1], request[3]
    offset = integer_of(request[2])
    if offset < 0:
        raise error(b"offset is out of range")
    text = session.space.find_as(key, Text)
    if not part:
        return integer(0 if text is None else text.length)
    _check_length(offset + len(part))
    former = b"" if text is None else text.read()
    content = former[:offset].ljust(offset, b"\0") + part + former[offset + len(part) :]
    if text is None:
        write(session, key, content)
    else:
        text.replace(content)
        session.space.note_write(key)
    return integer(len(content))


COMMANDS = (
    Command(b"get", _get, 2),
    Command(b"set", _set, -3),
    Command(b"setnx", _setnx, 3),
    Command(b"setex", _setex(b"setex", SECOND_MS), 4),
    Command(b"psetex", _setex(b"psetex", 1), 4),
    Command(b"getset", _getset, 3),
    Command(b"getdel", _getdel, 2),
    Command(b"getex", _getex, -2),
    Command(b"mget", _mget, -2),
    Command(b"mset", _mset, -3),
    Command(b"msetnx", _msetnx, -3),
    Command(b"append", _append, 3),
    Command(b"strlen", _strlen, 2),
    Command(b"getrange", _getrange, 4),
    Command(b"substr", _getrange, 4),
    Command(b"setrange", _setrange, 4),
)
