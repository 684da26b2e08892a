"""MULTI, EXEC, WATCH: the queue is here, and a whole transaction is one slot: MULTI … EXEC in one piece on the lane.

A queued request is checked when it comes and compiled when EXEC orders it, with EXEC's own time. WATCH is a mark on
keys: any write ordered after it that may change a watched key makes EXEC answer null, without taking a slot.
"""

from ...errors import invariant
from ...limits import Limits
from ...span import Effect, Span
from .allow_list import NO_ROOM
from .base import Call, Compiled, Dialect, Refusal, Responder, Transform
from .framing import encode_request
from .session import Session, Transaction
from .values import EMPTY_ARRAY, OK, array, elements, error, is_error, null_array, value_end

EXEC_ALONE = error("ERR EXEC without MULTI")
EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
EXECABORT_FOR = b"-EXECABORT Transaction discarded because of: "
_MULTI = encode_request([b"MULTI"])
_EXEC = encode_request([b"EXEC"])


class Execution(Transform):
    """The reply of a transaction: a status for MULTI and for each request on the lane, then the array of results.

    The last `hidden` results are the lane's own.
    """

    def __init__(self, compiled: list[Compiled], hidden: int) -> None:
        self._compiled = compiled
        self._hidden = hidden
        self._results = sum(one.frames for one in compiled) + hidden
        self.frames = self._results + 2
        self.is_exact = all(one.transform is None or one.transform.is_exact for one in compiled)
        invariant(
            all(one.frames == 1 or (one.transform is not None and not one.transform.is_exact) for one in compiled),
            "what yields several replies has one canonical form",
        )

    def canonical(self, reply: bytes) -> bytes:
        """Each result in its own canonical form, one for each request."""
        body = self._body(reply)
        results = elements(reply[body:])
        if len(results) != self._results:
            return reply
        position = 0
        canonical: list[bytes] = []
        for one in self._compiled:
            result = b"".join(results[position : position + one.frames])
            position += one.frames
            canonical.append(result if one.transform is None else one.transform.canonical(result))
        return reply[:body] + array(canonical + results[position:])

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The array of results, each as its own request's client would be told it."""
        answer = reply[self._body(reply) :]
        results = elements(answer)
        if len(results) != len(self._compiled) + self._hidden:
            return self._told_failure(answer, dialect, now, effects)
        told: list[bytes] = []
        behind: list[bytes] = []
        for index, one in enumerate(self._compiled):
            result = results[index]
            if one.transform is None:
                told.append(result)
                continue
            told.append(one.transform.tell(result, dialect, now, effects))
            behind.append(one.transform.behind)
        return array(told) + b"".join(behind)

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nobody knows what it did, nor what any request in it did."""
        for one in self._compiled:
            if one.transform is not None:
                one.transform.failed(answer, dialect, now, effects)

    def _told_failure(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The replicas refused the transaction as a whole, and each request in it with that."""
        if not is_error(answer):
            self.failed(answer, dialect, now, effects)
            return answer
        for one in self._compiled:
            if one.transform is not None:
                one.transform.tell(answer, dialect, now, effects)
        return answer

    def _body(self, reply: bytes) -> int:
        """Where the array of results begins."""
        position = 0
        for _ in range(self.frames - 1):
            position = value_end(reply, position)
        return position


class Fixed(Transform):
    """A result that the coordinator gave itself, whatever the placeholder on the lane yields."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The coordinator's answer."""
        return self._answer


PLACEHOLDER = encode_request([b"PING"])


