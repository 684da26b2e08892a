import os
import socket
from collections.abc import Iterator

import pytest

from quorate.state.outbox import Outbox

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_what_is_appended_goes_in_order_with_what_is_handed_over(pair: Pair) -> None:
    ours, theirs = pair
    outbox = Outbox(ours)
    handed, other = socket.socketpair()
    outbox.append(b"one ")
    outbox.append(b"two ")
    outbox.append_with(b"three", handed)
    outbox.append(b" four")
    assert outbox.size == 18
    assert outbox.send()
    assert outbox.size == 0
    assert handed.fileno() == -1
    data, descriptors = b"", []
    while len(data) < 18:
        piece, some, _, _ = socket.recv_fds(theirs, 100, 4)
        data += piece
        descriptors += some
    assert data == b"one two three four"
    with other, socket.socket(fileno=descriptors[0]) as got:
        got.send(b"x")
        assert other.recv(1) == b"x"


def test_what_does_not_go_at_once_goes_later(pair: Pair) -> None:
    ours, theirs = pair
    outbox = Outbox(ours)
    data = os.urandom(2_000_000)
    outbox.append(data)
    assert not outbox.send()
    assert 0 < outbox.size < len(data)
    received = b""
    while outbox.size:
        received += theirs.recv(1_000_000)
        outbox.send()
    while len(received) < len(data):
        received += theirs.recv(1_000_000)
    assert received == data


def test_who_is_gone_takes_everything(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    outbox = Outbox(ours)
    handed, other = socket.socketpair()
    outbox.append(b"one")
    outbox.append_with(b"two", handed)
    assert outbox.send()
    assert (outbox.size, handed.fileno()) == (0, -1)
    other.close()
