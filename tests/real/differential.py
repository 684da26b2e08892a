"""Random conversations, held twice: through the dialect with one real server behind it, and with a bare real server.

    .venv/bin/python -m tests.real.differential SEED ROUNDS    prints every difference it finds

The one server's reply is taken for agreed. What the dialect refuses by design is not asked of the bare server. Replies
in each server's own order are compared sorted, chance by its form, times within what passed between the two questions.
Beside replies, the servers' whole data are compared by DEBUG DIGEST.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.values import elements, integer_of, payload
from tests.real.grammar import ALL_KEYS, Grammar, Usage, usages
from tests.real.reference import Connection, serving
from tests.trusted.redis.conversation import Conversation

GROUPS = frozenset(("string", "hash", "list", "set", "sorted-set", "stream", "bitmap", "hyperloglog", "geo", "generic"))
EXTRA = frozenset(("echo", "ping", "publish", "dbsize", "flushdb", "swapdb", "select", "spublish", "flushall"))
# Known to differ by design, or asked by another test: cursors, replication, what is each server's own.
LEFT_OUT = frozenset(
    (
        "scan",
        "sscan",
        "hscan",
        "zscan",
        "wait",
        "migrate",
        "pfdebug",
        "pfselftest",
        "object|help",
        "xgroup|help",
        "xinfo|help",
    )
)
RARE = frozenset(("flushall", "flushdb", "swapdb"))

UNORDERED = frozenset(("smembers", "sinter", "sunion", "sdiff", "keys", "hkeys", "hvals", "sort", "sort_ro"))
UNORDERED_PAIRS = frozenset(("hgetall",))
BY_CHANCE = frozenset(("spop", "srandmember", "zrandmember", "hrandfield", "randomkey"))
TIMES = {"ttl": 1, "expiretime": 1, "pttl": 5_000, "pexpiretime": 5_000}
SHOWN_MAX = 3


@dataclass
class Difference:
    """A request that was answered differently, or left different data behind."""

    request: list[bytes]
    here: bytes
    there: bytes
    before: list[list[bytes]]

    def __str__(self) -> str:
        asked = b" ".join(self.request).decode("latin-1")
        before = "\n".join("    " + repr(b" ".join(words))[2:-1] for words in self.before[-12:])
        return f"{asked!r}\n  here:  {self.here!r}\n  there: {self.there!r}\n  after:\n{before}"


class Cell(Conversation):
    """The dialect, with one real server for all replicas."""

    def __init__(self, lane: Connection, settings: Settings | None = None) -> None:
        super().__init__(settings=settings)
        self._lane = lane
        self._mode = -1
        setup, frames = self.protocol.setup()
        lane.send(setup)
        lane.receive(frames)
        self.now = time.time_ns()

    def settle(self) -> None:
        """Have all slots executed and decided."""
        while self.spans:
            self.step()

    def step(self) -> None:
        """Have the oldest slot executed and decided."""
        span = self.spans[0]
        self._lane.send(self.protocol.switch(self._mode, span.mode) + span.requests[0])
        self._mode = span.mode
        self.decide(self._lane.receive(span.frames))

    def await_answer(self) -> None:
        """Let time pass until no client is parked."""
        while len(self.protocol.parking):
            time.sleep(0.002)
            self.now = time.time_ns()
            self.perform(self.protocol.woken(self.now))
            self.settle()


class Twice:
    """One conversation, held twice."""

    def __init__(self, lane: Connection, bare: Connection, protocol: int, seed: int) -> None:
        self.cell = Cell(lane)
        self.talker = self.cell.client()
        self.bare = bare
        self.lane = lane
        self.protocol = protocol
        self.chance = Random(seed)
        self.asked: list[list[bytes]] = []
        self.queued: list[list[bytes]] = []
        self.is_queueing = False
        self.is_watching = False
        self.differences: list[Difference] = []
        self.compared = 0
        self.skipped = 0
        self.both(b"HELLO", b"%d" % protocol)

    def here(self, *words: bytes) -> bytes:
        """The dialect's answer."""
        self.cell.now = max(time.time_ns(), self.cell.now)
        self.cell.perform(self.cell.protocol.read(self.talker.client, encode_request(list(words)), self.cell.now))
        self.cell.settle()
        self.cell.await_answer()
        return self.talker.hears()

    def both(self, *words: bytes) -> bytes:
        """Ask both, without comparing."""
        self.bare.ask(*words)
        return self.here(*words)

    def ask(self, *words: bytes) -> None:
        """Ask both, and compare."""
        request = list(words)
        name = words[0].lower().decode("latin-1")
        here = self.here(*words)
        if here.startswith((b"-ERR quorate", b"-TRYAGAIN")):
            self.skipped += 1
            self._abort()
            return
        there = self.bare.ask(*words)
        self.asked.append(request)
        self.compared += 1
        if self.is_watching and name == "exec" and here == _null_array(self.protocol) and there[:1] == b"*":
            self.start_over()
        elif name == "exec" and b"-ERR quorate" in here:
            self.skipped += 1
            self.start_over()
        elif not self._agree(request, here, there):
            self._differ(request, here, there)
        self._follow(name, here)
        if not self.is_queueing and _leaves_chance_behind(request):
            self.both(b"DEL", *words[1:2] or [b"none"])

    def _differ(self, request: list[bytes], here: bytes, there: bytes) -> None:
        self.differences.append(Difference(request, here, there, self.asked[-40:-1]))
        self.start_over()

    def _follow(self, name: str, here: bytes) -> None:
        """Keep track of what is queued."""
        if name == "multi" and here == b"+OK\r\n":
            self.is_queueing = True
            self.queued = []
        elif name in ("exec", "discard"):
            self.is_queueing = False
            self.is_watching = False
        elif name == "watch" and here == b"+OK\r\n":
            self.is_watching = True

    def _abort(self) -> None:
        """What was refused here was not asked there: a queue that would differ is dropped."""
        if self.is_queueing:
            self.both(b"DISCARD")
            self.is_queueing = False

    def start_over(self) -> None:
        """Both without data."""
        if self.is_queueing:
            self.both(b"DISCARD")
        self.is_queueing = False
        self.is_watching = False
        for words in ((b"UNWATCH",), (b"FLUSHALL",), (b"SELECT", b"0")):
            self.both(*words)
        self.asked.clear()

    def _agree(self, request: list[bytes], here: bytes, there: bytes) -> bool:
        if self.is_queueing and here == b"+QUEUED\r\n" == there:
            self.queued.append(request)
            return True
        if request[0].lower() == b"exec" and here[:1] == there[:1] == b"*":
            mine, theirs = elements(here), elements(there)
            return len(mine) == len(theirs) and all(map(_are_alike, self.queued, mine, theirs))
        return _are_alike(request, here, there)

    def scan(self, *words: bytes) -> None:
        """Scan to the end on both: the same elements."""
        found: list[list[bytes]] = []
        for ask in (self.here, self.bare.ask):
            cursor, parts = b"0", dict[bytes, None]()
            while True:
                reply = ask(*[cursor if word == b"CURSOR" else word for word in words])
                if reply.startswith(b"-"):
                    parts[reply] = None
                    break
                head, page = elements(reply)
                stride = 2 if words[0] in (b"HSCAN", b"ZSCAN") else 1
                texts = [payload(part) for part in elements(page)]
                parts.update((b" ".join(texts[at : at + stride]), None) for at in range(0, len(texts), stride))
                cursor = payload(head)
                if cursor == b"0":
                    break
            found.append(sorted(parts))
        self.compared += 1
        if found[0] != found[1]:
            self._differ(list(words), repr(found[0]).encode(), repr(found[1]).encode())

    def compare_data(self) -> None:
        """Both servers hold the same."""
        if self.is_queueing:
            return
        # What has expired already is still counted by a bare server, until somebody looks at it.
        self.bare.ask("EXISTS", *ALL_KEYS, *[word for words in self.asked[-8:] for word in words])
        here, there = (server.ask("DEBUG", "DIGEST") for server in (self.lane, self.bare))
        if here != there:
            self._differ([b"(data)", *self.asked[-1]], here, there)


