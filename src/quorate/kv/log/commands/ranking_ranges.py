"""Commands on ranges of sorted sets: by rank, by score, by member.

A range is first found as two places in the order.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..faults import error, syntax_error
from ..framing import Request
from ..numbers import bound_of, integer_of
from ..ranking import Ranked, Ranking
from ..replies import EMPTY_ARRAY, ZERO, bulks, integer
from ..session import Command, Handler, Session, read_option
from .lists import window
from .rankings import find, pairs_reply

Places = tuple[int, int]
# From a sorted set to the half-open places of the range in it, less the `offset` first ones as seen from the end that
# is looked at first: the highest when `backwards`.
Range = Callable[[Ranking, bool, int], Places]


def _by_rank(least: bytes, most: bytes) -> Range:
    start, end = integer_of(least), integer_of(most)

    def places(ranking: Ranking, backwards: bool, offset: int) -> Places:
        length = len(ranking)
        first, stop = window(start, end, length)
        return (length - stop, length - first) if backwards else (first, stop)

    return places


def _by_score(least: bytes, most: bytes) -> Range:
    lower, upper = bound_of(least), bound_of(most)
    if lower is None or upper is None:
        raise error(b"min or max is not a float")

    def places(ranking: Ranking, backwards: bool, offset: int) -> Places:
        first = ranking.first_from(lower[0], excluding=lower[1])
        stop = ranking.first_from(upper[0], excluding=not upper[1])
        if backwards:
            return first, max(first, stop - offset)
        return first + offset, max(first + offset, stop)

    return places


@dataclass(frozen=True, slots=True)
class _MemberBound:
    """A bound of a range by member: `-` and `+` are before and behind all (`beyond` -1 and 1), else a text."""

    beyond: int
    member: bytes = b""
    excluded: bool = False

    def is_not_above(self, member: bytes) -> bool:
        """Whether this, as the lower bound, admits the member."""
        if self.beyond:
            return self.beyond < 0
        return member > self.member if self.excluded else member >= self.member

    def is_not_below(self, member: bytes) -> bool:
        """Whether this, as the upper bound, admits the member."""
        if self.beyond:
            return self.beyond > 0
        return member < self.member if self.excluded else member <= self.member

    def is_below(self, other: "_MemberBound") -> bool:
        """Whether members can lie between this lower and the other upper bound."""
        if self.beyond or other.beyond:
            return self.beyond < other.beyond
        if self.member == other.member:
            return not (self.excluded or other.excluded)
        return self.member < other.member


def _member_bound(text: bytes) -> _MemberBound:
    # Redis looks for the end of the text as C does, at a zero byte.
    if text[:1] in (b"-", b"+") and text[1:2] in (b"", b"\0"):
        return _MemberBound(-1 if text[:1] == b"-" else 1)
    if text[:1] not in (b"[", b"("):
        raise error(b"min or max not valid string range item")
    return _MemberBound(0, text[1:], text[:1] == b"(")


def _by_member(least: bytes, most: bytes) -> Range:
    lower, upper = _member_bound(least), _member_bound(most)

    def places(ranking: Ranking, backwards: bool, offset: int) -> Places:
        order = ranking.order
        if not order or not lower.is_below(upper):
            return 0, 0
        if not lower.is_not_above(order[-1][1]) or not upper.is_not_below(order[0][1]):
            return 0, 0
        near, far = (upper.is_not_below, lower.is_not_above) if backwards else (lower.is_not_above, upper.is_not_below)
        distances = _walk([member for _, member in (reversed(order) if backwards else order)], near, far, offset)
        return (len(order) - distances[1], len(order) - distances[0]) if backwards else distances

    return places


def _walk(members: list[bytes], near: Callable[[bytes], bool], far: Callable[[bytes], bool], offset: int) -> Places:
    """What Redis does for a range by member, also where scores differ, which gives such a range no meaning.

    It looks for the first member that the near bound admits, which the far bound must admit too; goes on by `offset`
    without looking; and takes members for as long as the far bound admits them.
    """
    first = next((at for at, member in enumerate(members) if near(member)), len(members))
    if first == len(members) or not far(members[first]):
        return 0, 0
    first = min(first + offset, len(members))
    return first, next((at for at in range(first, len(members)) if not far(members[at])), len(members))


_RANGES = {b"rank": _by_rank, b"score": _by_score, b"lex": _by_member}


@dataclass(slots=True)
class _Query:
    """What ZRANGE and its older spellings were asked; `by` and `backwards` are None until something says them."""

    by: bytes | None
    backwards: bool | None
    with_scores: bool = False
    offset: int = 0
    limit: int = -1

    def parse(self, words: Request, is_stored: bool) -> None:
        """Read the options behind the range. Raises Refusal."""
        at = 0
        by, backwards = self.by, self.backwards
        while at < len(words):
            word = read_option(words[at])
            if word == b"withscores" and not is_stored:
                self.with_scores = True
            elif word == b"limit" and at + 2 < len(words):
                self.offset, self.limit = integer_of(words[at + 1]), integer_of(words[at + 2])
                at += 2
            elif word == b"rev" and backwards is None and self.backwards is None:
                self.backwards = True
            elif word in (b"byscore", b"bylex") and by is None and self.by is None:
                self.by = word.removeprefix(b"by")
            else:
                raise syntax_error()
            at += 1
        self._check()

    def _check(self) -> None:
        if self.limit != -1 and self.by in (None, b"rank"):
            raise error(b"syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        if self.with_scores and self.by == b"lex":
            raise error(b"syntax error, WITHSCORES not supported in combination with BYLEX")

    def range(self, first: bytes, second: bytes) -> Range:
        """The range between two texts, which stand the other way round when a range of values goes backwards."""
        by = self.by or b"rank"
        if self.backwards and by != b"rank":
            first, second = second, first
        return _RANGES[by](first, second)

    def select(self, ranking: Ranking, chosen: Range) -> list[Ranked]:
        """The members of the range, in the order asked for, within offset and limit."""
        if self.offset < 0 and self.by not in (None, b"rank"):
            return []
        start, stop = chosen(ranking, bool(self.backwards), self.offset)
        if 0 <= self.limit < stop - start:
            start, stop = (stop - self.limit, stop) if self.backwards else (start, start + self.limit)
        found = ranking.order[start:stop]
        return found[::-1] if self.backwards else found


def _ranged(by: bytes | None, backwards: bool | None) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        query = _Query(by, backwards)
        query.parse(request[4:], is_stored=False)
        chosen = query.range(request[2], request[3])
        ranking = find(session, request[1])
        if ranking is None:
            return EMPTY_ARRAY
        found = query.select(ranking, chosen)
        if not query.with_scores:
            return bulks(member for _, member in found)
        return pairs_reply(session.encoding, found, nested=session.encoding.version == 3)

    return run


def store(session: Session, key: bytes, scores: dict[bytes, float]) -> bytes:
    """Make the key a sorted set of these scores, or nothing when there are none; replies how many."""
    if scores:
        session.space.put(key, Ranking(session.index.log, scores))
    else:
        session.space.remove(key)
    return integer(len(scores))


def _zrangestore(session: Session, request: Request) -> bytes:
    query = _Query(None, None)
    query.parse(request[5:], is_stored=True)
    chosen = query.range(request[3], request[4])
    ranking = find(session, request[2])
    found = [] if ranking is None else query.select(ranking, chosen)
    return store(session, request[1], {member: score for score, member in found})


def _counted(by: bytes) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        chosen = _RANGES[by](request[2], request[3])
        ranking = find(session, request[1])
        if ranking is None:
            return ZERO
        start, stop = chosen(ranking, False, 0)
        return integer(stop - start)

    return run


def _removed(by: bytes) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        chosen = _RANGES[by](request[2], request[3])
        ranking = find(session, request[1])
        removed = [] if ranking is None else ranking.remove_between(*chosen(ranking, False, 0))
        if removed:
            session.space.note_write(request[1])
        return integer(len(removed))

    return run


COMMANDS = (
    Command(b"zrange", _ranged(None, None), -4),
    Command(b"zrangebyscore", _ranged(b"score", False), -4),
    Command(b"zrevrangebyscore", _ranged(b"score", True), -4),
    Command(b"zrevrange", _ranged(b"rank", True), -4),
    Command(b"zrangebylex", _ranged(b"lex", False), -4),
    Command(b"zrevrangebylex", _ranged(b"lex", True), -4),
    Command(b"zrangestore", _zrangestore, -5),
    Command(b"zcount", _counted(b"score"), 4),
    Command(b"zlexcount", _counted(b"lex"), 4),
    Command(b"zremrangebyrank", _removed(b"rank"), 4),
    Command(b"zremrangebyscore", _removed(b"score"), 4),
    Command(b"zremrangebylex", _removed(b"lex"), 4),
)
