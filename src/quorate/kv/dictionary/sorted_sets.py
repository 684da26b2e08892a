"""The commands on one sorted set's members. Each takes the session and the whole request, and returns the reply."""

from math import isnan

from . import reply
from .errors import SYNTAX, Refusal
from .lists import many_keys
from .numerals import double, positive
from .ranking import Entry, SortedSet
from .session import Arguments, Command, Session, named, read_option

OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))
NX_AND_XX = Refusal(b"ERR XX and NX options at the same time are not compatible")
GT_LT_NX = Refusal(b"ERR GT, LT, and/or NX options at the same time are not compatible")
ONE_INCREMENT = Refusal(b"ERR INCR option supports a single increment-element pair")
SCORE_NAN = Refusal(b"ERR resulting score is not a number (NaN)")


def _parsed(arguments: Arguments, options: set[bytes]) -> list[Entry]:
    """The scores and members of ZADD; adds to `options` those that stand before them."""
    at = 2
    while at < len(arguments) and read_option(arguments[at]) in OPTIONS:
        options.add(read_option(arguments[at]))
        at += 1
    words = arguments[at:]
    if not words or len(words) % 2:
        raise SYNTAX
    if {b"NX", b"XX"} <= options:
        raise NX_AND_XX
    if len(options & {b"GT", b"LT", b"NX"}) > 1:
        raise GT_LT_NX
    if b"INCR" in options and len(words) > 2:
        raise ONE_INCREMENT
    return [(double(words[at]), words[at + 1]) for at in range(0, len(words), 2)]


def _is_allowed(options: set[bytes], former: float | None, score: float) -> bool:
    if former is None:
        return b"XX" not in options
    if b"NX" in options or (b"LT" in options and score >= former):
        return False
    return not (b"GT" in options and score <= former)


def _added(session: Session, arguments: Arguments, options: set[bytes]) -> bytes:
    pairs = _parsed(arguments, options)
    ranking = session.database.sorted_set(arguments[1])
    ranking = SortedSet() if ranking is None else ranking
    added = updated = 0
    last: float | None = None
    for score, member in pairs:
        former = ranking.scores.get(member)
        if b"INCR" in options and former is not None and b"NX" not in options:
            score += former
            if isnan(score):
                raise SCORE_NAN
        if _is_allowed(options, former, score):
            last = score
            if former != score:
                ranking.add(member, score)
            added += former is None
            updated += former is not None and former != score
    if added or updated:
        session.database.change(arguments[1], ranking)
    if b"INCR" in options:
        return session.reply.null if last is None else session.reply.double(last)
    return reply.integer(added + updated if b"CH" in options else added)


def zadd(session: Session, arguments: Arguments) -> bytes:
    """ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member…."""
    return _added(session, arguments, set())


def zincrby(session: Session, arguments: Arguments) -> bytes:
    """ZINCRBY key amount member."""
    return _added(session, arguments, {b"INCR"})


def zrem(session: Session, arguments: Arguments) -> bytes:
    """ZREM key member…."""
    ranking = session.database.sorted_set(arguments[1])
    if ranking is None:
        return reply.ZERO
    removed = sum([ranking.remove(member) for member in arguments[2:]])
    if removed:
        session.database.settle(arguments[1], ranking)
    return reply.integer(removed)


def zscore(session: Session, arguments: Arguments) -> bytes:
    """ZSCORE key member."""
    return _shown_scores(session, arguments[1], arguments[2:])[0]


def zmscore(session: Session, arguments: Arguments) -> bytes:
    """ZMSCORE key member…."""
    return reply.array(_shown_scores(session, arguments[1], arguments[2:]))


def _shown_scores(session: Session, key: bytes, members: list[bytes]) -> list[bytes]:
    ranking = session.database.sorted_set(key)
    scores = [ranking.scores.get(member) if ranking else None for member in members]
    return [session.reply.null if score is None else session.reply.double(score) for score in scores]


def zcard(session: Session, arguments: Arguments) -> bytes:
    """ZCARD key."""
    return reply.integer(len(session.database.sorted_set(arguments[1]) or ()))


def zrank(session: Session, arguments: Arguments) -> bytes:
    """ZRANK and ZREVRANK key member."""
    ranking = session.database.sorted_set(arguments[1])
    rank = ranking.rank(arguments[2]) if ranking is not None else None
    if ranking is None or rank is None:
        return session.reply.null
    return reply.integer(len(ranking) - 1 - rank if named(arguments) == b"zrevrank" else rank)


def _popped(ranking: SortedSet, count: int, *, is_least: bool) -> list[Entry]:
    length = len(ranking)
    if is_least:
        return ranking.remove_between(0, min(count, length))
    return ranking.remove_between(max(length - count, 0), length)[::-1]


def zpop(session: Session, arguments: Arguments) -> bytes:
    """ZPOPMIN and ZPOPMAX key [count]."""
    if len(arguments) > 3:
        raise SYNTAX
    count = positive(arguments[2]) if len(arguments) == 3 else 1
    ranking = session.database.sorted_set(arguments[1])
    if ranking is None or count == 0:
        return reply.EMPTY_ARRAY
    entries = _popped(ranking, count, is_least=named(arguments) == b"zpopmin")
    session.database.settle(arguments[1], ranking)
    if len(arguments) == 3:
        return session.reply.scored(entries)
    ((score, member),) = entries
    return reply.array([reply.bulk(member), session.reply.double(score)])


def zmpop(session: Session, arguments: Arguments) -> bytes:
    """ZMPOP numkeys key… MIN | MAX [COUNT count]."""
    keys, is_least, count = many_keys(arguments, (b"MIN", b"MAX"))
    for key in keys:
        ranking = session.database.sorted_set(key)
        if ranking is not None:
            entries = _popped(ranking, count, is_least=is_least)
            session.database.settle(key, ranking)
            shown = [reply.array([reply.bulk(member), session.reply.double(score)]) for score, member in entries]
            return reply.array([reply.bulk(key), reply.array(shown)])
    return session.reply.null_array


COMMANDS = {
    b"ZADD": Command(-4, zadd),
    b"ZINCRBY": Command(4, zincrby),
    b"ZREM": Command(-3, zrem),
    b"ZSCORE": Command(3, zscore),
    b"ZMSCORE": Command(-3, zmscore),
    b"ZCARD": Command(2, zcard),
    b"ZRANK": Command(3, zrank),
    b"ZREVRANK": Command(3, zrank),
    b"ZPOPMIN": Command(-2, zpop),
    b"ZPOPMAX": Command(-2, zpop),
    b"ZMPOP": Command(-4, zmpop),
}
