"""Commands that set, read, move or remove deadlines. No replica's clock decides anything (docs/adr/0005-deadlines.md).

Replicas get each deadline as an absolute time plus an offset that no clock of theirs reaches. What has passed is reaped
by a slot of the cell's own before any later slot. A deadline that has passed already when it is set goes to them
as one millisecond of 1970, which has passed on every clock: so it holds at once, inside a transaction too.

Requests that every replica refuses alike go on as they came.
"""

from enum import Enum

from ...span import Effect, Span
from .answers import DATABASES
from .arguments import integer_argument
from .base import Call, Compiled, Compiler, Dialect, Refusal, Transform
from .deadlines import DEADLINE_MS_MAX, Change
from .framing import encode_request
from .scripts import DEADLINE_OFFSET_MS, REAP, digest
from .set_options import Options, parse_options, word
from .values import ONE, integer, integer_of, is_error, is_null

SECONDS = frozenset((b"EX", b"EXAT"))
ABSOLUTE = frozenset((b"EXAT", b"PXAT"))
CONDITIONS = frozenset((b"NX", b"XX", b"GT", b"LT"))

_PAST = b"1"
_SECONDS_MAX = (2**63 - 1) // 1000
_REAP_DIGEST = digest(REAP)


class Sign(Enum):
    """By what a reply shows that the change was made."""

    YES = "+OK or 1"
    VALUE = "a value"
    NO_VALUE = "no value"
    NO_ERROR = "no error"


