"""Clients that break the protocol, never end, never read or take too much: they get an error, others notice nothing."""

import contextlib
import random
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.cell.conftest import MakeCell
from tests.cell.support import Document, RunningCell, eventually, example, exchange, received, request, until_closed
from tests.domains.harness import short_directory

KIB = 1024
MIB = 1024 * KIB
IDLE_WANTED = 10_000
DESCRIPTORS_OF_OUR_OWN = 400

# Small enough to be reached at once; each is the limit that one test is about.
SMALL = {
    "transaction_requests_max": 20,
    "transactions_bytes_max": 4_000,
    "watched_keys_max": 10,
    "watched_total_max": 15,
    "subscriptions_max": 10,
    "subscriptions_total_max": 15,
    "parked_max": 3,
    "parked_keys_max": 5,
    "cursors_max": 3,
    "incomplete_bytes_max": 256 * KIB,
    "request_bytes_max": MIB,
    "request_arguments_max": 1_000,
    "inline_bytes_max": 16 * KIB,
}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningCell]:
    """One cell for the whole file: whatever a client did to it, it serves the next."""
    with short_directory() as home:
        cell = RunningCell(home, example("kv", "process", **SMALL))
        try:
            yield cell.start()
            assert cell.stop() == 0
        finally:
            cell.close()
            print(cell.log())  # noqa: T201 - pytest shows it with a failure


@pytest.fixture
def cell(running: RunningCell) -> Iterator[RunningCell]:
    """The cell, empty; afterwards it must be as good as new, and no replica blamed for a client."""
    running.redis().flushall()
    yield running
    running.forget_clients()
    eventually(lambda: running.status().clients == 0, "no client is left")
    running.assert_agreed()


