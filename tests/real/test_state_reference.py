"""Abstract state against real servers: what is read from one is made on another, and nobody can tell them apart."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest

from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, ZSET
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state import StateRead, read_state, record_of, take_state
from quorate.trusted.protocols.redis.state_records import kind_of
from quorate.trusted.span import Span
from tests.kv.harness import running_store
from tests.real.differential import GROUPS, LEFT_OUT, SEEDS, Cell, servers
from tests.real.grammar import Grammar, usages
from tests.real.reference import Connection, serving
from tests.real.states import ALL_KINDS, Generator, is_proved, keys_of, read, records, restore, tell, unit_of

pytestmark = pytest.mark.needs("redis-server")

KEYS = 300
STORES = ("dictionary", "sqlite", "log")
# What the small stores hold.
SMALL_KINDS = [STRING, LIST, SET, HASH, ZSET]
PROTOCOL_2 = 2 << 16
# That random requests write to.
DATABASES = 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connection, Connection]]:
    with servers(tmp_path_factory.mktemp("state")) as both:
        yield both


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    if "pair" in request.fixturenames:
        for server in request.getfixturevalue("pair"):
            server.ask("FLUSHALL")
            server.ask("SELECT", 0)


def made(server: Connection, seed: int, kinds: list[int], count: int = KEYS) -> dict[bytes, bytes]:
    tell(server, Generator(seed).keys(count, kinds))
    rows = records(server)
    assert len(rows) > count * 0.8
    return rows


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_one_server_holds_another_is_made_to_hold(
    pair: tuple[Connection, Connection], seed: int, kind: int
) -> None:
    one, other = pair
    rows = made(one, seed, [kind])
    restore(other, rows)
    assert records(other) == rows
    if kind != STREAM:  # its digest takes delivery times in
        assert one.ask("DEBUG", "DIGEST") == other.ask("DEBUG", "DIGEST")


@pytest.mark.parametrize(
    ("changes", "undo"),
    [
        (["SET s other"], ["SET s value"]),
        (["PEXPIRE s 1000000"], ["PERSIST s"]),
        (["DEL s"], ["SET s value"]),
        (["DEL s", "RPUSH s value"], ["SET s value"]),
        (["RPUSH l c"], ["RPOP l"]),
        (["LSET l 0 b"], ["LSET l 0 a"]),
        (["SADD S d"], ["SREM S d"]),
        (["SREM S c"], ["SADD S c"]),
        (["SREM S c", "SADD S C"], ["SREM S C", "SADD S c"]),
        (["HSET h g 1"], ["HDEL h g"]),
        (["HDEL h f"], ["HSET h f 1"]),
        (["HSET h f 2"], ["HSET h f 1"]),
        (["HDEL h f", "HSET h F 1"], ["HDEL h F", "HSET h f 1"]),
        (["ZADD z 2 a"], ["ZADD z 1 a"]),
        (["ZADD z 3 c"], ["ZREM z c"]),
        (["XADD x 2-1 f v"], []),
    ],
    ids="; ".join,
)
def test_any_other_state_of_a_key_is_not_proved(
    pair: tuple[Connection, Connection], changes: list[str], undo: list[str]
) -> None:
    one, _ = pair
    made = ["SET s value", "RPUSH l a b", "SADD S a b c", "HSET h e 0 f 1", "ZADD z 1 a 2 b", "XADD x 1-1 f v"]
    many = " ".join(f"{number} x" for number in range(200))

    def ask(lines: list[str]) -> None:
        assert not any(reply.startswith(b"-") for reply in tell(one, [line.encode().split() for line in lines]))

    # Those that are asked for by name, and those that are too many for that.
    for more in ([], [f"SADD S {many}", f"HSET h {many}"]):
        one.ask("FLUSHALL")
        ask([*made, *more])
        rows = records(one)
        ask(changes)
        assert [key for key, record in rows.items() if not is_proved(one, key, record)] == [
            changes[0].split()[1].encode()
        ]
        if undo:
            ask(undo)
            assert all(is_proved(one, key, record) for key, record in rows.items())


def test_a_record_is_made_in_few_requests_or_in_many(pair: tuple[Connection, Connection]) -> None:
    one, other = pair
    rows = made(one, 4, ALL_KINDS, 60)
    for request_bytes_max in (300, 16 * 1024 * 1024):
        other.ask("FLUSHALL")
        restore(other, rows, request_bytes_max)
        assert records(other) == rows


STREAMS = {
    "nothing but a group's passing": "XGROUP CREATE k g 0 MKSTREAM|XGROUP DESTROY k g",
    "a group only": "XGROUP CREATE k g $ MKSTREAM",
    "all deleted": "XADD k 5-0 f v|XDEL k 5-0",
    "all trimmed": "XADD k 5-0 f v|XTRIM k MAXLEN 0",
    "pending, trimmed": "XADD k 5-0 f v|XGROUP CREATE k g 0|XREADGROUP GROUP g c STREAMS k >|XTRIM k MAXLEN 0",
    "pending, deleted, others there": "XADD k 5-0 f v|XADD k 6-0 f v|XGROUP CREATE k g 0"
    "|XREADGROUP GROUP g c STREAMS k >|XDEL k 5-0|XADD k 7-0 f v",
    "pending above the last": "XADD k 9-0 f v|XGROUP CREATE k g 0|XREADGROUP GROUP g c STREAMS k >|XTRIM k MAXLEN 0"
    "|XSETID k 1-0|XADD k 2-0 f v|XADD k 12-0 f v",
    "the last below the largest deleted": "XADD k 9-0 f v|XDEL k 9-0|XSETID k 5-0",
    "the same with entries": "XADD k 1-0 f v|XADD k 9-0 f v|XDEL k 9-0|XSETID k 5-0",
    "the largest deleted set by hand": "XADD k 9-0 f v|XSETID k 20-0 ENTRIESADDED 77 MAXDELETEDID 13-1",
    "entries read unknown": "XADD k 1-0 f v|XADD k 2-0 f v|XDEL k 1-0|XGROUP CREATE k g 1-5",
    "entries read by hand": "XADD k 1-0 f v|XGROUP CREATE k g 0 ENTRIESREAD 40",
    "idle consumers": "XGROUP CREATE k g 0 MKSTREAM|XGROUP CREATECONSUMER k g b|XGROUP CREATECONSUMER k g a",
    "delivered often": "XADD k 1-0 f v|XGROUP CREATE k g 0|XREADGROUP GROUP g c STREAMS k >|XCLAIM k g d 0 1-0"
    "|XCLAIM k g d 0 1-0",
    "never delivered": "XADD k 1-0 f v|XGROUP CREATE k g 0|XCLAIM k g c 0 1-0 FORCE JUSTID RETRYCOUNT 0",
    "two groups, one gone entry": "XADD k 1-0 f v|XGROUP CREATE k g 0|XGROUP CREATE k h 0"
    "|XREADGROUP GROUP g c STREAMS k >|XREADGROUP GROUP h c STREAMS k >|XDEL k 1-0",
    "a group set back": "XADD k 1-0 f v|XGROUP CREATE k g $|XGROUP SETID k g 0",
    "a deadline": "XADD k 1-0 f v|PEXPIREAT k 99999999999999",
}


@pytest.mark.parametrize("made_by", STREAMS.values(), ids=STREAMS)
def test_a_stream_is_made_anew(pair: tuple[Connection, Connection], made_by: str) -> None:
    one, other = pair
    replies = tell(one, [line.encode().split() for line in made_by.split("|")])
    assert [reply for reply in replies if reply.startswith(b"-")] == []
    rows = records(one)
    restore(other, rows)
    assert records(other) == rows
    for request in ("XINFO GROUPS k", "XRANGE k - +", "XPENDING k g", "XREADGROUP GROUP g c STREAMS k 0"):
        assert other.ask(*request.split()) == one.ask(*request.split()), request


def test_all_that_is_pending_is_read(pair: tuple[Connection, Connection]) -> None:
    one, other = pair
    tell(one, [[b"XADD", b"k", b"%d-1" % number, b"f", b"v"] for number in range(1, 3_001)])
    tell(one, [b"XGROUP CREATE k g 0".split(), b"XREADGROUP GROUP g c COUNT 2500 STREAMS k >".split()])
    rows = records(one)
    restore(other, rows)
    assert records(other) == rows
    assert other.ask("XPENDING", "k", "g").startswith(b"*4\r\n:2500\r\n")


def test_the_sign_of_zero_is_kept_where_a_server_keeps_it(pair: tuple[Connection, Connection]) -> None:
    one, other = pair
    many = [part for number in range(200) for part in (b"1", b"m%d" % number)]
    tell(one, [[b"ZADD", b"large", *many], b"ZADD large -0 zero".split(), [b"ZREM", b"large", *many[1::2]]])
    tell(one, [b"ZADD small -0 zero".split()])
    assert one.ask("ZSCORE", "large", "zero") != one.ask("ZSCORE", "small", "zero")
    rows = records(one)
    restore(other, rows)
    assert records(other) == rows


def test_a_wrong_hint_is_put_right(pair: tuple[Connection, Connection]) -> None:
    one, _ = pair
    made(one, 5, ALL_KINDS, 30)
    for key in keys_of(one):
        right = read(one, key)
        for hint in ALL_KINDS:
            kind, record, is_settled = record_of(hint, unit_of(one, key, hint))
            assert (record == right) == is_settled
            assert record_of(kind, unit_of(one, key, kind)) == (kind, right, True)
    for hint in ALL_KINDS:
        assert record_of(hint, unit_of(one, b"absent", hint)) == (0, None, True)


def test_spans_of_state_reads_tell_what_single_reads_tell(pair: tuple[Connection, Connection]) -> None:
    one, other = pair
    rows = made(one, 6, ALL_KINDS, 80)
    restore(other, rows)
    items = [(0, key, kind_of(rows[key])) for key in keys_of(one)]
    items += [(0, b"absent", 0), (0, keys_of(one)[0], 0), (1, b"elsewhere", STRING)]
    told: dict[bytes, bytes | None] = {}
    for span in read_state(items):
        assert (span.owner, span.is_write) == (None, False)
        replies = [answered(server, span) for server in (one, other)]
        assert replies[0] == replies[1]
        assert isinstance(span.form, StateRead)
        for part in take_state(span.form, 0, span.count, replies[0]):
            if part.is_settled:
                told[part.key] = part.record
    assert told == {**rows, b"absent": None, b"elsewhere": None}


def answered(server: Connection, span: Span) -> bytes:
    """What the replica on this server says, slot by slot, in canonical form."""
    server.ask("SELECT", span.mode - PROTOCOL_2)
    told = b""
    for request in span.requests:
        server.send(request)
        reply = server.receive(span.frames)
        assert span.form is not None
        told += span.form.canonical(reply)
    return told


# Across implementations.


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Connection]]:
    with ExitStack() as stack:
        paths: dict[str, Path] = {name: stack.enter_context(running_store(name)) for name in STORES}
        paths["redis"] = stack.enter_context(serving(tmp_path_factory.mktemp("redis")))
        yield {name: stack.enter_context(closing(Connection(path))) for name, path in paths.items()}


PAIRS = [(one, other) for one in (*STORES, "redis") for other in (*STORES, "redis") if one != other]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda pair: pair)
def test_every_store_repairs_every_other(stores: dict[str, Connection], source: str, target: str) -> None:
    one, other = stores[source], stores[target]
    for server in (one, other):
        server.ask("FLUSHALL")
    tell(one, for_all_stores(7))
    rows = records(one)
    assert len(rows) > 100
    restore(other, rows)
    assert records(other) == rows


def for_all_stores(seed: int) -> list[list[bytes]]:
    """Requests that all of them take alike. Redis keeps the sign of zero in a sorted set that was large once."""
    requests = Generator(seed).keys(150, SMALL_KINDS)
    return [request for request in requests if request[0] not in REDIS_ONLY and b"-0" not in request]


REDIS_ONLY = frozenset((b"SETBIT", b"PFADD", b"PFCOUNT"))


def test_all_stores_tell_the_same_records(stores: dict[str, Connection]) -> None:
    requests = for_all_stores(8)
    told: dict[str, dict[bytes, bytes]] = {}
    for name, server in stores.items():
        server.ask("FLUSHALL")
        tell(server, requests)
        told[name] = records(server)
    assert len(told["redis"]) > 100
    for name in STORES:
        assert told[name] == told["redis"]


# What a client can tell.


class Pair(Cell):
    """The dialect before a server that has lived long and, once `rebuild` was called, a second one made like it."""

    def __init__(self, old: Connection, new: Connection, protocol: int, seed: int) -> None:
        super().__init__(old)
        self.servers = (old, new)
        self.is_rebuilt = False
        self.compared = 0
        self._talker = self.client(protocol)
        self._chance = Random(seed)
        self._grammar = Grammar(self._chance, [b"payload"])
        self._usages = [usage for usage in usages(old) if usage.group in GROUPS and usage.name not in LEFT_OUT]

    def asks(self, *words: bytes) -> None:
        """A client's request, and all that follows from it."""
        self.now = max(time.time_ns(), self.now)
        self.perform(self.protocol.read(self._talker.client, encode_request(list(words)), self.now))
        self.settle()
        self.await_answer()
        self._talker.hears()

    def asks_anything(self) -> None:
        """A random request, or a transaction of some."""
        if self._chance.random() < 0.04:
            self.asks(b"MULTI")
            for _ in range(self._chance.randint(1, 5)):
                self.asks(*self._grammar.request(self._chance.choice(self._usages)))
            self.asks(b"EXEC")
        else:
            self.asks(*self._grammar.request(self._chance.choice(self._usages)))

    def rebuild(self) -> None:
        """Make the second server what the first one is."""
        old, new = self.servers
        setup, frames = self.protocol.setup()
        new.send(setup)
        new.receive(frames)
        for database in range(DATABASES):
            self.select(database)
            restore(new, records(old))
        self._mode = -1
        self.is_rebuilt = True

    def select(self, database: int) -> None:
        """Turn both to this database, and to the protocol of state reads."""
        for server in self.servers:
            server.ask("HELLO", 2)
            server.ask("SELECT", database)

    def settle(self) -> None:
        """Have all slots executed and decided; two servers agree in canonical form."""
        while self.spans:
            span = self.spans[0]
            data = self.protocol.switch(self._mode, span.mode) + span.requests[0]
            self._mode = span.mode
            replies: list[bytes] = []
            for server in self.servers[: 1 + self.is_rebuilt]:
                server.send(data)
                replies.append(server.receive(span.frames))
            forms = [reply if span.form is None else span.form.canonical(reply) for reply in replies]
            assert forms[0] == forms[-1], span.requests[0]
            self.compared += self.is_rebuilt
            self.decide(replies[0])


