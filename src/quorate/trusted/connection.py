"""Clients' connections, one by one and all together: reading, writing, and what of both has a bound.

A `Connection` has the methods that event loops call on a protocol, and calls those of its transport, both by shape
alone: it knows no socket and no loop, which is why it can be compiled, and tried without either.
"""

from typing import Protocol

from .client import Client
from .turn import Turn

TOO_MANY_CLIENTS = b"-ERR max number of clients reached\r\n"
WRITE_HIGH_WATER_BYTES = 256 * 1024


class Transport(Protocol):
    """What an event loop gives a connection to write to."""

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def close(self) -> None:
        """Close after what is still to be sent."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def is_closing(self) -> bool:
        """Whether it was closed."""
        ...

    def pause_reading(self) -> None:
        """Read no more for now."""
        ...

    def resume_reading(self) -> None:
        """Read on."""
        ...

    def get_write_buffer_size(self) -> int:
        """How much is still to be sent (bytes)."""
        ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to tell that too much is still to be sent (bytes)."""
        ...

    def get_extra_info(self, name: str, default: object = None) -> object:
        """What is known by this name."""
        ...


class Connection:
    """One client's socket."""

    def __init__(self, connections: "Connections") -> None:
        self._connections = connections
        self._turn = connections.turn
        self._is_reading = True
        self.stalled_at = 0
        self.transport: Transport
        self.client: Client

    def connection_made(self, transport: Transport) -> None:
        """A client came."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        peer = transport.get_extra_info("peername")
        address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) >= 2 else "local"
        self.client = self._connections.enter(self, address)

    def data_received(self, data: bytes) -> None:
        """A client's bytes came."""
        turn = self._turn
        if turn.is_draining:
            return
        client = self.client
        turn.core.client_sent(client, data, turn.read_at())
        turn.send_soon(1)
        if client.inbox and self._is_reading:
            self._pause_if_full(client)

    def _pause_if_full(self, client: Client) -> None:
        if sum(len(data) for data in client.inbox) > self._turn.core.limits.client_inbox_bytes_max:
            self._is_reading = False
            self.transport.pause_reading()

    def read_on(self) -> None:
        """The core took what it had kept waiting, so there is room for more, unless the client does not read."""
        if self.client.is_ending:
            self._end()
        elif not self.stalled_at:
            self.read_all()

    def read_all(self) -> None:
        """Read, whatever there is."""
        if not self._is_reading and not self.transport.is_closing():
            self._is_reading = True
            self.transport.resume_reading()

    def send(self, parts: list[bytes]) -> None:
        """Send what the core put out for this client."""
        self.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if self.stalled_at:
            self._connections.check_output(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as it asks: read no more from it."""
        self.stalled_at = self._turn.clock()
        self._connections.stalled[self.client.number] = self
        if self._is_reading:
            self._is_reading = False
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled_at = 0
        self._connections.stalled.pop(self.client.number, None)
        if not self.client.inbox:
            self.read_on()

    def eof_received(self) -> bool:
        """The client will send no more: it still gets what it is owed, unless it waits for what others may do."""
        client = self.client
        is_owed = client.pending or client.inbox or client.is_waiting
        if not is_owed or self._turn.core.protocol.is_parked(client):
            return False
        client.is_ending = True
        self._end()
        return True

    def _end(self) -> None:
        """Close it after what it is owed, as soon as all that it asked has its place in the order."""
        client = self.client
        if client.is_waiting and not client.inbox:
            # Nothing: but so it is read on from when its wait is over.
            client.inbox.append(b"")
        elif not client.inbox:
            self._turn.core.reply.close(client)
            self._turn.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client went."""
        self._connections.leave(self)


class Connections:
    """All clients' connections, by their clients' numbers; `stalled` are those whose clients do not read."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.by_number: dict[int, Connection] = {}
        self.stalled: dict[int, Connection] = {}
        self._seen = 0

    def enter(self, connection: Connection, address: str) -> Client:
        """A client came; past the limit it is told so and goes."""
        turn = self.turn
        self._seen += 1
        client = Client(self._seen, address)
        turn.core.client_connected(client, turn.now())
        if len(self.by_number) >= turn.core.limits.clients_max:
            connection.transport.write(TOO_MANY_CLIENTS)
            connection.transport.close()
        self.by_number[client.number] = connection
        return client

    def leave(self, connection: Connection) -> None:
        """A client went."""
        number = connection.client.number
        self.by_number.pop(number, None)
        self.stalled.pop(number, None)
        self.turn.core.client_left(connection.client, self.turn.now())

    def write(self) -> None:
        """Send each client what the core put out for it, in one write."""
        reply = self.turn.core.reply
        ready = reply.ready
        reply.ready = []
        self.turn.is_busy = len(ready) > 1
        for client in ready:
            parts = client.out
            client.out = []
            self.send(client, parts, client.is_closing)

    def send(self, client: Client, parts: list[bytes], is_closing: bool) -> None:
        """Send this client `parts`, and then, if it `is_closing`, close its connection."""
        connection = self.by_number.get(client.number)
        if connection is None or connection.transport.is_closing():
            return
        if parts:
            connection.send(parts)
        if is_closing:
            connection.transport.close()

    def read_on(self) -> None:
        """Read from those again whose bytes the core had kept waiting."""
        core = self.turn.core
        readable = core.readable
        core.readable = []
        for client in readable:
            connection = self.by_number.get(client.number)
            if connection is not None and not client.inbox:
                connection.read_on()

    def check_output(self, connection: Connection) -> None:
        """Close a client that lets its replies pile up beyond the limits."""
        limits = self.turn.core.limits
        if connection.transport.get_write_buffer_size() > limits.client_output_bytes_max:
            connection.transport.abort()
            return
        waiting = {number: other.transport.get_write_buffer_size() for number, other in self.stalled.items()}
        if sum(waiting.values()) > limits.clients_output_bytes_max:
            self.stalled[max(waiting, key=lambda number: waiting[number])].transport.abort()

    def next_deadline(self) -> int:
        """When a client has not read for too long (ns), or 0."""
        if not self.stalled:
            return 0
        stalled_at = min([connection.stalled_at for connection in self.stalled.values()])
        return stalled_at + self.turn.core.limits.client_stall_ns_max

    def expire(self, now: int) -> None:
        """Close those that have not read for too long."""
        for connection in list(self.stalled.values()):
            if now - connection.stalled_at >= self.turn.core.limits.client_stall_ns_max:
                connection.transport.abort()