def vanish(connection: socket.socket) -> None:
    """Vanish without a word: the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# What is no request.


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"*1\r\n+PING\r\n", b"-ERR Protocol error: expected '$', got '+'\r\n"),
        (b"*99999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b'SET a "b\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ],
)
def test_what_is_no_request_ends_the_connection(cell: RunningCell, data: bytes, answer: bytes) -> None:
    connection = cell.connect()
    connection.sendall(request("PING") + data + request("SET", "never", "x"))
    assert until_closed(connection) == b"+PONG\r\n" + answer
    assert cell.redis().exists("never") == 0


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (SMALL["inline_bytes_max"] + 10),
        b"*1\r\n$" + b"1" * (SMALL["inline_bytes_max"] + 10),
        b"*2\r\n$3\r\nGET\r\n$%d\r\n" % (SMALL["request_bytes_max"] + 1),
        b"*%d\r\n" % (SMALL["request_arguments_max"] + 1),
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % SMALL["request_bytes_max"] + b"x" * SMALL["request_bytes_max"],
    ],
    ids=["endless inline", "endless number", "bulk", "arguments", "whole request"],
)
def test_requests_beyond_the_limits_end_the_connection(cell: RunningCell, data: bytes) -> None:
    connection = cell.connect()
    connection.sendall(request("PING"))
    assert received(connection, b"\r\n") == b"+PONG\r\n"
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)
    # The rest of what was sent may have turned the end into a reset, which takes the error with it.
    answer = until_closed(connection)
    assert answer == b"" or answer.startswith(b"-ERR")
    assert cell.redis().ping()


def test_a_client_that_never_ends_its_requests_holds_up_nobody(cell: RunningCell) -> None:
    halves = [cell.connect() for _ in range(100)]
    for half in halves:
        half.sendall(request("SET", "half", "x" * 100)[:-20])
    assert cell.redis().set("whole", "x")
    for half in halves:
        half.sendall(request("SET", "half", "x" * 100)[-20:])
    assert {received(half, b"\r\n") for half in halves} == {b"+OK\r\n"}


def test_unfinished_requests_together_are_bounded(cell: RunningCell) -> None:
    started = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n" + b"x" * 99_000
    halves = [cell.connect() for _ in range(6)]
    for half in halves:
        with contextlib.suppress(ConnectionError):
            half.sendall(started)
    refused = [half for half in halves if _was_refused(half)]
    assert 1 <= len(refused) < len(halves)
    assert cell.redis().ping()


def _was_refused(half: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        half.sendall(b"x" * 1_000 + b"\r\n")
    try:
        return b"incomplete requests" in half.recv(1_000)
    except ConnectionResetError:
        return True


def test_bytes_of_chance_hurt_nobody(cell: RunningCell) -> None:
    chance = random.Random(2)
    pieces = [b"*3\r\n", b"$3\r\n", b"SET\r\n", b"\r\n", b"$-1\r\n", b"MULTI\r\n", b"EXEC\r\n", b"\0", b"HELLO 3\r\n"]
    for _ in range(150):
        with contextlib.suppress(ConnectionError):
            connection = cell.connect()
            connection.sendall(b"".join(chance.choice([*pieces, chance.randbytes(9)]) for _ in range(60)))
            vanish(connection)
    assert cell.redis().ping()


def test_a_browser_cannot_be_made_to_send_requests(cell: RunningCell) -> None:
    connection = cell.connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET forged 1\r\n")
    until_closed(connection)
    assert cell.redis().exists("forged") == 0


def test_a_client_that_sends_no_more_still_gets_its_answers(cell: RunningCell) -> None:
    connection = cell.connect()
    connection.sendall(request("SET", "key", "x") + request("GET", "key"))
    connection.shutdown(socket.SHUT_WR)
    assert until_closed(connection) == b"+OK\r\n$1\r\nx\r\n"


def test_a_client_that_sends_no_more_gets_what_takes_several_slots_and_is_not_parked(cell: RunningCell) -> None:
    connection = cell.connect()
    connection.sendall(request("SADD", "set", "m") + request("SPOP", "set") + request("BLPOP", "list", "0"))
    connection.shutdown(socket.SHUT_WR)
    assert until_closed(connection) == b":1\r\n$1\r\nm\r\n"
    cell.redis().rpush("list", "kept")
    assert cell.redis().lrange("list", 0, -1) == [b"kept"]


# What would exhaust the coordinator.


def over_multi(cell: RunningCell) -> bytes:
    """A transaction that is too long."""
    connection = cell.connect()
    exchange(connection, b"MULTI\r\n", b"+OK\r\n")
    connection.sendall(b"INCR a\r\n" * (SMALL["transaction_requests_max"] + 1) + b"EXEC\r\nECHO end\r\n")
    return received(connection, b"end\r\n")


def over_all_multi(cell: RunningCell) -> bytes:
    """Transactions that are too large together."""
    answer = b""
    for _ in range(3):
        connection = cell.connect()
        connection.sendall(b"MULTI\r\n" + request("SET", "a", "x" * 1_500) + b"ECHO end\r\n")
        answer = received(connection, b"\r\n+QUEUED\r\n")
    return answer


def over_watch(cell: RunningCell) -> bytes:
    """Too many watched keys."""
    keys = " ".join(f"key{number}" for number in range(SMALL["watched_keys_max"] + 1))
    return exchange(cell.connect(), f"WATCH {keys}\r\nECHO end\r\n".encode(), b"end\r\n")


def over_subscribe(cell: RunningCell) -> bytes:
    """Too many channels."""
    keys = " ".join(f"channel{number}" for number in range(SMALL["subscriptions_max"] + 1))
    return exchange(cell.connect(), f"HELLO 3\r\nSUBSCRIBE {keys}\r\nECHO end\r\n".encode(), b"end\r\n")


def over_parked(cell: RunningCell) -> bytes:
    """Too many clients that wait."""
    waiting = [cell.connect() for _ in range(SMALL["parked_max"] + 1)]
    for connection in waiting[:-1]:
        exchange(connection, b"PING\r\nBLPOP nothing 0\r\n", b"+PONG\r\n")
    return exchange(waiting[-1], b"BLPOP nothing 0\r\nECHO end\r\n", b"end\r\n")


def over_parked_keys(cell: RunningCell) -> bytes:
    """A client that waits for too many keys."""
    keys = " ".join(f"key{number}" for number in range(SMALL["parked_keys_max"] + 1))
    return exchange(cell.connect(), f"BLPOP {keys} 0\r\nECHO end\r\n".encode(), b"end\r\n")


def over_cursors(cell: RunningCell) -> bytes:
    """Too many iterations that never end."""
    cell.redis().mset({f"key{number}": "x" for number in range(100)})
    connection = cell.connect()
    scans = SMALL["cursors_max"] + 1
    return exchange(connection, b"SCAN 0 COUNT 1\r\n" * scans + b"ECHO end\r\n", b"end\r\n")


@pytest.mark.parametrize(
    ("abuse", "error"),
    [
        (over_multi, b"the transaction is over the limit"),
        (over_all_multi, b"all transactions together are over the limit"),
        (over_watch, b"too many watched keys"),
        (over_subscribe, b"too many subscriptions"),
        (over_parked, b"too many blocked clients (limit parked_max)"),
        (over_parked_keys, b"too many keys to wait for (limit parked_keys_max)"),
        (over_cursors, b"too many scans are under way (limit cursors_max)"),
    ],
)
def test_abuse_gets_an_error_that_names_it(
    cell: RunningCell, abuse: Callable[[RunningCell], bytes], error: bytes
) -> None:
    answer = abuse(cell)
    assert b"-ERR quorate: " + error in answer
    assert cell.redis().set("others", "are served")


def test_who_leaves_leaves_nothing(cell: RunningCell) -> None:
    """Each round takes as much as the limits allow one client, and vanishes: the next finds all of it free again."""
    client = cell.redis()
    keys = " ".join(f"key{number}" for number in range(10))
    for round_ in range(12):
        connection = cell.connect()
        answer = exchange(connection, f"WATCH {keys}\r\nMULTI\r\n".encode(), b"+OK\r\n+OK\r\n")
        answer += exchange(connection, request("SET", "never", "x" * 3_000), b"\r\n")
        other = cell.connect()
        answer += exchange(other, f"SUBSCRIBE {keys}\r\nPING\r\n".encode(), b"pong\r\n$0\r\n\r\n")
        waiting = [cell.connect() for _ in range(SMALL["parked_max"])]
        for blocked in waiting:
            blocked.sendall(b"PING\r\nBLPOP queue 0\r\n")
            answer += received(blocked, b"\r\n")
        for gone in (connection, other, *waiting):
            (vanish if round_ % 2 else socket.socket.close)(gone)
        assert b"-ERR" not in answer, answer
        eventually(lambda: client.pubsub_numsub("key1") == [(b"key1", 0)], "no subscriber is left")
    assert client.exists("never") == 0
    assert client.rpush("queue", "x") == 1
    assert client.llen("queue") == 1, "nothing was popped for a client that has gone"


def test_a_wait_ends_with_its_client_and_nobody_elses(cell: RunningCell) -> None:
    gone, stays = cell.connect(), cell.connect()
    gone.sendall(b"PING\r\nBLPOP queue 0\r\n")
    received(gone, b"\r\n")
    stays.sendall(b"PING\r\nBLPOP queue 0\r\n")
    received(stays, b"\r\n")
    before = cell.status().clients
    vanish(gone)
    eventually(lambda: cell.status().clients == before - 1, "it is gone")
    assert cell.redis().rpush("queue", "x") == 1
    assert received(stays, b"x\r\n") == b"*2\r\n$5\r\nqueue\r\n$1\r\nx\r\n"


# What would fill its memory.


def narrow() -> Document:
    """A cell that keeps little for clients that do not read.

    It is asked for much more at once than a busy machine's slowest store says in half a second: such a store is waited
    for, where by default it would be replaced.
    """
    return example(
        "kv",
        "process",
        throttle_ns_max=60_000_000_000,
        lag_ns_max=60_000_000_000,
        reply_bytes_max=MIB,
        client_output_bytes_max=4 * MIB,
        clients_output_bytes_max=8 * MIB,
        client_stall_ns_max=120_000_000_000,
    )


def test_a_client_that_stops_reading_is_closed(cells: MakeCell) -> None:
    cell = cells(narrow()).start()
    other = cell.redis()
    other.set("large", "x" * 256 * KIB)
    before = cell.resident_bytes()
    deaf = [cell.connect() for _ in range(3)]
    most = 0
    for connection in deaf:
        connection.sendall(request("GET", "large") * 400)

    def closed() -> bool:
        nonlocal most
        most = max(most, cell.resident_bytes())
        assert other.incr("counter")
        return cell.status().clients == 1

    eventually(closed, "all that do not read are closed")
    print("grew by", (most - before) // MIB, "MiB")  # noqa: T201 - shown with a failure
    assert most - before < 120 * MIB
    cell.assert_agreed()


def test_a_client_that_stalls_is_closed_in_time(cells: MakeCell) -> None:
    document = narrow()
    document["limits"] |= {"client_stall_ns_max": 500_000_000, "client_output_bytes_max": 64 * MIB}
    document["limits"] |= {"clients_output_bytes_max": 64 * MIB}
    cell = cells(document).start()
    cell.redis().set("large", "x" * 900 * KIB)
    stalled = cell.connect()
    stalled.sendall(request("GET", "large") * 40)
    eventually(lambda: cell.status().clients == 1, "the stalled client is closed")
    cell.assert_agreed()


def test_a_client_that_asks_without_end_does_not_starve_the_others(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    greedy = cell.connect()
    greedy.setblocking(False)
    other = cell.redis()
    before = cell.resident_bytes()
    batch, sent, slowest = request("INCR", "greedy") * 1_000, 0, 0.0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            sent += greedy.send(batch)
        begun = time.monotonic()
        other.incr("modest")
        slowest = max(slowest, time.monotonic() - begun)
    assert sent > len(batch)
    assert slowest < 5
    assert cell.resident_bytes() - before < 100 * MIB
    greedy.close()
    cell.assert_agreed()


# Ten thousand who say nothing.


def idle_allowed() -> int:
    """How many connections this process may hold, after raising its limit as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_WANTED + 2 * DESCRIPTORS_OF_OUR_OWN
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return min(IDLE_WANTED, soft - 2 * DESCRIPTORS_OF_OUR_OWN)


