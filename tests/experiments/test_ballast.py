"""The state that is transferred: five types, each key of 1 KB."""

import socket
import threading
from collections import Counter

import pytest

from quorate.experiments import ballast
from quorate.trusted.errors import OperatorFault


def test_the_five_types_come_in_turn() -> None:
    made = list(ballast.requests(500))
    assert Counter(request.split(b"\r\n")[2] for request in made) == dict.fromkeys(
        [b"SET", b"RPUSH", b"SADD", b"HSET", b"ZADD"], 100
    )
    assert all(ballast.KEY_BYTES <= len(request) < ballast.KEY_BYTES + 200 for request in made)
    assert len({request.split(b"\r\n")[4] for request in made}) == 500


def test_the_same_is_written_on_every_run() -> None:
    assert list(ballast.requests(20)) == list(ballast.requests(20))


def answer(listener: socket.socket, reply: bytes, requests: int) -> None:
    connection, _ = listener.accept()
    with connection:
        seen = 0
        while seen < requests:
            seen += connection.recv(65_536).count(b"*")
        connection.sendall(reply)


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [(b":1\r\n-OOM no room\r\n:1\r\n", "did not accept its state: -OOM no room"), (b":1\r\n", "ended the conn")],
)
def test_state_that_is_not_accepted_is_told(reply: bytes, trouble: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener, reply, 3))
        thread.start()
        with pytest.raises(OperatorFault, match=trouble):
            ballast.write(listener.getsockname()[1], 3)
        thread.join(10)
