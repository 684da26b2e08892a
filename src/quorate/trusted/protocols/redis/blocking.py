"""Blocking commands: their clients are parked here, and only forms that never block take slots.

Theory of operation. A blocking command first takes a slot in its non-blocking form. Is the reply null, its client is
*parked* on its keys. Each write that may change one of these keys has the first client of each *line* tried directly
after it, on this key alone. A line holds clients who compete for the same elements, first come first served; who
does not compete has a line of its own. While a client's attempt is under way no second one is made; a key touched
meanwhile is remembered, and tried after a null reply. Who got something leaves, and the next in line is tried, since
one write may bring several elements. Attempts that move elements wake the clients of their destination when they
succeed, so that null attempts never wake each other for ever.

A client that has ended its half of the connection gets what its attempt yields, and does not wait on: elements are not
for somebody who may be gone.

Timeouts are kept here. One that passes while an attempt is under way is decided by its reply. When the quorum is lost,
and nothing is done about it, nobody waits any more.
"""

import heapq

from ...changes import UNKNOWN
from ...client import Client
from ...limits import Limits
from ...span import Answer, Close, Effect
from .arguments import integer_argument, timeout_seconds
from .base import Call, Compiled, Compiler, Dialect, Planner, Refusal, Transform
from .framing import encode_request
from .plan import plain, together
from .session import Session
from .values import array, elements, error, is_error, is_null, null_array, value_end

WRONG_TYPE = b"-WRONGTYPE"
# What a parked key costs beside its bytes.
_KEY_BYTES = 256
_STALE_MAX = 64


class Wish:
    """What a client is parked for: how to ask for it without blocking, and what replies mean.

    `line` names whom it competes with. `popped` are keys that an attempt may change, `pushed` what a success fills.
    """

    is_write = True

    def __init__(self, keys: list[bytes], line: bytes) -> None:
        self.keys = keys
        self.line = line
        self.pushed: list[bytes] = []

    def first(self) -> list[bytes]:
        """The request that asks for all keys."""
        raise NotImplementedError

    def again(self, key: bytes) -> list[list[bytes]]:
        """The requests of one slot that ask for `key` alone."""
        raise NotImplementedError

    def outcome(self, reply: bytes) -> bytes | None:
        """The client's answer after the reply to `first`; None: there is nothing yet."""
        return None if is_null(reply) else reply

    def outcome_again(self, reply: bytes) -> bytes | None:
        """The client's answer after the replies to `again`; None: there is nothing yet."""
        raise NotImplementedError

    def popped(self, key: bytes | None) -> list[bytes]:
        """The keys that an attempt on `key`, or on all keys, may change."""
        return (self.keys if key is None else [key]) + self.pushed


class Pop(Wish):
    """BLPOP, BRPOP, BZPOPMIN, BZPOPMAX (flat replies), BLMPOP, BZMPOP: LMPOP or ZMPOP, `options` after the keys."""

    def __init__(self, command: bytes, keys: list[bytes], options: list[bytes], is_flat: bool) -> None:
        super().__init__(keys, command)
        self._command = command
        self._options = options
        self._is_flat = is_flat

    def first(self) -> list[bytes]:
        """The request that asks for all keys."""
        return [self._command, b"%d" % len(self.keys), *self.keys, *self._options]

    def again(self, key: bytes) -> list[list[bytes]]:
        """The request that asks for `key`."""
        return [[self._command, b"1", key, *self._options]]

    def outcome(self, reply: bytes) -> bytes | None:
        """Key and elements; flat: key and element, and its score."""
        if is_null(reply):
            return None
        parts = elements(reply)
        if not self._is_flat or len(parts) != 2:
            return reply
        return array([parts[0], *[part for one in elements(parts[1]) for part in elements(one) or [one]]])

    def outcome_again(self, reply: bytes) -> bytes | None:
        """The same; a key that now holds something else has nothing yet."""
        return None if reply.startswith(WRONG_TYPE) else self.outcome(reply)


