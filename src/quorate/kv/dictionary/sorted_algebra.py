"""Unions, intersections and differences of sorted sets and sets. A plain set's members all score 1.

Each command takes the session and the whole request, and returns the reply.
"""

from dataclasses import dataclass
from math import isnan

from . import reply
from .errors import SYNTAX, WRONG_TYPE, Refusal, formatted
from .numerals import double, integer, positive
from .ranking import SortedSet
from .session import Arguments, Command, Session, named, read_option
from .sets import NEGATIVE_LIMIT

NOT_A_WEIGHT = Refusal(b"ERR weight value is not a float")
AGGREGATES = (b"SUM", b"MIN", b"MAX")

Scores = dict[bytes, float]


@dataclass(slots=True)
class Source:
    """One input: its members' scores and what they are multiplied by."""

    scores: Scores
    weight: float = 1.0

    def weighted(self, member: bytes) -> float:
        """The member's score times the weight."""
        return self.scores[member] * self.weight


@dataclass(slots=True)
class Query:
    """A command's inputs and options."""

    operation: bytes
    sources: list[Source]
    aggregate: bytes = b"SUM"
    with_scores: bool = False
    limit: int = 0

    def result(self) -> Scores:
        """The members of the result with their scores."""
        if self.operation == b"diff":
            others = [source.scores for source in self.sources[1:]]
            first = self.sources[0].scores
            return {member: first[member] for member in first if not any(member in scores for scores in others)}
        # Sums of floats depend on their order: Redis takes the inputs from the smallest, and so do we.
        sources = sorted(self.sources, key=lambda source: len(source.scores))
        return self._union(sources) if self.operation == b"union" else self._intersection(sources)

    def _union(self, sources: list[Source]) -> Scores:
        result: Scores = {}
        for source in sources:
            for member in source.scores:
                score = _number(source.weighted(member))
                result[member] = self._joined(result[member], score) if member in result else score
        return result

    def _intersection(self, sources: list[Source]) -> Scores:
        result: Scores = {}
        for member in sources[0].scores:
            if all(member in source.scores for source in sources):
                score = _number(sources[0].weighted(member))
                for source in sources[1:]:
                    score = self._joined(score, source.weighted(member))
                result[member] = score
        return result

    def _joined(self, score: float, other: float) -> float:
        if self.aggregate == b"SUM":
            return _number(score + other)
        if self.aggregate == b"MIN":
            return min(score, other)
        return max(score, other)


def _number(score: float) -> float:
    """The score, or 0 for the NaN that comes of infinities."""
    return 0.0 if isnan(score) else score


def _scores(session: Session, key: bytes) -> Scores:
    value = session.database.get(key)
    if value is None:
        return {}
    if isinstance(value, SortedSet):
        return value.scores
    if isinstance(value, set):
        return dict.fromkeys(value, 1.0)
    raise WRONG_TYPE


def _query(session: Session, arguments: Arguments, count_at: int) -> Query:
    """The query whose number of keys stands at `count_at`; raises the refusal of a malformed one."""
    name = named(arguments)
    count = integer(arguments[count_at])
    if count < 1:
        raise formatted(b"at least 1 input key is needed for '%b' command" % name)
    options_at = count_at + 1 + count
    if options_at > len(arguments):
        raise SYNTAX
    sources = [Source(_scores(session, key)) for key in arguments[count_at + 1 : options_at]]
    query = Query(name[1:].removesuffix(b"store").removesuffix(b"card"), sources)
    at = options_at
    while at < len(arguments):
        at += _option(query, name, arguments[at:])
    return query


def _option(query: Query, name: bytes, words: list[bytes]) -> int:
    """Take one option; returns how many words it has."""
    option = read_option(words[0])
    if name == b"zintercard":
        if option != b"LIMIT" or len(words) < 2:
            raise SYNTAX
        query.limit = positive(words[1], NEGATIVE_LIMIT)
        return 2
    count = len(query.sources)
    if option == b"WEIGHTS" and query.operation != b"diff" and len(words) > count:
        for source, word in zip(query.sources, words[1:], strict=False):
            source.weight = double(word, NOT_A_WEIGHT)
        return 1 + count
    if option == b"AGGREGATE" and query.operation != b"diff" and len(words) > 1 and read_option(words[1]) in AGGREGATES:
        query.aggregate = read_option(words[1])
        return 2
    if option == b"WITHSCORES" and not name.endswith(b"store"):
        query.with_scores = True
        return 1
    raise SYNTAX


def combine(session: Session, arguments: Arguments) -> bytes:
    """ZUNION, ZINTER and ZDIFF numkeys key… [WEIGHTS weight…] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]."""
    query = _query(session, arguments, 1)
    entries = SortedSet.of(query.result(), is_stored=False).entries
    return session.reply.scored(entries) if query.with_scores else reply.bulks([member for _, member in entries])


def combine_store(session: Session, arguments: Arguments) -> bytes:
    """ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE destination numkeys key…, and options."""
    result = SortedSet.of(_query(session, arguments, 2).result())
    session.database.replace(arguments[1], result)
    return reply.integer(len(result))


def zintercard(session: Session, arguments: Arguments) -> bytes:
    """ZINTERCARD numkeys key… [LIMIT limit]."""
    query = _query(session, arguments, 1)
    found = len(query.result())
    return reply.integer(min(found, query.limit) if query.limit else found)


COMMANDS = {
    b"ZUNION": Command(-3, combine),
    b"ZINTER": Command(-3, combine),
    b"ZDIFF": Command(-3, combine),
    b"ZUNIONSTORE": Command(-4, combine_store),
    b"ZINTERSTORE": Command(-4, combine_store),
    b"ZDIFFSTORE": Command(-4, combine_store),
    b"ZINTERCARD": Command(-3, zintercard),
}
