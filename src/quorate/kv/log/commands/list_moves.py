"""Commands that take elements from one of several lists, or from one to another."""

from ..faults import error, syntax_error
from ..framing import Request
from ..numbers import INT64_MAX, integer_within
from ..replies import array, bulk, bulks
from ..sequence import Sequence
from ..session import Command, Session, read_option
from .lists import pop_some


def _is_left(word: bytes) -> bool:
    if read_option(word) not in (b"left", b"right"):
        raise syntax_error()
    return read_option(word) == b"left"


def _move(session: Session, source: bytes, target: bytes, from_left: bool, to_left: bool) -> bytes:
    space = session.space
    sequence = space.find_as(source, Sequence)
    if sequence is None:
        return session.encoding.null
    space.find_as(target, Sequence)
    element = sequence.pop(from_left)
    if source != target:
        space.note_write(source)
    space.open(target, Sequence).push(element, to_left)
    space.note_write(target)
    return bulk(element)


def _lmove(session: Session, request: Request) -> bytes:
    return _move(session, request[1], request[2], _is_left(request[3]), _is_left(request[4]))


def _rpoplpush(session: Session, request: Request) -> bytes:
    return _move(session, request[1], request[2], from_left=False, to_left=True)


def several_keys(request: Request) -> tuple[Request, bytes, int]:
    """What LMPOP and ZMPOP are given: keys, the word for the end to take from, and how many. Raises Refusal."""
    number = integer_within(request[1], 1, INT64_MAX, error(b"numkeys should be greater than 0"))
    if 2 + number >= len(request):
        raise syntax_error()
    return request[2 : 2 + number], read_option(request[2 + number]), number


def several_count(words: Request) -> int:
    """The COUNT behind the keys of LMPOP and ZMPOP; 1 without one. Raises Refusal."""
    if not words:
        return 1
    if read_option(words[0]) != b"count" or len(words) == 1:
        raise syntax_error()
    count = integer_within(words[1], 1, INT64_MAX, error(b"count should be greater than 0"))
    if len(words) > 2:
        raise syntax_error()
    return count


def _lmpop(session: Session, request: Request) -> bytes:
    keys, where, number = several_keys(request)
    from_left = _is_left(where)
    count = several_count(request[3 + number :])
    for key in keys:
        sequence = session.space.find_as(key, Sequence)
        if sequence is not None:
            return array((bulk(key), bulks(pop_some(session, key, sequence, count, from_left))))
    return session.encoding.null_array


COMMANDS = (
    Command(b"lmove", _lmove, 5),
    Command(b"rpoplpush", _rpoplpush, 3),
    Command(b"lmpop", _lmpop, -4),
)
