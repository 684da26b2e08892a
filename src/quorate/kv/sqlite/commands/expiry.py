"""Commands that set, read and remove a key's deadline. Deadlines are absolute milliseconds everywhere."""

from collections.abc import Callable

from .. import reply
from ..errors import CommandError, expire_error
from ..keyspace import Key
from ..numbers import INT64_MAX, INT64_MIN, parse_integer
from ..registry import Handler, command
from ..session import Session, read_option


def _expire(name: bytes, unit: int, relative: bool) -> Handler:
    """The command `name`, whose times are in `unit` milliseconds, from now or absolute."""

    def handler(session: Session, arguments: list[bytes]) -> bytes:
        conditions = _conditions(arguments[3:])
        deadline = parse_integer(arguments[2])
        if unit != 1 and not INT64_MIN // unit < deadline <= INT64_MAX // unit:
            raise expire_error(name)
        deadline = deadline * unit + (session.keys.now if relative else 0)
        if deadline > INT64_MAX:
            raise expire_error(name)
        key = session.keys.find(session.db, arguments[1])
        if key is None or not _allowed(key.deadline, deadline, conditions):
            return reply.ZERO
        settle(session, key, deadline)
        return reply.ONE

    return command(name, -3)(handler)


expire = _expire(b"expire", 1000, relative=True)
pexpire = _expire(b"pexpire", 1, relative=True)
expireat = _expire(b"expireat", 1000, relative=False)
pexpireat = _expire(b"pexpireat", 1, relative=False)


def settle(session: Session, key: Key, deadline: int) -> None:
    """Give the key a deadline, which deletes it at once if it has passed."""
    if deadline <= session.keys.now:
        session.keys.delete(key)
    else:
        session.keys.set_deadline(key, deadline)


def _conditions(options: list[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for option in options:
        if read_option(option) not in (b"nx", b"xx", b"gt", b"lt"):
            raise CommandError(b"ERR Unsupported option %s" % option.split(b"\0", 1)[0])
        found.add(read_option(option))
    if b"nx" in found and len(found) > 1:
        raise CommandError(b"ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"gt", b"lt"} <= found:
        raise CommandError(b"ERR GT and LT options at the same time are not compatible")
    return found


def _allowed(current: int | None, deadline: int, conditions: set[bytes]) -> bool:
    """Whether the conditions let `deadline` replace `current`; no deadline counts as later than any."""
    if b"nx" in conditions and current is not None:
        return False
    if b"xx" in conditions and current is None:
        return False
    if b"gt" in conditions and (current is None or deadline <= current):
        return False
    return not (b"lt" in conditions and current is not None and deadline >= current)


@command(b"ttl", 2)
def ttl(session: Session, arguments: list[bytes]) -> bytes:
    """TTL key, in seconds, rounded."""
    return _time_of(session, arguments[1], lambda deadline: (max(deadline - session.keys.now, 0) + 500) // 1000)


@command(b"pttl", 2)
def pttl(session: Session, arguments: list[bytes]) -> bytes:
    """PTTL key, in milliseconds."""
    return _time_of(session, arguments[1], lambda deadline: max(deadline - session.keys.now, 0))


@command(b"expiretime", 2)
def expiretime(session: Session, arguments: list[bytes]) -> bytes:
    """EXPIRETIME key, in seconds, rounded."""
    return _time_of(session, arguments[1], lambda deadline: (deadline + 500) // 1000)


@command(b"pexpiretime", 2)
def pexpiretime(session: Session, arguments: list[bytes]) -> bytes:
    """PEXPIRETIME key, in milliseconds."""
    return _time_of(session, arguments[1], lambda deadline: deadline)


def _time_of(session: Session, name: bytes, measure: Callable[[int], int]) -> bytes:
    key = session.keys.find(session.db, name)
    if key is None:
        return reply.integer(-2)
    return reply.integer(-1 if key.deadline is None else measure(key.deadline))


@command(b"persist", 2)
def persist(session: Session, arguments: list[bytes]) -> bytes:
    """PERSIST key."""
    key = session.keys.find(session.db, arguments[1])
    if key is None or key.deadline is None:
        return reply.ZERO
    session.keys.set_deadline(key, None)
    return reply.ONE
