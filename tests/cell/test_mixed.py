"""A Redis server and small stores in one cell: they agree, and each is rebuilt from what the others agree on."""

import random
import re
from typing import Any

import pytest
import redis

from quorate.trusted.changes import HASH, LIST, SET, STRING, ZSET
from tests.cell.conftest import MakeCell
from tests.cell.replicas import agreed_state, variants_of
from tests.cell.support import Document, RunningCell, example
from tests.cell.test_recovery import cell_of
from tests.cell.workload import Workload
from tests.real.states import Generator

REDIS = pytest.mark.needs("redis-server")
SANDBOX = pytest.mark.needs("redis-server", "bwrap")
CLIENTS = 4
REQUESTS = 200
FAMILIES = ("redis", "dictionary", "sqlite", "log")
SMALL_KINDS = [STRING, LIST, SET, HASH, ZSET]
# What no small store knows, and what a record of Redis alone may hold.
REDIS_ONLY = frozenset((b"SETBIT", b"PFADD", b"PFCOUNT"))


def seats(document: Document, *lists: list[str]) -> Document:
    """The same cell with these variants in its seats."""
    for replica, variants in zip(document["replica"], lists, strict=True):
        replica["variants"] = variants
    return document


def write_everything(client: Any) -> None:
    """Values of every type that a small store has, in every size and state, and deadlines."""
    pipeline = client.pipeline(transaction=False)
    for request in Generator(9).keys(60, SMALL_KINDS):
        if request[0] not in REDIS_ONLY and request[0] != b"PEXPIREAT":
            pipeline.execute_command(*request)
    for number in range(20):
        pipeline.set(f"mortal{number}", b"\0\r\n\xff", px=600_000 + number)
    pipeline.execute()


@SANDBOX
def test_the_example_agrees_under_load(cells: MakeCell) -> None:
    cell = cells(example("mixed")).start()
    with Workload(cell, CLIENTS) as work:
        work.more(5 * REQUESTS)
        write_everything(cell.redis())
        work.more(REQUESTS)
    work.assert_right()
    assert agreed_state(cell)
    cell.assert_agreed()
    assert cell.stop() == 0


@SANDBOX
def test_what_loses_its_vote_comes_back_as_another_program(cells: MakeCell) -> None:
    cell = cells(example("mixed")).start()
    assert variants_of(cell) == ["redis", "dictionary", "sqlite"]
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        for name, fault in (("a", "corrupt"), ("b", "crash"), ("c", "corrupt")):
            cell.inject(name, fault)
            cell.rebuilt(name)
            work.more(REQUESTS)
    work.assert_right()
    # Each took the next of its variants that no other had.
    assert variants_of(cell) == ["log", "redis", "dictionary"]
    assert agreed_state(cell)
    assert cell.stop() == 0


@REDIS
def test_a_redis_server_becomes_the_sqlite_store_and_one_again(cells: MakeCell) -> None:
    document = seats(cell_of("mixed", "process"), ["redis", "sqlite"], ["dictionary"], ["log"])
    cell = cells(document).start()
    client = cell.redis()
    write_everything(client)
    before = agreed_state(cell)
    for expected in ("sqlite", "redis", "sqlite"):
        cell.recover("a")
        assert variants_of(cell) == [expected, "dictionary", "log"]
        assert agreed_state(cell) == before
    assert 0 < client.pttl("mortal0") <= 600_000
    with Workload(cell, CLIENTS) as work:
        cell.recover("a")
        work.more(REQUESTS)
    work.assert_right()
    assert variants_of(cell)[0] == "redis"
    cell.assert_agreed()
    assert cell.stop() == 0


@REDIS
@pytest.mark.parametrize("one", FAMILIES)
def test_all_others_are_rebuilt_from_what_one_holds(cells: MakeCell, one: str) -> None:
    """All ordered pairs: two replicas of one kind hold the state; the third is given it as each of the others."""
    document = cell_of("mixed", "process")
    twin = dict(next(variant for variant in document["variant"] if variant["name"] == one), name="twin")
    document["variant"].append(twin)
    others = [name for name in FAMILIES if name != one]
    cell = cells(seats(document, [one], ["twin"], [one, *others])).start()
    write_everything(cell.redis())
    before = agreed_state(cell)
    assert len(before) > 50
    for other in others:
        cell.recover("c")
        assert variants_of(cell) == [one, "twin", other]
        assert agreed_state(cell) == before
    cell.assert_agreed()
    assert cell.stop() == 0


# What clients see.

REFUSED = "quorate refuses {}: a variant of this cell does not know it"
UNKNOWN = (
    "XADD stream * field value",
    "XREADGROUP GROUP g c STREAMS stream >",
    "PFADD estimate a",
    "SETBIT bits 1 1",
    "GEOADD places 13.361389 38.115556 a",
    "SORT list",
    "LCS text text",
    "SPUBLISH channel message",
)


