"""Commands on lists. Positions are dense, so an index is `head + index`; what breaks that renumbers the whole list."""

# Only constants of this package are put into statements; everything a client sends is a bound value.
# ruff: noqa: S608

from .. import reply
from ..errors import COUNT, INDEX_RANGE, NO_SUCH_KEY, NUMKEYS, SYNTAX, CommandError, arity_error
from ..keyspace import Key
from ..numbers import INT64_MAX, INT64_MIN, parse_integer, parse_positive, parse_range
from ..registry import Handler, command
from ..schema import LIST
from ..session import Session, read_option


def push(session: Session, key: Key, values: list[bytes], left: bool) -> None:
    """Add values at one end, one after the other."""
    size = key.size + len(values)
    if left:
        head = key.head - len(values)
        rows = [(key.id, key.head - at, value) for at, value in enumerate(values, 1)]
    else:
        head = key.head
        rows = [(key.id, key.head + key.size + at, value) for at, value in enumerate(values)]
    session.keys.run_many("INSERT INTO items VALUES (?, ?, ?)", rows)
    session.keys.resize(key, size, head)


def pop(session: Session, key: Key, count: int, left: bool) -> list[bytes]:
    """Take up to `count` values from one end, the outermost first."""
    count = min(count, key.size)
    first = key.head if left else key.head + key.size - count
    values = _between(session, key, first, first + count - 1)
    session.keys.run("DELETE FROM items WHERE key = ? AND position BETWEEN ? AND ?", (key.id, first, first + count - 1))
    session.keys.resize(key, key.size - count, key.head + count if left else key.head)
    return values if left else values[::-1]


def _between(session: Session, key: Key, first: int, last: int) -> list[bytes]:
    rows = session.keys.run(
        "SELECT value FROM items WHERE key = ? AND position BETWEEN ? AND ? ORDER BY position", (key.id, first, last)
    )
    return [value for (value,) in rows]


def _push_command(name: bytes, left: bool, create: bool) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        key = session.keys.typed(session.db, arguments[1], LIST)
        if key is None:
            if not create:
                return reply.ZERO
            key = session.keys.create(session.db, arguments[1], LIST)
        push(session, key, arguments[2:], left)
        return reply.integer(key.size)

    return command(name, -3)(handler)


lpush = _push_command(b"lpush", left=True, create=True)
rpush = _push_command(b"rpush", left=False, create=True)
lpushx = _push_command(b"lpushx", left=True, create=False)
rpushx = _push_command(b"rpushx", left=False, create=False)


def _pop_command(name: bytes, left: bool) -> Handler:
    def handler(session: Session, arguments: list[bytes]) -> bytes:
        if len(arguments) > 3:
            raise arity_error(name)
        counted = len(arguments) == 3
        count = parse_positive(arguments[2]) if counted else 1
        key = session.keys.typed(session.db, arguments[1], LIST)
        if key is None:
            return reply.null_array(session.protocol) if counted else reply.null(session.protocol)
        if not count:
            return reply.EMPTY_ARRAY
        values = pop(session, key, count, left)
        return reply.bulks(values) if counted else reply.bulk(values[0])

    return command(name, -2)(handler)


lpop = _pop_command(b"lpop", left=True)
rpop = _pop_command(b"rpop", left=False)


@command(b"llen", 2)
def llen(session: Session, arguments: list[bytes]) -> bytes:
    """LLEN key."""
    key = session.keys.typed(session.db, arguments[1], LIST)
    return reply.integer(key.size if key else 0)


def clamp(start: int, stop: int, size: int) -> tuple[int, int]:
    """The first and last index of a range, negative ones counted from the end; last < first when it is empty."""
    start = max(start + size, 0) if start < 0 else start
    stop = stop + size if stop < 0 else min(stop, size - 1)
    return (start, stop) if start <= stop else (0, -1)


@command(b"lrange", 4)
def lrange(session: Session, arguments: list[bytes]) -> bytes:
    """LRANGE key start stop."""
    start, stop = parse_integer(arguments[2]), parse_integer(arguments[3])
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        return reply.EMPTY_ARRAY
    first, last = clamp(start, stop, key.size)
    return reply.bulks(_between(session, key, key.head + first, key.head + last))


