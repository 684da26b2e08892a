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

import pytest
import redis

from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.values import value_end
from tests.real.differential import Cell
from tests.real.reference import PATIENCE_S, Connection, serving

pytestmark = pytest.mark.needs("redis-server", "redis-cli")

NUMBER = re.compile(rb"(\$2\r\nid\r\n):\d+")

CONVERSATIONS = """
PING|PING hello|PING a b|ECHO|ECHO x|ECHO a b|ping|Ping x|PiNg
HELLO|HELLO 2|HELLO 3|HELLO 4|HELLO 1|HELLO abc|HELLO 3 FOO|HELLO 3 AUTH default|HELLO 3 SETNAME|HELLO 2|GET none
HELLO 3 SETNAME you|CLIENT GETNAME|HELLO 2 SETNAME 'a b'|CLIENT GETNAME|HELLO 3 SETNAME ''|CLIENT GETNAME
HELLO 3 AUTH default x|HELLO 2 AUTH nobody x|HELLO 9 AUTH nobody x|HELLO 3 AUTH default x SETNAME me|CLIENT GETNAME
HELLO 03|HELLO -3|HELLO 99999999999999999999|HELLO 3 setname x auth default y|HELLO 2 SETNAME x FOO|CLIENT GETNAME
AUTH|AUTH x|AUTH default x|AUTH nobody x|AUTH a b c|ACL WHOAMI|acl whoami x|ACL|ACL NOPE
SELECT 1|SELECT 15|SELECT 16|SELECT -1|SELECT abc|SELECT|SELECT 1 2|SELECT 99999999999999999999|SELECT 01|SELECT 0
CLIENT|CLIENT NOPE|CLIENT nope x|CLIENT GETNAME|CLIENT GETNAME x|CLIENT SETNAME me|CLIENT GETNAME|CLIENT SETNAME 'a b'
CLIENT SETNAME ''|CLIENT GETNAME|CLIENT SETNAME|CLIENT SETNAME a b|CLIENT GETREDIR|CLIENT TRACKINGINFO|CLIENT ID x
CLIENT REPLY ON|CLIENT REPLY NOPE|CLIENT REPLY|CLIENT REPLY SKIP|SET k v|GET k|CLIENT REPLY OFF|GET k|PING|CLIENT REPLY ON|GET k
CLIENT REPLY SKIP|CLIENT REPLY SKIP|GET k|PING|CLIENT REPLY OFF|CLIENT REPLY SKIP|PING|CLIENT REPLY ON|PING
CLIENT REPLY SKIP|NOPE|PING|CLIENT REPLY SKIP|GET|PING
NOPE|NOPE a b c|nope 'a b'|'' x|GET|GET a b|get|SET k|set k|FOO BAR 'long ------------------------------------------------------------------------------------------------------------------------' x y
OBJECT|OBJECT NOPE x|OBJECT ENCODING|XGROUP|XGROUP nope|CONFIG|CONFIG NOPE|COMMAND NOPE|PUBSUB|PUBSUB NOPE|SCRIPT|SCRIPT NOPE x|FUNCTION|XINFO
WAIT 0 0|WAIT|WAIT a 0|WAIT 0 a|WAIT 0 -1|ROLE|ROLE x|READONLY|READWRITE|READONLY x|MODULE LIST|TIME x|LASTSAVE x
RESET|HELLO 3|RESET|GET none|SELECT 3|SET k v|RESET|GET k|CLIENT SETNAME me|RESET|CLIENT GETNAME|RESET x
EXEC|DISCARD|UNWATCH|MULTI|EXEC|MULTI|DISCARD|MULTI x|EXEC x|WATCH|UNWATCH x|DISCARD x
MULTI|MULTI|SET k v|EXEC|MULTI|WATCH k|GET k|EXEC|MULTI|UNWATCH|EXEC|MULTI|PING|PING a|ECHO b|EXEC
MULTI|NOPE|GET k|EXEC|EXEC|MULTI|GET|EXEC|MULTI|GET a b|SET k w|DISCARD|GET k|MULTI|INCR|UNWATCH|EXEC
MULTI|SET k v|LPUSH k v|GET k|EXEC|MULTI|INCR k|EXEC x|EXEC|MULTI|DISCARD x|EXEC|MULTI|MULTI x|EXEC|MULTI|WATCH|EXEC
SELECT 0|MULTI|SELECT 2|SET k two|SELECT 99|GET k|SELECT x|EXEC|GET k|SELECT 0|GET k|MULTI|SELECT 1|DISCARD|GET k
WATCH k|SET k 1|MULTI|GET k|EXEC|WATCH k|MULTI|GET k|EXEC|WATCH k|SET k 2|UNWATCH|MULTI|GET k|EXEC|WATCH k k|SET other 1|MULTI|GET k|EXEC
WATCH k|SET k 1|DISCARD|MULTI|GET k|EXEC|WATCH k|SET k 1|MULTI|DISCARD|MULTI|GET k|EXEC|WATCH k|SET k 1|MULTI|NOPE|EXEC|MULTI|GET k|EXEC
WATCH k|SELECT 1|SET k 1|SELECT 0|MULTI|PING|EXEC|SET k 1|WATCH k|FLUSHALL|MULTI|PING|EXEC|SET k 1|WATCH k|FLUSHDB|MULTI|PING|EXEC
SET k 1|SELECT 1|SET k 2|SELECT 0|WATCH k|SWAPDB 0 1|MULTI|PING|EXEC|WATCH k|MOVE k 3|MULTI|PING|EXEC
SET k 1|WATCH j|RENAME k j|MULTI|PING|EXEC|WATCH k|COPY j k|MULTI|PING|EXEC|WATCH k|EXPIRE k 100|MULTI|PING|EXEC
MULTI|SET k v EX 100|TTL k|PERSIST k|TTL k|SET k v PXAT 1|GET k|EXISTS k|EXPIRE k 0|EXEC|EXISTS k|DBSIZE
MULTI|BLPOP l 0|BRPOPLPUSH a b 0|BZPOPMIN z 0|XREAD BLOCK 0 STREAMS x $|BLMPOP 0 1 l LEFT|EXEC|MULTI|RPUSH l a b|BLPOP l 0|BLMPOP 0 1 l LEFT|EXEC
MULTI|SADD s a|SMEMBERS s|HSET h f v|HGETALL h|HKEYS h|SINTER s s|KEYS h|RANDOMKEY x|EXEC|MULTI|HGETALL h|EXEC|DEL s h
MULTI|SORT l|RPUSH l b a|SORT l ALPHA|SORT l BY nosort DESC|SORT l ALPHA DESC LIMIT 0 1 GET # GET k|SORT l|EXEC
MULTI|PUBLISH news x|SPUBLISH news x|PUBSUB NUMSUB news|PUBSUB CHANNELS|ROLE|WAIT 0 0|CLIENT GETNAME|EXEC
MULTI|QUIT
GET k|QUIT
QUIT x
SUBSCRIBE|SUBSCRIBE a|SUBSCRIBE b a|UNSUBSCRIBE a|UNSUBSCRIBE nope|UNSUBSCRIBE|UNSUBSCRIBE|PUNSUBSCRIBE|SUNSUBSCRIBE|PING
PSUBSCRIBE a* b*|SUBSCRIBE x|SSUBSCRIBE s|PING|PING m|SUNSUBSCRIBE s|PUNSUBSCRIBE|UNSUBSCRIBE x|PING|GET none
SUBSCRIBE a|GET k|SET k v|PUBLISH a m|PUBLISH b m|HELLO 3|NOPE|GET|SUBSCRIBE|RESET|GET none
SUBSCRIBE a|PUBSUB NUMSUB a b|PUBSUB CHANNELS|PUBSUB NUMPAT|UNSUBSCRIBE|PUBSUB CHANNELS *|PUBSUB NUMSUB|PUBSUB NUMPAT x|PUBSUB CHANNELS a b
SUBSCRIBE a|QUIT
EVAL|EVAL x|EVALSHA 0000000000000000000000000000000000000000 0|EVALSHA x 0|SCRIPT EXISTS 0000000000000000000000000000000000000000|SCRIPT EXISTS
COMMAND GETKEYS SET k v|COMMAND GETKEYS GET|COMMAND GETKEYS NOPE x|COMMAND GETKEYS PING x|COMMAND COUNT x
""".strip().split("\n")  # fmt: skip

AUTHENTICATING = """
PING|GET k|NOPE|GET|CLIENT ID|COMMAND|MULTI|EXEC|ECHO x|SELECT 1|SUBSCRIBE a|AUTH wrong|AUTH secret|PING|AUTH wrong|PING
HELLO|HELLO 3|HELLO 4|HELLO 3 AUTH default wrong|HELLO 3 AUTH default secret|GET none|RESET|GET none|AUTH default secret|GET none
AUTH nobody secret|AUTH|AUTH default secret x|HELLO 3 SETNAME x|HELLO 3 AUTH default secret SETNAME me|CLIENT GETNAME
RESET|PING|QUIT
HELLO 3 AUTH nobody secret|HELLO 2 AUTH default secret|ACL WHOAMI|CLIENT GETNAME|AUTH default wrong|ACL WHOAMI
""".strip().split("\n")  # fmt: skip


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
    options = {} if protocol is None else {"protocol": protocol}
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