def ask_for_what_is_refused(cell: RunningCell) -> None:
    """Each is an error with its reason, in MULTI too, and none reaches a replica."""
    client = cell.redis()
    client.set("text", "value")
    slot = cell.settled().slot
    for line in UNKNOWN:
        words = line.split()
        with pytest.raises(redis.ResponseError, match=REFUSED.format(words[0])):
            client.execute_command(*words)
        transaction = client.pipeline().set("text", "changed").execute_command(*words)
        with pytest.raises(redis.ResponseError, match=REFUSED.format(words[0])):
            transaction.execute()
    with pytest.raises(redis.ResponseError, match="quorate refuses SRANDMEMBER with these arguments"):
        client.srandmember("set", 0)
    assert cell.settled().slot == slot
    assert client.get("text") == b"value"


@REDIS
@pytest.mark.parametrize("name", ["mixed", "kv"])
def test_what_not_every_variant_knows_is_refused(cells: MakeCell, name: str) -> None:
    cell = cells(example(name, "process")).start()
    ask_for_what_is_refused(cell)
    cell.assert_agreed()
    assert cell.stop() == 0


@REDIS
def test_what_is_served_in_another_form(cells: MakeCell) -> None:
    cell = cells(example("mixed", "process")).start()
    client, chance = cell.redis(), random.Random(3)
    members = {b"%d" % chance.randrange(10**6) for _ in range(300)}
    client.sadd("set", *members)
    client.hset("hash", mapping={"field": "value"})
    client.zadd("ranks", {"first": 1, "second": 2})
    assert set(client.sscan_iter("set")) == members
    assert set(client.scan_iter()) == {b"set", b"hash", b"ranks"}
    assert dict(client.hscan_iter("hash")) == {b"field": b"value"}
    assert client.spop("set") in members
    assert client.srandmember("set") in members
    assert client.zrandmember("ranks") in {b"first", b"second"}
    assert client.hrandfield("hash") == b"field"
    assert client.randomkey() in {b"set", b"hash", b"ranks"}
    assert client.blpop("list", 0.01) is None
    assert client.bzpopmin("ranks", 1) == (b"ranks", b"first", 1.0)
    with client.lock("lock", timeout=5) as lock:
        assert lock.owned()
        assert lock.extend(5)
    cell.assert_agreed()
    assert cell.stop() == 0


@REDIS
def test_weights_that_may_make_minus_zero(cells: MakeCell) -> None:
    """Redis would keep its sign in a set as large as this one, and dissent from the others."""
    cell = cells(example("mixed", "process")).start()
    client = cell.redis()
    client.zadd("large", {f"member{number}": number % 3 for number in range(200)})
    with pytest.raises(redis.ResponseError, match="quorate refuses ZUNIONSTORE with a weight below 1"):
        client.zunionstore("negated", {"large": -1})
    assert client.zunionstore("doubled", {"large": 2}) == 200
    assert agreed_state(cell)
    cell.assert_agreed()
    assert cell.stop() == 0


KEPT = {"journal": {"sync": "always"}, "checkpoint": {"every": "1h"}}


def redis_alone() -> Document:
    """A cell that keeps its state, of three Redis servers: a mixed one may take that over."""
    document = example("mixed", "process") | KEPT
    for replica, name in zip(document["replica"], "xyz", strict=True):
        document["variant"].append(dict(document["variant"][0], name=name))
        replica["variants"] = [name]
    return document


@REDIS
def test_a_journal_that_a_small_store_cannot_execute_is_refused(cells: MakeCell) -> None:
    """Two of them would outvote the one that knows what was acknowledged."""
    alone = redis_alone()
    cell = cells(alone).start()
    cell.redis().xadd("stream", {"field": "value"})
    assert cell.stop() == 0
    cell.forget_clients()
    cell.write(example("mixed", "process") | KEPT)
    assert cell.launch().wait() == 2
    assert "the journal holds XADD, which a variant of this cell does not know" in cell.log()
    cell.write(alone)
    cell.start()
    assert cell.redis().xlen("stream") == 1


@REDIS
def test_what_an_earlier_configuration_left_may_be_more_than_a_small_store_holds(cells: MakeCell) -> None:
    """Another variant takes its place; where there is none for f+1 seats, the cell does not start."""
    alone = redis_alone()
    cell = cells(alone).start()
    cell.redis().xadd("stream", {"field": "value"})
    cell.recover("a")
    assert cell.stop() == 0
    cell.forget_clients()
    cell.write(example("mixed", "process") | KEPT)
    cell.start()
    assert len(re.findall(r"replica [bc] could not be given the checkpoint\\?'s state: .*stream", cell.log())) >= 2
    assert {replica.variant for replica in cell.status().replicas} == {"redis"}
    assert cell.stop() == 0
    small = example("mixed", "process") | KEPT
    for replica, name in zip(small["replica"], ("redis", "log", "sqlite"), strict=True):
        replica["variants"] = [name]
    cell.write(small)
    assert cell.launch().wait() == 2
    assert re.search(r"replica [bc] could not be given the checkpoint's state: .*stream", cell.log())


@REDIS
def test_a_cell_whose_scripts_not_every_variant_runs_does_not_start(cells: MakeCell) -> None:
    document = example("mixed", "process")
    document["cell"]["scripts"] = ["0" * 40]
    cell = cells(document).launch()
    assert cell.wait() == 2
    assert "dictionary, sqlite, log: a small store runs no scripts of clients" in cell.log()
