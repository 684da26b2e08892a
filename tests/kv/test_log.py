"""The log store answers what Redis answers, in RESP2 and RESP3, and its log stays small while values live."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from quorate.kv.log.records import SEGMENT_BYTES, STEP_BYTES_MAX, RecordLog

from . import harness
from .client import Client, Command

needs_redis = pytest.mark.needs("redis-server")

RANDOM_COMMANDS = 4_000


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """The store under test."""
    with harness.running_store("log") as path:
        yield path


@pytest.fixture(scope="module")
def redis() -> Iterator[Path]:
    """The server it must be equal to."""
    with harness.running_redis() as path:
        yield path


@needs_redis
@pytest.mark.parametrize("protocol", [2, 3])
def test_command_table(store: Path, redis: Path, protocol: int) -> None:
    harness.assert_table_agrees(store, redis, protocol)


@needs_redis
@pytest.mark.parametrize(("seed", "protocol"), [(71, 2), (72, 3)])
def test_random_commands(store: Path, redis: Path, seed: int, protocol: int) -> None:
    harness.assert_random_agrees(store, redis, seed, RANDOM_COMMANDS, protocol)


def test_pipelining(store: Path) -> None:
    harness.assert_pipelining(store)


def test_split_packets(store: Path) -> None:
    harness.assert_split_packets(store)


@needs_redis
def test_silence(store: Path, redis: Path) -> None:
    harness.assert_silence(store, redis)


@needs_redis
def test_protocol_errors(store: Path, redis: Path) -> None:
    harness.assert_protocol_errors(store, redis)


@needs_redis
def test_scripts(store: Path, redis: Path) -> None:
    harness.assert_scripts(store, redis)


def _float(random: Random) -> bytes:
    """A text that is a number, or nearly."""
    odd = b"inf -inf nan 1e 1e+ .5 5. . +-1 1_0 -0 1e400 1e-400 1e5000 1e-5000 0e99999999 0x1p99999 0x1 0x 0.1 1\0"
    return random.choice(
        (
            b"%.*f" % (random.randrange(20), random.uniform(-1e3, 1e3)),
            b"%.17g" % random.uniform(-1e20, 1e20),
            b"%de%d" % (random.randrange(-99, 99), random.randrange(-30, 30)),
            b"%d.%018d" % (random.randrange(1 << 60), random.randrange(10**18)),
            b"0x%x.%xp%d" % (random.randrange(1 << 30), random.randrange(1 << 30), random.randrange(-20, 20)),
            random.choice(odd.split(b" ")),
        )
    )


def _arithmetic(random: Random, count: int) -> Iterator[Command]:
    for _ in range(count):
        number, member = _float(random), random.choice((b"a", b"b"))
        yield random.choice(
            (
                (b"SET", b"f", number),
                (b"INCRBYFLOAT", b"f", number),
                (b"INCRBYFLOAT", b"f", number),
                (b"HINCRBYFLOAT", b"h", b"f", number),
                (b"HSET", b"h", b"f", number),
                (b"ZADD", b"z", number, member),
                (b"ZINCRBY", b"z", number, member),
                (b"ZRANGEBYSCORE", b"z", b"(" + number, _float(random), b"WITHSCORES"),
                (b"ZUNION", b"2", b"z", b"z", b"WEIGHTS", number, b"2", b"AGGREGATE", b"MAX", b"WITHSCORES"),
            )
        )


def _patterns(random: Random, count: int) -> Iterator[Command]:
    def text(letters: bytes, length_max: int) -> bytes:
        return bytes(random.choices(letters, k=random.randrange(length_max)))

    yield from ((b"SET", text(b"ab-c]^\\", 6), b"") for _ in range(200))
    yield from ((b"KEYS", text(b"ab*?[]^-\\c", 8)) for _ in range(count))


@needs_redis
def test_arithmetic_and_patterns(store: Path, redis: Path) -> None:
    random = Random(73)
    with harness.Comparison(store, redis) as comparison:
        comparison.run([(b"FLUSHALL",), *_arithmetic(random, 1500), (b"FLUSHALL",), *_patterns(random, 500)])


def test_values_outlive_the_compaction_of_their_log(store: Path) -> None:
    random = Random(74)
    expected: dict[bytes, bytes] = {}
    with Client(store) as client:
        client.call("FLUSHALL")
        for _ in range(40):
            commands: list[Command] = []
            for _ in range(100):
                key, value = b"%d" % random.randrange(200), random.randbytes(random.randrange(4096))
                commands.append((b"SET", key, value))
                expected[key] = value
            client.send(*commands)
            assert {client.reply().raw for _ in commands} == {b"+OK\r\n"}
        for key, value in expected.items():
            assert client.call("GET", key) == b"$%d\r\n%b\r\n" % (len(value), value)


def test_large_collections_are_kept_and_forgotten(store: Path) -> None:
    members = [b"%d" % number for number in range(20_000)]
    with Client(store) as client:
        client.call("FLUSHALL")
        assert client.call("LPUSH", "list", *members) == b":20000\r\n"
        assert client.call("LINSERT", "list", "BEFORE", "500", "new") == b":20001\r\n"
        assert client.call("LRANGE", "list", "19498", "19501").split(b"\r\n")[2::2] == [b"501", b"new", b"500", b"499"]
        assert client.call("LTRIM", "list", "1", "-2") == b"+OK\r\n"
        assert client.call("RPOP", "list") == b"$1\r\n1\r\n"
        assert client.call("SADD", "set", *members) == b":20000\r\n"
        assert client.call("COPY", "set", "copy") == b":1\r\n"
        assert client.call("DEL", "set", "list") == b":2\r\n"
        assert client.call("SINTERCARD", "2", "copy", "copy") == b":20000\r\n"


def test_a_key_is_gone_when_its_deadline_has_passed(store: Path) -> None:
    with Client(store) as watching, Client(store) as other:
        watching.call("SET", "short", "1", "PX", "50")
        watching.call("WATCH", "short")
        deadline = time.monotonic() + harness.SETUP_SECONDS_MAX
        while other.call("GET", "short") != b"$-1\r\n":
            assert time.monotonic() < deadline
        assert other.call("PTTL", "short") == b":-2\r\n"
        assert watching.call("MULTI") == b"+OK\r\n"
        assert watching.call("EXEC") == b"*-1\r\n"


def test_a_client_that_does_not_read_stops_nobody(store: Path) -> None:
    with Client(store) as deaf, Client(store) as other:
        other.call("SET", "large", b"x" * 1_000_000)
        deaf.send(*[(b"GET", b"large")] * 100)
        assert other.call("PING") == b"+PONG\r\n"
        assert len(deaf.reply().raw) > 1_000_000


def test_the_log_gives_back_what_is_dead_and_keeps_what_lives() -> None:
    random, log = Random(75), RecordLog()
    living: dict[int, bytes] = {}
    for _ in range(30_000):
        payload = random.randbytes(random.choice((0, 10, 1000, 3000)))
        living[log.append(payload)] = payload
        while len(living) > 2000:
            handle = random.choice(list(living)[:50])
            log.release(handle)
            del living[handle]
    while log.has_work:
        held = log.held_bytes
        log.tidy()
        assert log.held_bytes <= held + STEP_BYTES_MAX + SEGMENT_BYTES
    assert {handle: log.read(handle) for handle in living} == living
    assert log.dead_bytes <= max(SEGMENT_BYTES, log.held_bytes / 2)


def test_abandoned_records_are_released_little_by_little() -> None:
    log = RecordLog()
    handles = [log.append(b"%d" % number) for number in range(100_000)]
    log.abandon(handles[:-1])
    log.tidy()
    assert log.dead_bytes < 10_000
    steps = 0
    while log.has_work:
        log.tidy()
        steps += 1
    assert steps > 1000
    assert log.read(handles[-1]) == b"99999"
    assert log.held_bytes <= 2 * SEGMENT_BYTES


def test_a_record_larger_than_a_segment_goes_as_soon_as_it_is_dead() -> None:
    log = RecordLog()
    handle = log.append(b"x" * (3 * SEGMENT_BYTES))
    assert log.length(handle) == len(log.read(handle)) == 3 * SEGMENT_BYTES
    log.release(handle)
    assert (log.held_bytes, log.dead_bytes) == (0, 0)