@command(b"lindex", 3)
def lindex(session: Session, arguments: list[bytes]) -> bytes:
    """LINDEX key index."""
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        return reply.null(session.protocol)
    position = _position(key, parse_integer(arguments[2]))
    if position is None:
        return reply.null(session.protocol)
    return reply.bulk(_between(session, key, position, position)[0])


def _position(key: Key, index: int) -> int | None:
    """Where the value with this index is stored, None when there is none."""
    index = index + key.size if index < 0 else index
    return key.head + index if 0 <= index < key.size else None


@command(b"lset", 4)
def lset(session: Session, arguments: list[bytes]) -> bytes:
    """LSET key index value."""
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        raise CommandError(NO_SUCH_KEY)
    position = _position(key, parse_integer(arguments[2]))
    if position is None:
        raise CommandError(INDEX_RANGE)
    session.keys.run("UPDATE items SET value = ? WHERE key = ? AND position = ?", (arguments[3], key.id, position))
    session.keys.touch(key.db, key.name)
    return reply.OK


@command(b"linsert", 5)
def linsert(session: Session, arguments: list[bytes]) -> bytes:
    """LINSERT key BEFORE | AFTER pivot value."""
    _, name, where, pivot, value = arguments
    if read_option(where) not in (b"before", b"after"):
        raise CommandError(SYNTAX)
    key = session.keys.typed(session.db, name, LIST)
    if key is None:
        return reply.ZERO
    found = session.keys.run(
        "SELECT position FROM items WHERE key = ? AND value = ? ORDER BY position LIMIT 1", (key.id, pivot)
    ).fetchone()
    if found is None:
        return reply.integer(-1)
    position = found[0] + (read_option(where) == b"after")
    old, new = key.id, session.keys.renumber(key)
    session.keys.run(
        "INSERT INTO items SELECT ?, position + (position >= ?), value FROM items WHERE key = ? ORDER BY position",
        (new, position, old),
    )
    session.keys.run("INSERT INTO items VALUES (?, ?, ?)", (new, position, value))
    session.keys.run("DELETE FROM items WHERE key = ?", (old,))
    session.keys.resize(key, key.size + 1, key.head)
    return reply.integer(key.size)


@command(b"lrem", 4)
def lrem(session: Session, arguments: list[bytes]) -> bytes:
    """LREM key count value: from the head, from the tail for a negative count, all for zero."""
    count = parse_integer(arguments[2])
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        return reply.ZERO
    order = "DESC" if count < 0 else "ASC"
    removed = session.keys.run(
        "DELETE FROM items WHERE key = ?1 AND position IN (SELECT position FROM items"
        f" WHERE key = ?1 AND value = ?2 ORDER BY position {order} LIMIT ?3)",
        (key.id, arguments[3], min(abs(count), INT64_MAX) or -1),
    ).rowcount
    if removed:
        _close_gaps(session, key)
        session.keys.resize(key, key.size - removed)
    return reply.integer(removed)


def _close_gaps(session: Session, key: Key) -> None:
    """Make the positions dense again, from zero."""
    old, new = key.id, session.keys.renumber(key)
    session.keys.run(
        "INSERT INTO items SELECT ?, row_number() OVER (ORDER BY position) - 1, value FROM items WHERE key = ?",
        (new, old),
    )
    session.keys.run("DELETE FROM items WHERE key = ?", (old,))


@command(b"ltrim", 4)
def ltrim(session: Session, arguments: list[bytes]) -> bytes:
    """LTRIM key start stop."""
    start, stop = parse_integer(arguments[2]), parse_integer(arguments[3])
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        return reply.OK
    first, last = clamp(start, stop, key.size)
    session.keys.run(
        "DELETE FROM items WHERE key = ? AND position NOT BETWEEN ? AND ?",
        (key.id, key.head + first, key.head + last),
    )
    session.keys.resize(key, last - first + 1, key.head + first)
    return reply.OK


def _is_left(text: bytes) -> bool:
    if read_option(text) not in (b"left", b"right"):
        raise CommandError(SYNTAX)
    return read_option(text) == b"left"


