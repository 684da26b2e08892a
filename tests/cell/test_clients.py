"""Ordinary clients of Redis before three different servers: everything works, and no replica ever dissents."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.cell.support import RunningCell, eventually, example, exchange
from tests.domains.harness import short_directory

pytestmark = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")

# What redis-py says of its replies' types holds for all protocols and decodings at once.
Client = Any

BENCHMARK_REQUESTS = 300
BENCHMARK_TESTS = 20


@pytest.fixture(scope="module")
def running() -> Iterator[RunningCell]:
    """One cell for the whole file: every test ends by asking whether all replicas still agree."""
    with short_directory() as home:
        cell = RunningCell(home, example("redis"))
        try:
            yield cell.start()
            assert cell.stop() == 0
        finally:
            cell.close()
            print(cell.log())  # noqa: T201 - pytest shows it with a failure


@pytest.fixture
def cell(running: RunningCell) -> Iterator[RunningCell]:
    """The cell, empty; afterwards nobody may have dissented."""
    running.redis().flushall()
    yield running
    running.assert_agreed()


@pytest.fixture
def client(cell: RunningCell) -> Client:
    """A client as redis-py makes it by default, which opens with HELLO 3."""
    return cell.redis(decode_responses=True)


def test_status_says_where_it_listens(cell: RunningCell) -> None:
    status = cell.status()
    assert status.listen == f"127.0.0.1:{cell.port}"
    assert [(r.name, r.variant, r.domain, r.role) for r in status.replicas] == [
        ("a", "jemalloc", "sandbox", "voting"),
        ("b", "mimalloc", "sandbox", "voting"),
        ("c", "tcmalloc", "sandbox", "voting"),
    ]


def test_values_of_every_type(client: Client) -> None:
    assert client.set("text", "ä\r\n\0") is True
    assert client.get("text") == "ä\r\n\0"
    assert client.rpush("list", *"abc") == 3
    assert client.lrange("list", 0, -1) == ["a", "b", "c"]
    assert client.hset("hash", mapping={"one": "1", "two": "2"}) == 2
    assert client.hgetall("hash") == {"one": "1", "two": "2"}
    assert client.sadd("set", *map(str, range(500))) == 500
    assert client.smembers("set") == set(map(str, range(500)))
    assert client.zadd("ranks", {"a": 1, "b": 2.5}) == 2
    assert client.zrange("ranks", 0, -1, withscores=True) == [("a", 1.0), ("b", 2.5)]


def test_pipelines(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(2_000):
        pipeline.set(f"key:{number}", number).get(f"key:{number}")
    assert pipeline.execute() == [value for number in range(2_000) for value in (True, str(number))]


def test_transactions(client: Client) -> None:
    with client.pipeline(transaction=True) as transaction:
        transaction.set("a", 1).incr("a").lpush("list", "x").smembers("nothing").lpop("list")
        assert transaction.execute() == [True, 2, 1, set(), "x"]
    with client.pipeline(transaction=True) as transaction:
        transaction.set("a", "text").incr("a").get("a")
        results = transaction.execute(raise_on_error=False)
    assert results[0] is True
    assert isinstance(results[1], redis.ResponseError)
    assert results[2] == "text"


def test_watched_transactions_are_tried_again_until_they_hold(cell: RunningCell) -> None:
    """The counter has exactly the sum: no client ever overwrote what it had not seen."""
    clients, rounds = 6, 15

    def count(_: int) -> int:
        attempts = 0

        def step(pipe: Any) -> None:
            nonlocal attempts
            attempts += 1
            value = int(pipe.get("counter") or 0)
            pipe.multi()
            pipe.set("counter", value + 1)

        client = cell.redis(decode_responses=True)
        for _ in range(rounds):
            client.transaction(step, "counter")
        return attempts

    with ThreadPoolExecutor(clients) as pool:
        attempts = sum(pool.map(count, range(clients)))
    assert cell.redis().get("counter") == str(clients * rounds).encode()
    assert attempts >= clients * rounds


def test_publish_and_subscribe(cell: RunningCell, client: Client) -> None:
    subscribers = [cell.redis(decode_responses=True).pubsub() for _ in range(3)]
    for subscriber in subscribers:
        subscriber.subscribe("news")
        subscriber.psubscribe("ne*")
        assert subscriber.get_message(timeout=30)["type"] == "subscribe"
        assert subscriber.get_message(timeout=30)["type"] == "psubscribe"
    assert client.publish("news", "first") == 6
    assert client.publish("net", "second") == 3
    for subscriber in subscribers:
        got = [subscriber.get_message(timeout=30) for _ in range(3)]
        assert [(message["type"], message["data"]) for message in got] == [
            ("message", "first"),
            ("pmessage", "first"),
            ("pmessage", "second"),
        ]
        subscriber.unsubscribe()
        subscriber.punsubscribe()
        subscriber.close()
    eventually(lambda: client.publish("news", "third") == 0, "nobody is subscribed")


def test_a_subscription_has_its_place_in_a_pipeline(cell: RunningCell) -> None:
    client = cell.connect()
    message = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$%d\r\n%b\r\n"
    exchange(client, b"HELLO 3\r\nECHO hello\r\n", b"$5\r\nhello\r\n")
    told = exchange(
        client,
        b"PUBLISH news early\r\nSUBSCRIBE news\r\nGET none\r\nPUBLISH news mine\r\nGET none\r\nUNSUBSCRIBE news\r\n"
        b"PUBLISH news late\r\nECHO end\r\n",
        b"$3\r\nend\r\n",
    )
    assert told == (
        b":0\r\n>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n_\r\n"
        + message % (4, b"mine")
        + b":1\r\n_\r\n>3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n:0\r\n$3\r\nend\r\n"
    )


def test_blocking_pops_of_several_clients_get_each_element_once(cell: RunningCell, client: Client) -> None:
    poppers = 5
    with ThreadPoolExecutor(poppers) as pool:
        waits = [pool.submit(cell.redis(decode_responses=True).blpop, ["queue", "other"], 60) for _ in range(poppers)]
        for number in range(poppers):
            client.rpush("queue" if number % 2 else "other", number)
        got = [wait.result(60) for wait in waits]
    assert sorted(value for _, value in got) == list("01234")
    assert client.exists("queue", "other") == 0


def test_blocking_moves_and_their_timeouts(cell: RunningCell, client: Client) -> None:
    with ThreadPoolExecutor(3) as pool:
        moved = pool.submit(cell.redis(decode_responses=True).blmove, "from", "to", 60, "LEFT", "RIGHT")
        least = pool.submit(cell.redis(decode_responses=True).bzpopmin, "ranks", 60)
        client.rpush("from", "x")
        client.zadd("ranks", {"low": 1, "high": 2})
        assert moved.result(60) == "x"
        assert least.result(60) == ("ranks", "low", 1.0)
    assert client.lrange("to", 0, -1) == ["x"]
    before = time.monotonic()
    assert client.blpop("nothing", 0.2) is None
    assert time.monotonic() - before >= 0.2


def test_iteration_sees_every_element(client: Client) -> None:
    names = [f"key:{number}" for number in range(1_500)]
    client.mset(dict.fromkeys(names, "x"))
    assert sorted(client.scan_iter(count=100)) == sorted(names)
    assert sorted(client.scan_iter(match="key:1?", count=7)) == [f"key:1{digit}" for digit in range(10)]
    members = [str(number) for number in range(1_200)]
    client.sadd("set", *members)
    assert sorted(client.sscan_iter("set", count=100)) == sorted(members)
    client.hset("hash", mapping={name: name for name in members})
    assert dict(client.hscan_iter("hash", count=100)) == {name: name for name in members}
    client.zadd("ranks", {name: int(name) for name in members})
    assert sorted(client.zscan_iter("ranks", count=100)) == sorted((name, float(name)) for name in members)
    assert sorted(client.scan_iter(_type="zset")) == ["ranks"]


def test_locks(cell: RunningCell, client: Client) -> None:
    lock = client.lock("lock", timeout=60)
    assert lock.acquire()
    assert not cell.redis().lock("lock").acquire(blocking=False)
    assert lock.extend(60)
    assert lock.reacquire()
    assert 60_000 < client.pttl("lock") + 60_000 <= 120_000
    lock.release()
    assert client.exists("lock") == 0
    with pytest.raises(redis.exceptions.LockError):
        lock.release()


def test_locks_exclude_each_other(cell: RunningCell) -> None:
    inside = threading.Semaphore(1)

    def work(_: int) -> bool:
        client = cell.redis()
        for _ in range(4):
            with client.lock("lock", timeout=60, sleep=0.005):
                assert inside.acquire(blocking=False)
                inside.release()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def entries_of(reply: Any) -> list[Any]:
    """The entries of the only stream in a reply to XREAD, which redis-py shapes by its own version."""
    ((_, entries),) = reply.items() if isinstance(reply, dict) else reply
    return list(entries)


def test_streams(cell: RunningCell, client: Client) -> None:
    first = client.xadd("stream", {"n": "1"})
    second = client.xadd("stream", {"n": "2"}, maxlen=100)
    assert [entry for entry, _ in client.xrange("stream")] == [first, second]
    with ThreadPoolExecutor(1) as pool:
        reader = cell.redis(decode_responses=True)
        wait = pool.submit(reader.xread, {"stream": "$"}, block=60_000)
        eventually(lambda: client.xadd("stream", {"n": "3"}) and wait.done(), "the reader wakes")
        assert {"n": "3"} in [fields for _, fields in entries_of(wait.result())]


def test_consumer_groups(client: Client) -> None:
    entries = [client.xadd("stream", {"n": number}) for number in range(6)]
    assert client.xgroup_create("stream", "group", "0")
    taken = client.xreadgroup("group", "one", {"stream": ">"}, count=4)
    assert [entry for entry, _ in entries_of(taken)] == entries[:4]
    rest = client.xreadgroup("group", "two", {"stream": ">"})
    assert [entry for entry, _ in entries_of(rest)] == entries[4:]
    assert client.xack("stream", "group", *entries[:2]) == 2
    assert client.xpending("stream", "group")["pending"] == 4
    claimed = client.xclaim("stream", "group", "two", 0, [entries[2]])
    assert [entry for entry, _ in claimed] == [entries[2]]
    assert client.xinfo_groups("stream")[0]["pending"] == 4
    assert client.xtrim("stream", maxlen=2, approximate=False) == 4


def test_chance_is_the_same_for_all_replicas(client: Client) -> None:
    members = set(map(str, range(200)))
    client.sadd("set", *members)
    drawn = [client.spop("set") for _ in range(50)] + client.spop("set", 50)
    assert len(set(drawn)) == 100
    assert client.smembers("set") == members - set(drawn)
    assert client.srandmember("set") in members
    assert len(client.srandmember("set", -300)) == 300
    assert len(set(client.srandmember("set", 40))) == 40
    client.hset("hash", mapping={"a": "1", "b": "2"})
    assert client.hrandfield("hash") in {"a", "b"}
    client.zadd("ranks", {"a": 1, "b": 2})
    assert client.zrandmember("ranks") in {"a", "b"}
    assert client.randomkey() in {"set", "hash", "ranks"}


def test_expiry(client: Client) -> None:
    client.set("short", "x", px=30)
    client.set("long", "x", ex=1_000)
    assert 990 < client.ttl("long") <= 1_000
    assert 990_000 < client.pttl("long") <= 1_000_000
    eventually(lambda: client.get("short") is None, "the key expires")
    assert client.persist("long")
    assert client.ttl("long") == -1
    assert client.expire("long", 500)
    assert client.rename("long", "other")
    assert 490 < client.ttl("other") <= 500
    assert client.getex("other", persist=True) == "x"
    assert client.expiretime("other") == -1


def test_bits_places_and_estimates(client: Client) -> None:
    assert client.setbit("bits", 7, 1) == 0
    assert client.bitcount("bits") == 1
    assert client.bitfield("bits").incrby("u8", 8, 200).get("u8", 8).execute() == [200, 200]
    assert client.bitop("NOT", "inverted", "bits") == 2
    assert client.geoadd("places", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
    assert client.geodist("places", "Palermo", "Catania", "km") == pytest.approx(166.2742)
    found = client.geosearch("places", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
    assert found == ["Catania", "Palermo"]
    assert client.pfadd("visitors", *map(str, range(1_000))) == 1
    assert client.pfcount("visitors") == pytest.approx(1_000, rel=0.05)
    client.pfmerge("merged", "visitors")


def test_databases_and_what_a_client_says_of_itself(cell: RunningCell) -> None:
    client = cell.redis(db=3, client_name="tester", decode_responses=True)
    assert client.set("here", "x")
    assert client.client_getname() == "tester"
    assert client.client_id() > 0
    assert cell.redis().get("here") is None
    assert client.dbsize() == 1
    assert client.info()["redis_version"]


def test_errors_are_redis_own(client: Client) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("text", "y")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("NOSUCH")
    with pytest.raises(redis.ResponseError, match="quorate refuses DEBUG"):
        client.execute_command("DEBUG", "SLEEP", "0")


def test_redis_cli(cell: RunningCell) -> None:
    at = ["-p", str(cell.port)]
    once = subprocess.run(["redis-cli", *at, "SET", "a", "1"], capture_output=True, text=True, timeout=60, check=True)
    assert once.stdout == "OK\n"
    lines = "INCR a\nGET a\nHSET h f v\nHGETALL h\nPING\n"
    piped = subprocess.run(["redis-cli", *at], input=lines, capture_output=True, text=True, timeout=60, check=True)
    assert piped.stdout == "2\n2\n1\nf\nv\nPONG\n"
    mass = "".join(f"SET mass:{number} {number}\r\n" for number in range(5_000))
    loaded = subprocess.run(
        ["redis-cli", *at, "--pipe"], input=mass, capture_output=True, text=True, timeout=60, check=True
    )
    assert "errors: 0, replies: 5000" in loaded.stdout
    third = subprocess.run(
        ["redis-cli", *at, "-3", "HGETALL", "h"], capture_output=True, text=True, timeout=60, check=True
    )
    assert third.stdout.split() == ["f", "v"]


@pytest.mark.parametrize("depth", [1, 16])
def test_redis_benchmark_with_all_its_tests(cell: RunningCell, depth: int) -> None:
    arguments = ["-p", str(cell.port), "-n", str(BENCHMARK_REQUESTS), "-c", "20", "-P", str(depth), "--csv"]
    result = subprocess.run(["redis-benchmark", *arguments], capture_output=True, text=True, timeout=100, check=True)
    assert not re.search("error|warning", result.stdout + result.stderr, re.IGNORECASE), result
    assert len(result.stdout.strip().splitlines()) >= BENCHMARK_TESTS