def test_thousands_of_idle_connections(cells: MakeCell) -> None:
    count = idle_allowed()
    cell = cells(example("kv", "process", clients_max=count + 1)).start()
    before = cell.resident_bytes()
    client = cell.redis()
    client.set("key", "value")
    with contextlib.ExitStack() as idle:
        for _ in range(count):
            idle.enter_context(socket.create_connection(("127.0.0.1", cell.port), 60))
        eventually(lambda: cell.status().clients == count + 1, "all are connected")
        with socket.create_connection(("127.0.0.1", cell.port), 60) as refused:
            assert until_closed(refused) == b"-ERR max number of clients reached\r\n"
        assert client.get("key") == b"value"
        assert cell.resident_bytes() - before < 100 * MIB
    eventually(lambda: cell.status().clients == 1, "all have gone")
    assert client.get("key") == b"value"
    cell.assert_agreed()
    assert cell.stop() == 0


def test_more_clients_than_descriptors_is_a_clear_error(cells: MakeCell) -> None:
    cell = cells(example("kv", "process", clients_max=100_000_000)).launch()
    assert cell.wait() == 2
    assert "limits.clients_max needs 100000256 open files" in cell.log()
    assert "hint: raise the limit (ulimit -n), or lower limits.clients_max" in cell.log()
    cell.assert_nothing_left()