class Move(Wish):
    """BLMOVE and BRPOPLPUSH, by `request`."""

    def __init__(self, request: list[bytes]) -> None:
        super().__init__([request[1]], b"LMPOP")
        self._request = request
        self.pushed = [request[2]]

    def first(self) -> list[bytes]:
        """The request that does not block."""
        return self._request

    def again(self, key: bytes) -> list[list[bytes]]:
        """The same, after a look at the source: a wrong type there is nothing yet, at the destination an error."""
        return [[b"LLEN", key], self._request]

    def outcome_again(self, reply: bytes) -> bytes | None:
        """The element that was moved."""
        end = value_end(reply, 0)
        return None if is_error(reply[:end]) else self.outcome(reply[end:])


class Parked:
    """One client that waits. `deadline` is in ns, 0 for never; `key` is what its last attempt asks for, None: all."""

    __slots__ = ("cost", "deadline", "is_expired", "is_trying", "key", "number", "session", "touched", "wish")

    def __init__(self, session: Session, wish: Wish, deadline: int, number: int, cost: int) -> None:
        self.session = session
        self.wish = wish
        self.deadline = deadline
        self.number = number
        self.cost = cost
        self.key: bytes | None = None
        self.touched: dict[bytes, None] = {}
        self.is_trying = False
        self.is_expired = False


class Attempt(Transform):
    """The slot of one attempt."""

    def __init__(self, parked: Parked) -> None:
        self._parked = parked

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Act on its reply."""
        wish = self._parked.wish
        answer = wish.outcome(reply) if self._parked.key is None else wish.outcome_again(reply)
        dialect.parking.tried(dialect, self._parked, answer, now, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nobody knows what it did: the wait is over."""
        dialect.parking.tried(dialect, self._parked, answer, now, effects)


Line = dict[int, Parked]


