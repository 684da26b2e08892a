"""SCAN, SSCAN, HSCAN, ZSCAN: one voted snapshot at cursor 0, handed out page by page from here.

Replicas keep elements in different orders, so their own cursors mean nothing to each other. A snapshot belongs to
(command, database, key), not to a connection, as cursors do in Redis. It holds everything that was there when the scan
began; MATCH and TYPE choose from each page as it is handed out. A cursor's last page may be asked for again until the
next but one is.

Bounds: snapshots, bytes of one and of all, idle time; past them a scan that would need a snapshot is refused. What fits
on one page needs none.
"""

from ...limits import Limits
from ...span import Effect
from .arguments import integer_argument
from .base import Call, Dialect, Planner, Refusal, Transform
from .glob import Glob
from .order_free import Unordered
from .plan import plain, together
from .session import Session
from .values import array, bulk, elements, is_error, payload, value_end

_COUNT = 10
_CURSOR_MAX = 2**64 - 1
_CURSOR_DIGITS_MAX = 64
# Redis gives a collection that it keeps in its compact encoding whole, whatever COUNT says.
_COMPACT_MAX = 128
_UNKNOWN = "ERR invalid cursor: no scan of this is under way with it (limit cursor_idle_ns_max)"

Place = tuple[str, int, bytes]


class Snapshot:
    """The encoded elements of one collection after its first page. `numbers` are the cursors into it, oldest first."""

    __slots__ = ("body", "number", "numbers", "place", "used_at")

    def __init__(self, number: int, place: Place, body: bytes) -> None:
        self.number = number
        self.place = place
        self.body = body
        self.numbers: list[int] = []
        self.used_at = 0

    @property
    def size(self) -> int:
        """What it costs, in bytes."""
        return len(self.body) + len(self.place[2])


class Position:
    """Where a cursor continues: `offset` bytes into a snapshot."""

    __slots__ = ("offset", "snapshot")

    def __init__(self, snapshot: Snapshot, offset: int) -> None:
        self.snapshot = snapshot
        self.offset = offset


