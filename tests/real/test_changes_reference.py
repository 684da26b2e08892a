"""What writes change on a real server is noted: else a checkpoint would hold what was there before, and nobody knew.

Random requests of every write command in the table go through the dialect, alone, in transactions and as what blocked
clients are served with, while deadlines pass. After each slot every key of the server is read: one that differs must
have been noted before the slot was decided, for the sweep and for the journal.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from quorate.trusted.changes import UNREADABLE, WHOLE
from quorate.trusted.protocols.redis.base import Settings, Treatment
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripting import EXTEND, REACQUIRE, RELEASE
from quorate.trusted.protocols.redis.scripts import digest
from quorate.trusted.protocols.redis.state import record_of, state_request
from quorate.trusted.protocols.redis.table import commands
from quorate.trusted.protocols.redis.values import elements, payload, value_end
from tests.real.differential import SEEDS, Cell
from tests.real.grammar import Grammar, Usage, usages
from tests.real.reference import Connection, serving
from tests.trusted.redis.conversation import Talker, words

pytestmark = pytest.mark.needs("redis-server")

DATABASES = 3
STEPS = 600
# More only while some command has not changed anything yet.
STEPS_MAX = 6_000
# Whoever blocks among those that write gives up after this.
BLOCKED_SECONDS = 0.02
TABLE = commands()
Place = tuple[int, bytes]
Request = list[bytes]

SCRIPT = b"redis.call('append', KEYS[1], ARGV[1]) return redis.call('rpush', KEYS[2], ARGV[1])"
# Keys named as options, words and numbers are, groups as words: none of that may lead a reader of requests astray.
MISLEADING = {
    b"l1": b"STORE",
    b"l2": b"LEFT",
    b"s2": b"2",
    b"t1": b"1",
    b"t2": b"DB",
    b"z1": b"store",
    b"z2": b"WEIGHTS",
    b"x1": b"STREAMS",
    b"x2": b"GROUP",
    b"g1": b"STOREDIST",
    b"g": b"streams",
    b"c": b"STREAMS",
    b"d": b"COUNT",
}
BLOCKED = (
    "BLPOP l1 l2 l3 0",
    "BLMOVE l2 l3 LEFT RIGHT 0",
    "BRPOPLPUSH l3 l1 0",
    "BLMPOP 0 2 l1 l3 RIGHT COUNT 2",
    "BZPOPMIN z1 z2 0",
    "BZMPOP 0 2 z2 z3 MAX",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS x1 x2 > >",
)
# The lock scripts of redis-py, with what comes after the token.
LOCKS: tuple[tuple[bytes, Request], ...] = (
    (RELEASE, []),
    (EXTEND, [b"100", b"1"]),
    (EXTEND, [b"100", b"0"]),
    (REACQUIRE, [b"100000"]),
    (REACQUIRE, [b"0"]),
)


class Watched(Cell):
    """A cell that looks at its server after each slot. `forgotten` collects what changed and was not noted."""

    def __init__(self, lane: Connection, look: Connection) -> None:
        super().__init__(lane, Settings(scripts=frozenset((digest(SCRIPT),))))
        self._lane = lane
        self._look = look
        self.protocol.changes.is_kept = True
        self.protocol.changes.is_journaled = True
        self.forgotten: list[tuple[str, str, Place]] = []
        self.changes_seen = 0
        self._wholes: set[int] = set()
        self._noted: set[Place] = set()
        self._journaled: set[Place] = set()
        self._whole_journaled: set[int] = set()
        self._state: dict[Place, bytes] = {}

    def begin(self) -> None:
        """What was noted before counts no more."""
        self._take_notes()
        self._wholes, self._noted, self._journaled, self._whole_journaled = set(), set(), set(), set()

    def settle(self) -> None:
        """Have all slots executed, looked at, and decided."""
        while self.spans:
            span = self.spans[0]
            self._lane.send(self.protocol.switch(self._mode, span.mode) + span.requests[0])
            self._mode = span.mode
            reply = self._lane.receive(span.frames)
            self._compare(words(span.requests[0]))
            self.decide(reply)

    def _compare(self, request: str) -> None:
        self._take_notes()
        before, self._state = self._state, self.look()
        changed = [place for place in {**before, **self._state} if before.get(place) != self._state.get(place)]
        for place in changed:
            if place not in self._noted and place[0] not in self._wholes:
                self.forgotten.append(("sweep", request, place))
            if place not in self._journaled and place[0] not in self._whole_journaled:
                self.forgotten.append(("journal", request, place))
        self.changes_seen += bool(changed)

    def _take_notes(self) -> None:
        changes = self.protocol.changes
        self._noted |= {(database, key) for database, key, _ in changes.take(changes.count, changes.weight)}
        while changes.whole:
            self._wholes.add(changes.take_whole())
        for database, kind, key in changes.take_recent():
            if kind == WHOLE:
                self._whole_journaled.add(database)
            else:
                self._journaled.add((database, key))

    def look(self) -> dict[Place, bytes]:
        """The record of every key; for what expired already but is still counted, nothing."""
        found: dict[Place, bytes] = {}
        for database in range(DATABASES):
            self._look.ask("SELECT", database)
            keys = [payload(part) for part in elements(self._look.ask("KEYS", "*"))]
            kinds = [_kind(reply) for reply in self._pipelined([(encode_request([b"TYPE", key]), 1) for key in keys])]
            units = self._pipelined([state_request(key, kind) for key, kind in zip(keys, kinds, strict=True)])
            for key, kind, unit in zip(keys, kinds, units, strict=True):
                record = record_of(kind, unit)[1]
                if record is not None:
                    found[database, key] = record
        return found

    def _pipelined(self, requests: list[tuple[bytes, int]]) -> list[bytes]:
        if not requests:
            return []
        self._look.send(b"".join(request for request, _ in requests))
        data = self._look.receive(sum(frames for _, frames in requests))
        units: list[bytes] = []
        position = 0
        for _, frames in requests:
            start = position
            for _ in range(frames):
                position = value_end(data, position)
            units.append(data[start:position])
        return units


def _kind(reply: bytes) -> int:
    kind = record_of(0, reply + b":-1\r\n")[0]
    return 0 if kind == UNREADABLE else kind


class Writer:
    """Draws writes, and has them executed."""

    def __init__(self, lane: Connection, look: Connection, seed: int, protocol: int, names: dict[bytes, bytes]) -> None:
        self.cell = Watched(lane, look)
        self.talker = self.cell.client(protocol)
        self.chance = Random(seed)
        self._names = names
        self._writes = [usage for usage in usages(look) if _is_served_write(usage)]
        # Those that changed nothing so far.
        self.idle = {usage.name: usage for usage in self._writes}
        self._grammar = Grammar(self.chance, [b"payload"])
        self._blocked: list[Talker] = []
        self.cell.now = time.time_ns()
        self.says([b"FLUSHALL"])
        self.seed()
        self.cell.changes_seen = 0

    def seed(self) -> None:
        """Some data, in the present database."""
        for line in SEEDS.strip().splitlines():
            self.says(self._named(line.encode().split()))

    def says(self, *requests: Request) -> None:
        """Ask, in one piece, and have all that follows executed."""
        cell = self.cell
        cell.begin()
        data = b"".join(map(encode_request, requests))
        cell.perform(cell.protocol.read(self.talker.client, data, cell.now))
        cell.settle()
        if self.talker.client.is_waiting:
            cell.passes(BLOCKED_SECONDS)
            cell.settle()
        assert not self.talker.client.is_waiting
        self.talker.hears()

    def step(self) -> None:
        """One write, or several in a transaction; now and then time passes, and somebody blocks."""
        drawn = self.chance.random()
        if drawn < 0.03:
            self.seed()
        elif drawn < 0.06:
            self.passes(self.chance.choice([0.001, 1, 200, 2_000]))
        elif drawn < 0.12:
            self.block()
        elif drawn < 0.14:
            self.says([b"SELECT", b"%d" % self.chance.randrange(DATABASES)])
        elif drawn < 0.2:
            inner = [self.draw() for _ in range(self.chance.randint(1, 5))]
            if self.chance.random() < 0.5:
                inner.insert(1, [b"SELECT", b"%d" % self.chance.randrange(DATABASES)])
            self.says([b"MULTI"], *inner, [b"EXEC"])
        else:
            self.write()

    def write(self) -> None:
        """One write alone, half the time of a command that has not changed anything yet."""
        usage = self.chance.choice(self._writes)
        if self.idle and self.chance.random() < 0.5:
            usage = self.idle[self.chance.choice(sorted(self.idle))]
        before = self.cell.changes_seen
        self.says(self.draw(usage))
        if self.cell.changes_seen > before:
            self.idle.pop(usage.name, None)

    def draw(self, usage: Usage | None = None) -> Request:
        """A write, of any command or of this one."""
        if usage is None:
            usage = self.chance.choice(self._writes)
        if usage.name in ("eval", "evalsha"):
            return self._named(self._script(usage.name))
        return self._named(self._grammar.request(usage))

    def _named(self, request: Request) -> Request:
        head = 2 if TABLE[request[0].upper()].subcommands else 1
        return request[:head] + [self._names.get(word, word) for word in request[head:]]

    def _script(self, name: str) -> Request:
        chance = self.chance
        if name == "eval":
            keys = [chance.choice([b"s1", b"s2", b"none"]), chance.choice([b"l1", b"l3"])]
            return [b"EVAL", SCRIPT, b"2", *keys, b"v"]
        lock, values = chance.choice(LOCKS)
        return [b"EVALSHA", lock, b"1", b"lock", b"token", *values]

    def lock(self) -> None:
        """Somebody has the lock, most often with a deadline."""
        self.says([b"SET", b"lock", b"token", *([b"PX", b"5000"] if self.chance.random() < 0.8 else [])])

    def block(self) -> None:
        """A client waits for something, unless it is there; of many the first gives up."""
        cell = self.cell
        cell.begin()
        if len(self._blocked) > 6:
            self._blocked.pop(0).leaves()
        blocked = cell.client()
        self._blocked.append(blocked)
        cell.protocol.sessions[blocked.client.number].database = self.chance.randrange(DATABASES)
        request = self._named(self.chance.choice(BLOCKED).encode().split())
        cell.perform(cell.protocol.read(blocked.client, encode_request(request), cell.now))
        cell.settle()

    def passes(self, seconds: float) -> None:
        """Time passes, and what expires is deleted."""
        self.cell.begin()
        self.cell.passes(seconds)
        self.cell.settle()


def _is_served_write(usage: Usage) -> bool:
    command = TABLE.get(usage.words[0].upper())
    if command is None:
        return False
    if command.subcommands:
        command = command.subcommands.get(usage.words[1].upper()) if len(usage.words) > 1 else None
    return command is not None and command.is_write and command.treatment is not Treatment.REFUSED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving(tmp_path_factory.mktemp("changes")) as path:
        yield path


@pytest.mark.parametrize("names", [{}, MISLEADING], ids=["ordinary names", "misleading names"])
@pytest.mark.parametrize("seed", [2, 3])
def test_whatever_changes_was_noted_before_its_slot_was_decided(
    server: Path, seed: int, names: dict[bytes, bytes]
) -> None:
    with closing(Connection(server)) as lane, closing(Connection(server)) as look:
        writer = Writer(lane, look, seed, 2 + seed % 2, names)
        number = 0
        while number < STEPS or (writer.idle and number < STEPS_MAX):
            if number % 10 == 0:
                writer.lock()
            writer.step()
            number += 1
        assert writer.cell.forgotten == []
        assert sorted(writer.idle) == [], "every write command of the table was seen to change something"
        assert writer.cell.changes_seen > STEPS // 4
