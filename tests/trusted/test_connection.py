"""Clients' connections without sockets: what they read, what they are sent, and when they are given up."""

from collections.abc import Callable

import pytest

from quorate.trusted.connection import TOO_MANY_CLIENTS, WRITE_HIGH_WATER_BYTES, Connection, Connections
from quorate.trusted.turn import Turn
from tests.trusted.support import Cell

GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
NULL = b"$-1"
SPOP = b"*2\r\n$4\r\nSPOP\r\n$1\r\ns\r\n"
BLPOP = b"*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n"
NO_LIST = b"*-1"


class FakeTransport:
    """A transport that keeps what it is given. `unsent` is how many bytes it claims to hold."""

    def __init__(self, peer: object = ("127.0.0.1", 5)) -> None:
        self.peer = peer
        self.written: list[bytes] = []
        self.high: int | None = None
        self.unsent = 0
        self.is_reading = True
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.peer if name == "peername" else default


class House:
    """A core with the connections of its clients; a turn ends when the test says so."""

    def __init__(self, **limits: int) -> None:
        self.cell = Cell(**limits)
        self.soon: list[Callable[[], None]] = []
        self.turn = Turn(self.cell.core, lambda: self.cell.now, self.soon.append, self._send)
        self.connections = Connections(self.turn)

    def _send(self) -> None:
        self.turn.is_scheduled = False
        self.cell.core.distribute.take()
        self.connections.write()
        self.connections.read_on()

    def meets(self, peer: object = ("127.0.0.1", 5)) -> tuple[Connection, FakeTransport]:
        """A client comes."""
        connection, transport = Connection(self.connections), FakeTransport(peer)
        connection.connection_made(transport)
        return connection, transport

    def replies(self, *lines: bytes) -> None:
        """All replicas answer, and it is sent."""
        self.cell.reply(*lines)
        self._send()


@pytest.mark.parametrize(
    ("peer", "address"), [(("::1", 7, 0, 0), "::1:7"), ((), "local"), ("", "local"), (None, "local")]
)
def test_a_client_is_known_by_its_address_where_it_has_one(peer: object, address: str) -> None:
    connection, transport = House().meets(peer)
    assert connection.client.address == address
    assert transport.high == WRITE_HIGH_WATER_BYTES


def test_clients_are_numbered_and_forgotten_when_they_go() -> None:
    house = House()
    first, second = house.meets()[0], house.meets()[0]
    assert (first.client.number, second.client.number) == (1, 2)
    first.connection_lost(None)
    assert list(house.connections.by_number) == [2]
    assert first.client.is_gone


def test_one_client_too_many_is_told_so() -> None:
    house = House(clients_max=1)
    assert house.meets()[1].written == []
    _, transport = house.meets()
    assert (transport.written, transport.is_closed) == ([TOO_MANY_CLIENTS], True)


def test_what_is_asked_is_answered_in_one_write() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(GET)
    connection.data_received(GET)
    house.replies(NULL, NULL)
    assert transport.written == [b"$-1\r\n$-1\r\n"]
    assert not house.turn.is_busy


def test_what_expired_while_a_turn_was_under_way_is_gone_for_who_is_read_in_it() -> None:
    house = House()
    connection, _ = house.meets()
    connection.data_received(b"SET a soon PX 10\r\n")
    house.replies(b"+OK")
    house.turn.schedule()
    house.cell.now += 20_000_000
    connection.data_received(GET)
    assert b"EVALSHA" in house.cell.core.distribute.take(), "it is reaped before it is read"


def test_two_clients_answered_at_once_are_busy() -> None:
    house = House()
    clients = [house.meets(), house.meets()]
    for connection, _ in clients:
        connection.data_received(GET)
    house.replies(NULL, NULL)
    assert [transport.written for _, transport in clients] == [[b"$-1\r\n"], [b"$-1\r\n"]]
    assert house.turn.is_busy


def test_nobody_is_read_while_the_cell_drains() -> None:
    house = House()
    connection, _ = house.meets()
    house.turn.is_draining = True
    connection.data_received(GET)
    assert house.cell.core.order.inflight_slots == 0


def test_who_is_closed_or_gone_is_sent_nothing() -> None:
    house = House()
    (here, closed), (gone, _) = house.meets(), house.meets()
    for connection in (here, gone):
        connection.data_received(GET)
    closed.close()
    house.connections.by_number.pop(gone.client.number)
    house.replies(NULL, NULL)
    assert closed.written == []


def test_after_quit_the_connection_is_closed() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(b"QUIT\r\n")
    house.connections.write()
    assert (transport.written, transport.is_closed) == ([b"+OK\r\n"], True)


def test_a_connection_may_be_closed_without_a_word() -> None:
    house = House()
    connection, transport = house.meets()
    house.cell.core.reply.close(connection.client)
    house.connections.write()
    assert (transport.written, transport.is_closed) == ([], True)