def test_a_password_is_asked_for_and_never_forwarded(cells: MakeCell) -> None:
    document = example("kv", "process")
    secret = "correct horse"
    cell = cells(document)
    (cell.home / "password").write_text(secret + "\n")
    (cell.home / "password").chmod(0o600)
    document["cell"]["password_file"] = "password"
    cell.write(document)
    cell.start()
    with pytest.raises(redis.AuthenticationError):
        cell.redis(retry=None).get("key")
    with pytest.raises(redis.AuthenticationError):
        cell.redis(password="wrong", retry=None).get("key")
    assert cell.redis(password=secret).set("key", "value")
    cell.assert_agreed()


def test_a_reply_that_is_too_long_is_its_requests_fault(cells: MakeCell) -> None:
    cell = cells(example("kv", "process", reply_bytes_max=64 * KIB)).start()
    client = cell.redis()
    client.set("large", "x" * 200 * KIB)
    for _ in range(2):
        with pytest.raises(redis.ResponseError, match="its reply is over the limit"):
            client.get("large")
        assert client.strlen("large") == 200 * KIB
    with client.pipeline(transaction=False) as pipeline:
        pipeline.get("large").set("small", "x").get("large").get("small")
        answers = pipeline.execute(raise_on_error=False)
    assert [isinstance(answer, redis.ResponseError) for answer in answers] == [True, False, True, False]
    assert answers[3] == b"x"
    cell.assert_agreed()


def test_a_subscriber_that_stops_reading_is_closed(cells: MakeCell) -> None:
    cell = cells(narrow()).start()
    publisher, reader = cell.redis(), cell.redis().pubsub()
    reader.subscribe("news")
    assert reader.get_message(timeout=60)["type"] == "subscribe"
    deaf = cell.connect()
    exchange(deaf, b"SUBSCRIBE news\r\n", b":1\r\n")
    before = cell.resident_bytes()

    def told() -> bool:
        receivers = publisher.publish("news", "x" * 256 * KIB)
        assert reader.get_message(timeout=60)["type"] == "message"
        return bool(receivers == 1)

    eventually(told, "only who reads is told")
    assert cell.resident_bytes() - before < 100 * MIB
    reader.close()
    cell.assert_agreed()