class Watchers:
    """Who watches which key. A key is watched in its database."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._bytes = 0
        self._by_key: dict[tuple[int, bytes], dict[int, Session]] = {}

    def __len__(self) -> int:
        return self._total

    def watch(self, session: Session, keys: list[bytes]) -> None:
        """Mark `keys` for `session`. Raises `Refusal` past the limits."""
        added = [key for key in dict.fromkeys(keys) if (session.database, key) not in session.watched]
        limits = self._limits
        size = sum(map(len, added))
        if len(session.watched) + len(added) > limits.watched_keys_max:
            raise Refusal("ERR quorate: too many watched keys (limit watched_keys_max)")
        if self._total + len(added) > limits.watched_total_max or self._bytes + size > limits.watched_bytes_max:
            raise Refusal("ERR quorate: too many watched keys of all clients together")
        for key in added:
            place = (session.database, key)
            session.watched[place] = None
            self._by_key.setdefault(place, {})[session.client.number] = session
        self._total += len(added)
        self._bytes += size

    def forget(self, session: Session) -> None:
        """`session` watches nothing any more."""
        self._total -= len(session.watched)
        for place in session.watched:
            self._bytes -= len(place[1])
            sessions = self._by_key[place]
            del sessions[session.client.number]
            if not sessions:
                del self._by_key[place]
        session.watched.clear()
        session.is_dirty = False

    def touched(self, database: int, keys: list[bytes]) -> None:
        """These keys may change: EXEC of who watches them will refuse."""
        for key in keys:
            for session in self._by_key.get((database, key), {}).values():
                session.is_dirty = True

    def touched_all(self) -> None:
        """Any key may change."""
        for sessions in self._by_key.values():
            for session in sessions.values():
                session.is_dirty = True


class Transactions:
    """The queues of all connections that have said MULTI, and what they hold together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0

    def queue(self, call: Call) -> None:
        """Queue a checked request. Raises `Refusal` past the limits."""
        limits = self._limits
        transaction = call.session.transaction
        assert transaction is not None
        size = len(call.raw)
        if self._bytes + size > limits.transactions_bytes_max:
            raise Refusal("ERR quorate: all transactions together are over the limit")
        is_full = len(transaction.queued) >= limits.transaction_requests_max
        if is_full or transaction.size + size > limits.transaction_bytes_max:
            raise Refusal("ERR quorate: the transaction is over the limit")
        transaction.queued.append(call)
        transaction.size += size
        self._bytes += size

    def drop(self, session: Session) -> None:
        """`session` is in no transaction any more."""
        if session.transaction is not None:
            self._bytes -= session.transaction.size
            session.transaction = None


def abort(dialect: Dialect, session: Session, answer: bytes) -> bytes:
    """The EXEC of `session` was refused with `answer`: what it queued is gone. Returns what it is told."""
    dialect.transactions.drop(session)
    dialect.watchers.forget(session)
    return EXECABORT_FOR + answer[1:].removeprefix(b"ERR ")


def _multi(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if call.session.transaction is not None:
        # No refusal, which would break the transaction.
        return error("ERR MULTI calls can not be nested")
    call.session.transaction = Transaction()
    return OK


def _discard(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if call.session.transaction is None:
        raise Refusal("ERR DISCARD without MULTI")
    dialect.transactions.drop(call.session)
    dialect.watchers.forget(call.session)
    return OK


def _watch(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if call.session.transaction is not None:
        return error("ERR WATCH inside MULTI is not allowed")
    dialect.watchers.watch(call.session, call.arguments[1:])
    return OK


def _unwatch(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    dialect.watchers.forget(call.session)
    return OK


def _exec(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes | None:
    session = call.session
    transaction = session.transaction
    if transaction is None:
        return EXEC_ALONE
    is_dirty = session.is_dirty
    dialect.transactions.drop(session)
    dialect.watchers.forget(session)
    if transaction.is_broken:
        return EXECABORT
    if is_dirty:
        return null_array(session.protocol)
    if not transaction.queued:
        return EMPTY_ARRAY
    if dialect.is_journal_full and any(queued.command.is_write for queued in transaction.queued):
        return Refusal(NO_ROOM).answer
    _order(dialect, session, transaction.queued, call.now, effects)
    return None


def _order(dialect: Dialect, session: Session, queued: list[Call], now: int, effects: list[Effect]) -> None:
    """All of `queued` become one slot. SELECT among them moves the session while they are compiled."""
    home = session.database
    mode = session.mode
    compiled: list[Compiled] = []
    written: list[tuple[int, Call]] = []
    for call in queued:
        call.now = now
        call.in_transaction = True
        compiled.append(dialect.compile_queued(call, effects))
        if call.command.is_write:
            written.append((session.database, call))
    way_home = encode_request([b"SELECT", b"%d" % home]) if session.database != home else None
    raw, transform = _in_one_piece(compiled, way_home)
    owner = None if session.is_silent else session.client
    span = Span(owner, [raw], mode, bool(written), transform)
    span.frames = transform.frames
    effects.append(span)
    for database, call in written:
        dialect.wrote(database, call, effects)
    dialect.reap(now, effects)


def _in_one_piece(compiled: list[Compiled], home: bytes | None) -> tuple[bytes, Execution]:
    """One slot's bytes for all of `compiled`; `home` leads the lane back to the database that it came from."""
    parts = [_MULTI, *[one.raw for one in compiled]]
    if home is not None:
        parts.append(home)
    parts.append(_EXEC)
    return b"".join(parts), Execution(compiled, 0 if home is None else 1)


RESPONDERS: dict[str, Responder] = {
    "discard": _discard,
    "exec": _exec,
    "multi": _multi,
    "unwatch": _unwatch,
    "watch": _watch,
}
