"""What the tests of the three stores share: servers to start, and what each store must hold beside a real Redis.

Knows how two replies to one command are compared; knows nothing of any store's inside.
"""

from __future__ import annotations

import codecs
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from quorate.trusted.protocols.redis import scripts

from .client import REPLY_SECONDS_MAX, Client, Command, Reply, encode
from .generator import commands as generated_commands

SOURCE = Path(__file__).parents[2] / "src"
TABLE = Path(__file__).with_name("commands.txt")
SETUP_SECONDS_MAX = 30.0
BATCH_COMMANDS = 200
# Both stores read their own clock: replies that tell a remaining time are equal when this close.
SLACK_SECONDS = 20

UNORDERED = frozenset(b"SMEMBERS SINTER SUNION SDIFF KEYS HKEYS HVALS".split())
QUEUE_ENDS = frozenset(b"MULTI EXEC DISCARD RESET".split())
CLOCKED = frozenset(b"TTL PTTL EXPIRETIME PEXPIRETIME".split())


def words(text: str) -> Command:
    """A command from one line of text, quoted as in a shell, with Python's backslash escapes."""
    return tuple(codecs.decode(word, "unicode_escape").encode("latin-1") for word in shlex.split(text))


def table() -> list[Command]:
    """The commands of `commands.txt`, in order; lines that open with # are headings."""
    lines = TABLE.read_text(encoding="ascii").splitlines()
    return [words(line) for line in lines if line and not line.startswith("#")]


@contextmanager
def running_store(name: str) -> Iterator[Path]:
    """Run `python -m quorate.kv.<name>`; yields the path of its unix socket."""
    with _socket_directory() as directory:
        path = directory / "store"
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        with _running([sys.executable, "-m", f"quorate.kv.{name}", "--socket", str(path)], path, environment):
            yield path


@contextmanager
def running_redis() -> Iterator[Path]:
    """Run a real redis-server without persistence; yields the path of its unix socket."""
    with _socket_directory() as directory:
        path = directory / "redis"
        arguments = [
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(directory),
            # Where the small stores end strings.
            "--proto-max-bulk-len",
            "33554432",
        ]
        with _running(["redis-server", *arguments], path, dict(os.environ)):
            yield path


@contextmanager
def _socket_directory() -> Iterator[Path]:
    # A directory of its own, because a unix socket's path ends at 108 bytes and pytest's can be longer.
    with tempfile.TemporaryDirectory(prefix="kv-", dir="/tmp") as directory:
        yield Path(directory)


