"""Feeds of real servers: all kinds of keys, changed meanwhile, and the servers' own digests in the end."""

import random
import socket
from contextlib import closing
from pathlib import Path

import pytest

from quorate.state.faults import FeedFault
from quorate.state.link import Keeper
from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, ZSET
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state import record_of, state_request
from tests.real.reference import Connection, decoded, serving
from tests.real.states import Generator
from tests.state.keepers import committed, keeping, run

KINDS = {b"string": STRING, b"list": LIST, b"set": SET, b"hash": HASH, b"zset": ZSET, b"stream": STREAM}
DATABASES = (0, 3, 15)
OPTIONS = ("--enable-debug-command", "yes")


def strings(reply: bytes) -> list[bytes]:
    values = decoded(reply)
    assert isinstance(values, list)
    return [value for value in values if isinstance(value, bytes)]


def ask(server: Connection, requests: list[list[bytes]]) -> None:
    """Some requests may be refused: what counts is what the server then holds."""
    for request in requests:
        server.ask(*request)


def tell(keeper: Keeper, server: Connection, database: int, key: bytes) -> None:
    """The keeper hears of one key what the server says of it."""
    name = decoded(server.ask("TYPE", key))
    assert isinstance(name, bytes)
    if name == b"none":
        keeper.delete(database, key)
        return
    request, frames = state_request(key, KINDS[name])
    server.send(request)
    _, record, is_settled = record_of(KINDS[name], server.receive(frames))
    assert is_settled
    assert record is not None
    keeper.put(database, key, record)


def digest(server: Connection) -> bytes:
    return server.ask("DEBUG", "DIGEST")


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("seed", range(3))
def test_a_real_server_becomes_what_another_is_and_follows_it(tmp_path: Path, seed: int) -> None:
    async def work() -> None:
        with (
            serving(tmp_path / "one", *OPTIONS) as source,
            serving(tmp_path / "two", *OPTIONS) as target,
            closing(Connection(source)) as server,
            closing(Connection(target)) as shadow,
        ):
            chance = random.Random(seed)
            async with keeping(tmp_path / "state") as keeper:
                for number, database in enumerate(DATABASES):
                    ask(server, [[b"SELECT", b"%d" % database]])
                    ask(server, Generator(10 * seed + number).keys(60, list(KINDS.values())))
                    for key in strings(server.ask("KEYS", "*")):
                        tell(keeper, server, database, key)
                await committed(keeper, 1)
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(target))
                assert await keeper.feed(sock, 1) == 1
                assert digest(shadow) == digest(server)
                change(keeper, server, chance)
                await committed(keeper, 2)
                assert await keeper.seal(1) == 2
            assert digest(shadow) == digest(server) != b"+" + b"0" * 40 + b"\r\n"

    run(work())


def change(keeper: Keeper, server: Connection, chance: random.Random) -> None:
    """A database emptied, keys deleted, changed, made anew as another kind, given deadlines."""
    first, second, third = DATABASES
    ask(server, [[b"SELECT", b"%d" % second], [b"FLUSHDB"], [b"SET", b"alone", b"1"]])
    keeper.clear(second)
    tell(keeper, server, second, b"alone")
    for database in (first, third):
        ask(server, [[b"SELECT", b"%d" % database]])
        for key in chance.sample(sorted(strings(server.ask("KEYS", "*"))), 20):
            match chance.randrange(3):
                case 0:
                    ask(server, [[b"DEL", key]])
                case 1:
                    ask(server, [[b"DEL", key], [b"RPUSH", key, b"new", b"kind"]])
                case _:
                    ask(server, [[b"PEXPIREAT", key, b"%d" % 10**14]])
            tell(keeper, server, database, key)


@pytest.mark.needs("redis-server")
def test_a_server_that_evicts_is_found_out(tmp_path: Path) -> None:
    async def work() -> None:
        with serving(tmp_path / "one", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random") as target:
            async with keeping(tmp_path / "state") as keeper:
                for index in range(5_000):
                    keeper.put(0, b"%d" % index, encode_request([b"s", b"-1", b"x" * 1_000]))
                await committed(keeper, 1)
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(target))
                with pytest.raises(FeedFault, match=r"key '\d+' reads back as") as caught:
                    await keeper.feed(sock, 1)
                assert caught.value.is_replicas

    run(work())
