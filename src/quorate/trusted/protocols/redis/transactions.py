"""MULTI, EXEC, WATCH: the queue is here, and a whole transaction is one slot: MULTI … EXEC in one piece on the lane.

A queued request is checked when it comes and compiled when EXEC orders it, with EXEC's own time. WATCH is a mark on keys:
any write ordered after it that may change a watched key makes EXEC answer null, without taking a slot.
"""

from ...span import Effect
from .base import Call, Compiled, Dialect, Refusal, Transform
from .framing import encode_request
from .session import Session, Transaction
from .values import elements, value_end, with_elements

EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
_MULTI = encode_request([b"MULTI"])
_EXEC = encode_request([b"EXEC"])


class Execution(Transform):
    """The reply of a transaction: `statuses` lines (MULTI's and one per queued request), then the array of results."""

    def __init__(self, transforms: list[Transform | None], statuses: int, hidden: int) -> None:
        self._transforms = transforms
        self._statuses = statuses
        self.frames = statuses + 1
        self._hidden = hidden
        self.is_exact = all(transform is None or transform.is_exact for transform in transforms)

    def canonical(self, reply: bytes) -> bytes:
        """Each result in its own canonical form."""
        body = self._body(reply)
        results = elements(reply[body:])
        if len(results) != len(self._transforms) + self._hidden:
            return reply
        for index, transform in enumerate(self._transforms):
            if transform is not None:
                results[index] = transform.canonical(results[index])
        return reply[:body] + with_elements(reply[body:], results)

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The array of results, each as its own request's client would be told it."""
        answer = reply[self._body(reply) :]
        results = elements(answer)
        if len(results) != len(self._transforms) + self._hidden:
            return answer
        told: list[bytes] = []
        for index, transform in enumerate(self._transforms):
            result = results[index]
            told.append(result if transform is None else transform.tell(result, dialect, now, effects))
        return b"*%d\r\n" % len(told) + b"".join(told)

    def _body(self, reply: bytes) -> int:
        position = 0
        for _ in range(self._statuses):
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

    def __init__(self, total_max: int, keys_max: int) -> None:
        self._total_max = total_max
        self._keys_max = keys_max
        self._total = 0
        self._by_key: dict[tuple[int, bytes], dict[int, Session]] = {}

    def __len__(self) -> int:
        return self._total

    def watch(self, session: Session, keys: list[bytes]) -> None:
        """Mark `keys` for `session`. Raises `Refusal` past the limits."""
        added = [key for key in dict.fromkeys(keys) if (session.database, key) not in session.watched]
        if len(session.watched) + len(added) > self._keys_max or self._total + len(added) > self._total_max:
            raise Refusal("ERR quorate: too many watched keys")
        for key in added:
            place = (session.database, key)
            session.watched[place] = None
            self._by_key.setdefault(place, {})[session.client.number] = session
        self._total += len(added)

    def forget(self, session: Session) -> None:
        """`session` watches nothing any more."""
        self._total -= len(session.watched)
        for place in session.watched:
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
    parts = [_MULTI]
    transforms: list[Transform | None] = []
    for one in compiled:
        parts.append(one.raw)
        transforms.append(one.transform)
    hidden = 0
    if home is not None:
        parts.append(home)
        hidden = 1
    parts.append(_EXEC)
    return b"".join(parts), Execution(transforms, 1 + len(compiled) + hidden, hidden)


