"""The commands on lists, each kept as a deque. Each takes the session and the whole request, and returns the reply."""

from collections import deque
from itertools import islice

from . import reply
from .errors import NO_SUCH_KEY, SYNTAX, Refusal, wrong_arity
from .numerals import INTEGER_MAX, INTEGER_MIN, integer, integer_between, positive
from .session import Arguments, Command, Session, named, read_option

INDEX_OUT_OF_RANGE = Refusal(b"ERR index out of range")
NO_COUNT = Refusal(b"ERR count should be greater than 0")
NO_KEYS = Refusal(b"ERR numkeys should be greater than 0")
RANK_ZERO = Refusal(
    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    b"or use negative to start from the end of the list"
)


def clamped(start: int, end: int, length: int) -> tuple[int, int]:
    """Redis's inclusive range of indexes, negative ones from the end, as a slice [start, stop) within `length`."""
    start = max(start + length, 0) if start < 0 else start
    stop = (end + length if end < 0 else end) + 1
    stop = min(stop, length)
    return (start, stop) if start < stop else (0, 0)


def push(session: Session, arguments: Arguments) -> bytes:
    """LPUSH, RPUSH, LPUSHX and RPUSHX key element…."""
    items = session.database.list(arguments[1])
    name = named(arguments)
    if items is None:
        if name.endswith(b"x"):
            return reply.ZERO
        items = deque()
    (items.extendleft if name.startswith(b"l") else items.extend)(arguments[2:])
    session.database.change(arguments[1], items)
    return reply.integer(len(items))


def _popped(items: deque[bytes], count: int, *, is_left: bool) -> list[bytes]:
    take = items.popleft if is_left else items.pop
    return [take() for _ in range(min(count, len(items)))]


def pop(session: Session, arguments: Arguments) -> bytes:
    """LPOP and RPOP key [count]."""
    if len(arguments) > 3:
        raise wrong_arity(named(arguments))
    count = positive(arguments[2]) if len(arguments) == 3 else None
    items = session.database.list(arguments[1])
    if items is None:
        return session.reply.null if count is None else session.reply.null_array
    if count == 0:
        return reply.EMPTY_ARRAY
    words = _popped(items, count or 1, is_left=named(arguments) == b"lpop")
    session.database.settle(arguments[1], items)
    return reply.bulk(words[0]) if count is None else reply.bulks(words)


def llen(session: Session, arguments: Arguments) -> bytes:
    """LLEN key."""
    return reply.integer(len(session.database.list(arguments[1]) or ()))


def lrange(session: Session, arguments: Arguments) -> bytes:
    """LRANGE key start end."""
    start, end = integer(arguments[2]), integer(arguments[3])
    items = session.database.list(arguments[1]) or deque()
    return reply.bulks(list(islice(items, *clamped(start, end, len(items)))))


def lindex(session: Session, arguments: Arguments) -> bytes:
    """LINDEX key index."""
    items = session.database.list(arguments[1])
    if items is None:
        return session.reply.null
    index = integer(arguments[2])
    return session.reply.optional(items[index] if -len(items) <= index < len(items) else None)


def lset(session: Session, arguments: Arguments) -> bytes:
    """LSET key index element."""
    items = session.database.list(arguments[1])
    if items is None:
        raise NO_SUCH_KEY
    index = integer(arguments[2])
    if not -len(items) <= index < len(items):
        raise INDEX_OUT_OF_RANGE
    items[index] = arguments[3]
    session.database.change(arguments[1], items)
    return reply.OK


def linsert(session: Session, arguments: Arguments) -> bytes:
    """LINSERT key BEFORE | AFTER pivot element."""
    where = read_option(arguments[2])
    if where not in (b"BEFORE", b"AFTER"):
        raise SYNTAX
    items = session.database.list(arguments[1])
    if items is None:
        return reply.ZERO
    try:
        at = items.index(arguments[3])
    except ValueError:
        return reply.integer(-1)
    items.insert(at + (where == b"AFTER"), arguments[4])
    session.database.change(arguments[1], items)
    return reply.integer(len(items))


def lrem(session: Session, arguments: Arguments) -> bytes:
    """LREM key count element."""
    count = integer(arguments[2])
    items = session.database.list(arguments[1])
    if items is None:
        return reply.ZERO
    limit = abs(count) or len(items)
    kept: deque[bytes] = deque()
    removed = 0
    for item in reversed(items) if count < 0 else items:
        if item == arguments[3] and removed < limit:
            removed += 1
        else:
            kept.append(item)
    if removed:
        if count < 0:
            kept.reverse()
        session.database.settle(arguments[1], kept)
    return reply.integer(removed)


def ltrim(session: Session, arguments: Arguments) -> bytes:
    """LTRIM key start end."""
    start, end = integer(arguments[2]), integer(arguments[3])
    items = session.database.list(arguments[1])
    if items is not None:
        session.database.settle(arguments[1], deque(islice(items, *clamped(start, end, len(items)))))
    return reply.OK


def _is_left(word: bytes) -> bool:
    if read_option(word) not in (b"LEFT", b"RIGHT"):
        raise SYNTAX
    return read_option(word) == b"LEFT"


