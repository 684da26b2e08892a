"""Commands on sorted sets that name members: adding, removing, scores, ranks, pops. Ranges have their own module."""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

from .. import reply
from ..errors import SCORE_NAN, SYNTAX, CommandError
from ..keyspace import Key
from ..numbers import parse_double, parse_positive
from ..registry import Handler, command
from ..schema import SORTED_SET
from ..session import Session, read_option
from .lists import many_keys, pop_count

ADD_FLAGS = (b"nx", b"xx", b"gt", b"lt", b"ch", b"incr")


def score_of(session: Session, key: Key | None, member: bytes) -> float | None:
    """The member's score, None when it has none."""
    if key is None:
        return None
    row = session.keys.run("SELECT score FROM scores WHERE key = ? AND member = ?", (key.id, member)).fetchone()
    return None if row is None else row[0]


class Adder:
    """Adds members to one sorted set under the flags of ZADD, and counts what that changed."""

    def __init__(self, session: Session, key: Key, flags: set[bytes]) -> None:
        self._keys = session.keys
        self._session = session
        self._key = key
        self._flags = flags
        self.added = 0
        self.updated = 0

    def add(self, member: bytes, score: float) -> float | None:
        """The member's new score, None when the flags forbade the change; raises `CommandError` for a NaN."""
        current = score_of(self._session, self._key, member)
        if current is None:
            return self._insert(member, score)
        if b"nx" in self._flags:
            return None
        if b"incr" in self._flags:
            score += current
            if score != score:
                raise CommandError(SCORE_NAN)
        if (b"lt" in self._flags and score >= current) or (b"gt" in self._flags and score <= current):
            return None
        if score != current:
            self._keys.run("UPDATE scores SET score = ? WHERE key = ? AND member = ?", (score, self._key.id, member))
            self.updated += 1
        return score

    def _insert(self, member: bytes, score: float) -> float | None:
        if b"xx" in self._flags:
            return None
        self._keys.run("INSERT INTO scores VALUES (?, ?, ?)", (self._key.id, member, score))
        self.added += 1
        return score

    def finish(self) -> None:
        """Record the new size."""
        if self.added or self.updated:
            self._keys.resize(self._key, self._key.size + self.added)


@command(b"zadd", -4)
def zadd(session: Session, arguments: list[bytes]) -> bytes:
    """ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]."""
    return _parse_and_add(session, arguments, set())


def _parse_and_add(session: Session, arguments: list[bytes], flags: set[bytes]) -> bytes:
    at = 2
    while at < len(arguments) and read_option(arguments[at]) in ADD_FLAGS:
        flags.add(read_option(arguments[at]))
        at += 1
    texts = arguments[at:]
    _check_flags(flags, len(texts))
    pairs = [(parse_double(score), member) for score, member in zip(texts[::2], texts[1::2], strict=True)]
    return _add(session, arguments[1], pairs, flags)


