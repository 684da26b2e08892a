"""Arithmetic on strings and on fields of hashes; sums of fractions are made by `extended`."""

from ..extended import NotANumber, add, parse, spell
from ..faults import Refusal, error
from ..framing import Request
from ..numbers import INT64_MAX, INT64_MIN, integer_of
from ..replies import bulk, integer
from ..session import Command, Handler, Session
from ..values import Fields, Text
from .strings import read, write


def _sum(left: int, right: int) -> int:
    total = left + right
    if not INT64_MIN <= total <= INT64_MAX:
        raise error(b"increment or decrement would overflow")
    return total


def _add(session: Session, key: bytes, amount: int) -> bytes:
    text = session.space.find_as(key, Text)
    total = _sum(integer_of(b"0" if text is None else text.read()), amount)
    _store(session, key, text, b"%d" % total)
    return integer(total)


def _store(session: Session, key: bytes, text: Text | None, content: bytes) -> None:
    """A counter keeps its deadline."""
    if text is None:
        write(session, key, content)
    else:
        text.replace(content)
        session.space.note_write(key)


def _step(amount: int) -> Handler:
    return lambda session, request: _add(session, request[1], amount)


def _incrby(session: Session, request: Request) -> bytes:
    return _add(session, request[1], integer_of(request[2]))


def _decrby(session: Session, request: Request) -> bytes:
    amount = integer_of(request[2])
    if amount == INT64_MIN:
        raise error(b"decrement would overflow")
    return _add(session, request[1], -amount)


def _fraction_sum(content: bytes, amount: bytes, refusal: Refusal) -> bytes:
    """The text of the sum of two texts. Raises `refusal` when `content` is no number."""
    try:
        present = parse(content)
    except NotANumber:
        raise refusal from None
    try:
        total = add(present, parse(amount))
    except NotANumber:
        raise error(b"value is not a valid float") from None
    if total is None:
        raise error(b"increment would produce NaN or Infinity")
    return spell(total)


def _incrbyfloat(session: Session, request: Request) -> bytes:
    key, amount = request[1:]
    content = read(session, key)
    total = _fraction_sum(b"0" if content is None else content, amount, error(b"value is not a valid float"))
    _store(session, key, session.space.find_as(key, Text), total)
    return bulk(total)


def _hincrby(session: Session, request: Request) -> bytes:
    key, field = request[1:3]
    amount = integer_of(request[3])
    fields = session.space.find_as(key, Fields)
    content = None if fields is None else fields.get(field)
    present = 0 if content is None else integer_of(content, error(b"hash value is not an integer"))
    total = _sum(present, amount)
    session.space.open(key, Fields).put(field, b"%d" % total)
    session.space.note_write(key)
    return integer(total)


def _hincrbyfloat(session: Session, request: Request) -> bytes:
    key, field, amount = request[1:]
    try:
        is_infinite = parse(amount) is None
    except NotANumber:
        raise error(b"value is not a valid float") from None
    if is_infinite:
        raise error(b"value is NaN or Infinity")
    fields = session.space.find_as(key, Fields)
    content = None if fields is None else fields.get(field)
    total = _fraction_sum(b"0" if content is None else content, amount, error(b"hash value is not a float"))
    session.space.open(key, Fields).put(field, total)
    session.space.note_write(key)
    return bulk(total)


COMMANDS = (
    Command(b"incr", _step(1), 2),
    Command(b"decr", _step(-1), 2),
    Command(b"incrby", _incrby, 3),
    Command(b"decrby", _decrby, 3),
    Command(b"incrbyfloat", _incrbyfloat, 3),
    Command(b"hincrby", _hincrby, 4),
    Command(b"hincrbyfloat", _hincrbyfloat, 4),
)