def _move(session: Session, source: bytes, destination: bytes, *, from_left: bool, to_left: bool) -> bytes:
    database = session.database
    items = database.list(source)
    if items is None:
        return session.reply.null
    database.list(destination)  # refuses the wrong type before anything changes
    (item,) = _popped(items, 1, is_left=from_left)
    target = database.list(destination)
    target = deque() if target is None else target
    (target.appendleft if to_left else target.append)(item)
    database.change(destination, target)
    database.settle(source, items)
    return reply.bulk(item)


def lmove(session: Session, arguments: Arguments) -> bytes:
    """LMOVE source destination LEFT | RIGHT LEFT | RIGHT."""
    from_left, to_left = _is_left(arguments[3]), _is_left(arguments[4])
    return _move(session, arguments[1], arguments[2], from_left=from_left, to_left=to_left)


def rpoplpush(session: Session, arguments: Arguments) -> bytes:
    """RPOPLPUSH source destination."""
    return _move(session, arguments[1], arguments[2], from_left=False, to_left=True)


def _position_options(arguments: Arguments) -> tuple[int, int | None, int]:
    """LPOS's rank, count (None: one answer) and longest walk (0: all)."""
    rank, count, length_max = 1, None, 0
    for at in range(3, len(arguments), 2):
        option = read_option(arguments[at])
        if at + 1 == len(arguments):
            raise SYNTAX
        word = arguments[at + 1]
        if option == b"RANK":
            rank = integer(word)
            if rank == 0:
                raise RANK_ZERO
        elif option == b"COUNT":
            count = positive(word, Refusal(b"ERR COUNT can't be negative"))
        elif option == b"MAXLEN":
            length_max = positive(word, Refusal(b"ERR MAXLEN can't be negative"))
        else:
            raise SYNTAX
    if rank == INTEGER_MIN:
        # Redis negates it, which C cannot: it then takes every match from the end.
        return -1, None if count is None else 0, length_max
    return rank, count, length_max


def lpos(session: Session, arguments: Arguments) -> bytes:
    """LPOS key element [RANK rank] [COUNT count] [MAXLEN length]."""
    rank, count, length_max = _position_options(arguments)
    items = session.database.list(arguments[1])
    if items is None:
        return session.reply.null if count is None else reply.EMPTY_ARRAY
    walk = reversed(items) if rank < 0 else iter(items)
    places = (at for at, item in enumerate(islice(walk, length_max or None)) if item == arguments[2])
    found = islice(places, abs(rank) - 1 if abs(rank) <= len(items) else len(items), None)
    wanted = [len(items) - 1 - at if rank < 0 else at for at in islice(found, 1 if count is None else count or None)]
    if count is not None:
        return reply.array([reply.integer(at) for at in wanted])
    return reply.integer(wanted[0]) if wanted else session.reply.null


def many_keys(arguments: Arguments, ends: tuple[bytes, bytes]) -> tuple[list[bytes], bool, int]:
    """The keys of LMPOP or ZMPOP, whether the first of the two ends is asked for, and how many elements."""
    count_keys = integer_between(arguments[1], 1, INTEGER_MAX, NO_KEYS)
    where_at = 2 + count_keys
    if where_at >= len(arguments) or read_option(arguments[where_at]) not in ends:
        raise SYNTAX
    options = arguments[where_at + 1 :]
    count = 1
    if options:
        if len(options) < 2 or read_option(options[0]) != b"COUNT":
            raise SYNTAX
        count = integer_between(options[1], 1, INTEGER_MAX, NO_COUNT)
        if len(options) > 2:
            raise SYNTAX
    return arguments[2:where_at], read_option(arguments[where_at]) == ends[0], count


def lmpop(session: Session, arguments: Arguments) -> bytes:
    """LMPOP numkeys key… LEFT | RIGHT [COUNT count]."""
    keys, is_left, count = many_keys(arguments, (b"LEFT", b"RIGHT"))
    for key in keys:
        items = session.database.list(key)
        if items is not None:
            words = _popped(items, count, is_left=is_left)
            session.database.settle(key, items)
            return reply.array([reply.bulk(key), reply.bulks(words)])
    return session.reply.null_array


COMMANDS = {
    b"LPUSH": Command(-3, push),
    b"RPUSH": Command(-3, push),
    b"LPUSHX": Command(-3, push),
    b"RPUSHX": Command(-3, push),
    b"LPOP": Command(-2, pop),
    b"RPOP": Command(-2, pop),
    b"LLEN": Command(2, llen),
    b"LRANGE": Command(4, lrange),
    b"LINDEX": Command(3, lindex),
    b"LSET": Command(4, lset),
    b"LINSERT": Command(5, linsert),
    b"LREM": Command(4, lrem),
    b"LTRIM": Command(4, ltrim),
    b"LMOVE": Command(5, lmove),
    b"RPOPLPUSH": Command(3, rpoplpush),
    b"LPOS": Command(-3, lpos),
    b"LMPOP": Command(-4, lmpop),
}