class Parking:
    """All parked clients, by number in the order of their coming, and by database and key in lines."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parked: dict[int, Parked] = {}
        self._lines: dict[tuple[int, bytes], dict[bytes, Line]] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._by_client: dict[int, int] = {}
        self._last = 0
        self._bytes = 0
        self._is_marking = False

    def __len__(self) -> int:
        return len(self._parked)

    def start(self, dialect: Dialect, call: Call, wish: Wish, wait_ns: int, effects: list[Effect]) -> None:
        """Make the first attempt for the client of `call`, and park it. Raises `Refusal` past the limits."""
        limits = self._limits
        cost = len(call.raw) + _KEY_BYTES * len(wish.keys)
        if len(wish.keys) > limits.parked_keys_max:
            raise Refusal("ERR quorate: too many keys to wait for (limit parked_keys_max)")
        if len(self._parked) >= limits.parked_max:
            raise Refusal("ERR quorate: too many blocked clients (limit parked_max)")
        if self._bytes + cost > limits.parked_bytes_max:
            raise Refusal("ERR quorate: blocked clients hold too much (limit parked_bytes_max)")
        session = call.session
        self._last += 1
        parked = Parked(session, wish, call.now + wait_ns if wait_ns else 0, self._last, cost)
        self._parked[parked.number] = parked
        self._by_client[session.client.number] = parked.number
        self._bytes += cost
        for key in wish.keys:
            self._lines.setdefault((session.database, key), {}).setdefault(wish.line, {})[parked.number] = parked
        dialect.wait(session)
        self._try(dialect, parked, None, call.now, effects)

    def wake(self, dialect: Dialect, database: int, key: bytes, now: int, effects: list[Effect]) -> None:
        """A write that may have changed `key` was just ordered: try the first client of each line."""
        lines = self._lines.get((database, key))
        if lines is None or self._is_marking:
            return
        for line in lines.values():
            self._poke(dialect, next(iter(line.values())), key, now, effects)

    def wake_all(self, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """A write that may have changed any key was just ordered."""
        for database, key in self._lines:
            self.wake(dialect, database, key, now, effects)

    def is_idle(self, client: Client) -> bool:
        """Whether this client is parked, and no attempt is under way for it."""
        number = self._by_client.get(client.number)
        return number is not None and not self._parked[number].is_trying

    def left(self, session: Session) -> None:
        """The client went: forget it. An attempt under way is executed all the same."""
        number = self._by_client.get(session.client.number)
        if number is not None:
            self._remove(self._parked[number])

    def next_ns(self, is_lost: bool = False) -> int:
        """When the next wait ends (ns), or 0. When the cell `is_lost`, that is long past."""
        if is_lost and self._parked:
            return 1
        deadlines = self._deadlines
        while deadlines and deadlines[0][1] not in self._parked:
            heapq.heappop(deadlines)
        return deadlines[0][0] if deadlines else 0

    def expire(self, dialect: Dialect, now: int, effects: list[Effect], lost: str = "") -> None:
        """End the waits whose time has passed: null, unless an attempt is under way. With `lost`, end all others."""
        while 0 < self.next_ns() <= now:
            parked = self._parked[heapq.heappop(self._deadlines)[1]]
            parked.is_expired = True
            if not parked.is_trying:
                session = parked.session
                self._remove(parked)
                after = dialect.switchboard.last_heard(session)
                dialect.resume(session, null_array(session.protocol), now, effects, after)
        if lost:
            self._refuse(error(f"NOQUORUM {lost}"), dialect, now, effects)

    def _refuse(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nothing will be decided: all are told, for what they asked meanwhile too. An attempt's slot tells its own."""
        for parked in list(self._parked.values()):
            if parked.is_trying:
                continue
            self._remove(parked)
            session = parked.session
            waiting = len(session.queue)
            session.queue.clear()
            dialect.resume(session, answer, now, effects, dialect.switchboard.last_heard(session))
            if not session.is_muted:
                effects.extend(Answer(session.client, answer) for _ in range(waiting))

    def tried(self, dialect: Dialect, parked: Parked, answer: bytes | None, now: int, effects: list[Effect]) -> None:
        """An attempt ended with this answer for its client; None: there is nothing yet."""
        is_first = parked.key is None
        parked.is_trying = False
        client = parked.session.client
        if answer is None and client.is_ending:
            effects.append(Close(client))
        elif answer is None and not client.is_gone:
            if parked.deadline and now >= parked.deadline:
                parked.is_expired = True
            if not parked.is_expired:
                self._stay(dialect, parked, is_first, now, effects)
                return
            answer = null_array(parked.session.protocol)
        self._leave(dialect, parked, answer, now, effects)

    def _stay(self, dialect: Dialect, parked: Parked, is_first: bool, now: int, effects: list[Effect]) -> None:
        """Nothing yet: wait on, or try again on a key that was touched during the attempt."""
        if is_first and parked.deadline:
            self._remember(parked)
        if parked.touched:
            key = next(iter(parked.touched))
            del parked.touched[key]
            self._try(dialect, parked, key, now, effects)

    def _leave(self, dialect: Dialect, parked: Parked, answer: bytes | None, now: int, effects: list[Effect]) -> None:
        """The client's wait is over: those behind it have their turn, then it is answered."""
        wish, database = parked.wish, parked.session.database
        if parked.number in self._parked:
            self._remove(parked)
        if parked.key is not None:
            parked.touched[parked.key] = None
        for key in parked.touched:
            line = self._lines.get((database, key), {}).get(wish.line)
            if line:
                self._poke(dialect, next(iter(line.values())), key, now, effects)
        if answer is not None and not is_error(answer) and not is_null(answer):
            for key in wish.pushed:
                self.wake(dialect, database, key, now, effects)
        if answer is not None:
            dialect.resume(parked.session, answer, now, effects)

    def _poke(self, dialect: Dialect, parked: Parked, key: bytes, now: int, effects: list[Effect]) -> None:
        if parked.is_trying:
            parked.touched[key] = None
        else:
            self._try(dialect, parked, key, now, effects)

    def _try(self, dialect: Dialect, parked: Parked, key: bytes | None, now: int, effects: list[Effect]) -> None:
        wish = parked.wish
        parked.is_trying = True
        parked.key = key
        requests = [wish.first()] if key is None else wish.again(key)
        effects.append(together(parked.session, requests, wish.is_write, Attempt(parked)))
        if wish.is_write:
            popped = wish.popped(key)
            if not popped:
                for changed in wish.keys if key is None else [key]:
                    dialect.changes.note(parked.session.database, changed, UNKNOWN)
            # It may take elements, which wakes nobody; what it adds elsewhere wakes when it is known to have done so.
            self._is_marking = True
            dialect.touched(parked.session.database, popped, now, effects)
            self._is_marking = False
            for pushed in wish.pushed:
                changes, database = dialect.changes, parked.session.database
                changes.keep(database, pushed, UNKNOWN, changes.element_of(database, popped[0], pushed))

    def _remember(self, parked: Parked) -> None:
        """Note its deadline; drop those of clients who left, before they are the larger part."""
        if len(self._deadlines) > 2 * len(self._parked) + _STALE_MAX:
            self._deadlines = [due for due in self._deadlines if due[1] in self._parked]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (parked.deadline, parked.number))

    def _remove(self, parked: Parked) -> None:
        session = parked.session
        del self._parked[parked.number]
        del self._by_client[session.client.number]
        self._bytes -= parked.cost
        for key in parked.wish.keys:
            place = (session.database, key)
            lines = self._lines[place]
            del lines[parked.wish.line][parked.number]
            if not lines[parked.wish.line]:
                del lines[parked.wish.line]
            if not lines:
                del self._lines[place]


