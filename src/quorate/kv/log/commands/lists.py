"""Commands on one list; those that take from several are in `list_moves`."""

from itertools import islice

from ..faults import Refusal, error, no_such_key, syntax_error, wrong_arity
from ..framing import Request
from ..numbers import INT64_MAX, INT64_MIN, count_of, integer_of, integer_within
from ..replies import EMPTY_ARRAY, OK, ZERO, array, bulk, bulks, integer
from ..sequence import Sequence
from ..session import Command, Handler, Session, read_option


def _find(session: Session, request: Request) -> Sequence | None:
    return session.space.find_as(request[1], Sequence)


def window(start: int, end: int, length: int) -> tuple[int, int]:
    """The half-open part of `length` places that lies between two places, negative ones counted from the end."""
    start = max(start + length, 0) if start < 0 else start
    end = end + length if end < 0 else end
    stop = min(end + 1, length)
    return (start, stop) if start < stop else (0, 0)


def _push(at_left: bool, must_exist: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        sequence = _find(session, request)
        if sequence is None:
            if must_exist:
                return ZERO
            sequence = session.space.open(request[1], Sequence)
        for element in request[2:]:
            sequence.push(element, at_left)
        session.space.note_write(request[1])
        return integer(len(sequence))

    return run


def pop_some(session: Session, key: bytes, sequence: Sequence, count: int, at_left: bool) -> list[bytes]:
    """Take up to `count` elements from one end."""
    elements = [sequence.pop(at_left) for _ in range(min(count, len(sequence)))]
    session.space.note_write(key)
    return elements


def _pop(name: bytes, at_left: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        if len(request) > 3:
            raise wrong_arity(name)
        count = count_of(request[2]) if len(request) == 3 else None
        sequence = _find(session, request)
        if sequence is None:
            return session.encoding.null if count is None else session.encoding.null_array
        if count is None:
            return bulk(pop_some(session, request[1], sequence, 1, at_left)[0])
        return bulks(pop_some(session, request[1], sequence, count, at_left)) if count else EMPTY_ARRAY

    return run


def _llen(session: Session, request: Request) -> bytes:
    sequence = _find(session, request)
    return integer(0 if sequence is None else len(sequence))


def _lrange(session: Session, request: Request) -> bytes:
    start, end = integer_of(request[2]), integer_of(request[3])
    sequence = _find(session, request)
    if sequence is None:
        return EMPTY_ARRAY
    return bulks(sequence.slice(*window(start, end, len(sequence))))


def _ltrim(session: Session, request: Request) -> bytes:
    start, end = integer_of(request[2]), integer_of(request[3])
    sequence = _find(session, request)
    if sequence is not None:
        sequence.keep(*window(start, end, len(sequence)))
        session.space.note_write(request[1])
    return OK


def _place(sequence: Sequence, text: bytes) -> int | None:
    """The place that an index names, or None when there is none."""
    index = integer_of(text)
    place = index + len(sequence) if index < 0 else index
    return place if 0 <= place < len(sequence) else None


def _lindex(session: Session, request: Request) -> bytes:
    sequence = _find(session, request)
    if sequence is None:
        return session.encoding.null
    place = _place(sequence, request[2])
    return session.encoding.optional(None if place is None else sequence.at(place))


def _lset(session: Session, request: Request) -> bytes:
    sequence = _find(session, request)
    if sequence is None:
        raise no_such_key()
    place = _place(sequence, request[2])
    if place is None:
        raise error(b"index out of range")
    sequence.put(place, request[3])
    session.space.note_write(request[1])
    return OK


def _linsert(session: Session, request: Request) -> bytes:
    where, pivot, element = request[2:]
    if read_option(where) not in (b"before", b"after"):
        raise syntax_error()
    sequence = _find(session, request)
    if sequence is None:
        return ZERO
    place = next((at for at, present in enumerate(sequence.elements()) if present == pivot), None)
    if place is None:
        return integer(-1)
    sequence.insert(place + (read_option(where) == b"after"), element)
    session.space.note_write(request[1])
    return integer(len(sequence))


def _matches(sequence: Sequence, element: bytes, from_right: bool, looked_at_max: int) -> list[int]:
    """The places of equal elements among the first or last `looked_at_max`, in the order of looking."""
    places = range(len(sequence) - 1, -1, -1) if from_right else range(len(sequence))
    return [place for place in islice(places, looked_at_max) if sequence.at(place) == element]


def _lrem(session: Session, request: Request) -> bytes:
    count = integer_of(request[2])
    sequence = _find(session, request)
    if sequence is None:
        return ZERO
    places = _matches(sequence, request[3], count < 0, len(sequence))
    chosen = sorted(places[: abs(count) or None])
    if chosen:
        sequence.remove_at(chosen)
        session.space.note_write(request[1])
    return integer(len(chosen))


def _lpos_options(words: Request) -> tuple[int, int | None, int]:
    rank, count, looked_at_max = 1, None, 0
    for at in range(0, len(words), 2):
        option = read_option(words[at])
        if option not in (b"rank", b"count", b"maxlen") or at + 1 == len(words):
            raise syntax_error()
        if option == b"rank":
            rank = _rank(words[at + 1])
        elif option == b"count":
            count = _bounded(words[at + 1], error(b"COUNT can't be negative"))
        else:
            looked_at_max = _bounded(words[at + 1], error(b"MAXLEN can't be negative"))
    return rank, count, looked_at_max


def _rank(text: bytes) -> int:
    rank = integer_of(text)
    if not rank:
        raise error(
            b"RANK can't be zero: use 1 to start from the first match, 2 from the second "
            b"... or use negative to start from the end of the list"
        )
    # Redis negates it, and the least integer stays negative: then the first match from the right is enough.
    return rank if rank > INT64_MIN else -1


def _bounded(text: bytes, refusal: Refusal) -> int:
    return integer_within(text, 0, INT64_MAX, refusal)


def _lpos(session: Session, request: Request) -> bytes:
    rank, count, looked_at_max = _lpos_options(request[3:])
    sequence = _find(session, request)
    if sequence is None:
        return session.encoding.null if count is None else EMPTY_ARRAY
    looked_at = min(looked_at_max or len(sequence), len(sequence))
    places = _matches(sequence, request[2], rank < 0, looked_at)[abs(rank) - 1 :]
    if count is None:
        return integer(places[0]) if places else session.encoding.null
    return array(map(integer, places[: count or None]))


COMMANDS = (
    Command(b"lpush", _push(at_left=True, must_exist=False), -3),
    Command(b"rpush", _push(at_left=False, must_exist=False), -3),
    Command(b"lpushx", _push(at_left=True, must_exist=True), -3),
    Command(b"rpushx", _push(at_left=False, must_exist=True), -3),
    Command(b"lpop", _pop(b"lpop", at_left=True), -2),
    Command(b"rpop", _pop(b"rpop", at_left=False), -2),
    Command(b"llen", _llen, 2),
    Command(b"lrange", _lrange, 4),
    Command(b"ltrim", _ltrim, 4),
    Command(b"lindex", _lindex, 3),
    Command(b"lset", _lset, 4),
    Command(b"linsert", _linsert, 5),
    Command(b"lrem", _lrem, 4),
    Command(b"lpos", _lpos, -3),
)
