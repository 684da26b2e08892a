"""Commands on keys of any kind. They know the index; they look into no value."""

from ..faults import error, no_such_key, syntax_error
from ..framing import Request
from ..patterns import matcher
from ..replies import OK, ONE, ZERO, bulks, integer, status
from ..session import Command, Session, read_option
from .connection import space_number


def _delete(session: Session, request: Request) -> bytes:
    return integer(sum(map(session.space.remove, request[1:])))


def _exists(session: Session, request: Request) -> bytes:
    return integer(sum(session.space.find(key) is not None for key in request[1:]))


def _type(session: Session, request: Request) -> bytes:
    value = session.space.find(request[1])
    return status(b"none" if value is None else value.kind)


def _rename(session: Session, request: Request) -> bytes:
    source, target = request[1:]
    if session.space.find(source) is None:
        raise no_such_key()
    if source != target:
        _move(session, source, target)
    return OK


def _renamenx(session: Session, request: Request) -> bytes:
    source, target = request[1:]
    if session.space.find(source) is None:
        raise no_such_key()
    if session.space.find(target) is not None:
        return ZERO
    _move(session, source, target)
    return ONE


def _move(session: Session, source: bytes, target: bytes) -> None:
    value, deadline = session.space.take(source)
    session.space.put(target, value)
    session.space.set_deadline(target, deadline)


def _copy_options(session: Session, request: Request) -> tuple[int, bool]:
    number, replace = session.number, False
    at = 3
    while at < len(request):
        option = read_option(request[at])
        if option == b"replace":
            replace = True
        elif option == b"db" and at + 1 < len(request):
            at += 1
            number = space_number(request[at])
        else:
            raise syntax_error()
        at += 1
    return number, replace


def _copy(session: Session, request: Request) -> bytes:
    source, target = request[1:3]
    number, replace = _copy_options(session, request)
    space = session.index.spaces[number]
    if space is session.space and source == target:
        raise error(b"source and destination objects are the same")
    value = session.space.find(source)
    if value is None or (space.find(target) is not None and not replace):
        return ZERO
    deadline = session.space.deadline(source)
    space.put(target, value.duplicate())
    space.set_deadline(target, deadline)
    return ONE


def _move_space(session: Session, request: Request) -> bytes:
    key = request[1]
    space = session.index.spaces[space_number(request[2])]
    if space is session.space:
        raise error(b"source and destination objects are the same")
    if session.space.find(key) is None or space.find(key) is not None:
        return ZERO
    value, deadline = session.space.take(key)
    space.put(key, value)
    space.set_deadline(key, deadline)
    return ONE


def _keys(session: Session, request: Request) -> bytes:
    return bulks(filter(matcher(request[1]), session.space.keys()))


COMMANDS = (
    Command(b"del", _delete, -2),
    Command(b"unlink", _delete, -2),
    Command(b"exists", _exists, -2),
    Command(b"touch", _exists, -2),
    Command(b"type", _type, 2),
    Command(b"rename", _rename, 3),
    Command(b"renamenx", _renamenx, 3),
    Command(b"copy", _copy, -3),
    Command(b"move", _move_space, 3),
    Command(b"keys", _keys, 2),
)
