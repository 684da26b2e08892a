"""The commands on deadlines. Each takes the session and the whole request, and returns the reply."""

from . import reply
from .errors import Refusal, formatted, invalid_expiry, quoted
from .keyspace import now_ms
from .numerals import INTEGER_MAX, INTEGER_MIN, integer
from .session import Arguments, Command, Session, named, read_option

OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT"))
NX_WITH_OTHERS = Refusal(b"ERR NX and XX, GT or LT options at the same time are not compatible")
GT_WITH_LT = Refusal(b"ERR GT and LT options at the same time are not compatible")
MISSING = -2
ENDLESS = -1


def _options(words: list[bytes]) -> set[bytes]:
    options: set[bytes] = set()
    for word in words:
        if read_option(word) not in OPTIONS:
            raise formatted(b"Unsupported option %b" % quoted(word))
        options.add(read_option(word))
    if b"NX" in options and len(options) > 1:
        raise NX_WITH_OTHERS
    if {b"GT", b"LT"} <= options:
        raise GT_WITH_LT
    return options


def _deadline(name: bytes, word: bytes) -> int:
    """The absolute deadline in milliseconds that EXPIRE or one of its kin asks for."""
    deadline = integer(word)
    if not name.startswith(b"p"):
        deadline *= 1000
    base = 0 if name.endswith(b"at") else now_ms()
    if not INTEGER_MIN <= deadline <= INTEGER_MAX - base:
        raise invalid_expiry(name)
    return deadline + base


def _is_allowed(options: set[bytes], former: int | None, deadline: int) -> bool:
    if former is None:
        return not options & {b"XX", b"GT"}
    if b"NX" in options or (b"GT" in options and deadline <= former):
        return False
    return not (b"LT" in options and deadline >= former)


def expire(session: Session, arguments: Arguments) -> bytes:
    """EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT key time [NX | XX | GT | LT]."""
    options = _options(arguments[3:])
    key, database = arguments[1], session.database
    deadline = _deadline(named(arguments), arguments[2])
    if database.get(key) is None or not _is_allowed(options, database.deadlines.get(key), deadline):
        return reply.ZERO
    database.expire(key, deadline)
    return reply.ONE


def persist(session: Session, arguments: Arguments) -> bytes:
    """PERSIST key."""
    key, database = arguments[1], session.database
    if database.get(key) is None or database.deadlines.pop(key, None) is None:
        return reply.ZERO
    database.touch(key)
    return reply.ONE


def remaining(session: Session, arguments: Arguments) -> bytes:
    """TTL, PTTL, EXPIRETIME and PEXPIRETIME: milliseconds, or seconds rounded; relative to now, or absolute."""
    key, database = arguments[1], session.database
    if database.get(key) is None:
        return reply.integer(MISSING)
    deadline = database.deadlines.get(key)
    if deadline is None:
        return reply.integer(ENDLESS)
    name = named(arguments)
    milliseconds = max(deadline - now_ms(), 0) if name.endswith(b"ttl") else deadline
    return reply.integer(milliseconds if name.startswith(b"p") else (milliseconds + 500) // 1000)


COMMANDS = {
    b"EXPIRE": Command(-3, expire),
    b"PEXPIRE": Command(-3, expire),
    b"EXPIREAT": Command(-3, expire),
    b"PEXPIREAT": Command(-3, expire),
    b"PERSIST": Command(2, persist),
    b"TTL": Command(2, remaining),
    b"PTTL": Command(2, remaining),
    b"EXPIRETIME": Command(2, remaining),
    b"PEXPIRETIME": Command(2, remaining),
}