class Unblocked(Transform):
    """A blocking command inside MULTI: null where it would block."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The reply in the blocking command's form."""
        answer = self._wish.outcome(reply)
        return reply if answer is None else answer


def _pop_wish(call: Call) -> tuple[Wish, int]:
    """BLPOP, BRPOP, BZPOPMIN, BZPOPMAX key … timeout."""
    command, option = _FLAT[call.command.name]
    wait_ns = timeout_seconds(call.arguments[-1])
    return Pop(command, list(dict.fromkeys(call.arguments[1:-1])), [option], is_flat=True), wait_ns


def _move_wish(call: Call) -> tuple[Wish, int]:
    """BLMOVE source destination from to timeout, BRPOPLPUSH source destination timeout."""
    arguments = call.arguments
    if call.command.name == "brpoplpush":
        return Move([b"RPOPLPUSH", *arguments[1:3]]), timeout_seconds(arguments[3])
    if not all(side.upper() in _SIDES for side in arguments[3:5]):
        raise Refusal("ERR syntax error")
    return Move([b"LMOVE", *arguments[1:5]]), timeout_seconds(arguments[5])


def _several_wish(call: Call) -> tuple[Wish, int] | None:
    """BLMPOP, BZMPOP timeout numkeys key … where [COUNT count]; None when Redis answers the rest with an error."""
    arguments = call.arguments
    is_list = call.command.name == "blmpop"
    count = integer_argument(arguments[2])
    if count is None or not 0 < count < len(arguments) - 3:
        return None
    options = arguments[3 + count :]
    if options[0].upper() not in (_SIDES if is_list else _ENDS):
        return None
    if len(options) > 1:
        limit = integer_argument(options[2]) if len(options) == 3 and options[1].upper() == b"COUNT" else None
        if limit is None or limit < 1:
            return None
    keys = list(dict.fromkeys(arguments[3 : 3 + count]))
    return Pop(b"LMPOP" if is_list else b"ZMPOP", keys, options, is_flat=False), timeout_seconds(arguments[1])


_SIDES = (b"LEFT", b"RIGHT")
_ENDS = (b"MIN", b"MAX")
_FLAT = {
    "blpop": (b"LMPOP", b"LEFT"),
    "brpop": (b"LMPOP", b"RIGHT"),
    "bzpopmin": (b"ZMPOP", b"MIN"),
    "bzpopmax": (b"ZMPOP", b"MAX"),
}


def _wish_of(call: Call) -> tuple[Wish, int] | None:
    """What a call waits for, and for how long (ns). Raises `Refusal` as Redis would; None: let the replicas do so."""
    name = call.command.name
    if name in _FLAT:
        return _pop_wish(call)
    return _move_wish(call) if name in ("blmove", "brpoplpush") else _several_wish(call)


def _unblocked(call: Call) -> bytes:
    """BLMPOP or BZMPOP with a wrong argument, as the command that answers it with the same error."""
    return encode_request([call.command.name[1:].upper().encode(), *call.arguments[2:]])


def _compile(dialect: Dialect, call: Call) -> Compiled:
    found = _wish_of(call)
    if found is None:
        return Compiled(_unblocked(call))
    return Compiled(encode_request(found[0].first()), Unblocked(found[0]))


def _plan(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    found = _wish_of(call)
    if found is None:
        effects.append(plain(call, _unblocked(call)))
    else:
        dialect.parking.start(dialect, call, found[0], found[1], effects)


_NAMES = (*_FLAT, "blmove", "brpoplpush", "blmpop", "bzmpop")
COMPILERS: dict[str, Compiler] = dict.fromkeys(_NAMES, _compile)
PLANNERS: dict[str, Planner] = dict.fromkeys(_NAMES, _plan)
