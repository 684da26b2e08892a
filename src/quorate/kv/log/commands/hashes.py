"""Commands on hashes; arithmetic is in `counters`."""

from ..faults import wrong_arity
from ..framing import Request
from ..replies import EMPTY_ARRAY, OK, ONE, ZERO, array, bulk, bulks, integer
from ..session import Command, Session
from ..values import Fields


def _find(session: Session, request: Request) -> Fields | None:
    return session.space.find_as(request[1], Fields)


def _put_all(session: Session, request: Request, name: bytes) -> int:
    if len(request) % 2:
        raise wrong_arity(name)
    fields = session.space.open(request[1], Fields)
    added = sum(fields.put(field, value) for field, value in zip(request[2::2], request[3::2], strict=True))
    session.space.note_write(request[1])
    return added


def _hset(session: Session, request: Request) -> bytes:
    return integer(_put_all(session, request, b"hset"))


def _hmset(session: Session, request: Request) -> bytes:
    _put_all(session, request, b"hmset")
    return OK


def _hsetnx(session: Session, request: Request) -> bytes:
    _, key, field, value = request
    fields = session.space.open(key, Fields)
    if field in fields:
        return ZERO
    fields.put(field, value)
    session.space.note_write(key)
    return ONE


def _hget(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return session.encoding.optional(None if fields is None else fields.get(request[2]))


def _hmget(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    contents = (None if fields is None else fields.get(field) for field in request[2:])
    return array(map(session.encoding.optional, contents))


def _hdel(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    if fields is None:
        return ZERO
    removed = sum(map(fields.remove, request[2:]))
    if removed:
        session.space.note_write(request[1])
    return integer(removed)


def _hexists(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return ONE if fields is not None and request[2] in fields else ZERO


def _hlen(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return integer(0 if fields is None else len(fields))


def _hstrlen(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return integer(0 if fields is None else fields.length(request[2]))


def _hgetall(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    if fields is None:
        return session.encoding.map(())
    pairs = zip(fields, fields.values(), strict=True)
    return session.encoding.map(bulk(part) for pair in pairs for part in pair)


def _hkeys(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return EMPTY_ARRAY if fields is None else bulks(fields)


def _hvals(session: Session, request: Request) -> bytes:
    fields = _find(session, request)
    return EMPTY_ARRAY if fields is None else bulks(fields.values())


COMMANDS = (
    Command(b"hset", _hset, -4),
    Command(b"hmset", _hmset, -4),
    Command(b"hsetnx", _hsetnx, 4),
    Command(b"hget", _hget, 3),
    Command(b"hmget", _hmget, -3),
    Command(b"hdel", _hdel, -3),
    Command(b"hexists", _hexists, 3),
    Command(b"hlen", _hlen, 2),
    Command(b"hstrlen", _hstrlen, 3),
    Command(b"hgetall", _hgetall, 2),
    Command(b"hkeys", _hkeys, 2),
    Command(b"hvals", _hvals, 2),
)
