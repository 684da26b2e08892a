"""The commands on ranges of one sorted set, by rank, score or member.

Each takes the session and the whole request, and returns the reply.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import reply
from .errors import SYNTAX, Refusal
from .lists import clamped
from .numerals import bound, integer
from .ranking import Entry, MemberBound, SortedSet, skipped
from .session import Arguments, Command, Session, named, read_option

LIMIT_BY_RANK = Refusal(b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
SCORES_BY_MEMBER = Refusal(b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
NOT_MEMBER_RANGE = Refusal(b"ERR min or max not valid string range item")

# Finds the ranks [start, stop) of a sorted set that lie in a range already parsed, without the first so many of them.
Finder = Callable[[SortedSet, int], tuple[int, int]]


@dataclass(slots=True)
class Options:
    """What a range command asks for beside its two ends; `by` and `is_reversed` None: the request may still choose."""

    by: bytes | None
    is_reversed: bool | None
    with_scores: bool = False
    offset: int = 0
    limit: int = -1

    def read(self, words: list[bytes], *, may_score: bool) -> None:
        """Take the request's own options."""
        at = 0
        while at < len(words):
            word = read_option(words[at])
            if word == b"WITHSCORES" and may_score:
                self.with_scores = True
            elif word == b"LIMIT" and at + 2 < len(words):
                self.offset, self.limit = integer(words[at + 1]), integer(words[at + 2])
                at += 2
            elif word == b"REV" and self.is_reversed is None:
                self.is_reversed = True
            elif word in (b"BYLEX", b"BYSCORE") and self.by is None:
                self.by = word
            else:
                raise SYNTAX
            at += 1
        if self.limit != -1 and self.by in (None, b"RANK"):
            raise LIMIT_BY_RANK
        if self.with_scores and self.by == b"BYLEX":
            raise SCORES_BY_MEMBER


def member_bound(word: bytes) -> MemberBound:
    """One end of a range of members: `[a` included, `(a` excluded, `-` or `+` beyond all."""
    if word in (b"-", b"+") or word[:2] in (b"-\0", b"+\0"):  # which is the end of a word in C
        return MemberBound(None, sign=-1 if word[:1] == b"-" else 1)
    if word[:1] not in (b"[", b"("):
        raise NOT_MEMBER_RANGE
    return MemberBound(word[1:], is_excluded=word[:1] == b"(")


def finder(by: bytes | None, low: bytes, high: bytes, *, is_reversed: bool = False) -> Finder:
    """The range from its two ends as a client wrote them; raises the refusal of a malformed end."""
    if by == b"BYSCORE":
        least, most = bound(low), bound(high)
        return lambda ranking, skip: skipped(*ranking.between_scores(least, most), skip, is_reversed=is_reversed)
    if by == b"BYLEX":
        first, last = member_bound(low), member_bound(high)
        return lambda ranking, skip: ranking.between_members(first, last, skip, is_reversed=is_reversed)
    start, end = integer(low), integer(high)
    return lambda ranking, _: _between_ranks(start, end, len(ranking), is_reversed=is_reversed)


def _between_ranks(start: int, end: int, length: int, *, is_reversed: bool) -> tuple[int, int]:
    first, stop = clamped(start, end, length)
    return (length - stop, length - first) if is_reversed else (first, stop)


def _selected(ranking: SortedSet, find: Finder, options: Options) -> list[Entry]:
    if options.offset < 0 and options.by in (b"BYSCORE", b"BYLEX"):
        return []
    start, stop = find(ranking, options.offset)
    count = stop - start if options.limit < 0 else min(stop - start, options.limit)
    if options.is_reversed:
        return ranking.entries[stop - count : stop][::-1]
    return ranking.entries[start : start + count]


def _range(session: Session, arguments: Arguments, options: Options) -> list[Entry]:
    """The entries that [key, one end, other end] and the options select."""
    low, high = arguments[1], arguments[2]
    if options.is_reversed and options.by in (b"BYSCORE", b"BYLEX"):
        low, high = high, low
    find = finder(options.by, low, high, is_reversed=bool(options.is_reversed))
    ranking = session.database.sorted_set(arguments[0])
    return [] if ranking is None else _selected(ranking, find, options)


FIXED: dict[bytes, tuple[bytes | None, bool | None]] = {
    b"zrange": (None, None),
    b"zrevrange": (b"RANK", True),
    b"zrangebyscore": (b"BYSCORE", False),
    b"zrevrangebyscore": (b"BYSCORE", True),
    b"zrangebylex": (b"BYLEX", False),
    b"zrevrangebylex": (b"BYLEX", True),
}


def zrange(session: Session, arguments: Arguments) -> bytes:
    """ZRANGE and its five kin: key, the two ends of the range, options."""
    options = Options(*FIXED[named(arguments)])
    options.read(arguments[4:], may_score=True)
    entries = _range(session, arguments[1:4], options)
    return session.reply.scored(entries) if options.with_scores else reply.bulks([member for _, member in entries])


def zrangestore(session: Session, arguments: Arguments) -> bytes:
    """ZRANGESTORE destination source end end [BYSCORE | BYLEX] [REV] [LIMIT offset count]."""
    options = Options(None, None)
    options.read(arguments[5:], may_score=False)
    entries = _range(session, arguments[2:5], options)
    session.database.replace(arguments[1], SortedSet.of({member: score for score, member in entries}))
    return reply.integer(len(entries))


def _counted(session: Session, key: bytes, find: Finder) -> bytes:
    ranking = session.database.sorted_set(key)
    start, stop = find(ranking, 0) if ranking is not None else (0, 0)
    return reply.integer(stop - start)


def zcount(session: Session, arguments: Arguments) -> bytes:
    """ZCOUNT key min max."""
    return _counted(session, arguments[1], finder(b"BYSCORE", arguments[2], arguments[3]))


def zlexcount(session: Session, arguments: Arguments) -> bytes:
    """ZLEXCOUNT key min max."""
    return _counted(session, arguments[1], finder(b"BYLEX", arguments[2], arguments[3]))


REMOVALS = {b"zremrangebyrank": None, b"zremrangebyscore": b"BYSCORE", b"zremrangebylex": b"BYLEX"}


def zremrange(session: Session, arguments: Arguments) -> bytes:
    """ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX key min max."""
    find = finder(REMOVALS[named(arguments)], arguments[2], arguments[3])
    ranking = session.database.sorted_set(arguments[1])
    if ranking is None:
        return reply.ZERO
    removed = ranking.remove_between(*find(ranking, 0))
    if removed:
        session.database.settle(arguments[1], ranking)
    return reply.integer(len(removed))


COMMANDS = {
    b"ZRANGE": Command(-4, zrange),
    b"ZREVRANGE": Command(-4, zrange),
    b"ZRANGEBYSCORE": Command(-4, zrange),
    b"ZREVRANGEBYSCORE": Command(-4, zrange),
    b"ZRANGEBYLEX": Command(-4, zrange),
    b"ZREVRANGEBYLEX": Command(-4, zrange),
    b"ZRANGESTORE": Command(-5, zrangestore),
    b"ZCOUNT": Command(4, zcount),
    b"ZLEXCOUNT": Command(4, zlexcount),
    b"ZREMRANGEBYRANK": Command(4, zremrange),
    b"ZREMRANGEBYSCORE": Command(4, zremrange),
    b"ZREMRANGEBYLEX": Command(4, zremrange),
}
