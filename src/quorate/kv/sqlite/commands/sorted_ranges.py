"""Commands on ranges of sorted sets, by rank, by score or by member; SQL finds them in its index."""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

from dataclasses import dataclass
from typing import Protocol

from .. import reply
from ..errors import SYNTAX, CommandError
from ..keyspace import Key
from ..numbers import parse_integer, strtod
from ..registry import Handler, command
from ..schema import SORTED_SET
from ..session import Session, read_option
from .lists import clamp
from .sorted_sets import remove

Pairs = list[tuple[bytes, float]]

NOT_A_SCORE_RANGE = b"ERR min or max is not a float"
NOT_A_MEMBER_RANGE = b"ERR min or max not valid string range item"


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a range is wanted, and from which end; a negative limit wants all."""

    reverse: bool = False
    offset: int = 0
    limit: int = -1

    @property
    def order(self) -> str:
        """The SQL of the order."""
        return "score DESC, member DESC" if self.reverse else "score, member"


class Bounds(Protocol):
    """A range of one kind."""

    def select(self, session: Session, key: Key, window: Window) -> Pairs:
        """The members in range with their scores, in the window's order."""


@dataclass(frozen=True, slots=True)
class RankBounds:
    """From one index to another, both inclusive, negative ones from the end."""

    start: int
    stop: int

    def select(self, session: Session, key: Key, window: Window) -> Pairs:
        """See `Bounds`."""
        first, last = clamp(self.start, self.stop, key.size)
        return session.keys.run(
            f"SELECT member, score FROM scores WHERE key = ? ORDER BY {window.order} LIMIT ? OFFSET ?",
            (key.id, last - first + 1, first),
        ).fetchall()


@dataclass(frozen=True, slots=True)
class ScoreBounds:
    """From one score to another; `condition` is SQL with two places, for low and high."""

    low: float
    high: float
    condition: str

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> "ScoreBounds":
        """Read two limits, an open bracket excludes one; raises `CommandError`."""
        above = ">" if low.startswith(b"(") else ">="
        below = "<" if high.startswith(b"(") else "<="
        return cls(_score_limit(low), _score_limit(high), f"score {above} ? AND score {below} ?")

    def select(self, session: Session, key: Key, window: Window) -> Pairs:
        """See `Bounds`."""
        if window.offset < 0:
            return []
        return session.keys.run(
            f"SELECT member, score FROM scores WHERE key = ? AND {self.condition}"
            f" ORDER BY {window.order} LIMIT ? OFFSET ?",
            (key.id, self.low, self.high, window.limit, window.offset),
        ).fetchall()


def _score_limit(text: bytes) -> float:
    # Redis leaves this to C's strtod, whose text ends at a zero byte.
    value = strtod(text.removeprefix(b"(").split(b"\0", 1)[0])
    if value is None or value != value:
        raise CommandError(NOT_A_SCORE_RANGE)
    return value


@dataclass(frozen=True, slots=True)
class MemberLimit:
    """One end of a range of members: `[a`, `(a`, or beyond all of them (`sign` -1 for `-`, 1 for `+`)."""

    member: bytes
    inclusive: bool
    sign: int = 0

    @classmethod
    def parse(cls, text: bytes) -> "MemberLimit":
        """Read one limit; raises `CommandError`."""
        if text[:1] in (b"(", b"["):
            return cls(text[1:], text[:1] == b"[")
        if text[:1] in (b"-", b"+") and text[1:2] in (b"", b"\0"):
            return cls(b"", True, -1 if text[:1] == b"-" else 1)
        raise CommandError(NOT_A_MEMBER_RANGE)

    def is_below(self, member: bytes) -> bool:
        """Whether `member` is in range, with this as the low end."""
        if self.sign:
            return self.sign < 0
        return member > self.member or (self.inclusive and member == self.member)

    def is_above(self, member: bytes) -> bool:
        """Whether `member` is in range, with this as the high end."""
        if self.sign:
            return self.sign > 0
        return member < self.member or (self.inclusive and member == self.member)

    def condition(self, sign: str, always: int) -> tuple[str, tuple[bytes, ...]]:
        """The same as SQL and its values, for the comparison `sign`; the infinity `always` excludes nothing."""
        if self.sign:
            return ("1" if self.sign == always else "0"), ()
        return f"member {sign}{'=' if self.inclusive else ''} ?", (self.member,)


