"""The real shell's duties without sockets: one write per lane and per client each turn, backpressure, one timer.

It follows `quorate.trusted.shell` method by method, so that the core sees the same calls in the same order. Sockets
are lists of bytes that travel for a while; `client_heard` and `lane_heard` are what `data_received` is there.
"""

from collections.abc import Callable
from functools import partial

from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.messages import Cause, Notice, Role

from .replica import Replica
from .timeline import Timeline, TimeStandsStill

HIGH_WATER_BYTES = 2048
# What a socket takes before its transport begins to buffer.
KERNEL_BYTES = 16 * 1024


class Connection:
    """One client's connection: what it sent and was not read yet, what it was sent and has not taken yet."""

    def __init__(self, shell: "SimulatedShell", client: Client, take: Callable[[bytes], None]) -> None:
        self.client = client
        self.take = take
        self.unread: list[bytes] = []
        self.untaken = bytearray()
        self.is_reading = True
        self.is_open = True
        self.is_closing = False
        self.has_ended = False
        self.stalled_at = 0
        self._shell = shell

    def read(self) -> None:
        """Hand over what came, as long as the shell wants more."""
        while self.is_open and self.is_reading and self.unread:
            self._shell.client_heard(self, self.unread.pop(0))
        if self.is_open and self.is_reading and self.has_ended and not self.unread:
            self.has_ended = False
            self._shell.client_ended(self)

    def send(self, data: bytes) -> None:
        """Bytes for the client."""
        self.untaken += data
        if len(self.untaken) > HIGH_WATER_BYTES and not self.stalled_at:
            self.stalled_at = self._shell.timeline.now
            self._shell.stalled[self.client.number] = self
            self.is_reading = False
        elif self.stalled_at:
            self._shell.check_output(self)

    def took(self) -> bytes:
        """The client takes all that there is."""
        data = bytes(self.untaken)
        self.untaken.clear()
        if self.stalled_at:
            self.stalled_at = 0
            self._shell.stalled.pop(self.client.number, None)
            if not self.client.inbox:
                self.read_on()
        if self.is_closing:
            self.lose()
        return data

    def read_on(self) -> None:
        """There is room for more, unless the client does not read."""
        if not self.stalled_at:
            self.is_reading = True
            self._shell.timeline.after(0, self.read)

    def lose(self) -> None:
        """The connection is gone."""
        if self.is_open:
            self.is_open = False
            self._shell.leave(self)


