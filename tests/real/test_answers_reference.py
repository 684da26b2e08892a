"""What the coordinator answers itself, byte for byte as a real server does; and the openings of real clients.

Each conversation is held twice, as in differential.py. What belongs to one connection (its number) is masked.
"""

import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import digest
from quorate.trusted.protocols.redis.values import value_end
from tests.real.differential import Cell
from tests.real.reference import PATIENCE_S, Connection, serving

pytestmark = pytest.mark.needs("redis-server", "redis-cli")

HERE = Path(__file__).parent
NUMBER = re.compile(rb"(\$2\r\nid\r\n):\d+")

CONVERSATIONS = (HERE / "conversations.txt").read_text().splitlines()

AUTHENTICATING = (HERE / "authentications.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    directory = tmp_path_factory.mktemp("answers")
    with serving(directory / "lane") as lane, serving(directory / "bare") as bare:
        yield lane, bare


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving(tmp_path_factory.mktemp("closed"), "--requirepass", "secret") as path:
        yield path


def frames_in(data: bytes) -> int:
    count = position = 0
    while position < len(data):
        position = value_end(data, position)
        count += 1
    return count


def hold(cell: Cell, bare: Connection, lines: list[str]) -> tuple[list[bytes], list[bytes]]:
    """What both answer to each line. Answers are as many as the dialect gives; a last ECHO shows any that are left."""
    talker = cell.client()
    here: list[bytes] = []
    there: list[bytes] = []
    for line in [*lines, "RESET", "ECHO end"]:
        request = encode_request([word.encode() for word in shlex.split(line)])
        cell.perform(cell.protocol.read(talker.client, request, cell.now))
        cell.settle()
        here.append(NUMBER.sub(rb"\1", talker.hears()))
        bare.send(request)
        there.append(NUMBER.sub(rb"\1", bare.receive(frames_in(here[-1])) if here[-1] else b""))
        if line.split()[0].upper() == "QUIT":
            break
    return here, there


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("protocol", [2, 3])
def test_answers_are_those_of_redis(servers: tuple[Path, Path], protocol: int, conversation: str) -> None:
    lane, bare = Connection(servers[0]), Connection(servers[1])
    lane.ask("FLUSHALL")
    bare.ask("FLUSHALL")
    here, there = hold(Cell(lane), bare, [f"HELLO {protocol}", *conversation.split("|")])
    assert here == there
    lane.close()
    bare.close()


@pytest.mark.parametrize("conversation", AUTHENTICATING)
def test_authentication_is_that_of_redis(servers: tuple[Path, Path], closed_server: Path, conversation: str) -> None:
    lane, bare = Connection(servers[0]), Connection(closed_server)
    here, there = hold(Cell(lane, Settings(password=b"secret")), bare, conversation.split("|"))
    assert here == there
    lane.close()
    bare.close()


# A listed script inside MULTI: another user of the lane for one request.


def test_a_listed_script_runs_inside_a_transaction_and_nowhere_else(servers: tuple[Path, Path]) -> None:
    lane, bare = Connection(servers[0]), Connection(servers[1])
    lane.ask("FLUSHALL")
    bare.ask("FLUSHALL")
    script = "return {redis.call('incr', KEYS[1]), redis.call('smembers', 's')}"
    good = "return redis.call('incr', KEYS[1])"
    settings = Settings(scripts=frozenset(digest(text.encode()) for text in (script, good)))
    conversation = [
        "MULTI",
        f'EVAL "{good}" 1 n',
        "GET n",
        "SADD s a",
        "SMEMBERS s",
        "EXEC",
        f'EVAL "{good}" 1 n',
        "GET n",
    ]
    here, there = hold(Cell(lane, settings), bare, conversation)
    assert here == there
    denied, _ = hold(Cell(lane, settings), bare, ["MULTI", f'EVAL "{script}" 1 n', "ACL WHOAMI", "SMEMBERS s", "EXEC"])
    assert b"The user executing the script can't run this command" in denied[4]
    assert denied[4].endswith(b"$7\r\ndefault\r\n*1\r\n$1\r\na\r\n")
    assert lane.ask("ACL", "WHOAMI") == b"$7\r\ndefault\r\n"
    lane.close()
    bare.close()


# Real clients, with their own openings.


class Listener:
    """Serves clients, one after the other, by a cell."""

    def __init__(self, path: Path, cell: Cell) -> None:
        self._cell = cell
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        talker = self._cell.client()
        with connection:
            while data := connection.recv(65536):
                self._cell.perform(self._cell.protocol.read(talker.client, data, self._cell.now))
                self._cell.settle()
                connection.sendall(talker.hears())

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def front(servers: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    lane = Connection(servers[0])
    lane.ask("FLUSHALL")
    path = tmp_path / "front"
    listener = Listener(path, Cell(lane))
    yield path
    listener.close()
    lane.close()


@pytest.mark.parametrize("options", [[], ["-3"], ["-n", "3"], ["-3", "-n", "3"]])
def test_redis_cli_is_served(front: Path, options: list[str]) -> None:
    program = ["redis-cli", "-s", str(front), *options]
    script = "SET k v\nGET k\nHSET h f v\nHGETALL h\nCLIENT GETNAME\nMULTI\nINCR n\nEXEC\nNOPE\n"
    ended = subprocess.run(program, input=script, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    words = ended.stdout.split("\n")
    assert words[:6] == ["OK", "v", "1", "f v" if "-3" in options else "f", *words[4:6]]
    assert "QUEUED" in words
    assert "ERR unknown command 'NOPE', with args beginning with: " in words


@pytest.mark.parametrize("protocol", [2, 3, None])
def test_redis_py_is_served(front: Path, protocol: int | None) -> None:
    options: dict[str, Any] = {} if protocol is None else {"protocol": protocol}
    with redis.Redis(unix_socket_path=str(front), client_name="me", db=2, **options) as client:
        assert client.client_getname() in ("me", b"me")
        client.set("k", "v", ex=100)
        assert client.get("k") == b"v"
        assert client.ttl("k") in (99, 100)
        assert client.hset("h", mapping={"a": "1", "b": "2"}) == 2
        assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
        with client.pipeline() as pipeline:
            pipeline.watch("k")
            pipeline.multi()
            pipeline.set("k", "w")
            pipeline.get("k")
            assert pipeline.execute() == [True, b"w"]
        with client.lock("lock", timeout=10) as lock:
            assert lock.owned()
        assert sorted(client.scan_iter()) == [b"h", b"k"]