@dataclass(frozen=True, slots=True)
class MemberBounds:
    """From one member to another, meant for sets in which all scores are equal."""

    low: MemberLimit
    high: MemberLimit

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> "MemberBounds":
        """Read two limits; raises `CommandError`."""
        return cls(MemberLimit.parse(low), MemberLimit.parse(high))

    def select(self, session: Session, key: Key, window: Window) -> Pairs:
        """See `Bounds`."""
        if window.offset < 0:
            return []
        least, most = session.keys.run(
            "SELECT (SELECT min(score) FROM scores WHERE key = ?1), (SELECT max(score) FROM scores WHERE key = ?1)",
            (key.id,),
        ).fetchone()
        if least != most:
            return self._walk(session, key, window)
        above, low = self.low.condition(">", -1)
        below, high = self.high.condition("<", 1)
        return session.keys.run(
            f"SELECT member, score FROM scores WHERE key = ? AND score = ? AND {above} AND {below}"
            f" ORDER BY {window.order} LIMIT ? OFFSET ?",
            (key.id, least, *low, *high, window.limit, window.offset),
        ).fetchall()

    def _walk(self, session: Session, key: Key, window: Window) -> Pairs:
        """With unequal scores the result is unspecified; this is what Redis does with a small set, step by step."""
        rows: Pairs = session.keys.run(
            f"SELECT member, score FROM scores WHERE key = ? ORDER BY {window.order}", (key.id,)
        ).fetchall()
        starts, goes_on = self.low.is_below, self.high.is_above
        first, last = rows[0][0], rows[-1][0]
        if window.reverse:
            starts, goes_on = goes_on, starts
            first, last = last, first
        if self._is_empty() or not self.low.is_below(last) or not self.high.is_above(first):
            return []
        begin = next((at for at, (member, _) in enumerate(rows) if starts(member)), len(rows))
        end = next((at for at, (member, _) in enumerate(rows) if at >= begin and not goes_on(member)), len(rows))
        found = rows[begin:end][window.offset :]
        return found if window.limit < 0 else found[: window.limit]

    def _is_empty(self) -> bool:
        """Whether the limits themselves leave nothing between them."""
        low, high = (self.low.sign, self.low.member), (self.high.sign, self.high.member)
        return low > high or (low == high and not (self.low.inclusive and self.high.inclusive))


# Reading a range's arguments.


