"""The dialect of a mixed cell before one replica of each kind, a Redis server and the three small stores, slot by slot.

    .venv/bin/python -m tests.real.mixed SEED ROUNDS    prints every slot at which they differ

Whatever clients ask, each slot's replies must be equal in canonical form: one that is not would convict an innocent.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from random import Random

from quorate.families import STORE
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import encode_request
from tests.kv.generator import commands
from tests.kv.harness import running_redis, running_store
from tests.real.differential import EXTRA, GROUPS, SEEDS
from tests.real.grammar import Grammar, usages
from tests.real.reference import Connection
from tests.real.states import records
from tests.trusted.redis.conversation import Conversation, words

SMALL = ("dictionary", "sqlite", "log")
NAMES = ("redis", *SMALL)
DATABASES = 3
REMEMBERED = 20
Request = list[bytes]

# Numbers and words as C reads them and others do not, or at the bounds of what it reads.
_NUMBERS = (
    "-0 -0.0 +0 0x10 0x1p3 -0x1.8p1 infinity -Infinity INF nan NAN(1) 1e400 -1e400 1e-400 5e-324 -5e-324 .5 5. . e5 1e"
    " 1e+ 1_000 00012 +5 --5 1,5 1d5 0b1 9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808"
    " 18446744073709551616 0.30000000000000004 1e17 123456789012345678 1e22 17.000000000000001 1.7976931348623157e308"
    " 0x1p1024 0x1p-1080 (1 ((1 (inf (nan [ -inf +inf"
)
ODD = [number.encode() for number in _NUMBERS.split()] + [b"1" * 40, b"0." + b"1" * 40, b"1" * 400, b"1." + b"0" * 300]
ODD += [b"1 ", b" 1", b"\t1", b"1\n", b"1\0", b"1\x002", b"\0", b"", b" ", b"\xd9\xa1", b"\xff", b"m" * 64, b"m" * 65]
ODD += [b"nx\0", b"XX\0more", b"LIMIT\0", b"ex\0", b"BYSCORE\0", b"rev\0x", b"withscores\0", b"GET\0", b"KEEPTTL\0"]
ODD += [b"left\0", b"WEIGHTS", b"AGGREGATE", b"sum\0", b"replace\0", b"db\0", b"rank\0", b"CH\0", b"incr\0", b"count\0"]
ODD += [b"+\0", b"-\0", b"[a\0", b"-x", b"[\xff-\0]*", b"[\x7f-\x80]", b"[^\\s]1", b"[z-a]?", b"[a-", b"*\\", b"[]a]*"]
WEIGHTS = [b"-1", b"0", b"-0", b"0.5", b"1", b"2", b"1.5", b"1e300", b"-1e-320", b"inf", b"x", b"nan"]
# A sorted set that Redis keeps in its large encoding.
MANY = [word for number in range(140) for word in (b"%d" % (number % 7 - 3), b"m%d" % number)]


@dataclass
class Difference:
    """A slot whose replies differ, and those before it."""

    asked: str
    told: dict[str, bytes]
    before: list[str]

    def __str__(self) -> str:
        told = "\n".join(f"  {name}: {reply[:300]!r}" for name, reply in self.told.items())
        return f"{self.asked[:300]!r}\n{told}\n  after:\n" + "\n".join(f"    {line[:160]!r}" for line in self.before)


class MixedCell(Conversation):
    """The dialect, with one replica of each kind; `lanes` are connections to them."""

    def __init__(self, lanes: dict[str, Connection], protocol: int) -> None:
        super().__init__(settings=Settings(unserved=STORE.unserved, is_mixed=True))
        self.lanes = lanes
        self.differences: list[Difference] = []
        self.slots = 0
        self.asked = 0
        self.refused = 0
        self.now = time.time_ns()
        self._before: list[str] = []
        self._mode = -1
        self._talker = self.client(protocol)
        setup, frames = self.protocol.setup()
        for lane in lanes.values():
            lane.ask("FLUSHALL")
            lane.send(setup)
            lane.receive(frames)

    def asks(self, *request: bytes) -> bytes:
        """A client's request, and all that follows from it; the answer."""
        self.asked += 1
        self.now = max(time.time_ns(), self.now)
        self.perform(self.protocol.read(self._talker.client, encode_request(list(request)), self.now))
        self.settle()
        while len(self.protocol.parking):
            self.passes(0.01)
            self.settle()
        answer = self._talker.hears()
        self.refused += answer.startswith(b"-ERR quorate refuses")
        return answer

    def settle(self) -> None:
        """Have all slots executed by all replicas, compared and decided."""
        while self.spans:
            span = self.spans[0]
            request = span.requests[0]
            data = self.protocol.switch(self._mode, span.mode) + request
            self._mode = span.mode
            for lane in self.lanes.values():
                lane.send(data)
            replies = {name: lane.receive(span.frames) for name, lane in self.lanes.items()}
            form = span.form
            told = {name: reply if form is None else form.canonical(reply) for name, reply in replies.items()}
            self._compare(words(request), told)
            self.decide(replies["redis"])

    def _compare(self, asked: str, told: dict[str, bytes]) -> None:
        self.slots += 1
        if any(reply != told["redis"] for reply in told.values()):
            self.differences.append(Difference(asked, told, self._before[-REMEMBERED:]))
        self._before = [*self._before[-REMEMBERED:], asked]

    def states(self) -> dict[str, list[dict[bytes, bytes]]]:
        """What each replica holds, by database."""
        found: dict[str, list[dict[bytes, bytes]]] = {}
        for name, lane in self.lanes.items():
            lane.ask("HELLO", 2)
            found[name] = []
            for database in range(DATABASES):
                lane.ask("SELECT", database)
                found[name].append(records(lane))
        self._mode = -1
        return found


