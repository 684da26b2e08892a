"""The client of the paper's experiment, before a server that is made to behave as each test needs."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from quorate.experiments import vmfit_client
from quorate.experiments.machine import stolen_ms
from quorate.experiments.vmfit_client import REQUEST, Client, Counted
from quorate.experiments.vmfit_schedule import INTERVAL_SECONDS
from quorate.experiments.worker import Worker

# What a server does with its n-th request, counted from 0; None ends the connection.
Reply = Callable[[int], bytes | None]


@contextmanager
def server(reply: Reply) -> Iterator[int]:
    """Answers every request with `reply`; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, reply), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        # close() alone does not wake a thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


def serve(listener: socket.socket, reply: Reply) -> None:
    number = 0
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while (data := connection.recv(1_024)) == REQUEST:
                    answer = reply(number)
                    number += 1
                    if answer is None:
                        break
                    connection.sendall(answer)
                assert data in (b"", REQUEST)


def seen(reply: Reply, seconds: float = 0.5) -> Counted:
    with server(reply) as port:
        client = Client(port, time.monotonic(), seconds)
        client.work()
    return client.counted


def counting(number: int) -> bytes:
    return b":%d\r\n" % (number + 1)


def test_every_request_is_counted_in_its_interval() -> None:
    asked: list[int] = []

    def reply(number: int) -> bytes:
        asked.append(number)
        return counting(number)

    counted = seen(reply)
    assert len(counted.requests) == 2
    assert sum(counted.requests) == len(asked) > 20
    assert (counted.wrong, sum(counted.failed), counted.unanswered_ms) == (0, 0, 0.0)
    assert min(counted.requests) > 0
    assert 0 < max(counted.worst_ms) < 1_000


def test_time_that_the_host_took_counts_for_all_intervals_that_a_round_trip_lasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stolen = 100.0
    monkeypatch.setattr(vmfit_client, "stolen_ms", lambda: stolen)

    def reply(number: int) -> bytes:
        nonlocal stolen
        if number == 1:
            stolen = 140.0
            time.sleep(2 * INTERVAL_SECONDS)
        return counting(number)

    counted = seen(reply, 8 * INTERVAL_SECONDS)
    assert set(counted.stolen_ms) == {0.0, 40.0}
    assert counted.stolen_ms.count(40.0) >= 3
    slowest = counted.worst_ms.index(max(counted.worst_ms))
    assert counted.stolen_ms[slowest] == 40.0


def test_what_the_host_took_is_read_from_the_kernel() -> None:
    before = stolen_ms()
    assert 0 <= before <= stolen_ms()


def test_a_number_that_does_not_follow_is_wrong() -> None:
    assert seen(lambda number: counting(number if number < 3 else number + 1)).wrong == 1
    assert seen(lambda number: counting(number if number < 3 else number - 1)).wrong == 1


def test_an_error_is_a_failure_and_its_request_counts_until_it_succeeds() -> None:
    def reply(number: int) -> bytes:
        return b"-ERR no quorum\r\n" if 2 <= number < 12 else counting(number)

    counted = seen(reply, 1.0)
    assert sum(counted.failed) == 10
    # Ten pauses belong to that one round trip; and each failed request may have been executed.
    assert max(counted.worst_ms) >= 100
    assert counted.wrong == 0


def test_a_lost_connection_is_a_failure_and_made_anew() -> None:
    counted = seen(lambda number: None if number == 5 else counting(number))
    assert sum(counted.failed) == 1
    assert sum(counted.requests) > 5
    assert counted.wrong == 0


def test_a_request_that_is_never_answered_is_told() -> None:
    counted = seen(lambda number: b"" if number >= 3 else counting(number))
    assert sum(counted.requests) == 3
    assert counted.unanswered_ms > 500
    assert sum(counted.failed) == 1


def test_it_is_a_worker_that_ends_when_asked(tmp_path: Path) -> None:
    with server(counting) as port:
        arguments = [str(port), str(time.monotonic()), "600"]
        with Worker("client", "vmfit_client", arguments, tmp_path) as client:
            time.sleep(0.5)
            client.ask_to_end()
            counted = Counted.from_json(client.result(30.0))
    assert len(counted.requests) == 2_400
    assert counted.wrong == counted.unanswered_ms == 0