@dataclass(slots=True)
class Options:
    """What follows the two limits of a range."""

    by: bytes
    reverse: bool
    scores: bool = False
    offset: int = 0
    limit: int = -1

    def bounds(self, low: bytes, high: bytes) -> Bounds:
        """The range between two limits, given highest first when reversed; raises `CommandError`."""
        if self.limit != -1 and self.by == b"rank":
            text = b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
            raise CommandError(text)
        if self.scores and self.by == b"bylex":
            raise CommandError(b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
        if self.by == b"rank":
            return RankBounds(parse_integer(low), parse_integer(high))
        if self.reverse:
            low, high = high, low
        return ScoreBounds.parse(low, high) if self.by == b"byscore" else MemberBounds.parse(low, high)

    def window(self) -> Window:
        """The part of the range that is wanted."""
        return Window(self.reverse, self.offset, self.limit)


def _options(arguments: list[bytes], by: bytes, reverse: bool | None, may_score: bool) -> Options:
    """Parse options; an empty `by` and a `reverse` of None leave the choice to them."""
    found, at, turned = Options(by, bool(reverse)), 0, reverse is not None
    while at < len(arguments):
        option = read_option(arguments[at])
        if option == b"withscores" and may_score:
            found.scores = True
        elif option == b"limit" and len(arguments) - at > 2:
            found.offset, found.limit = parse_integer(arguments[at + 1]), parse_integer(arguments[at + 2])
            at += 2
        elif option == b"rev" and not turned:
            found.reverse = turned = True
        elif option in (b"bylex", b"byscore") and not found.by:
            found.by = option
        else:
            raise CommandError(SYNTAX)
        at += 1
    found.by = found.by or b"rank"
    return found


def _range_command(name: bytes, by: bytes, reverse: bool | None) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        options = _options(arguments[4:], by, reverse, may_score=True)
        bounds = options.bounds(arguments[2], arguments[3])
        key = session.keys.typed(session.db, arguments[1], SORTED_SET)
        if key is None:
            return reply.EMPTY_ARRAY
        pairs = bounds.select(session, key, options.window())
        if options.scores:
            return reply.scored(session.protocol, pairs, nested=session.protocol == 3)
        return reply.bulks(member for member, _ in pairs)

    return command(name, -4)(handler)


zrange = _range_command(b"zrange", b"", None)
zrevrange = _range_command(b"zrevrange", b"rank", reverse=True)
zrangebyscore = _range_command(b"zrangebyscore", b"byscore", reverse=False)
zrevrangebyscore = _range_command(b"zrevrangebyscore", b"byscore", reverse=True)
zrangebylex = _range_command(b"zrangebylex", b"bylex", reverse=False)
zrevrangebylex = _range_command(b"zrevrangebylex", b"bylex", reverse=True)


@command(b"zrangestore", -5)
def zrangestore(session: Session, arguments: list[bytes]) -> bytes:
    """ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]."""
    options = _options(arguments[5:], b"", None, may_score=False)
    bounds = options.bounds(arguments[3], arguments[4])
    source = session.keys.typed(session.db, arguments[2], SORTED_SET)
    pairs = bounds.select(session, source, options.window()) if source else []
    return store(session, arguments[1], pairs)


def store(session: Session, name: bytes, pairs: Pairs) -> bytes:
    """Make `name` a sorted set of these members, or nothing if there are none; answers how many."""
    if not pairs:
        session.keys.discard(session.db, name)
        return reply.ZERO
    key = session.keys.replace(session.db, name, SORTED_SET, len(pairs))
    rows = [(key.id, member, score) for member, score in pairs]
    session.keys.run_many("INSERT INTO scores VALUES (?, ?, ?)", rows)
    return reply.integer(len(pairs))


@command(b"zcount", 4)
def zcount(session: Session, arguments: list[bytes]) -> bytes:
    """ZCOUNT key min max."""
    bounds = ScoreBounds.parse(arguments[2], arguments[3])
    key = session.keys.typed(session.db, arguments[1], SORTED_SET)
    if key is None:
        return reply.ZERO
    count = session.keys.run(
        f"SELECT count(*) FROM scores WHERE key = ? AND {bounds.condition}", (key.id, bounds.low, bounds.high)
    ).fetchone()[0]
    return reply.integer(count)


@command(b"zlexcount", 4)
def zlexcount(session: Session, arguments: list[bytes]) -> bytes:
    """ZLEXCOUNT key min max."""
    bounds = MemberBounds.parse(arguments[2], arguments[3])
    key = session.keys.typed(session.db, arguments[1], SORTED_SET)
    return reply.integer(len(bounds.select(session, key, Window())) if key else 0)


def _remove_command(name: bytes, by: bytes) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        bounds = Options(by, reverse=False).bounds(arguments[2], arguments[3])
        key = session.keys.typed(session.db, arguments[1], SORTED_SET)
        if key is None:
            return reply.ZERO
        pairs = bounds.select(session, key, Window())
        return reply.integer(remove(session, key, [member for member, _ in pairs]))

    return command(name, 4)(handler)


zremrangebyrank = _remove_command(b"zremrangebyrank", b"rank")
zremrangebyscore = _remove_command(b"zremrangebyscore", b"byscore")
zremrangebylex = _remove_command(b"zremrangebylex", b"bylex")