def with_a_past(pair: Pair) -> None:
    """What shows in no record: collections that were large and are small now."""
    fields = [b"f%d" % number for number in range(600)]
    for words in (
        [b"HSET", b"h1", *[part for field in fields for part in (field, b"1")]],
        [b"HDEL", b"h1", *fields],
        [b"SADD", b"t2", *fields],
        [b"SREM", b"t2", *fields],
        [b"ZADD", b"z1", *[part for field in fields for part in (b"1", field)]],
        [b"ZREM", b"z1", *fields],
        [b"RPUSH", b"l1", *fields],
        [b"LTRIM", b"l1", b"0", b"4"],
        [b"SETRANGE", b"s2", b"0", b"10"],
        [b"PFCOUNT", b"p1"],
        *[[b"XADD", b"x1", b"%d-1" % number, b"f", b"v"] for number in range(6, 250)],
        [b"XDEL", b"x1", *[b"%d-1" % number for number in range(6, 250, 2)]],
        [b"XTRIM", b"x1", b"MAXLEN", b"110"],
    ):
        pair.asks(*words)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_client_tells_a_rebuilt_server_from_one_that_lived_long(tmp_path: Path, seed: int) -> None:
    with servers(tmp_path) as (old, new):
        pair = Pair(old, new, 2 + seed % 2, seed)
        for line in SEEDS.strip().splitlines():
            pair.asks(*line.encode().split())
        for _ in range(100):
            pair.asks_anything()
        with_a_past(pair)
        pair.rebuild()
        for _ in range(1_000):
            pair.asks_anything()
        assert pair.compared > 800
        for database in range(DATABASES):
            pair.select(database)
            assert records(new) == records(old)
