"""The SQLite store answers what Redis answers, in RESP2 and RESP3, however its requests arrive."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from . import harness
from .client import Client, Command

pytestmark = pytest.mark.needs("redis-server")

RANDOM_COMMANDS = 4_000


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """The store under test."""
    with harness.running_store("sqlite") as path:
        yield path


@pytest.fixture(scope="module")
def redis() -> Iterator[Path]:
    """The server it must be equal to."""
    with harness.running_redis() as path:
        yield path


@pytest.mark.parametrize("protocol", [2, 3])
def test_command_table(store: Path, redis: Path, protocol: int) -> None:
    harness.assert_table_agrees(store, redis, protocol)


@pytest.mark.parametrize(("seed", "protocol"), [(41, 2), (42, 3)])
def test_random_commands(store: Path, redis: Path, seed: int, protocol: int) -> None:
    harness.assert_random_agrees(store, redis, seed, RANDOM_COMMANDS, protocol)


def test_pipelining(store: Path) -> None:
    harness.assert_pipelining(store)


def test_split_packets(store: Path) -> None:
    harness.assert_split_packets(store)


def test_silence(store: Path, redis: Path) -> None:
    harness.assert_silence(store, redis)


def test_protocol_errors(store: Path, redis: Path) -> None:
    harness.assert_protocol_errors(store, redis)


def test_scripts(store: Path, redis: Path) -> None:
    harness.assert_scripts(store, redis)


def test_long_doubles(store: Path, redis: Path) -> None:
    random = Random(43)
    texts = [
        b"0x1p-3",
        b"1e4931",
        b"1e-4940",
        b"9007199254740993",
        b"0.1",
        b"1e25",
        b"-1e25",
        b".5",
        b"5.",
        b"+1",
        b"1e",
    ]
    texts += [b"%.*f" % (random.randint(0, 20), random.uniform(-(10**size), 10**size)) for size in range(18)] * 3
    texts += [b"%de%d" % (random.randint(1, 10**18), random.randint(-30, 20)) for _ in range(60)]
    commands: list[Command] = [(b"FLUSHALL",)]
    for at, text in enumerate(texts):
        commands.append((b"INCRBYFLOAT", b"sum%d" % (at % 7), text))
        commands.append((b"HINCRBYFLOAT", b"sums", b"%d" % (at % 5), text))
        commands.append((b"SET", b"alone", text))
        commands.append((b"INCRBYFLOAT", b"alone", b"0"))
    with harness.Comparison(store, redis) as comparison:
        comparison.run(commands)


def test_scores(store: Path, redis: Path) -> None:
    random = Random(44)
    commands: list[Command] = [(b"FLUSHALL",)]
    for at in range(300):
        score = repr(random.choice([random.uniform(-1, 1), random.gauss(0, 1e17), random.random() ** 90])).encode()
        commands.append((b"ZADD", b"z%d" % (at % 3), score, b"m%d" % random.randrange(40)))
        commands.append((b"ZINCRBY", b"z%d" % (at % 3), score, b"m%d" % random.randrange(40)))
    for name in (b"ZUNION", b"ZINTER"):
        for aggregate in (b"SUM", b"MIN", b"MAX"):
            weights = (b"WEIGHTS", b"0.1", b"-3", b"1e-5", b"AGGREGATE", aggregate, b"WITHSCORES")
            commands.append((name, b"3", b"z0", b"z1", b"z2", *weights))
    with harness.Comparison(store, redis) as comparison:
        comparison.run(commands)


def test_globs(store: Path, redis: Path) -> None:
    random = Random(45)
    names = ["".join(random.choices("ab-]\\", k=random.randint(0, 4))) for _ in range(60)]
    patterns = ["".join(random.choices("ab?*[]^-\\", k=random.randint(0, 7))) for _ in range(600)]
    commands: list[Command] = [(b"FLUSHALL",), *((b"SET", name.encode(), b"") for name in names)]
    with harness.Comparison(store, redis) as comparison:
        comparison.run([*commands, *((b"KEYS", pattern.encode()) for pattern in patterns)])


def test_lists_against_any_index(store: Path, redis: Path) -> None:
    random = Random(46)
    commands: list[Command] = [(b"FLUSHALL",)]
    for _ in range(1500):
        value, index = b"%d" % random.randrange(6), b"%d" % random.randint(-14, 14)
        commands.append(
            random.choice(
                [
                    (b"RPUSH", b"l", value),
                    (b"LPUSH", b"l", value, b"x"),
                    (b"LINSERT", b"l", b"BEFORE", value, b"new"),
                    (b"LINSERT", b"l", b"AFTER", value, value),
                    (b"LREM", b"l", b"%d" % random.randint(-2, 2), value),
                    (b"LINDEX", b"l", index),
                    (b"LSET", b"l", index, value),
                    (b"LPOP", b"l", b"2"),
                    (b"LTRIM", b"l", b"0", b"40"),
                    (b"LPOS", b"l", value, b"RANK", b"%d" % random.choice([-2, -1, 1, 2]), b"COUNT", b"0"),
                    (b"COPY", b"l", b"copied", b"REPLACE"),
                ]
            )
        )
        commands += [(b"LRANGE", b"l", b"0", b"-1"), (b"LLEN", b"l"), (b"LRANGE", b"copied", b"0", b"-1")]
    with harness.Comparison(store, redis) as comparison:
        comparison.run(commands)


def test_watch_sees_the_changes_of_others(store: Path) -> None:
    with Client(store) as client, Client(store) as other:
        for change, expected in (((b"SET", b"w", b"2"), b"*-1\r\n"), ((b"SET", b"v", b"2"), b"*1\r\n+PONG\r\n")):
            assert client.call("WATCH", "w") == b"+OK\r\n"
            other.send(change)
            assert other.reply().raw == b"+OK\r\n"
            client.send((b"MULTI",), (b"PING",), (b"EXEC",))
            assert [client.reply().raw for _ in range(3)][-1] == expected


def test_a_client_that_does_not_read_delays_nobody(store: Path) -> None:
    with Client(store) as client, Client(store) as other:
        assert client.call("SETRANGE", "large", "1000000", "x") == b":1000001\r\n"
        client.send(*[(b"GET", b"large")] * 20)
        assert other.call("PING") == b"+PONG\r\n"
        assert all(len(client.reply().raw) > 1_000_000 for _ in range(20))
