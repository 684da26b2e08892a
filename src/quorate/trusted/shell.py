"""The thin shell around the core: the only trusted module that knows sockets, the clock and the event loop.

Once per turn of the loop it drains what the core wants sent: one write per lane, one per client. It owns one timer. It
decides nothing: what a client is told comes from the core, what a lane carries too.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import cast

from .client import Client
from .coordinator import Coordinator
from .messages import Cause, Notice, Role

TOO_MANY_CLIENTS = b"-ERR max number of clients reached\r\n"
WRITE_HIGH_WATER_BYTES = 256 * 1024
DRAIN_POLL_SECONDS = 0.005

# What a fault drill does to a replica's bytes on their way to the core (see quorate.drills); None for nothing.
Edge = Callable[[bytes, Callable[[bytes], None]], None]


class Clock:
    """Wall-clock time that never jumps: read once, then carried on by the machine's monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._offset + time.monotonic_ns()


class Connection(asyncio.Protocol):
    """One client's socket."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._is_reading = True
        self.stalled_at = 0
        self.transport: asyncio.Transport
        self.client: Client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        # uvloop's transports are Transports by shape alone.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        peer = transport.get_extra_info("peername")
        address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) >= 2 else "local"
        self.client = self._shell.enter(self, address)

    def data_received(self, data: bytes) -> None:
        """A client's bytes came."""
        shell = self._shell
        if shell.is_draining:
            return
        shell.core.client_sent(self.client, data, shell.now())
        shell.send_soon(1)
        inbox = self.client.inbox
        if inbox and self._is_reading and sum(map(len, inbox)) > shell.core.limits.client_inbox_bytes_max:
            self._is_reading = False
            self.transport.pause_reading()

    def read_on(self) -> None:
        """The core took what it had kept waiting, so there is room for more, unless the client does not read."""
        if not self.stalled_at:
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
            self._shell.check_output(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as it asks: read no more from it."""
        self.stalled_at = self._shell.clock.now()
        self._shell.stalled[self.client.number] = self
        if self._is_reading:
            self._is_reading = False
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled_at = 0
        self._shell.stalled.pop(self.client.number, None)
        if not self.client.inbox:
            self.read_on()

    def eof_received(self) -> bool:
        """The client will send no more: it still gets what it is owed, unless it waits for what others may do."""
        client = self.client
        if client.is_waiting or not (client.pending or client.inbox):
            return False
        self._shell.core.reply.close(client)
        self._shell.schedule()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """A client went."""
        self._shell.leave(self)


class Lane(asyncio.Protocol):
    """One replica's socket. A drill may stand at its edge."""

    def __init__(self, shell: "Shell", seat: int) -> None:
        self._shell = shell
        self.seat = seat
        self.edge: Edge | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The lane is open."""
        # uvloop's transports are Transports by shape alone.
        self.transport = cast(asyncio.Transport, transport)
        # What a correct replica may owe, and what is under way: a slow one must come to be retired, not convicted.
        limits = self._shell.core.limits
        self.transport.set_write_buffer_limits(high=limits.lag_bytes_max + limits.inflight_bytes_max)

    def data_received(self, data: bytes) -> None:
        """A replica's bytes came."""
        if self.edge is None:
            self.deliver(data)
        else:
            self.edge(data, self.deliver)

    def deliver(self, data: bytes) -> None:
        """Hand bytes to the core."""
        shell = self._shell
        if shell.is_ending:
            return
        now = shell.now()
        shell.core.replica_answered(self.seat, data, now)
        if shell.core.lane_is_full(self.seat):
            shell.pause(self)
        if shell.paused or shell.core.has_output(now):
            shell.send_soon(0)

    def pause_writing(self) -> None:
        """The replica has not taken anything for longer than requests may be under way."""
        self._shell.lane_broke(self.seat, Cause.MUTE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The lane broke, or was closed by us."""
        self._shell.lane_broke(self.seat, Cause.CRASH)


class Shell:
    """Sockets on one side, the coordinator core on the other."""

    def __init__(self, core: Coordinator, on_notices: Callable[[list[Notice]], None]) -> None:
        self.core = core
        self.clock = Clock()
        self.lanes: dict[int, Lane] = {}
        self.connections: dict[int, Connection] = {}
        self.stalled: dict[int, Connection] = {}
        self.paused: dict[int, Lane] = {}
        self._on_notices = on_notices
        self._loop = asyncio.get_running_loop()
        self._is_scheduled = False
        self._turn_at = 0
        self._is_busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._clients_seen = 0
        self.is_draining = False
        self.is_ending = False
        self._server: asyncio.Server | None = None

    # Sockets.

    async def listen(self, sock: socket.socket) -> None:
        """Serve clients on a bound socket."""
        self._server = await self._loop.create_server(lambda: Connection(self), sock=sock, backlog=4096)

    async def adopt(self, seat: int, sock: socket.socket) -> Lane:
        """A replica's connected socket becomes its lane, and the replica votes."""
        _, lane = await self._loop.create_connection(lambda: Lane(self, seat), sock=sock)
        self.lanes[seat] = lane
        setup = self.core.replica_joined(seat, self.clock.now())
        if setup:
            lane.transport.write(setup)
        return lane

    def enter(self, connection: Connection, address: str) -> Client:
        """A client came; past the limit it is told so and goes."""
        self._clients_seen += 1
        client = Client(self._clients_seen, address)
        self.core.client_connected(client, self.now())
        if len(self.connections) >= self.core.limits.clients_max:
            connection.transport.write(TOO_MANY_CLIENTS)
            connection.transport.close()
        self.connections[client.number] = connection
        return client

    def leave(self, connection: Connection) -> None:
        """A client went."""
        number = connection.client.number
        self.connections.pop(number, None)
        self.stalled.pop(number, None)
        self.core.client_left(connection.client, self.now())

    def lane_broke(self, seat: int, cause: Cause) -> None:
        """A replica cannot be reached any more."""
        if self.is_ending:
            return
        self.core.replica_lost(seat, cause, self.now())
        self.schedule()

    # Once per turn.

    def now(self) -> int:
        """The time (ns): read once in a turn that ends with sending, however much comes in it."""
        return self._turn_at if self._is_scheduled else self.clock.now()

    def schedule(self) -> None:
        """See to it that what the core puts out in this turn is sent at its end."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._turn_at = self.clock.now()
            self._loop.call_soon(self._flush)

    def send_soon(self, idle_slots: int) -> None:
        """Send at the end of this turn; at once where one client alone is at work and nothing could gather."""
        if self._is_scheduled:
            return
        if self._is_busy or self.core.order.inflight_slots > idle_slots:
            self.schedule()
        else:
            self._flush()

    def _flush(self) -> None:
        self._is_scheduled = False
        core = self.core
        if core.is_batch_due(self.clock.now()):
            self._write_lanes(core.distribute.take())
        if core.reply.ready:
            self._write_clients()
        if core.readable:
            self._read_on()
        if core.notices:
            notices, core.notices = core.notices, []
            self._on_notices(notices)
        if self.paused:
            self._resume_lanes()
        self._arm()

    def _write_lanes(self, data: bytes) -> None:
        roles = self.core.roles
        for seat, lane in self.lanes.items():
            if roles[seat] is Role.VOTING:
                lane.transport.write(data)

    def _write_clients(self) -> None:
        ready, self.core.reply.ready = self.core.reply.ready, []
        self._is_busy = len(ready) > 1
        connections = self.connections
        for client in ready:
            parts = client.out
            client.out = []
            connection = connections.get(client.number)
            if connection is None or connection.transport.is_closing():
                continue
            if parts:
                connection.send(parts)
            if client.is_closing:
                connection.transport.close()

    def _read_on(self) -> None:
        readable, self.core.readable = self.core.readable, []
        for client in readable:
            connection = self.connections.get(client.number)
            if connection is not None and not client.inbox:
                connection.read_on()

    def pause(self, lane: Lane) -> None:
        """Read nothing more from a replica that is far ahead of the others, until they have caught up."""
        if lane.seat not in self.paused and not lane.transport.is_closing():
            self.paused[lane.seat] = lane
            lane.transport.pause_reading()

    def _resume_lanes(self) -> None:
        for seat, lane in list(self.paused.items()):
            if not self.core.lane_is_full(seat):
                del self.paused[seat]
                if not lane.transport.is_closing():
                    lane.transport.resume_reading()

    def check_output(self, connection: Connection) -> None:
        """Close a client that lets its replies pile up beyond the limits."""
        limits = self.core.limits
        if connection.transport.get_write_buffer_size() > limits.client_output_bytes_max:
            connection.transport.abort()
            return
        waiting = {number: other.transport.get_write_buffer_size() for number, other in self.stalled.items()}
        if sum(waiting.values()) > limits.clients_output_bytes_max:
            self.stalled[max(waiting, key=lambda number: waiting[number])].transport.abort()

    # Time.

    def _arm(self) -> None:
        due = self.core.next_deadline()
        if self.stalled:
            stalled = min(connection.stalled_at for connection in self.stalled.values())
            give_up = stalled + self.core.limits.client_stall_ns_max
            due = min(due, give_up) if due else give_up
        if not due or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        delay = max(due - self.clock.now(), 0) / 1e9
        self._timer = self._loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        # As every entry of this turn: the core's time must not run backwards.
        now = self.now()
        for connection in list(self.stalled.values()):
            if now - connection.stalled_at >= self.core.limits.client_stall_ns_max:
                connection.transport.abort()
        self.core.woken(now)
        self.schedule()

    # The end.

    def halt(self) -> None:
        """The core may no longer know its own state: from now on nobody is answered."""
        self.is_draining = True
        self.is_ending = True
        self._is_scheduled = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections.values()):
            connection.transport.abort()
        for lane in self.lanes.values():
            lane.transport.abort()

    async def drain(self, timeout_ns: int) -> None:
        """Take no more clients or requests; answer what is under way, for at most `timeout_ns`; then close all."""
        if self._server is not None:
            self._server.close()
        if self.is_ending:
            return
        # What clients still send is read, and thrown away: closing a socket with unread bytes would reset it, and
        # take the answers with it that the client has not read yet.
        self.is_draining = True
        for connection in self.connections.values():
            connection.read_all()
        give_up = self.clock.now() + timeout_ns
        while self.core.order.inflight_slots and self.clock.now() < give_up:  # noqa: ASYNC110 - the core knows no events
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        self._flush()
        self.is_ending = True
        if self._timer is not None:
            self._timer.cancel()
        for lane in self.lanes.values():
            lane.transport.close()
        await self._close_clients(give_up)

    async def _close_clients(self, give_up: int) -> None:
        """Close each client as soon as it was sent everything; at `give_up` (ns) those, too, that do not read."""
        while self.connections:
            is_over = self.clock.now() >= give_up
            for connection in list(self.connections.values()):
                if is_over:
                    connection.transport.abort()
                elif not connection.transport.get_write_buffer_size():
                    connection.transport.close()
            await asyncio.sleep(DRAIN_POLL_SECONDS)
