import socket
from collections.abc import Iterator

import pytest

from quorate.state import lane as lane_module
from quorate.state.expectations import Exact
from quorate.state.faults import FeedFault
from quorate.state.lane import FeedLane

Ends = tuple[FeedLane, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    lane = FeedLane(ours)
    yield lane, theirs
    lane.close()
    theirs.close()


def expecting(reply: bytes) -> Exact:
    return Exact(reply, [(0, b"key", len(reply))])


def test_requests_go_out_and_replies_are_held_against_what_is_expected(ends: Ends) -> None:
    lane, replica = ends
    lane.ask(b"one", [expecting(b"1")])
    lane.ask(b"two", [expecting(b"2"), expecting(b"3")])
    lane.write()
    assert replica.recv(100) == b"onetwo"
    replica.send(b"12")
    lane.read()
    assert not lane.is_idle
    replica.send(b"3")
    lane.read()
    assert lane.is_idle


def test_a_window_bounds_what_is_under_way(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "WINDOW_BYTES_MAX", 10)
    lane, replica = ends
    lane.ask(b"12345", [expecting(b"abcde")])
    assert not lane.has_room
    replica.send(b"abcde")
    lane.read()
    assert lane.has_room


def test_what_does_not_fit_into_the_socket_waits(ends: Ends) -> None:
    lane, replica = ends
    data = bytes(range(256)) * 8_192
    lane.ask(data, [expecting(b"1")])
    lane.write()
    assert lane.wants_to_write
    received = b""
    while len(received) < len(data):
        received += replica.recv(1_000_000)
        lane.write()
    assert received == data


def test_what_nobody_asked_for_is_a_fault(ends: Ends) -> None:
    lane, replica = ends
    lane.ask(b"one", [expecting(b"1")])
    replica.send(b"1x")
    with pytest.raises(FeedFault, match="says more than it was asked") as caught:
        lane.read()
    assert caught.value.is_replicas


def test_an_end_is_a_fault(ends: Ends) -> None:
    lane, replica = ends
    replica.close()
    lane.ask(b"one", [expecting(b"1")])
    lane.write()
    assert not lane.wants_to_write
    with pytest.raises(FeedFault, match=r"closed its lane|the lane broke"):
        lane.read()


def test_one_turn_reads_so_much_and_no_more(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "RECEIVES_MAX", 2)
    monkeypatch.setattr(lane_module, "RECEIVE_BYTES", 4)
    ours, replica = socket.socketpair()
    lane = FeedLane(ours)
    lane.ask(b"one", [expecting(b"0123456789")])
    replica.send(b"0123456789x")
    lane.read()
    assert not lane.is_idle
    with pytest.raises(FeedFault):
        lane.read()
    lane.close()
    replica.close()


def test_waiting_ends_with_progress_and_a_trickle_is_none(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "PROGRESS_BYTES_MIN", 4)
    lane, replica = ends
    lane.wait(1.0)
    assert lane.waited == 0.0  # nothing is owed
    lane.ask(b"1", [expecting(b"12"), expecting(b"345678")])
    lane.wait(1.0)
    lane.wait(0.5)
    replica.send(b"1")
    lane.read()
    assert lane.waited == 1.5
    replica.send(b"2")
    lane.read()
    assert lane.waited == 0.0  # a reply is complete
    lane.wait(1.0)
    replica.send(b"3")
    lane.read()
    assert lane.waited == 1.0
    replica.send(b"4")
    lane.read()
    assert lane.waited == 0.0  # four bytes since