def _leaves_chance_behind(request: list[bytes]) -> bool:
    """Whether the two servers may hold different data after `request`, both rightly."""
    name = request[0].lower()
    return name in (b"spop", b"restore") or (name == b"xadd" and b"*" in request)


def _null_array(protocol: int) -> bytes:
    return b"*-1\r\n" if protocol == 2 else b"_\r\n"


def _are_alike(request: list[bytes], here: bytes, there: bytes) -> bool:
    """Whether two replies to `request` are what one server might have said twice."""
    if here == there:
        return True
    name = request[0].lower().decode("latin-1")
    if here[:1] != there[:1] or here[:1] == b"-":
        return False
    if name.startswith("sort") and b"LIMIT" in [word.upper() for word in request]:
        # Of a set in no order, each server has its own first elements.
        return len(elements(here)) == len(elements(there))
    if name in UNORDERED:
        return sorted(elements(here)) == sorted(elements(there)) != []
    if name in UNORDERED_PAIRS:
        return _pairs(here) == _pairs(there)
    if name in BY_CHANCE:
        return len(elements(here)) == len(elements(there))
    if name in TIMES:
        return abs((integer_of(here) or 0) - (integer_of(there) or 0)) <= TIMES[name]
    if name == "xinfo" and request[1].lower() == b"stream":
        return _without_nodes(here) == _without_nodes(there)
    return name == "xadd" and b"*" in request and payload(here).count(b"-") == 1


def _pairs(reply: bytes) -> list[tuple[bytes, bytes]]:
    parts = elements(reply)
    return sorted(zip(parts[::2], parts[1::2], strict=True))


def _without_nodes(reply: bytes) -> list[bytes]:
    """XINFO STREAM without the counts of tree nodes."""
    parts = elements(reply)
    return parts[:2] + parts[6:]