# What waits to be read.


def test_a_client_whose_inbox_is_full_is_not_read_until_there_is_room() -> None:
    house = House(client_pending_max=1, client_inbox_bytes_max=30)
    connection, transport = house.meets()
    readings = []
    for _ in range(4):
        connection.data_received(GET)
        readings.append(transport.is_reading)
    assert readings == [True, True, False, False]
    house.replies(NULL)
    assert transport.is_reading


def test_who_left_or_has_bytes_waiting_again_is_not_read_on() -> None:
    house = House()
    (full, transport), (gone, _) = house.meets(), house.meets()
    full.pause_writing()
    full.client.inbox.append(GET)
    house.connections.leave(gone)
    house.cell.core.readable = [full.client, gone.client]
    house.connections.read_on()
    assert not transport.is_reading


# Clients that do not read.


def test_a_client_that_does_not_read_is_read_no_more_until_it_does() -> None:
    house = House()
    connection, transport = house.meets()
    connection.pause_writing()
    assert not transport.is_reading
    connection.read_on()
    assert not transport.is_reading
    connection.resume_writing()
    assert (transport.is_reading, house.connections.stalled) == (True, {})


def test_a_client_that_reads_again_waits_while_its_bytes_wait() -> None:
    house = House()
    connection, transport = house.meets()
    connection.pause_writing()
    connection.pause_writing()
    connection.client.inbox.append(GET)
    connection.resume_writing()
    assert not transport.is_reading


def test_a_closed_connection_is_not_read_on() -> None:
    connection, transport = House().meets()
    connection.pause_writing()
    transport.close()
    connection.resume_writing()
    assert not transport.is_reading


def test_who_has_not_read_for_too_long_is_given_up() -> None:
    house = House(client_stall_ns_max=10)
    assert house.connections.next_deadline() == 0
    (early, first), (late, second) = house.meets(), house.meets()
    early.pause_writing()
    house.cell.now += 4
    late.pause_writing()
    due = house.connections.next_deadline()
    assert due == house.cell.now + 6
    house.connections.expire(due)
    assert (first.is_aborted, second.is_aborted) == (True, False)


def test_a_client_with_too_much_unread_is_given_up() -> None:
    house = House()
    connection, transport = house.meets()
    connection.pause_writing()
    connection.send([b"x"])
    assert not transport.is_aborted
    transport.unsent = house.cell.limits.client_output_bytes_max + 1
    connection.send([b"x"])
    assert transport.is_aborted


def test_where_all_clients_together_have_too_much_unread_the_worst_is_given_up() -> None:
    house = House(clients_output_bytes_max=100)
    (small, spared), (large, given_up) = house.meets(), house.meets()
    for connection in (small, large):
        connection.pause_writing()
    spared.unsent, given_up.unsent = 40, 61
    small.send([b"x"])
    assert (spared.is_aborted, given_up.is_aborted) == (False, True)


# Clients that send no more.


def test_a_client_that_ends_with_nothing_owed_is_closed_at_once() -> None:
    assert House().meets()[0].eof_received() is False


def test_a_client_that_ends_still_gets_what_it_is_owed() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(GET)
    assert connection.eof_received() is True
    assert house.turn.is_scheduled
    house.replies(NULL)
    assert (transport.written, transport.is_closed) == ([b"$-1\r\n"], True)


def test_a_client_that_ends_while_it_waits_for_others_is_closed_at_once() -> None:
    house = House()
    connection, _ = house.meets()
    connection.data_received(BLPOP)
    house.replies(NO_LIST)
    assert connection.client.is_waiting
    assert connection.eof_received() is False


def test_a_client_that_ends_still_gets_what_takes_several_slots_and_what_it_asked_behind_it() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(SPOP)
    connection.data_received(GET)
    assert connection.eof_received() is True
    house.replies(b"*2", b"$1", b"m", b"$1", b"n")
    assert not transport.is_closed
    house.replies(b":1")
    assert (b"".join(transport.written)[:4], transport.is_closed) == (b"$1\r\n", False)
    house.replies(NULL)
    assert transport.written[-1] == b"$-1\r\n"
    assert transport.is_closed


def test_a_client_that_ends_with_a_request_of_several_slots_is_closed_after_its_answer() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(SPOP)
    assert connection.eof_received() is True
    house.replies(b"*1", b"$1", b"m")
    assert (transport.written, transport.is_closed) == ([], False)
    house.replies(b":1")
    for step in house.soon:
        step()
    assert (transport.written, transport.is_closed) == ([b"$1\r\nm\r\n"], True)


def test_a_client_that_ended_is_not_parked() -> None:
    house = House()
    connection, transport = house.meets()
    connection.data_received(BLPOP)
    assert connection.eof_received() is True
    house.replies(NO_LIST)
    assert (transport.written, transport.is_closed) == ([], True)
