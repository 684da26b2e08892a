"""Commands on single members of sorted sets, and those that take the lowest or highest."""

from dataclasses import dataclass
from math import isnan

from ..faults import error, syntax_error
from ..framing import Request
from ..numbers import count_of, float_of
from ..ranking import Ranked, Ranking
from ..replies import EMPTY_ARRAY, ZERO, Encoding, array, bulk, integer
from ..session import Command, Handler, Session, read_option
from .list_moves import several_count, several_keys

_ZADD_OPTIONS = frozenset((b"nx", b"xx", b"gt", b"lt", b"ch", b"incr"))


def find(session: Session, key: bytes) -> Ranking | None:
    """The sorted set at the key, or None. Raises WrongKind."""
    return session.space.find_as(key, Ranking)


@dataclass(slots=True)
class _Addition:
    """What one ZADD does, and what came of it."""

    options: set[bytes]
    added: int = 0
    updated: int = 0
    last_score: float | None = None

    def apply(self, ranking: Ranking, score: float, member: bytes) -> None:
        """Add or move one member as the options allow; `last_score` is its score, or None when nothing was allowed."""
        self.last_score = None
        present = ranking.score(member)
        if present is None:
            if b"xx" not in self.options:
                ranking.put(member, score)
                self.added += 1
                self.last_score = score
            return
        if b"nx" in self.options:
            return
        if b"incr" in self.options:
            score += present
        if isnan(score):
            raise error(b"resulting score is not a number (NaN)")
        if (b"lt" in self.options and score >= present) or (b"gt" in self.options and score <= present):
            return
        self.last_score = score
        if score != present:
            ranking.put(member, score)
            self.updated += 1


def _zadd_options(words: Request, options: set[bytes]) -> Request:
    """Take the options off the front; returns scores and members. Raises Refusal."""
    at = 0
    while at < len(words) and read_option(words[at]) in _ZADD_OPTIONS:
        options.add(read_option(words[at]))
        at += 1
    pairs = words[at:]
    if not pairs or len(pairs) % 2:
        raise syntax_error()
    if {b"nx", b"xx"} <= options:
        raise error(b"XX and NX options at the same time are not compatible")
    if len(options & {b"nx", b"gt", b"lt"}) > 1:
        raise error(b"GT, LT, and/or NX options at the same time are not compatible")
    if b"incr" in options and len(pairs) > 2:
        raise error(b"INCR option supports a single increment-element pair")
    return pairs


def _add(session: Session, request: Request, options: set[bytes]) -> bytes:
    key = request[1]
    pairs = _zadd_options(request[2:], options)
    scores = [float_of(text, error(b"value is not a valid float")) for text in pairs[::2]]
    addition = _Addition(options)
    if find(session, key) is not None or b"xx" not in options:
        ranking = session.space.open(key, Ranking)
        for score, member in zip(scores, pairs[1::2], strict=True):
            addition.apply(ranking, score, member)
        if addition.added or addition.updated or ranking.is_void:
            session.space.note_write(key)
    if b"incr" in options:
        last = addition.last_score
        return session.encoding.null if last is None else session.encoding.double(last)
    return integer(addition.added + (addition.updated if b"ch" in options else 0))


def _zadd(session: Session, request: Request) -> bytes:
    return _add(session, request, set())


def _zincrby(session: Session, request: Request) -> bytes:
    return _add(session, request, {b"incr"})


def _zrem(session: Session, request: Request) -> bytes:
    ranking = find(session, request[1])
    removed = 0 if ranking is None else sum(map(ranking.remove, request[2:]))
    if removed:
        session.space.note_write(request[1])
    return integer(removed)


def _score(encoding: Encoding, ranking: Ranking | None, member: bytes) -> bytes:
    score = None if ranking is None else ranking.score(member)
    return encoding.null if score is None else encoding.double(score)


def _zscore(session: Session, request: Request) -> bytes:
    return _score(session.encoding, find(session, request[1]), request[2])


def _zmscore(session: Session, request: Request) -> bytes:
    ranking = find(session, request[1])
    return array(_score(session.encoding, ranking, member) for member in request[2:])


def _zcard(session: Session, request: Request) -> bytes:
    ranking = find(session, request[1])
    return ZERO if ranking is None else integer(len(ranking))


def _rank(from_highest: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        ranking = find(session, request[1])
        rank = None if ranking is None else ranking.rank(request[2])
        if ranking is None or rank is None:
            return session.encoding.null
        return integer(len(ranking) - 1 - rank if from_highest else rank)

    return run


def pairs_reply(encoding: Encoding, ranked: list[Ranked], nested: bool) -> bytes:
    """Members with their scores, each pair an array of its own when `nested`."""
    pairs = [(bulk(member), encoding.double(score)) for score, member in ranked]
    return array(map(array, pairs)) if nested else array(part for pair in pairs for part in pair)


def _take(session: Session, key: bytes, ranking: Ranking, count: int, highest: bool) -> list[Ranked]:
    length = len(ranking)
    taken = ranking.remove_between(max(length - count, 0), length) if highest else ranking.remove_between(0, count)
    session.space.note_write(key)
    return taken[::-1] if highest else taken


def _pop(highest: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        if len(request) > 3:
            raise syntax_error()
        count = count_of(request[2]) if len(request) == 3 else None
        ranking = find(session, request[1])
        if ranking is None or count == 0:
            return EMPTY_ARRAY
        taken = _take(session, request[1], ranking, 1 if count is None else count, highest)
        return pairs_reply(session.encoding, taken, nested=session.encoding.version == 3 and count is not None)

    return run


def _zmpop(session: Session, request: Request) -> bytes:
    keys, where, number = several_keys(request)
    if where not in (b"min", b"max"):
        raise syntax_error()
    count = several_count(request[3 + number :])
    for key in keys:
        ranking = find(session, key)
        if ranking is not None:
            taken = _take(session, key, ranking, count, highest=where == b"max")
            return array((bulk(key), pairs_reply(session.encoding, taken, nested=True)))
    return session.encoding.null_array


COMMANDS = (
    Command(b"zadd", _zadd, -4),
    Command(b"zincrby", _zincrby, 4),
    Command(b"zrem", _zrem, -3),
    Command(b"zscore", _zscore, 3),
    Command(b"zmscore", _zmscore, -3),
    Command(b"zcard", _zcard, 2),
    Command(b"zrank", _rank(from_highest=False), 3),
    Command(b"zrevrank", _rank(from_highest=True), 3),
    Command(b"zpopmin", _pop(highest=False), -2),
    Command(b"zpopmax", _pop(highest=True), -2),
    Command(b"zmpop", _zmpop, -4),
)