@contextmanager
def _running(command: Sequence[str], path: Path, environment: dict[str, str]) -> Iterator[None]:
    log_path = path.with_suffix(".log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_answering(process, path, log_path)
        yield
        assert process.poll() is None, f"{command} died: {log_path.read_text(errors='replace')}"
    finally:
        process.terminate()
        process.wait(SETUP_SECONDS_MAX)


def _wait_until_answering(process: subprocess.Popen[bytes], path: Path, log_path: Path) -> None:
    deadline = time.monotonic() + SETUP_SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, f"died at start: {log_path.read_text(errors='replace')}"
        try:
            with Client(path) as client:
                if client.call("PING") == b"+PONG\r\n":
                    return
        except (FileNotFoundError, ConnectionError):
            pass
        time.sleep(0.01)
    raise AssertionError(f"no answer at {path}: {log_path.read_text(errors='replace')}")


class Comparison:
    """Sends the same commands to a store and to Redis, and compares each reply."""

    def __init__(self, store: Path, redis: Path) -> None:
        self._clients = (Client(store), Client(redis))
        self._history: list[Command] = []
        self._queued: list[Command] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.__exit__()

    def run(self, commands: Iterable[Command]) -> None:
        """Raises AssertionError at the first command whose replies differ, with the commands before it."""
        batch: list[Command] = []
        for command in commands:
            batch.append(command)
            if len(batch) == BATCH_COMMANDS:
                self._run_batch(batch)
                batch = []
        self._run_batch(batch)

    def _run_batch(self, batch: Sequence[Command]) -> None:
        for client in self._clients:
            client.send(*batch)
        for command in batch:
            self._compare(command)

    def _compare(self, command: Command) -> None:
        store, redis = (client.reply() for client in self._clients)
        if not self._are_equal(command, store, redis):
            shown = [b" ".join(map(repr_bytes, earlier)).decode() for earlier in (*self._history[-60:], command)]
            raise AssertionError("\n".join([*shown, f"store: {store.raw!r}", f"redis: {redis.raw!r}"]))
        self._history.append(command)
        if redis.raw == b"+QUEUED\r\n":
            self._queued.append(command)
        elif command[0].upper() in QUEUE_ENDS and not redis.raw.startswith(b"-"):
            self._queued.clear()

    def _are_equal(self, command: Command, store: Reply, redis: Reply) -> bool:
        if command[0].upper() != b"EXEC" or len(store.elements) != len(redis.elements):
            return are_equal(command, store, redis)
        if not redis.elements:
            return store.raw == redis.raw
        return all(map(are_equal, self._queued, store.elements, redis.elements))


def repr_bytes(word: bytes) -> bytes:
    """The word as Python would quote it, so that a failure can be typed in again."""
    return repr(word)[1:].encode()


def are_equal(command: Command, store: Reply, redis: Reply) -> bool:
    """Whether the two replies to `command` say the same: byte for byte, but for order, clocks and client numbers."""
    name = command[0].upper()
    if store.raw == redis.raw:
        return True
    if name in CLOCKED and store.raw[:1] == redis.raw[:1] == b":":
        numbers = int(store.raw[1:]), int(redis.raw[1:])
        slack = SLACK_SECONDS * (1000 if name.startswith(b"P") else 1)
        return min(numbers) > 0 and abs(numbers[0] - numbers[1]) <= slack
    if name == b"CLIENT" and len(command) > 1 and command[1].upper() == b"ID":
        return store.raw[:1] == redis.raw[:1] == b":"
    return _canonical(name, store).raw == _canonical(name, redis).raw


def _canonical(name: bytes, reply: Reply) -> Reply:
    if not reply.elements:
        return reply
    if name == b"HELLO":
        number_at = 1 + next(at for at, element in enumerate(reply.elements) if element.raw == b"$2\r\nid\r\n")
        return reply.rebuilt(element for at, element in enumerate(reply.elements) if at != number_at)
    if name == b"HGETALL":
        return reply.sorted(2)
    return reply.sorted() if name in UNORDERED else reply


def assert_table_agrees(store: Path, redis: Path, protocol: int) -> None:
    """Run the command table through both, in RESP2 or RESP3."""
    with Comparison(store, redis) as comparison:
        comparison.run([(b"FLUSHALL",), (b"HELLO", b"%d" % protocol), *table()])


def assert_random_agrees(store: Path, redis: Path, seed: int, count: int, protocol: int = 2) -> None:
    """Run `count` seeded random commands through both."""
    with Comparison(store, redis) as comparison:
        comparison.run([(b"FLUSHALL",), (b"HELLO", b"%d" % protocol), *generated_commands(seed, count)])


def assert_pipelining(store: Path) -> None:
    """One write of many commands is answered by as many replies, in order; several connections do not mix."""
    with Client(store) as first, Client(store) as second:
        for client, key in ((first, b"p1"), (second, b"p2")):
            client.send((b"DEL", key), *[(b"INCR", key)] * 5000)
        for client in (second, first):
            client.reply()
            assert [client.reply().raw for _ in range(5000)] == [b":%d\r\n" % at for at in range(1, 5001)]


def assert_split_packets(store: Path) -> None:
    """Requests are understood however they are cut, and a half request of a lost client is forgotten."""
    value = bytes(range(256)) * 1000
    request = encode((b"SET", b"split", b"a\r\nb")) + encode((b"GET", b"split"))
    with Client(store) as client:
        for at in range(1, len(request)):
            client.send_bytes(request[:at])
            client.send_bytes(request[at:])
            assert (client.reply().raw, client.reply().raw) == (b"+OK\r\n", b"$4\r\na\r\nb\r\n")
        for byte in request:
            client.send_bytes(bytes([byte]))
        assert (client.reply().raw, client.reply().raw) == (b"+OK\r\n", b"$4\r\na\r\nb\r\n")
        with Client(store) as lost:
            lost.send_bytes(encode((b"SET", b"split", b"lost"))[:-3])
        client.send((b"SET", b"large", value), (b"GET", b"split"), (b"GET", b"large"))
        replies = [client.reply().raw for _ in range(3)]
        assert replies == [b"+OK\r\n", b"$4\r\na\r\nb\r\n", b"$256000\r\n" + value + b"\r\n"]


def assert_silence(store: Path, redis: Path) -> None:
    """CLIENT REPLY SKIP and OFF leave out exactly the replies that Redis leaves out."""
    lines = """
    CLIENT REPLY SKIP|SET a 1|GET a
    CLIENT REPLY SKIP|CLIENT REPLY SKIP|GET a|GET a
    CLIENT REPLY SKIP|NOSUCH|GET a
    CLIENT REPLY SKIP|MULTI|GET a|EXEC
    MULTI|CLIENT REPLY SKIP|GET a|EXEC|PING
    CLIENT REPLY SKIP|CLIENT REPLY ON|GET a
    CLIENT REPLY OFF|GET a|CLIENT REPLY SKIP|GET a|GET a|CLIENT REPLY ON|GET a
    CLIENT REPLY SKIP|CLIENT REPLY OFF|GET a|CLIENT REPLY ON|GET a
    CLIENT REPLY OFF|RESET|GET a
    """
    for line in lines.split("\n"):
        if line.strip():
            commands = [words(text) for text in line.strip().split("|")]
            assert _until_closed(store, commands) == _until_closed(redis, commands), line


def assert_protocol_errors(store: Path, redis: Path) -> None:
    """Malformed requests are answered by Redis's own error, and the connection ends."""
    cases = [
        b"*x\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*2147483648\r\n",
        b"*1\r\n$999999999999\r\n",
    ]
    cases += [b"*-1\r\n", b"*0\r\n", b"*" + b"1" * 70_000, b"*1\r\n$" + b"1" * 70_000]
    for case in cases:
        data = encode((b"PING",)) + case + encode((b"QUIT",))
        replies = [_bytes_until_closed(path, data) for path in (store, redis)]
        assert replies[0] == replies[1], case[:40]
    # These two bounds are the stores' own; Redis's are 512 MiB and 2**31.
    large = _bytes_until_closed(store, b"*1\r\n$67108865\r\n")
    assert large == b"-ERR Protocol error: invalid bulk length\r\n"
    many = _bytes_until_closed(store, b"*1048577\r\n")
    assert many == b"-ERR Protocol error: invalid multibulk length\r\n"


def assert_scripts(store: Path, redis: Path) -> None:
    """The coordinator's own scripts do natively what Redis does in Lua."""
    offset = scripts.DEADLINE_OFFSET_MS
    setup = f"FLUSHALL|SET lock me PXAT {offset + 5000}|SET bare me|RPUSH list a|SET k1 v PXAT {offset + 1}|SET k2 v"
    reap, release, extend, reacquire = (
        scripts.digest(text).decode()
        for text in (scripts.REAP, scripts.LOCK_RELEASE, scripts.LOCK_EXTEND, scripts.LOCK_REACQUIRE)
    )
    runs = f"""EVALSHA {reap} 4 k1 k2 lock missing {offset + 1}|EXISTS k1 k2 lock|EVALSHA {reap} 1 lock {offset}
    EVALSHA {reap} 0 {offset}|EVALSHA {reap.upper()} 2 k1 k1 {offset + 1}|EVALSHA {reap} 1 list {offset}
    EVALSHA {extend} 1 lock you 10 0 {offset}|EVALSHA {extend} 1 lock me 10 0 {offset}|PEXPIRETIME lock
    EVALSHA {extend} 1 lock me 10 1 {offset + 7000}|PEXPIRETIME lock|EVALSHA {extend} 1 bare me 10 0 {offset}
    EVALSHA {extend} 1 missing me 10 0 {offset}|EVALSHA {reacquire} 1 bare me 500 {offset}|PEXPIRETIME bare
    EVALSHA {reacquire} 1 bare you 500 {offset}|EVALSHA {reacquire} 1 missing you 500 {offset}
    EVALSHA {release} 1 list me|EVALSHA {extend} 1 list me 1 1 1
    EVALSHA {release} 1 lock you|EVALSHA {release} 1 lock me|EVALSHA {release} 1 lock me|EXISTS lock
    MULTI|EVALSHA {reap} 1 bare {offset + 500}|EXEC|EXISTS bare|EVALSHA {release} x lock|EVALSHA {release} 2 lock"""
    loads: list[Command] = [
        (b"SCRIPT", b"LOAD", text)
        for text in (scripts.REAP, scripts.LOCK_RELEASE, scripts.LOCK_EXTEND, scripts.LOCK_REACQUIRE)
    ]
    lines = "|".join([setup, *(line.strip() for line in runs.split("\n"))])
    with Comparison(store, redis) as comparison:
        comparison.run([*loads, *map(words, lines.split("|"))])


def assert_watch(store: Path, redis: Path) -> None:
    """Another connection's command spoils a transaction on watched keys exactly where Redis says so."""
    lines = """
    GET s|SET s v|SET other v|SET s v NX|SET new v NX|APPEND s ""|SETRANGE s 0 ""|SETRANGE s 0 v|GETDEL s|GETDEL new
    GETEX s|GETEX s PERSIST|GETEX s EX 1000|GETEX s EXAT 1|INCR s|INCR new|MSETNX s 1 new 1|DEL s|DEL new|EXPIRE s 1000
    EXPIRE new 1000|EXPIRE s -1|PERSIST s|PERSIST d|SET d v KEEPTTL|RENAME s other|RENAME s new|RENAMENX s d|RENAME s s
    COPY s new|COPY s d|MOVE s 1|MOVE s 2|COPY s s DB 1|HSET h a 1|HSET h b 1|HSETNX h a 2|HDEL h x|HDEL h a
    HINCRBY h n 0|LPUSHX new a|LPUSH l a|LPOP l|LPOP l 0|LPOP new|LTRIM l 0 -1|LTRIM new 0 1|LSET l 0 a|LREM l 0 x
    LREM l 0 a|LINSERT l BEFORE x y|LINSERT l BEFORE a y|LMOVE l new LEFT LEFT|LMOVE l l LEFT LEFT|LMPOP 1 l LEFT
    SADD x a|SADD x b|SREM x z|SREM x a|SMOVE x new a|SMOVE x y a|SMOVE x new zz|SMOVE x x a|SUNIONSTORE new x
    SINTERSTORE new y nokey|SINTERSTORE x nokey x|ZADD z 1 a|ZADD z 2 a|ZADD z XX 2 b|ZADD new XX 1 a
    ZADD z INCR 0 a|ZREM z b|ZREM z a|ZPOPMIN z|ZPOPMIN z 0|ZPOPMIN new|ZREMRANGEBYSCORE z 5 6
    ZREMRANGEBYRANK z 0 0|ZUNIONSTORE new 1 z|ZINTERSTORE new 1 nokey|ZINTERSTORE z 1 nokey|ZRANGESTORE new z 0 -1
    ZRANGESTORE new z 5 6|ZRANGESTORE z z 5 6|FLUSHDB|FLUSHALL|SWAPDB 0 1|SWAPDB 1 2|SWAPDB 0 0|DEL s s|TOUCH s
    PUBLISH s v|SET s v XX GET|HSET s a 1|PEXPIREAT d 1
    """
    setup = "FLUSHALL|MSET s v other w|SET d v EX 1000|HSET h a 1 n 5|RPUSH l a|SADD x a c|SADD y a|ZADD z 1 a"
    setup += "|COPY s s DB 2"
    for line in "|".join(part.strip() for part in lines.strip().split("\n")).split("|"):
        commands = [words(text) for text in (*setup.split("|"), line)]
        assert _watched(store, commands) == _watched(redis, commands), line


def _watched(path: Path, commands: list[Command]) -> bytes:
    """What EXEC answers when another connection ran the last of the commands after WATCH."""
    with Client(path) as first, Client(path) as second:
        for command in commands[:-1]:
            second.call(*command)
        first.call("WATCH", "s", "d", "h", "l", "x", "y", "z", "new")
        second.call(*commands[-1])
        first.send((b"MULTI",), (b"PING",), (b"EXEC",))
        return [first.reply().raw for _ in range(3)][-1]


def _until_closed(path: Path, commands: Sequence[Command]) -> bytes:
    return _bytes_until_closed(path, b"".join(map(encode, [*commands, (b"CLIENT", b"REPLY", b"ON"), (b"QUIT",)])))


def _bytes_until_closed(path: Path, data: bytes) -> bytes:
    """All bytes that the store sends until it closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(REPLY_SECONDS_MAX)
        connection.connect(str(path))
        received = b""
        with suppress(BrokenPipeError):
            connection.sendall(data)
        while True:
            try:
                part = connection.recv(1 << 16)
            except ConnectionResetError:
                return received
            received += part
            if not part:
                return received
