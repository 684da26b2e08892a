"""What the dialect believes about a real Redis server when it rewrites deadlines and runs scripts, asked of one."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.lock import Lock

from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import ReplyScanner, encode_request
from quorate.trusted.protocols.redis.scripting import AS_LANE_USER, AS_SCRIPT_USER, lane_setup
from quorate.trusted.protocols.redis.scripts import (
    DEADLINE_OFFSET_MS,
    LOCK_EXTEND,
    LOCK_REACQUIRE,
    LOCK_RELEASE,
    REAP,
    digest,
)

pytestmark = pytest.mark.needs("redis-server")

NOW = 1_700_000_000_000
DENIED = b"The user executing the script can't run this command or subcommand"
PATIENCE_S = 20.0


class Lane:
    """One connection, set up as the coordinator sets up a lane."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(path))
        for request in lane_setup(Settings(scripts=frozenset((b"any",)))):
            assert not self.ask(*request).startswith(b"-")

    def ask(self, *arguments: bytes | str | int) -> bytes:
        """The reply to one request."""
        words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
        return self.send(encode_request(words))

    def send(self, data: bytes, replies: int = 1) -> bytes:
        """Exactly this many replies to `data`: PING, asked after it, is answered by what comes next."""
        self._socket.sendall(data + encode_request([b"PING"]))
        buffer = bytearray()
        while ReplyScanner().scan(buffer, 0, len(buffer), 1, replies + 1) == 0:
            received = self._socket.recv(65536)
            assert received, "the server closed the connection"
            buffer += received
        assert buffer.endswith(b"+PONG\r\n")
        return bytes(buffer[: -len(b"+PONG\r\n")])

    def script(self, script: bytes, *arguments: bytes | str | int) -> bytes:
        """The reply of a script of ours with one key."""
        return self.ask(b"EVALSHA", digest(script), 1, *arguments)

    def as_script_user(self, text: bytes, protocol: int = 2) -> bytes:
        """The reply of a listed script."""
        self.ask(b"HELLO", protocol)
        return self.send(AS_SCRIPT_USER + encode_request([b"EVAL", text, b"0"]) + AS_LANE_USER)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("redis") / "socket"
    program = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(path)
            yield path
        finally:
            process.terminate()


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            assert time.monotonic() < give_up, "redis-server does not start"
            time.sleep(0.02)


@pytest.fixture
def lane(server: Path) -> Iterator[Lane]:
    lane = Lane(server)
    lane.ask("FLUSHALL")
    yield lane
    lane.close()


# REAP.


def test_reap_deletes_what_has_passed_and_nothing_else(lane: Lane) -> None:
    held = NOW + DEADLINE_OFFSET_MS
    for key, deadline in (("before", held - 1), ("at", held), ("after", held + 1)):
        lane.ask("SET", key, "v", "PXAT", deadline)
    lane.ask("SET", "without", "v")
    reply = lane.ask("EVALSHA", digest(REAP), 5, "before", "at", "after", "without", "missing", held)
    assert reply == b":2\r\n"
    assert lane.ask("EXISTS", "before", "at", "after", "without") == b":2\r\n"
    assert lane.ask("PEXPIRETIME", "after") == b":%d\r\n" % (held + 1)


def test_reap_takes_as_many_keys_as_one_slot_may_have(lane: Lane) -> None:
    keys = [b"key %d" % number for number in range(1_024)]
    for key in keys:
        lane.ask("SET", key, "v", "PXAT", DEADLINE_OFFSET_MS)
    assert lane.ask("EVALSHA", digest(REAP), len(keys), *keys, DEADLINE_OFFSET_MS) == b":1024\r\n"
    assert lane.ask("DBSIZE") == b":0\r\n"


def test_the_last_exact_deadline_is_kept_and_compared_exactly(lane: Lane) -> None:
    lane.ask("SET", "k", "v", "PXAT", 2**53 - 1)
    assert lane.ask("EVALSHA", digest(REAP), 1, "k", 2**53 - 2) == b":0\r\n"
    assert lane.ask("EVALSHA", digest(REAP), 1, "k", 2**53 - 1) == b":1\r\n"


# A deadline that has passed already, as one millisecond of 1970.