class Settling(Transform):
    """Tells the index of deadlines whether changes were made; the reply is the client's as it is."""

    def __init__(self, changes: list[Change], sign: Sign) -> None:
        self._changes = changes
        self._sign = sign

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The reply as it came."""
        was_made = self._was_made(reply)
        for change in self._changes:
            dialect.deadlines.settle(change, was_made)
        return reply

    def _was_made(self, reply: bytes) -> bool:
        if self._sign is Sign.YES:
            return reply in (b"+OK\r\n", ONE)
        if self._sign is Sign.NO_VALUE:
            return is_null(reply)
        if self._sign is Sign.VALUE and is_null(reply):
            return False
        return not is_error(reply)


class Remaining(Transform):
    """Turns what a replica holds as a deadline back into TTL, PTTL (with `now_ms`), EXPIRETIME or PEXPIRETIME (0)."""

    def __init__(self, now_ms: int, is_seconds: bool) -> None:
        self._now_ms = now_ms
        self._is_seconds = is_seconds

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The time in the client's unit; -1 (no deadline), -2 (no key) and errors as they are."""
        held = integer_of(reply)
        if held is None or held < 0:
            return reply
        left = max(held - DEADLINE_OFFSET_MS - self._now_ms, 0)
        return integer((left + 500) // 1000 if self._is_seconds else left)


class Swapping(Transform):
    """SWAPDB: undone in the index when replicas refused it."""

    def __init__(self, first: int, second: int) -> None:
        self._first = first
        self._second = second

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The reply as it came."""
        if is_error(reply):
            dialect.deadlines.swap(self._first, self._second)
        return reply


def held_deadline(deadline: int) -> bytes:
    """What replicas are given for a deadline to come (ms)."""
    return b"%d" % (deadline + DEADLINE_OFFSET_MS)


# SET and its kin.


def absolute_ms(call: Call, unit: bytes, amount: bytes) -> int | None:
    """The deadline (ms) that a positive `amount` of `unit` means, or None when replicas refuse it by themselves."""
    number = integer_argument(amount)
    if number is None or number <= 0:
        return None
    if unit in SECONDS:
        number *= 1000
    return _bounded(call, number if unit in ABSOLUTE else number + call.now_ms)


def _bounded(call: Call, deadline: int) -> int:
    if deadline > DEADLINE_MS_MAX:
        raise Refusal(f"ERR invalid expire time in '{call.command.name}' command")
    return deadline


def _set(dialect: Dialect, call: Call) -> Compiled:
    options = parse_options(call.arguments, 3, is_set=True)
    if options is None or not options.unit:
        return Compiled(call.raw)
    return _set_until(dialect, call, call.arguments[2], options)


def _setex(dialect: Dialect, call: Call) -> Compiled:
    options = Options()
    options.unit = b"EX" if call.command.name == "setex" else b"PX"
    options.amount = call.arguments[2]
    return _set_until(dialect, call, call.arguments[3], options)


def _set_until(dialect: Dialect, call: Call, value: bytes, options: Options) -> Compiled:
    deadline = absolute_ms(call, options.unit, options.amount)
    if deadline is None:
        return Compiled(call.raw)
    key = call.arguments[1]
    held = held_deadline(deadline) if deadline >= call.now_ms else _PAST
    raw = encode_request([b"SET", key, value, *options.conditions, b"PXAT", held])
    database = call.session.database
    # A transaction may fail as a whole, so inside nothing is certain before its reply.
    if not options.conditions and not call.in_transaction:
        dialect.deadlines.set(database, key, deadline)
        return Compiled(raw)
    change = dialect.deadlines.add(database, key, deadline)
    return Compiled(raw, Settling([change], _sign_of_set(options.conditions)))


def _sign_of_set(conditions: list[bytes]) -> Sign:
    """With GET the reply is the old value: NX was for a key without one, XX for a key with one."""
    if b"GET" not in conditions:
        return Sign.YES
    if b"NX" in conditions:
        return Sign.NO_VALUE
    return Sign.VALUE if b"XX" in conditions else Sign.NO_ERROR


def _getex(dialect: Dialect, call: Call) -> Compiled:
    options = parse_options(call.arguments, 2, is_set=False)
    if options is None or not options.unit:
        return Compiled(call.raw)
    deadline = absolute_ms(call, options.unit, options.amount)
    if deadline is None:
        return Compiled(call.raw)
    key = call.arguments[1]
    if deadline <= call.now_ms:
        return Compiled(encode_request([b"GETEX", key, b"PXAT", _PAST]))
    change = dialect.deadlines.add(call.session.database, key, deadline)
    return Compiled(encode_request([b"GETEX", key, b"PXAT", held_deadline(deadline)]), Settling([change], Sign.VALUE))


# EXPIRE and its kin.

_UNIT_OF = {"expire": b"EX", "pexpire": b"PX", "expireat": b"EXAT", "pexpireat": b"PXAT"}


def _expire(dialect: Dialect, call: Call) -> Compiled:
    conditions = [word(argument) for argument in call.arguments[3:]]
    deadline = _expiry_ms(call, _UNIT_OF[call.command.name]) if _is_consistent(conditions) else None
    if deadline is None:
        return Compiled(call.raw)
    key = call.arguments[1]
    if deadline <= call.now_ms:
        return Compiled(encode_request([b"PEXPIREAT", key, _PAST, *conditions]))
    deadlines = dialect.deadlines
    database = call.session.database
    if conditions or call.in_transaction:
        change = deadlines.add(database, key, deadline)
    else:
        change = deadlines.set(database, key, deadline)
    raw = encode_request([b"PEXPIREAT", key, held_deadline(deadline), *conditions])
    return Compiled(raw, Settling([change], Sign.YES))


def _expiry_ms(call: Call, unit: bytes) -> int | None:
    """The deadline (ms), which may have passed, or None when replicas refuse the time by themselves."""
    number = integer_argument(call.arguments[2])
    if number is None:
        return None
    if unit in SECONDS:
        if abs(number) > _SECONDS_MAX:
            return None
        number *= 1000
    return _bounded(call, number if unit in ABSOLUTE else number + call.now_ms)


def _is_consistent(conditions: list[bytes]) -> bool:
    """Whether Redis accepts these together: NX alone, and not both GT and LT."""
    if not all(condition in CONDITIONS for condition in conditions):
        return False
    given = dict.fromkeys(conditions)
    return not (b"NX" in given and len(given) > 1) and not (b"GT" in given and b"LT" in given)


def _remaining(dialect: Dialect, call: Call) -> Compiled:
    name = call.command.name
    transform = Remaining(call.now_ms if name in ("ttl", "pttl") else 0, name in ("ttl", "expiretime"))
    return Compiled(encode_request([b"PEXPIRETIME", call.arguments[1]]), transform)


def _persist(dialect: Dialect, call: Call) -> Compiled:
    if not call.in_transaction:
        dialect.deadlines.clear(call.session.database, call.arguments[1])
    return Compiled(call.raw)


# Keys that move, with their deadlines.


def _rename(dialect: Dialect, call: Call) -> Compiled:
    database = call.session.database
    return _relocate(dialect, call, (database, call.arguments[1]), (database, call.arguments[2]))


def _move(dialect: Dialect, call: Call) -> Compiled:
    key = call.arguments[1]
    database = integer_argument(call.arguments[2])
    if database is None or not 0 <= database < DATABASES:
        return Compiled(call.raw)
    return _relocate(dialect, call, (call.session.database, key), (database, key))


def _copy(dialect: Dialect, call: Call) -> Compiled:
    database = copied_to(call.arguments, call.session.database)
    if database is None:
        return Compiled(call.raw)
    return _relocate(dialect, call, (call.session.database, call.arguments[1]), (database, call.arguments[2]))


def copied_to(arguments: list[bytes], home: int) -> int | None:
    """The database that COPY copies to, asked for in database `home`; None when replicas refuse its options."""
    database: int | None = home
    position = 3
    while position < len(arguments):
        option = word(arguments[position])
        if option == b"DB" and position + 1 < len(arguments):
            database = integer_argument(arguments[position + 1])
            position += 1
        elif option != b"REPLACE":
            return None
        if database is None or not 0 <= database < DATABASES:
            return None
        position += 1
    return database


def _relocate(dialect: Dialect, call: Call, source: tuple[int, bytes], target: tuple[int, bytes]) -> Compiled:
    """`target` gets the deadline of `source`, which goes unless this is a COPY."""
    if source == target:
        return Compiled(call.raw)
    deadlines = dialect.deadlines
    copied = deadlines.copy(source, target)
    if copied is None:
        # What `target` had may be wrong now, which costs no more than a look at the key.
        return Compiled(call.raw)
    changes = [copied]
    left = deadlines.leave(*source) if call.command.name != "copy" else None
    if left is not None:
        changes.append(left)
    return Compiled(call.raw, Settling(changes, Sign.YES))


def _swapdb(dialect: Dialect, call: Call) -> Compiled:
    first, second = integer_argument(call.arguments[1]), integer_argument(call.arguments[2])
    if first is None or second is None or not (0 <= first < DATABASES and 0 <= second < DATABASES) or first == second:
        return Compiled(call.raw)
    dialect.deadlines.swap(first, second)
    return Compiled(call.raw, Swapping(first, second))


def _flush(dialect: Dialect, call: Call) -> Compiled:
    options = [word(argument) for argument in call.arguments[1:]]
    is_valid = not options or options in ([b"SYNC"], [b"ASYNC"])
    if is_valid and not call.in_transaction:
        dialect.deadlines.flush(None if call.command.name == "flushall" else call.session.database)
    return Compiled(call.raw)


# The cell's own slots.


def reap_spans(dialect: Dialect, now: int) -> list[Effect]:
    """Slots that delete every key whose deadline has passed at `now` (ns), and what follows from these writes."""
    effects: list[Effect] = []
    now_ms = now // 1_000_000
    held = held_deadline(now_ms - 1)
    for database, keys in dialect.deadlines.due(now_ms):
        for batch in _batches(keys, dialect.limits.reap_keys_max, dialect.limits.request_bytes_max):
            raw = encode_request([b"EVALSHA", _REAP_DIGEST, b"%d" % len(batch), *batch, held])
            effects.append(Span(None, [raw], 2 << 16 | database, True))
            dialect.touched(database, batch, now, effects)
    return effects


def _batches(keys: list[bytes], keys_max: int, bytes_max: int) -> list[list[bytes]]:
    """`keys` in order, in pieces within both limits, or of one key."""
    batches: list[list[bytes]] = []
    size = 0
    for key in keys:
        if not batches or len(batches[-1]) == keys_max or size + len(key) > bytes_max:
            batches.append([])
            size = 0
        batches[-1].append(key)
        size += len(key)
    return batches


COMPILERS: dict[str, Compiler] = {
    "set": _set,
    "setex": _setex,
    "psetex": _setex,
    "getex": _getex,
    "expire": _expire,
    "pexpire": _expire,
    "expireat": _expire,
    "pexpireat": _expire,
    "ttl": _remaining,
    "pttl": _remaining,
    "expiretime": _remaining,
    "pexpiretime": _remaining,
    "persist": _persist,
    "rename": _rename,
    "renamenx": _rename,
    "copy": _copy,
    "move": _move,
    "swapdb": _swapdb,
    "flushall": _flush,
    "flushdb": _flush,
}
