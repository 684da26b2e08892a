"""Unions, intersections and differences of sorted sets and plain sets.

Scores are summed in the order in which Redis sums them, the smaller operand first: floating-point sums depend on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan

from ..faults import WrongKind, error, syntax_error
from ..framing import Request
from ..numbers import INT64_MAX, float_of, integer_of, integer_within
from ..ranking import Ranking
from ..replies import bulks, integer
from ..session import Command, Handler, Session, read_option
from ..values import Members
from .ranking_ranges import store
from .rankings import pairs_reply

Operand = Ranking | Members | None


@dataclass(slots=True)
class _Combination:
    """What one of these commands was asked."""

    operation: bytes
    operands: list[Operand]
    weights: list[float] = field(default_factory=list)
    aggregate: bytes = b"sum"
    with_scores: bool = False
    limit: int = 0

    def result(self) -> dict[bytes, float]:
        """The members that come of it, with their scores."""
        if self.operation == b"diff":
            return self._difference()
        # Sorting is stable, as Redis's is: equally large operands stay in the order they were named.
        weighed = sorted(zip(self.operands, self.weights, strict=True), key=lambda pair: _size(pair[0]))
        return self._union(weighed) if self.operation == b"union" else self._intersection(weighed)

    def _union(self, weighed: list[tuple[Operand, float]]) -> dict[bytes, float]:
        scores: dict[bytes, float] = {}
        for operand, weight in weighed:
            for member, score in _scores(operand):
                value = _zero_if_nan(weight * score)
                scores[member] = self._join(scores[member], value) if member in scores else value
        return scores

    def _intersection(self, weighed: list[tuple[Operand, float]]) -> dict[bytes, float]:
        (smallest, weight), *others = weighed
        scores: dict[bytes, float] = {}
        for member, score in _scores(smallest):
            total = _zero_if_nan(weight * score)
            for operand, other_weight in others:
                value = _score(operand, member)
                if value is None:
                    break
                total = self._join(total, value * other_weight)
            else:
                scores[member] = total
        return scores

    def _difference(self) -> dict[bytes, float]:
        first, *others = self.operands
        return {
            member: score for member, score in _scores(first) if all(_score(other, member) is None for other in others)
        }

    def _join(self, left: float, right: float) -> float:
        if self.aggregate == b"sum":
            return _zero_if_nan(left + right)
        if self.aggregate == b"min":
            return min(left, right)
        return max(left, right)


def _zero_if_nan(number: float) -> float:
    return 0.0 if isnan(number) else number


def _size(operand: Operand) -> int:
    return 0 if operand is None else len(operand)


def _scores(operand: Operand) -> Iterator[tuple[bytes, float]]:
    """Members and scores; a plain set's members score one."""
    if isinstance(operand, Ranking):
        return ((member, score) for score, member in operand.order)
    return ((member, 1.0) for member in operand or ())


def _score(operand: Operand, member: bytes) -> float | None:
    if isinstance(operand, Ranking):
        return operand.score(member)
    return 1.0 if operand is not None and member in operand else None


def _operand(session: Session, key: bytes) -> Operand:
    value = session.space.find(key)
    if value is None or isinstance(value, Ranking | Members):
        return value
    raise WrongKind


def _parse(session: Session, words: Request, name: bytes, is_stored: bool) -> _Combination:
    """Read what stands from the number of keys on. Raises Refusal."""
    number = integer_of(words[0])
    if number < 1:
        raise error(b"at least 1 input key is needed for '%b' command" % name)
    if number > len(words) - 1:
        raise syntax_error()
    operation = name.removeprefix(b"z").removesuffix(b"store")
    operands = [_operand(session, key) for key in words[1 : 1 + number]]
    combination = _Combination(operation, operands, [1.0] * number)
    rest = words[1 + number :]
    while rest:
        rest = rest[_parse_option(combination, rest, is_stored) :]
    return combination


def _parse_option(combination: _Combination, rest: Request, is_stored: bool) -> int:
    """Read one option; returns how many words it took. Raises Refusal."""
    option = read_option(rest[0])
    is_card = combination.operation == b"intercard"
    is_weighed = combination.operation in (b"union", b"inter")
    number = len(combination.operands)
    if is_weighed and option == b"weights" and len(rest) > number:
        refusal = error(b"weight value is not a float")
        combination.weights = [float_of(text, refusal) for text in rest[1 : 1 + number]]
        return 1 + number
    if is_weighed and option == b"aggregate" and len(rest) > 1:
        combination.aggregate = read_option(rest[1])
        if combination.aggregate not in (b"sum", b"min", b"max"):
            raise syntax_error()
        return 2
    if option == b"withscores" and not is_stored and not is_card:
        combination.with_scores = True
        return 1
    if is_card and option == b"limit" and len(rest) > 1:
        combination.limit = integer_within(rest[1], 0, INT64_MAX, error(b"LIMIT can't be negative"))
        return 2
    raise syntax_error()


def _combined(name: bytes) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        combination = _parse(session, request[1:], name, is_stored=False)
        ranked = sorted((score, member) for member, score in combination.result().items())
        if not combination.with_scores:
            return bulks(member for _, member in ranked)
        return pairs_reply(session.encoding, ranked, nested=session.encoding.version == 3)

    return run


def _stored(name: bytes) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        return store(session, request[1], _parse(session, request[2:], name, is_stored=True).result())

    return run


def _zintercard(session: Session, request: Request) -> bytes:
    combination = _parse(session, request[1:], b"zintercard", is_stored=False)
    size = len(combination.result())
    return integer(min(size, combination.limit or size))


COMMANDS = (
    Command(b"zunion", _combined(b"zunion"), -3),
    Command(b"zinter", _combined(b"zinter"), -3),
    Command(b"zdiff", _combined(b"zdiff"), -3),
    Command(b"zunionstore", _stored(b"zunionstore"), -4),
    Command(b"zinterstore", _stored(b"zinterstore"), -4),
    Command(b"zdiffstore", _stored(b"zdiffstore"), -4),
    Command(b"zintercard", _zintercard, -3),
)