class SimulatedShell:
    """Clients on one side, replicas on the other, the core between them."""

    def __init__(
        self, core: Coordinator, timeline: Timeline, replicas: list[Replica], chunk: int, turn_ns: int
    ) -> None:
        self.core = core
        self.timeline = timeline
        self.replicas = replicas
        self.connections: dict[int, Connection] = {}
        self.stalled: dict[int, Connection] = {}
        self.lane_due = [0] * len(replicas)
        self.on_sent: Callable[[bytes], None] = lambda data: None
        self.on_heard: Callable[[int, bytes], None] = lambda seat, data: None
        self.on_delivered: Callable[[int], None] = lambda seat: None
        self.on_notices: Callable[[list[Notice]], None] = lambda notices: None
        self.on_turn: Callable[[], None] = lambda: None
        self._paused = [False] * len(replicas)
        self._waiting: list[list[bytes]] = [[] for _ in replicas]
        self._chunk = chunk
        self._turn_ns = turn_ns
        self._clients_seen = 0
        self._is_scheduled = False
        self._is_busy = False
        self._turn_at = 0
        self._timer_at = 0

    def cut(self, data: bytes) -> list[bytes]:
        """`data` in pieces of chance, as a network delivers it."""
        chance = self.timeline.chance
        least = max(self._chunk, len(data) // 16)
        parts = []
        while data:
            size = chance.randint(1, least)
            parts.append(data[:size])
            data = data[size:]
        return parts

    # Replicas.

    def join(self, replica: Replica) -> None:
        """A replica's lane opens, before slot 1."""
        replica.attach(self)
        setup = self.core.replica_joined(replica.seat, self.timeline.now)
        replica.send(setup)

    def lane_heard(self, seat: int, data: bytes) -> None:
        """A replica's bytes arrived."""
        self._waiting[seat].append(data)
        self._read_lane(seat)

    def _read_lane(self, seat: int) -> None:
        waiting = self._waiting[seat]
        while waiting and not self._paused[seat]:
            data = waiting.pop(0)
            now = self.now()
            self.on_heard(seat, data)
            self.core.replica_answered(seat, data, now)
            self.on_delivered(seat)
            self._paused[seat] = self.core.lane_is_full(seat)
            if any(self._paused) or self.core.has_output(now):
                self.send_soon(0)

    def lane_broke(self, seat: int, cause: Cause = Cause.CRASH) -> None:
        """A replica cannot be reached any more."""
        self.timeline.note(f"lane {seat} broke: {cause.value}")
        self.core.replica_lost(seat, cause, self.now())
        self.schedule()

    # Clients.

    def connect(self, take: Callable[[bytes], None]) -> Connection:
        """A client came."""
        self._clients_seen += 1
        client = Client(self._clients_seen, f"client {self._clients_seen}")
        connection = Connection(self, client, take)
        self.core.client_connected(client, self.now())
        self.connections[client.number] = connection
        return connection

    def client_heard(self, connection: Connection, data: bytes) -> None:
        """A client's bytes arrived."""
        core = self.core
        core.client_sent(connection.client, data, self.now())
        self.send_soon(1)
        inbox = connection.client.inbox
        if inbox and sum(map(len, inbox)) > core.limits.client_inbox_bytes_max:
            connection.is_reading = False

    def client_ended(self, connection: Connection) -> None:
        """The client will send no more."""
        client = connection.client
        if client.is_waiting or not (client.pending or client.inbox):
            connection.lose()
        else:
            self.core.reply.close(client)
            self.schedule()

    def leave(self, connection: Connection) -> None:
        """A client went."""
        self.connections.pop(connection.client.number, None)
        self.stalled.pop(connection.client.number, None)
        self.core.client_left(connection.client, self.now())
        self.schedule()

    # Once per turn.

    def now(self) -> int:
        """The time (ns): read once in a turn that ends with sending."""
        return self._turn_at if self._is_scheduled else self.timeline.now

    def send_soon(self, idle_slots: int) -> None:
        """Send at the end of this turn; at once where one client alone is at work and nothing could gather."""
        if self._is_scheduled:
            return
        if self._is_busy or self.core.order.inflight_slots > idle_slots:
            self.schedule()
        else:
            self._flush()

    def schedule(self) -> None:
        """See to it that what the core puts out is sent at the end of the turn."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._turn_at = self.timeline.now
            self.timeline.after(self.timeline.chance.randint(0, self._turn_ns), self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        core = self.core
        if core.is_batch_due(self.timeline.now):
            self._write_lanes(core.distribute.take())
        if core.reply.ready:
            self._write_clients()
        if core.readable:
            self._read_on()
        if core.notices:
            notices, core.notices = core.notices, []
            self.on_notices(notices)
        self._resume_lanes()
        self.on_turn()
        self._arm()

    def _write_lanes(self, data: bytes) -> None:
        self.on_sent(data)
        self.timeline.note(f"lanes <- {data!r}")
        most = self.core.limits.lag_bytes_max + self.core.limits.inflight_bytes_max + KERNEL_BYTES
        for replica in self.replicas:
            if self.core.roles[replica.seat] is Role.VOTING:
                replica.send(data)
                if replica.unread > most:
                    self.timeline.after(0, partial(self.lane_broke, replica.seat, Cause.MUTE))

    def _write_clients(self) -> None:
        ready, self.core.reply.ready = self.core.reply.ready, []
        self._is_busy = len(ready) > 1
        for client in ready:
            parts, client.out = client.out, []
            connection = self.connections.get(client.number)
            if connection is None or connection.is_closing:
                continue
            connection.send(b"".join(parts))
            connection.is_closing = client.is_closing
            connection.take(b"".join(parts))

    def _read_on(self) -> None:
        readable, self.core.readable = self.core.readable, []
        for client in readable:
            connection = self.connections.get(client.number)
            if connection is not None and not client.inbox:
                connection.read_on()

    def _resume_lanes(self) -> None:
        for seat, is_paused in enumerate(self._paused):
            if is_paused and not self.core.lane_is_full(seat):
                self._paused[seat] = False
                self.timeline.after(0, partial(self._read_lane, seat))

    def check_output(self, connection: Connection) -> None:
        """Close a client that lets its replies pile up beyond the limits."""
        limits = self.core.limits
        if len(connection.untaken) > limits.client_output_bytes_max:
            self.timeline.after(0, connection.lose)
            return
        if sum(len(other.untaken) for other in self.stalled.values()) > limits.clients_output_bytes_max:
            worst = max(self.stalled.values(), key=lambda other: len(other.untaken))
            self.timeline.after(0, worst.lose)

    # Time.

    def _arm(self) -> None:
        due = self.core.next_deadline()
        if self.stalled:
            give_up = min(other.stalled_at for other in self.stalled.values()) + self.core.limits.client_stall_ns_max
            due = min(due, give_up) if due else give_up
        if not due or (self._timer_at and self._timer_at <= due):
            return
        self._timer_at = due
        self.timeline.after(due - self.timeline.now, lambda: self._wake(due))

    def stood_still(self) -> None:
        """The clock jumped: some event loops run their timers before they read what came meanwhile."""
        if self._timer_at and self._timer_at <= self.timeline.now:
            self._wake(self._timer_at)

    def _wake(self, due: int) -> None:
        if due != self._timer_at:
            return
        self._timer_at = 0
        now = self.now()
        for connection in list(self.stalled.values()):
            if now - connection.stalled_at >= self.core.limits.client_stall_ns_max:
                connection.lose()
        self.core.woken(now)
        # A batch that is due goes at the end of this turn, and only then is its deadline served.
        if 0 < self.core.next_deadline() <= now and not self.core.is_batch_due(now):
            raise TimeStandsStill("a deadline was not served")
        self.schedule()