@pytest.mark.parametrize("request_text", ["PEXPIREAT k 1", "PEXPIREAT k 1 LT", "PEXPIREAT k 1 NX", "GETEX k PXAT 1"])
def test_the_past_deletes_a_key_at_once(lane: Lane, request_text: str) -> None:
    lane.ask("SET", "k", "v")
    lane.ask(*request_text.split())
    assert lane.ask("DBSIZE") == b":0\r\n"


def test_a_key_set_in_the_past_is_gone_for_all_but_dbsize_until_it_is_reaped(lane: Lane) -> None:
    requests = ("MULTI", "SET k v PXAT 1", "DBSIZE", "KEYS *", "EXEC")
    replies = lane.send(b"".join(encode_request(request.encode().split()) for request in requests), len(requests))
    assert replies.endswith(b"*3\r\n+OK\r\n:1\r\n*0\r\n")
    assert lane.script(REAP, "k", NOW + DEADLINE_OFFSET_MS) == b":0\r\n"
    assert lane.ask("DBSIZE") == b":0\r\n"


@pytest.mark.parametrize("condition", ["GT", "XX"])
def test_conditions_hold_for_the_past_too(lane: Lane, condition: str) -> None:
    lane.ask("SET", "k", "v")
    assert lane.ask("PEXPIREAT", "k", 1, condition) == b":0\r\n"
    assert lane.ask("EXISTS", "k") == b":1\r\n"


# What is refused here is refused there, with the same words.


@pytest.mark.parametrize(
    ("request_text", "error"),
    [
        ("SET k v EX 9223372036854775807", b"-ERR invalid expire time in 'set' command\r\n"),
        ("SETEX k 9223372036854775807 v", b"-ERR invalid expire time in 'setex' command\r\n"),
        ("GETEX k EX 9223372036854775807", b"-ERR invalid expire time in 'getex' command\r\n"),
        ("PEXPIRE k 9223372036854775807", b"-ERR invalid expire time in 'pexpire' command\r\n"),
        ("EVALSHA x 0", b"-NOSCRIPT No matching script. Please use EVAL.\r\n"),
        (f"EVALSHA {'0' * 40} 0", b"-NOSCRIPT No matching script. Please use EVAL.\r\n"),
        (f"EVALSHA {'0' * 40} x", b"-ERR value is not an integer or out of range\r\n"),
        (f"EVALSHA {'0' * 40} 1", b"-ERR Number of keys can't be greater than number of args\r\n"),
        (f"EVALSHA {'0' * 40} -1", b"-ERR Number of keys can't be negative\r\n"),
    ],
)
def test_errors_are_in_redis_words(lane: Lane, request_text: str, error: bytes) -> None:
    lane.ask("SET", "k", "v")
    assert lane.ask(*request_text.split()) == error


def test_options_end_at_a_zero_byte(lane: Lane) -> None:
    assert lane.ask("SET", "k", "v", b"EX\0ample", 100) == b"+OK\r\n"
    assert lane.ask("TTL", "k") == b":100\r\n"
    assert lane.ask("EXPIRE", "k", 50, b"LT\0") == b":1\r\n"


# Our lock scripts do what redis-py's do.


@pytest.mark.parametrize("held_by", ["token", "other", None])
def test_a_lock_is_released_as_by_redis_py(lane: Lane, held_by: str | None) -> None:
    seen = []
    for name in (digest(LOCK_RELEASE), lane.ask("SCRIPT", "LOAD", Lock.LUA_RELEASE_SCRIPT)[5:-2]):
        lane.ask("FLUSHALL")
        if held_by is not None:
            lane.ask("SET", "lock", held_by)
        seen.append((lane.ask("EVALSHA", name, 1, "lock", "token"), lane.ask("EXISTS", "lock")))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("held_by", "replace", "left"),
    [
        ("token", "0", 5_300),
        ("token", "1", 300),
        ("other", "0", 5_000),
        ("other", "1", 5_000),
    ],
)
def test_a_lock_is_extended_by_ordered_time(lane: Lane, held_by: str, replace: str, left: int) -> None:
    held = NOW + DEADLINE_OFFSET_MS
    lane.ask("SET", "lock", held_by, "PXAT", held + 5_000)
    reply = lane.script(LOCK_EXTEND, "lock", "token", 300, replace, held)
    assert reply == (b":1\r\n" if held_by == "token" else b":0\r\n")
    assert lane.ask("PEXPIRETIME", "lock") == b":%d\r\n" % (held + left)