@command(b"lmove", 5)
def lmove(session: Session, arguments: list[bytes]) -> bytes:
    """LMOVE source destination LEFT | RIGHT LEFT | RIGHT."""
    from_left, to_left = _is_left(arguments[3]), _is_left(arguments[4])
    source = session.keys.typed(session.db, arguments[1], LIST)
    if source is None:
        return reply.null(session.protocol)
    session.keys.typed(session.db, arguments[2], LIST)
    if arguments[1] == arguments[2] and source.size == 1:
        # The list must not vanish between pop and push: it would lose its deadline.
        return lindex(session, [b"lindex", arguments[1], b"0"])
    value = pop(session, source, 1, from_left)[0]
    target = session.keys.obtain(session.db, arguments[2], LIST)
    push(session, target, [value], to_left)
    return reply.bulk(value)


@command(b"rpoplpush", 3)
def rpoplpush(session: Session, arguments: list[bytes]) -> bytes:
    """RPOPLPUSH source destination."""
    return lmove(session, [b"lmove", arguments[1], arguments[2], b"right", b"left"])


@command(b"lpos", -3)
def lpos(session: Session, arguments: list[bytes]) -> bytes:
    """LPOS key value [RANK rank] [COUNT count] [MAXLEN length]."""
    rank, count, length = _lpos_options(arguments[3:])
    key = session.keys.typed(session.db, arguments[1], LIST)
    if key is None:
        return reply.null(session.protocol) if count is None else reply.EMPTY_ARRAY
    span = min(length or key.size, key.size)
    first = key.head if rank > 0 else key.head + key.size - span
    rows = session.keys.run(
        "SELECT position - ? FROM items WHERE key = ? AND value = ? AND position BETWEEN ? AND ?"
        f" ORDER BY position {'ASC' if rank > 0 else 'DESC'} LIMIT ? OFFSET ?",
        (key.head, key.id, arguments[2], first, first + span - 1, 1 if count is None else count or -1, abs(rank) - 1),
    ).fetchall()
    if count is None:
        return reply.integer(rows[0][0]) if rows else reply.null(session.protocol)
    return reply.array([reply.integer(index) for (index,) in rows])


def _lpos_options(options: list[bytes]) -> tuple[int, int | None, int]:
    """Rank, count and length; a count of None asks for one index, lengths and counts of 0 for all."""
    rank, count, length = 1, None, 0
    if len(options) % 2:
        # Redis reads pair by pair, so an earlier bad value is told before the odd word at the end.
        _lpos_options(options[:-1])
        raise CommandError(SYNTAX)
    for option, text in zip(options[::2], options[1::2], strict=True):
        match read_option(option):
            case b"rank":
                rank = parse_integer(text)
                if not rank:
                    raise CommandError(
                        b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ..."
                        b" or use negative to start from the end of the list"
                    )
            case b"count":
                count = parse_positive(text, b"ERR COUNT can't be negative")
            case b"maxlen":
                length = parse_positive(text, b"ERR MAXLEN can't be negative")
            case _:
                raise CommandError(SYNTAX)
    # In C the least integer has no opposite and skips no match, just as -1.
    return -1 if rank == INT64_MIN else rank, count, length


def many_keys(arguments: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The keys after a leading count, and what follows them; raises `CommandError`."""
    count = parse_range(arguments[0], 1, INT64_MAX, NUMKEYS)
    if count >= len(arguments) - 1:
        raise CommandError(SYNTAX)
    return arguments[1 : count + 1], arguments[count + 1 :]


def pop_count(options: list[bytes]) -> int:
    """The number in an optional `COUNT n`, 1 without it; raises `CommandError`."""
    if not options:
        return 1
    if read_option(options[0]) != b"count" or len(options) == 1:
        raise CommandError(SYNTAX)
    count = parse_range(options[1], 1, INT64_MAX, COUNT)
    if len(options) > 2:
        raise CommandError(SYNTAX)
    return count


@command(b"lmpop", -4)
def lmpop(session: Session, arguments: list[bytes]) -> bytes:
    """LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]."""
    names, options = many_keys(arguments[1:])
    left, count = _is_left(options[0]), pop_count(options[1:])
    for name in names:
        key = session.keys.typed(session.db, name, LIST)
        if key is not None:
            return reply.array([reply.bulk(name), reply.bulks(pop(session, key, count, left))])
    return reply.null_array(session.protocol)
