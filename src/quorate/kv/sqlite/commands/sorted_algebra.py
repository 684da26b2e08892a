"""Union, intersection and difference of sorted sets, in which plain sets take part with a score of one.

Scores are added up here and not by SQL: the order of additions decides the last bit, and must be Redis's own, from the
smallest set to the largest.
"""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import reply
from ..errors import LIMIT, SYNTAX, WRONG_TYPE, CommandError
from ..keyspace import Key
from ..numbers import parse_double, parse_integer, parse_positive
from ..registry import Handler, command
from ..schema import SET, SORTED_SET
from ..session import Session, read_option
from .sorted_ranges import Pairs, store


def _sum(total: float, score: float) -> float:
    added = total + score
    return added if added == added else 0.0


# Of a number and a NaN, min and max keep the first one, as C's comparison does.
AGGREGATES: dict[bytes, Callable[[float, float], float]] = {b"sum": _sum, b"min": min, b"max": max}


@dataclass(slots=True)
class Source:
    """One of the sets, missing or not, and the weight of its scores."""

    key: Key | None
    weight: float = 1.0

    @property
    def size(self) -> int:
        """How many members it has."""
        return self.key.size if self.key else 0

    def scores(self, session: Session) -> dict[bytes, float]:
        """Its members with their weighted scores, which may be NaN."""
        if self.key is None:
            return {}
        table, score = ("members", "1.0") if self.key.kind == SET else ("scores", "score")
        rows = session.keys.run(f"SELECT member, {score} FROM {table} WHERE key = ?", (self.key.id,))
        return {member: value * self.weight for member, value in rows}


@dataclass(slots=True)
class Request:
    """The parsed arguments of one operation."""

    sources: list[Source]
    aggregate: Callable[[float, float], float] = field(default=_sum)
    scores: bool = False
    limit: int = 0


Operation = Callable[[Session, Request], dict[bytes, float]]


def _union(session: Session, request: Request) -> dict[bytes, float]:
    totals: dict[bytes, float] = {}
    for source in sorted(request.sources, key=lambda source: source.size):
        for member, score in source.scores(session).items():
            number = score if score == score else 0.0
            totals[member] = request.aggregate(totals[member], number) if member in totals else number
    return totals


def _intersection(session: Session, request: Request) -> dict[bytes, float]:
    smallest, *others = sorted(request.sources, key=lambda source: source.size)
    totals = {member: score if score == score else 0.0 for member, score in smallest.scores(session).items()}
    for source in others:
        scores = source.scores(session) if totals else {}
        totals = {
            member: request.aggregate(total, scores[member]) for member, total in totals.items() if member in scores
        }
    return totals


def _difference(session: Session, request: Request) -> dict[bytes, float]:
    first, *others = (source.key for source in request.sources)
    if first is None:
        return {}
    table, score = ("members", "1.0") if first.kind == SET else ("scores", "score")
    rows = session.keys.run(
        f"SELECT member, {score} FROM {table} AS m WHERE key = ? AND NOT EXISTS (SELECT 1 FROM json_each(?) AS other"
        " WHERE EXISTS (SELECT 1 FROM members WHERE key = other.value AND member = m.member)"
        " OR EXISTS (SELECT 1 FROM scores WHERE key = other.value AND member = m.member))",
        (first.id, json.dumps([key.id for key in others if key is not None])),
    )
    return dict(rows)


def _sources(session: Session, arguments: list[bytes], name: bytes) -> tuple[list[Source], list[bytes]]:
    """The sets after a leading count, and the arguments behind them; raises `CommandError`."""
    count = parse_integer(arguments[0])
    if count < 1:
        raise CommandError(b"ERR at least 1 input key is needed for '%s' command" % name)
    if count > len(arguments) - 1:
        raise CommandError(SYNTAX)
    keys = [session.keys.find(session.db, each) for each in arguments[1 : count + 1]]
    if any(key is not None and key.kind not in (SET, SORTED_SET) for key in keys):
        raise CommandError(WRONG_TYPE)
    return [Source(key) for key in keys], arguments[count + 1 :]


def _parse(session: Session, arguments: list[bytes], name: bytes, allowed: tuple[bytes, ...]) -> Request:
    sources, options = _sources(session, arguments, name)
    request = Request(sources)
    while options:
        option = read_option(options[0])
        if option not in allowed:
            raise CommandError(SYNTAX)
        used = _option(request, option, options[1:])
        options = options[1 + used :]
    return request


def _option(request: Request, option: bytes, values: list[bytes]) -> int:
    """Take one option's values into the request; returns how many they were; raises `CommandError`."""
    if option == b"withscores":
        request.scores = True
        return 0
    if option == b"weights" and len(values) >= len(request.sources):
        for source, text in zip(request.sources, values, strict=False):
            source.weight = parse_double(text, b"ERR weight value is not a float")
        return len(request.sources)
    if option == b"aggregate" and values and read_option(values[0]) in AGGREGATES:
        request.aggregate = AGGREGATES[read_option(values[0])]
        return 1
    if option == b"limit" and values:
        request.limit = parse_positive(values[0], LIMIT)
        return 1
    raise CommandError(SYNTAX)


def _in_order(totals: dict[bytes, float]) -> Pairs:
    return sorted(totals.items(), key=lambda pair: (pair[1], pair[0]))


def _show_command(name: bytes, operation: Operation, allowed: tuple[bytes, ...]) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        request = _parse(session, arguments[1:], name, allowed)
        pairs = _in_order(operation(session, request))
        if request.scores:
            return reply.scored(session.protocol, pairs, nested=session.protocol == 3)
        return reply.bulks(member for member, _ in pairs)

    return command(name, -3)(handler)


def _store_command(name: bytes, operation: Operation, allowed: tuple[bytes, ...]) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        request = _parse(session, arguments[2:], name, allowed)
        return store(session, arguments[1], _in_order(operation(session, request)))

    return command(name, -4)(handler)


zunion = _show_command(b"zunion", _union, (b"weights", b"aggregate", b"withscores"))
zinter = _show_command(b"zinter", _intersection, (b"weights", b"aggregate", b"withscores"))
zdiff = _show_command(b"zdiff", _difference, (b"withscores",))
zunionstore = _store_command(b"zunionstore", _union, (b"weights", b"aggregate"))
zinterstore = _store_command(b"zinterstore", _intersection, (b"weights", b"aggregate"))
zdiffstore = _store_command(b"zdiffstore", _difference, ())


@command(b"zintercard", -3)
def zintercard(session: Session, arguments: list[bytes]) -> bytes:
    """ZINTERCARD numkeys key [key ...] [LIMIT limit]."""
    request = _parse(session, arguments[1:], b"zintercard", (b"limit",))
    count = len(_intersection(session, request))
    return reply.integer(min(count, request.limit or count))