SEEDS = """
MSET s1 hello s2 10 s3 3.5 w_a 3 w_b 1 w_10 2
HSET h1 a 1 b 2.5 c x
HSET h_a f 9
RPUSH l1 a b c 10 a
RPUSH l2 3 1 2
SADD t1 a b c 10
SADD t2 1 2 3 10
ZADD z1 1 a 2 b 3 c
ZADD z2 1.5 b 2 c 7 10
GEOADD g1 13.361389 38.115556 a 15.087269 37.502669 b
XADD x1 1-1 a 1
XADD x1 5-1 b 2 c 3
XADD x2 2-1 a 1
XGROUP CREATE x1 g 0
XGROUP CREATE x2 g 0
XREADGROUP GROUP g c COUNT 1 STREAMS x1 >
PFADD p1 a b c
PFADD p2 c d
"""


SCANS = """
SCAN CURSOR
SCAN CURSOR COUNT 3
SCAN CURSOR MATCH *1 COUNT 2
SCAN CURSOR TYPE list
SCAN CURSOR TYPE none
SSCAN t1 CURSOR
SSCAN t2 CURSOR COUNT 1
HSCAN h1 CURSOR MATCH a*
ZSCAN z1 CURSOR COUNT 1
ZSCAN t1 CURSOR
SSCAN none CURSOR
SCAN x
HSCAN h1 0 COUNT 0
SCAN 0 TYPO
"""


class Differential:
    """A seeded number of rounds."""

    def __init__(self, lane: Connection, bare: Connection, protocol: int, seed: int) -> None:
        self.talk = Twice(lane, bare, protocol, seed)
        self.chance = self.talk.chance
        found = [usage for usage in usages(bare) if _is_drawn(usage)]
        self._common = [usage for usage in found if usage.name not in RARE]
        self._all = found
        self._grammar = Grammar(self.chance, _payloads(bare))

    def round(self, steps: int) -> None:
        """Some data, then random requests and transactions."""
        talk = self.talk
        talk.start_over()
        for line in SEEDS.strip().splitlines():
            if self.chance.random() < 0.9:
                talk.ask(*line.encode().split())
        for _ in range(steps):
            drawn = self.chance.random()
            if drawn < 0.04:
                self._transaction()
            elif drawn < 0.05:
                self.talk.scan(*self.chance.choice(SCANS.strip().splitlines()).encode().split())
            else:
                talk.ask(*self._draw())
            talk.compare_data()

    def _draw(self) -> list[bytes]:
        pool = self._all if self.chance.random() < 0.02 else self._common
        words = self._grammar.request(self.chance.choice(pool))
        # Redis looks for the key before it refuses a deadline, the dialect after.
        return words if words[0] != b"getex" or b"9223372036854775807" not in words else self._draw()

    def _transaction(self) -> None:
        """Sometimes WATCH, then MULTI … EXEC."""
        talk, chance = self.talk, self.chance
        if chance.random() < 0.3:
            talk.ask(b"WATCH", *chance.sample([b"s1", b"l1", b"z1", b"x1", b"none"], 2))
            talk.ask(*self._draw())
        talk.ask(b"MULTI")
        for _ in range(chance.randint(0, 6)):
            words = self._draw()
            if _leaves_chance_behind(words):
                continue
            if chance.random() < 0.05:
                words = chance.choice([[b"MULTI"], [b"WATCH", b"s1"], [b"UNWATCH"], [b"NOPE", b"a"], [b"GET"]])
            talk.ask(*words)
        talk.ask(chance.choice([b"EXEC", b"EXEC", b"EXEC", b"EXEC", b"DISCARD", b"UNWATCH"]))
        if talk.is_queueing:
            talk.ask(b"EXEC")
        if chance.random() < 0.1:
            talk.ask(chance.choice([b"EXEC", b"DISCARD", b"UNWATCH"]))


def _is_drawn(usage: Usage) -> bool:
    return (usage.group in GROUPS or usage.name in EXTRA) and usage.name not in LEFT_OUT


def _payloads(server: Connection) -> list[bytes]:
    """Serialised values for RESTORE."""
    server.ask("SET", "dumped", "value")
    value = payload(server.ask("DUMP", "dumped"))
    server.ask("DEL", "dumped")
    return [value, value, b"garbage"]


@contextmanager
def servers(directory: Path) -> Iterator[tuple[Connection, Connection]]:
    """Two servers, a connection to each."""
    options = ("--enable-debug-command", "yes")
    with (
        serving(directory / "lane", *options) as lane,
        serving(directory / "bare", *options) as bare,
        closing(Connection(lane)) as lane_connection,
        closing(Connection(bare)) as bare_connection,
    ):
        yield lane_connection, bare_connection


def main() -> None:
    """Look for differences for as long as asked."""
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    seen: dict[bytes, int] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (lane, bare):
            differential = Differential(lane, bare, 2 + number % 2, seed + number)
            for _ in range(10):
                differential.round(200)
            talk = differential.talk
            for difference in talk.differences:
                name = difference.request[0].lower()
                seen[name] = seen.get(name, 0) + 1
                if seen[name] <= SHOWN_MAX:
                    print(f"RESP{talk.protocol} {difference}\n")  # noqa: T201 - what it is started for
            print(f"seed {seed + number}: {talk.compared} compared, {talk.skipped} refused", seen, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
