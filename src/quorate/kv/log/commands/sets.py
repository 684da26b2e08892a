"""Commands on sets. Their replies are in the order of insertion, which means nothing."""

from collections.abc import Callable

from ..faults import error, syntax_error
from ..framing import Request
from ..numbers import INT64_MAX, integer_within
from ..replies import ONE, ZERO, array, integer
from ..session import Command, Handler, Session, read_option
from ..values import Members

Combine = Callable[[list[Members | None]], list[bytes]]


def _find(session: Session, request: Request) -> Members | None:
    return session.space.find_as(request[1], Members)


def _sadd(session: Session, request: Request) -> bytes:
    members = session.space.open(request[1], Members)
    added = sum(map(members.add, request[2:]))
    if added:
        session.space.note_write(request[1])
    return integer(added)


def _srem(session: Session, request: Request) -> bytes:
    members = _find(session, request)
    removed = 0 if members is None else sum(map(members.remove, request[2:]))
    if removed:
        session.space.note_write(request[1])
    return integer(removed)


def _sismember(session: Session, request: Request) -> bytes:
    members = _find(session, request)
    return ONE if members is not None and request[2] in members else ZERO


def _smismember(session: Session, request: Request) -> bytes:
    members = _find(session, request)
    return array(ONE if members is not None and member in members else ZERO for member in request[2:])


def _scard(session: Session, request: Request) -> bytes:
    members = _find(session, request)
    return integer(0 if members is None else len(members))


def _smove(session: Session, request: Request) -> bytes:
    source, target, member = request[1:]
    space = session.space
    if space.find(source) is None:
        return ZERO
    members = space.find_as(source, Members)
    space.find_as(target, Members)
    if members is None or member not in members:
        return ZERO
    if source == target:
        return ONE
    members.remove(member)
    space.note_write(source)
    if space.open(target, Members).add(member):
        space.note_write(target)
    return ONE


def _intersection(operands: list[Members | None]) -> list[bytes]:
    present = [operand for operand in operands if operand is not None]
    if len(present) < len(operands):
        return []
    smallest, *others = sorted(present, key=len)
    return [member for member in smallest if all(member in other for other in others)]


def _union(operands: list[Members | None]) -> list[bytes]:
    return list(dict.fromkeys(member for operand in operands if operand is not None for member in operand))


def _difference(operands: list[Members | None]) -> list[bytes]:
    first, *others = operands
    if first is None:
        return []
    return [member for member in first if not any(member in other for other in others if other is not None)]


def _operands(session: Session, keys: Request) -> list[Members | None]:
    return [session.space.find_as(key, Members) for key in keys]


def _combined(combine: Combine) -> Handler:
    return lambda session, request: session.encoding.set(combine(_operands(session, request[1:])))


def _stored(combine: Combine) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        result = combine(_operands(session, request[2:]))
        if result:
            session.space.put(request[1], Members(session.index.log, result))
        else:
            session.space.remove(request[1])
        return integer(len(result))

    return run


def _sintercard(session: Session, request: Request) -> bytes:
    number = integer_within(request[1], 1, INT64_MAX, error(b"numkeys should be greater than 0"))
    if number > len(request) - 2:
        raise error(b"Number of keys can't be greater than number of args")
    limit = 0
    options = request[2 + number :]
    for at in range(0, len(options), 2):
        if read_option(options[at]) != b"limit" or at + 1 == len(options):
            raise syntax_error()
        limit = integer_within(options[at + 1], 0, INT64_MAX, error(b"LIMIT can't be negative"))
    size = len(_intersection(_operands(session, request[2 : 2 + number])))
    return integer(min(size, limit or size))


COMMANDS = (
    Command(b"sadd", _sadd, -3),
    Command(b"srem", _srem, -3),
    Command(b"sismember", _sismember, 3),
    Command(b"smismember", _smismember, -3),
    Command(b"scard", _scard, 2),
    Command(b"smembers", _combined(_union), 2),
    Command(b"smove", _smove, 4),
    Command(b"sinter", _combined(_intersection), -2),
    Command(b"sunion", _combined(_union), -2),
    Command(b"sdiff", _combined(_difference), -2),
    Command(b"sinterstore", _stored(_intersection), -3),
    Command(b"sunionstore", _stored(_union), -3),
    Command(b"sdiffstore", _stored(_difference), -3),
    Command(b"sintercard", _sintercard, -3),
)