def _check_flags(flags: set[bytes], count: int) -> None:
    if count % 2 or not count:
        raise CommandError(SYNTAX)
    if {b"nx", b"xx"} <= flags:
        raise CommandError(b"ERR XX and NX options at the same time are not compatible")
    if len(flags & {b"nx", b"gt", b"lt"}) > 1:
        raise CommandError(b"ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"incr" in flags and count > 2:
        raise CommandError(b"ERR INCR option supports a single increment-element pair")


def _add(session: Session, name: bytes, pairs: list[tuple[float, bytes]], flags: set[bytes]) -> bytes:
    key = session.keys.typed(session.db, name, SORTED_SET)
    if key is None:
        if b"xx" in flags:
            return reply.null(session.protocol) if b"incr" in flags else reply.ZERO
        key = session.keys.create(session.db, name, SORTED_SET)
    adder, result = Adder(session, key, flags), None
    for score, member in pairs:
        result = adder.add(member, score)
    adder.finish()
    if b"incr" in flags:
        return reply.null(session.protocol) if result is None else reply.double(session.protocol, result)
    return reply.integer(adder.added + (adder.updated if b"ch" in flags else 0))


@command(b"zincrby", 4)
def zincrby(session: Session, arguments: list[bytes]) -> bytes:
    """ZINCRBY key increment member."""
    return _parse_and_add(session, arguments, {b"incr"})


@command(b"zrem", -3)
def zrem(session: Session, arguments: list[bytes]) -> bytes:
    """ZREM key member [member ...]."""
    key = session.keys.typed(session.db, arguments[1], SORTED_SET)
    return reply.integer(remove(session, key, arguments[2:]) if key else 0)


def remove(session: Session, key: Key, members: list[bytes]) -> int:
    """Remove members; returns how many were there."""
    rows = [(key.id, member) for member in members]
    removed: int = session.keys.run_many("DELETE FROM scores WHERE key = ? AND member = ?", rows).rowcount
    if removed > 0:
        session.keys.resize(key, key.size - removed)
    return max(removed, 0)


@command(b"zscore", 3)
def zscore(session: Session, arguments: list[bytes]) -> bytes:
    """ZSCORE key member."""
    return _score(session, session.keys.typed(session.db, arguments[1], SORTED_SET), arguments[2])


@command(b"zmscore", -3)
def zmscore(session: Session, arguments: list[bytes]) -> bytes:
    """ZMSCORE key member [member ...]."""
    key = session.keys.typed(session.db, arguments[1], SORTED_SET)
    return reply.array([_score(session, key, member) for member in arguments[2:]])


def _score(session: Session, key: Key | None, member: bytes) -> bytes:
    score = score_of(session, key, member)
    return reply.null(session.protocol) if score is None else reply.double(session.protocol, score)


@command(b"zcard", 2)
def zcard(session: Session, arguments: list[bytes]) -> bytes:
    """ZCARD key."""
    key = session.keys.typed(session.db, arguments[1], SORTED_SET)
    return reply.integer(key.size if key else 0)


def _rank_command(name: bytes, sign: str) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        key = session.keys.typed(session.db, arguments[1], SORTED_SET)
        score = score_of(session, key, arguments[2])
        if key is None or score is None:
            return reply.null(session.protocol)
        rank = session.keys.run(
            f"SELECT count(*) FROM scores WHERE key = ? AND (score, member) {sign} (?, ?)",
            (key.id, score, arguments[2]),
        ).fetchone()[0]
        return reply.integer(rank)

    return command(name, 3)(handler)


zrank = _rank_command(b"zrank", "<")
zrevrank = _rank_command(b"zrevrank", ">")


def pop(session: Session, key: Key, count: int, lowest: bool) -> list[tuple[bytes, float]]:
    """Take up to `count` members from one end, the outermost first."""
    order = "score, member" if lowest else "score DESC, member DESC"
    pairs = session.keys.run(
        f"SELECT member, score FROM scores WHERE key = ? ORDER BY {order} LIMIT ?", (key.id, count)
    ).fetchall()
    remove(session, key, [member for member, _ in pairs])
    return pairs


def _pop_command(name: bytes, lowest: bool) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        if len(arguments) > 3:
            raise CommandError(SYNTAX)
        counted = len(arguments) == 3
        count = parse_positive(arguments[2]) if counted else 1
        key = session.keys.typed(session.db, arguments[1], SORTED_SET)
        if key is None or not count:
            return reply.EMPTY_ARRAY
        nested = counted and session.protocol == 3
        return reply.scored(session.protocol, pop(session, key, count, lowest), nested)

    return command(name, -2)(handler)


zpopmin = _pop_command(b"zpopmin", lowest=True)
zpopmax = _pop_command(b"zpopmax", lowest=False)


@command(b"zmpop", -4)
def zmpop(session: Session, arguments: list[bytes]) -> bytes:
    """ZMPOP numkeys key [key ...] MIN | MAX [COUNT count]."""
    names, options = many_keys(arguments[1:])
    end = read_option(options[0])
    if end not in (b"min", b"max"):
        raise CommandError(SYNTAX)
    count = pop_count(options[1:])
    for name in names:
        key = session.keys.typed(session.db, name, SORTED_SET)
        if key is not None:
            pairs = pop(session, key, count, end == b"min")
            return reply.array([reply.bulk(name), reply.scored(session.protocol, pairs, nested=True)])
    return reply.null_array(session.protocol)
