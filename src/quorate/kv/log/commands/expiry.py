"""Commands on deadlines, and how options and texts become one. They know the index and its clock; no value."""

from ..faults import bad_expiry, error
from ..framing import Request
from ..keyspace import now_ms
from ..numbers import INT64_MAX, INT64_MIN, integer_of
from ..replies import ONE, ZERO, integer
from ..session import Command, Handler, Session, read_option

SECOND_MS = 1000


def deadline_of(text: bytes, unit_ms: int, is_relative: bool, name: bytes) -> int:
    """The deadline in milliseconds that SET and its like are given. Raises Refusal, naming the command."""
    amount = integer_of(text)
    if amount <= 0 or (unit_ms > 1 and amount > INT64_MAX // unit_ms):
        raise bad_expiry(name)
    deadline = amount * unit_ms + (now_ms() if is_relative else 0)
    if deadline > INT64_MAX:
        raise bad_expiry(name)
    return deadline


def _conditions(words: Request) -> set[bytes]:
    found = set()
    for word in words:
        if read_option(word) not in (b"nx", b"xx", b"gt", b"lt"):
            raise error(b"Unsupported option " + word.split(b"\0", 1)[0])
        found.add(read_option(word))
    if b"nx" in found and len(found) > 1:
        raise error(b"NX and XX, GT or LT options at the same time are not compatible")
    if {b"gt", b"lt"} <= found:
        raise error(b"GT and LT options at the same time are not compatible")
    return found


def _allows(conditions: set[bytes], present: int | None, deadline: int) -> bool:
    """Whether every condition holds; no deadline counts as one that never comes."""
    return not (
        (b"nx" in conditions and present is not None)
        or (b"xx" in conditions and present is None)
        or (b"gt" in conditions and (present is None or deadline <= present))
        or (b"lt" in conditions and present is not None and deadline >= present)
    )


def _expire(name: bytes, unit_ms: int, is_relative: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        conditions = _conditions(request[3:])
        amount = integer_of(request[2])
        if unit_ms > 1 and not -(-INT64_MIN // unit_ms) <= amount <= INT64_MAX // unit_ms:
            raise bad_expiry(name)
        deadline = amount * unit_ms + (now_ms() if is_relative else 0)
        if deadline > INT64_MAX:
            raise bad_expiry(name)
        return _set_deadline(session, request[1], deadline, conditions)

    return run


def _set_deadline(session: Session, key: bytes, deadline: int, conditions: set[bytes]) -> bytes:
    space = session.space
    if space.find(key) is None or not _allows(conditions, space.deadline(key), deadline):
        return ZERO
    return move_deadline(session, key, deadline)


def move_deadline(session: Session, key: bytes, deadline: int) -> bytes:
    """Give a key that is there a deadline; one that has passed removes it. Replies 1."""
    space = session.space
    if deadline <= now_ms():
        space.remove(key)
    else:
        space.set_deadline(key, deadline)
        space.note_write(key)
    return ONE


def _remaining(unit_ms: int, is_relative: bool) -> Handler:
    def run(session: Session, request: Request) -> bytes:
        if session.space.find(request[1]) is None:
            return integer(-2)
        deadline = session.space.deadline(request[1])
        if deadline is None:
            return integer(-1)
        amount = max(deadline - now_ms(), 0) if is_relative else deadline
        return integer(amount if unit_ms == 1 else (amount + SECOND_MS // 2) // SECOND_MS)

    return run


def _persist(session: Session, request: Request) -> bytes:
    space = session.space
    if space.find(request[1]) is None or space.deadline(request[1]) is None:
        return ZERO
    space.set_deadline(request[1], None)
    space.note_write(request[1])
    return ONE


COMMANDS = (
    Command(b"expire", _expire(b"expire", SECOND_MS, True), -3),
    Command(b"pexpire", _expire(b"pexpire", 1, True), -3),
    Command(b"expireat", _expire(b"expireat", SECOND_MS, False), -3),
    Command(b"pexpireat", _expire(b"pexpireat", 1, False), -3),
    Command(b"ttl", _remaining(SECOND_MS, True), 2),
    Command(b"pttl", _remaining(1, True), 2),
    Command(b"expiretime", _remaining(SECOND_MS, False), 2),
    Command(b"pexpiretime", _remaining(1, False), 2),
    Command(b"persist", _persist, 2),
)