def test_a_lock_without_a_time_or_a_holder_is_not_extended(lane: Lane) -> None:
    assert lane.script(LOCK_EXTEND, "lock", "token", 300, 0, NOW) == b":0\r\n"
    lane.ask("SET", "lock", "token")
    for name in (digest(LOCK_EXTEND), lane.ask("SCRIPT", "LOAD", Lock.LUA_EXTEND_SCRIPT)[5:-2]):
        assert lane.ask("EVALSHA", name, 1, "lock", "token", 300, 1, NOW) == b":0\r\n"


@pytest.mark.parametrize(("held_by", "left"), [("token", 300), ("other", 5_000)])
def test_a_lock_is_reacquired_from_ordered_time(lane: Lane, held_by: str, left: int) -> None:
    held = NOW + DEADLINE_OFFSET_MS
    lane.ask("SET", "lock", held_by, "PXAT", held + 5_000)
    reply = lane.script(LOCK_REACQUIRE, "lock", "token", 300, held)
    assert reply == (b":1\r\n" if held_by == "token" else b":0\r\n")
    assert lane.ask("PEXPIRETIME", "lock") == b":%d\r\n" % (held + left)


def test_a_lock_reacquired_without_a_holder_stays_free(lane: Lane) -> None:
    assert lane.script(LOCK_REACQUIRE, "lock", "token", 300, NOW) == b":0\r\n"
    assert lane.ask("EXISTS", "lock") == b":0\r\n"


# Listed scripts may not do what differs between replicas; the lane may.

FORKING = """
time|randomkey|spop s|srandmember s|hrandfield h|zrandmember z|smembers s|sinter s|sunion s|sdiff s|keys *
scan 0|sscan s 0|hscan h 0|zscan z 0|hgetall h|hkeys h|hvals h|expire k 1|pexpire k 1|expireat k 1
pexpireat k 1|setex k 1 v|psetex k 1 v|set k v ex 1|set k v|getex k ex 1|ttl k|pttl k|expiretime k
pexpiretime k|restore k 1 x|dump k|xadd x * f v|xreadgroup group g c streams x >|xclaim x g c 0 1-1
xautoclaim x g c 0 0|xpending x g|xinfo consumers x g|xinfo stream x|sort s|sort_ro s|object idletime k
object freq k|object encoding k|xtrim x maxlen ~ 1|memory usage k|info|lastsave|rename k l|renamenx k l|copy k l
move k 1|select 1|swapdb 0 1|publish c m|flushall|flushdb|lolwut
"""


@pytest.mark.parametrize("request_text", FORKING.strip().replace("\n", "|").split("|"))
def test_what_differs_between_replicas_is_denied_inside_a_listed_script(lane: Lane, request_text: str) -> None:
    words = ",".join(f"'{word}'" for word in request_text.split())
    assert DENIED in lane.as_script_user(f"return redis.call({words})".encode())


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_script_user_comes_and_goes_without_a_reply(lane: Lane, protocol: int) -> None:
    lane.ask("SELECT", 5)
    assert lane.as_script_user(b"return redis.call('mset', 'k', 'v')", protocol) == b"+OK\r\n"
    assert lane.as_script_user(b"return redis.call('get', 'k')", protocol) == b"$1\r\nv\r\n"
    assert DENIED in lane.as_script_user(b"return redis.call('time')", protocol)
    name = lane.ask("SCRIPT", "LOAD", "return redis.call('get', KEYS[1])")[5:-2]
    listed = encode_request([b"EVALSHA", name, b"1", b"k"])
    assert lane.send(AS_SCRIPT_USER + listed + AS_LANE_USER) == b"$1\r\nv\r\n"
    assert lane.as_script_user(b"return {", protocol).startswith(b"-ERR Error compiling script")
    assert lane.ask("ACL", "WHOAMI") == b"$7\r\ndefault\r\n"
    assert lane.ask("GET", "k") == b"$1\r\nv\r\n"
    assert lane.ask("SADD", "s", "member") == b":1\r\n"
    assert lane.ask("SMEMBERS", "s")[1:] == b"1\r\n$6\r\nmember\r\n"


def test_a_script_cannot_leave_its_user(lane: Lane) -> None:
    for command in ("'auth','default','-'", "'acl','whoami'", "'client','reply','off'", "'eval','return 1','0'"):
        assert b"not allowed from script" in lane.as_script_user(f"return redis.call({command})".encode())