@contextmanager
def replicas() -> Iterator[dict[str, Connection]]:
    """A lane to one replica of each kind."""
    with ExitStack() as stack:
        paths = {name: stack.enter_context(running_store(name)) for name in SMALL}
        paths["redis"] = stack.enter_context(running_redis())
        yield {name: stack.enter_context(closing(Connection(path))) for name, path in paths.items()}


def by_grammar(server: Connection, seed: int, count: int) -> Iterator[Request]:
    """Requests as the server's own COMMAND DOCS describes them, of every group of data."""
    chance = Random(seed)
    grammar = Grammar(chance, [b"payload"])
    drawn = [usage for usage in usages(server) if usage.group in GROUPS or usage.name in EXTRA]
    drawn = [usage for usage in drawn if usage.name not in ("migrate", "wait", "flushall", "pfselftest")]
    yield from (line.encode().split() for line in SEEDS.strip().splitlines())
    for _ in range(count):
        yield grammar.request(chance.choice(drawn))


def odd(seed: int, count: int) -> Iterator[Request]:
    """Requests that every store knows, with odd words in them."""
    chance = Random(seed)
    for request in commands(seed, count):
        if chance.random() < 0.05:
            yield chance.choice(_large(chance))
        changed = list(request)
        if chance.random() < 0.35:
            at = chance.randrange(1, len(changed) + 1)
            changed[at : at + chance.randrange(2)] = [chance.choice(ODD)]
        if changed[0].upper() not in (b"CLIENT", b"QUIT", b"HELLO"):
            yield changed


def _large(chance: Random) -> list[Request]:
    two = [chance.choice(WEIGHTS), chance.choice(WEIGHTS)]
    return [
        [b"ZADD", b"z1", *MANY],
        [b"ZADD", b"z2", b"0", b"m" * 70, b"0", b"a"],
        [b"SADD", b"x1", *MANY],
        [b"HSET", b"h1", *MANY],
        [b"RPUSH", b"l1", *MANY],
        [b"ZUNIONSTORE", b"z4", b"1", b"z1", b"WEIGHTS", two[0]],
        [b"ZINTERSTORE", b"z4", b"2", b"z1", b"z2", b"WEIGHTS", *two, b"AGGREGATE", b"MIN"],
        [b"ZUNION", b"2", b"z1", b"z2", b"WEIGHTS", *two, b"WITHSCORES"],
        [b"ZRANGESTORE", b"z3", b"z4", b"0", b"70"],
        [b"ZINCRBY", b"z4", chance.choice(ODD), b"m3"],
        [b"INCRBYFLOAT", b"s1", chance.choice(ODD)],
        [b"HINCRBYFLOAT", b"h2", b"f", chance.choice(ODD)],
        [b"SET", b"s1", chance.choice(ODD)],
        [b"HSET", b"h2", b"f", chance.choice(ODD)],
        [b"ZRANGEBYSCORE", b"z4", chance.choice(ODD), chance.choice(ODD), b"WITHSCORES"],
    ]


def main() -> None:
    """Look for differences for as long as asked."""
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    with replicas() as lanes:
        for number in range(rounds):
            cell = MixedCell(lanes, 2 + number % 2)
            requests = odd(seed + number, 1_500) if number % 3 else by_grammar(lanes["redis"], seed + number, 1_500)
            for request in requests:
                cell.asks(*request)
            states = cell.states()
            unlike = [name for name in NAMES if states[name] != states["redis"]]
            for difference in cell.differences[:5]:
                print(f"{difference}\n")  # noqa: T201 - what it is started for
            counts = f"{cell.slots} slots, {cell.refused} refused, {len(cell.differences)} differ"
            print(f"seed {seed + number}: {counts}, states unlike: {unlike}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