class Cursors:
    """All snapshots, the longest idle first, and the cursors into them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._snapshots: dict[int, Snapshot] = {}
        self._positions: dict[int, Position] = {}
        self._bytes = 0
        self._last = 0

    def __len__(self) -> int:
        return len(self._snapshots)

    def open(self, place: Place, body: bytes, now: int) -> int:
        """Keep a snapshot; the cursor that continues at its beginning. Raises `Refusal` past the limits."""
        limits = self._limits
        snapshot = Snapshot(self._next(), place, body)
        if snapshot.size > limits.cursor_bytes_max:
            raise Refusal("ERR quorate: this collection is too large to scan (limit cursor_bytes_max)")
        if len(self._snapshots) >= limits.cursors_max:
            raise Refusal("ERR quorate: too many scans are under way (limit cursors_max)")
        if self._bytes + snapshot.size > limits.cursors_bytes_max:
            raise Refusal("ERR quorate: the scans under way hold too much (limit cursors_bytes_max)")
        self._bytes += snapshot.size
        return self._issue(snapshot, 0, now)

    def find(self, number: int, place: Place) -> Position:
        """Where this cursor continues. Raises `Refusal` when nothing is known of it."""
        position = self._positions.get(number)
        if position is None or position.snapshot.place != place:
            raise Refusal(_UNKNOWN)
        return position

    def advance(self, snapshot: Snapshot, offset: int, now: int) -> int:
        """The cursor that continues `snapshot` at `offset`; 0, and the snapshot is forgotten, at its end."""
        if offset >= len(snapshot.body):
            self._forget(snapshot)
            return 0
        return self._issue(snapshot, offset, now)

    def next_ns(self) -> int:
        """When the longest idle snapshot is forgotten (ns), or 0."""
        for snapshot in self._snapshots.values():
            return snapshot.used_at + self._limits.cursor_idle_ns_max
        return 0

    def expire(self, now: int) -> None:
        """Forget what was idle for too long."""
        while self._snapshots and self.next_ns() <= now:
            self._forget(next(iter(self._snapshots.values())))

    def _issue(self, snapshot: Snapshot, offset: int, now: int) -> int:
        number = self._next()
        self._positions[number] = Position(snapshot, offset)
        snapshot.numbers.append(number)
        if len(snapshot.numbers) > 2:
            del self._positions[snapshot.numbers.pop(0)]
        snapshot.used_at = now
        self._snapshots.pop(snapshot.number, None)
        self._snapshots[snapshot.number] = snapshot
        return number

    def _forget(self, snapshot: Snapshot) -> None:
        for number in snapshot.numbers:
            del self._positions[number]
        del self._snapshots[snapshot.number]
        self._bytes -= snapshot.size

    def _next(self) -> int:
        self._last += 1
        return self._last


class Options:
    """What a page is to hold: up to `count` elements, those of them that match `pattern` and are of `type`."""

    def __init__(self) -> None:
        self.count = _COUNT
        self.pattern = b"*"
        self.type = b""


def options_of(arguments: list[bytes], has_type: bool) -> Options | None:
    """The options in `arguments`; None when Redis answers them with an error."""
    options = Options()
    for index in range(0, len(arguments), 2):
        word = arguments[index].upper()
        if index + 1 == len(arguments):
            return None
        value = arguments[index + 1]
        if word == b"COUNT":
            count = integer_argument(value)
            if count is None or count < 1:
                return None
            options.count = count
        elif word == b"MATCH":
            options.pattern = value
        elif word == b"TYPE" and has_type:
            options.type = value.lower()
        else:
            return None
    return options


def cursor_of(text: bytes) -> int:
    """The number of a cursor, as C's strtoul reads it. Raises `Refusal` with Redis's own words."""
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if text and (not digits.isdigit() or len(digits) > _CURSOR_DIGITS_MAX or int(digits) > _CURSOR_MAX):
        raise Refusal("ERR invalid cursor")
    number = int(digits or b"0")
    return -number % (_CURSOR_MAX + 1) if text.startswith(b"-") else number


class Scan:
    """One call of the family, on its way to its page: a reply of cursor and elements."""

    def __init__(self, session: Session, place: Place, stride: int, options: Options) -> None:
        self.session = session
        self.place = place
        self.stride = stride
        self.options = options

    def begin(self, parts: list[bytes], dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The collection is `parts`: hand out its first page, and keep the rest. Raises `Refusal` when it cannot."""
        size = self._page_size(dialect)
        if self.place[0] != "scan" and len(parts) <= _COMPACT_MAX * self.stride:
            size = len(parts)
        matching = self._matching(parts[:size], dialect)
        number = 0
        if len(parts) > size:
            number = dialect.cursors.open(self.place, b"".join(parts[size:]), now)
        self._choose(number, matching, dialect, now, effects)

    def go_on(self, number: int, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Hand out the page at this cursor. Raises `Refusal` when nothing is known of it."""
        position = dialect.cursors.find(number, self.place)
        body = position.snapshot.body
        offset = position.offset
        parts: list[bytes] = []
        while offset < len(body) and len(parts) < self._page_size(dialect):
            end = value_end(body, offset)
            parts.append(body[offset:end])
            offset = end
        matching = self._matching(parts, dialect)
        self._choose(dialect.cursors.advance(position.snapshot, offset, now), matching, dialect, now, effects)

    def tell(self, number: int, parts: list[bytes], dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Answer with the cursor `number` and the elements `parts`."""
        self.answer(array([bulk(b"%d" % number), array(parts)]), dialect, now, effects)

    def answer(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Answer the call, whether its client waited or not."""
        if self.session.client.is_waiting:
            dialect.resume(self.session, answer, now, effects)
        else:
            dialect.answer(self.session, answer, effects)

    def _page_size(self, dialect: Dialect) -> int:
        return min(self.options.count, dialect.limits.scan_page_max) * self.stride

    def _matching(self, parts: list[bytes], dialect: Dialect) -> list[bytes]:
        if self.options.pattern == b"*":
            return parts
        limits = dialect.limits
        glob = Glob(self.options.pattern, limits.pattern_bytes_max, limits.match_steps_max)
        matching: list[bytes] = []
        for start in range(0, len(parts), self.stride):
            if glob.matches(payload(parts[start])):
                matching += parts[start : start + self.stride]
        return matching

    def _choose(self, number: int, parts: list[bytes], dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Answer with `parts`; with those of the wanted type only, if one was asked for."""
        if not self.options.type or not parts:
            self.tell(number, parts, dialect, now, effects)
            return
        dialect.wait(self.session)
        requests = [[b"TYPE", payload(key)] for key in parts]
        effects.append(together(self.session, requests, False, Types(self, number, parts)))


class Collection(Unordered):
    """The slot that reads the whole collection."""

    def __init__(self, scan: Scan) -> None:
        super().__init__(scan.stride)
        self._scan = scan

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Hand out the first page."""
        scan = self._scan
        if scan.session.client.is_gone:
            return b""
        try:
            if is_error(reply):
                scan.answer(reply, dialect, now, effects)
            else:
                scan.begin(self.parts(reply), dialect, now, effects)
        except Refusal as refusal:
            scan.answer(refusal.answer, dialect, now, effects)
        return b""

    def parts(self, reply: bytes) -> list[bytes]:
        """The elements as bulk strings, in groups of the stride."""
        return elements(reply)

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The collection is not known."""
        self._scan.answer(answer, dialect, now, effects)


class RankedCollection(Collection):
    """A sorted set: replicas agree on its order; in RESP3 each member comes with its score as a double."""

    is_exact = True

    def canonical(self, reply: bytes) -> bytes:
        """The reply as it came."""
        return reply

    def parts(self, reply: bytes) -> list[bytes]:
        """Members and scores in turn, scores as strings: ZSCAN gives them so in both protocol versions."""
        if self._scan.session.protocol == 2:
            return elements(reply)
        parts: list[bytes] = []
        for pair in elements(reply):
            parts += [bulk(payload(part)) for part in elements(pair)]
        return parts


class Types(Transform):
    """The slot that asks for the type of each key of a page."""

    def __init__(self, scan: Scan, number: int, keys: list[bytes]) -> None:
        self._scan = scan
        self._number = number
        self._keys = keys

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Answer with the keys of the wanted type."""
        chosen: list[bytes] = []
        position = 0
        for key in self._keys:
            end = value_end(reply, position)
            if payload(reply[position:end]) == self._scan.options.type:
                chosen.append(key)
            position = end
        self._scan.tell(self._number, chosen, dialect, now, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The types are not known."""
        self._scan.answer(answer, dialect, now, effects)


def _scan_keys(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    arguments = call.arguments
    number = cursor_of(arguments[1])
    options = options_of(arguments[2:], has_type=True)
    if options is None:
        effects.append(plain(call, call.raw))
        return
    scan = Scan(call.session, ("scan", call.session.database, b""), 1, options)
    if number:
        scan.go_on(number, dialect, call.now, effects)
        return
    dialect.wait(call.session)
    effects.append(dialect.step(call.session, [b"KEYS", b"*"], False, Collection(scan)))


def _scan_collection(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    arguments = call.arguments
    number = cursor_of(arguments[2])
    options = options_of(arguments[3:], has_type=False)
    if options is None:
        # The replicas agree on what is said then: what the key holds is looked at first.
        effects.append(plain(call, call.raw))
        return
    name, key = call.command.name, arguments[1]
    scan = Scan(call.session, (name, call.session.database, key), 1 if name == "sscan" else 2, options)
    if number:
        scan.go_on(number, dialect, call.now, effects)
        return
    dialect.wait(call.session)
    if name == "zscan":
        step = dialect.step(call.session, [b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"], False, RankedCollection(scan))
    else:
        command = b"SMEMBERS" if name == "sscan" else b"HGETALL"
        step = dialect.step(call.session, [command, key], False, Collection(scan))
    effects.append(step)


PLANNERS: dict[str, Planner] = {
    "scan": _scan_keys,
    "sscan": _scan_collection,
    "hscan": _scan_collection,
    "zscan": _scan_collection,
}
