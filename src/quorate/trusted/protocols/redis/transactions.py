"""MULTI, EXEC, WATCH: the queue is here, and a whole transaction is one slot: MULTI … EXEC in one piece on the lane.

A queued request is checked when it comes and compiled when EXEC orders it, with EXEC's own time. WATCH is a mark on
keys: any write ordered after it that may change a watched key makes EXEC answer null, without taking a slot.
"""

from ...errors import invariant
from ...limits import Limits
from ...span import Effect
from .base import Call, Compiled, Dialect, Refusal, Transform
from .framing import encode_request
from .session import Session, Transaction
from .values import array, elements, is_error, value_end

EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
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


def enqueue(session: Session, call: Call, requests_max: int, bytes_max: int) -> None:
    """Queue a checked request of a transaction. Raises `Refusal` past the limits."""
    transaction = session.transaction or Transaction()
    if len(transaction.queued) >= requests_max or transaction.size + len(call.raw) > bytes_max:
        raise Refusal("ERR quorate: the transaction is over the limit")
    transaction.queued.append(call)
    transaction.size += len(call.raw)


def compile_transaction(compiled: list[Compiled], home: bytes | None) -> tuple[bytes, Execution]:
    """One slot's bytes for all of `compiled`; `home` leads the lane back to the database that it came from."""
    parts = [_MULTI, *[one.raw for one in compiled]]
    if home is not None:
        parts.append(home)
    parts.append(_EXEC)
    return b"".join(parts), Execution(compiled, 0 if home is None else 1)
