"""The real shell's duties without sockets: one write per lane and per client each turn, backpressure, one timer.

It follows `quorate.trusted.shell` method by method, so that the core sees the same calls in the same order. Sockets
are lists of bytes that travel for a while; `client_heard` and `lane_heard` are what `data_received` is there.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from quorate.trusted.changes import StoreEffect
from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.gate import Gate
from quorate.trusted.messages import Cause, Notice, Role
from quorate.trusted.shell import JournalPort

from .lane import SimulatedLane
from .replica import Replica
from .timeline import Timeline, TimeStandsStill

if TYPE_CHECKING:
    from .domains import Line

HIGH_WATER_BYTES = 2048


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

    def cut_off(self) -> None:
        """The cell is gone, and the connection with it."""
        self.is_open = False


class SimulatedClock:
    """The shell's own: the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def now(self) -> int:
        """The time (ns)."""
        return self._timeline.now


class SimulatedShell:
    """Clients on one side, replicas on the other, the core between them."""

    def __init__(
        self, core: Coordinator, timeline: Timeline, replicas: list[Replica], chunk: int, turn_ns: int
    ) -> None:
        self.core = core
        self.timeline = timeline
        self.clock = SimulatedClock(timeline)
        self.replicas = replicas
        self.connections: dict[int, Connection] = {}
        self.stalled: dict[int, Connection] = {}
        self.lanes: dict[int, SimulatedLane] = {}
        self.shadows: dict[int, SimulatedLane] = {}
        self.is_ending = False
        self.is_listening = True
        self.journal_file: JournalPort | None = None
        self.gate = Gate()
        # What the core was told last about the journal.
        self.is_full = self.is_spent = self.is_stalled = False
        # The most bytes that came at once from a client, from a lane, and went to a client.
        self.client_read_max = self.lane_read_max = self.sent_max = 0
        self.lane_due: defaultdict[int, int] = defaultdict(int)
        self.on_sent: Callable[[bytes], None] = lambda data: None
        self.on_heard: Callable[[int, bytes], None] = lambda seat, data: None
        self.on_delivered: Callable[[int], None] = lambda seat: None
        self.on_notices: Callable[[list[Notice]], None] = lambda notices: None
        self.on_turn: Callable[[], None] = lambda: None
        self.on_state: Callable[[list[StoreEffect]], None] = list[StoreEffect].clear
        self.on_begun: Callable[[SimulatedLane, bytes], None] = lambda lane, data: None
        self.on_adopted: Callable[[Replica], SimulatedLane] = self.join
        self.on_shadow: Callable[[Replica], SimulatedLane] = self.join_shadow
        self.on_waiting: Callable[[SimulatedLane, int], None] = lambda lane, seat: None
        self.on_given_up: Callable[[SimulatedLane], None] = lambda lane: None
        self.on_seated: Callable[[Replica], None] = lambda replica: None
        self.on_ready: Callable[[Client], None] = lambda client: None
        self.on_told: Callable[[Client], None] = lambda client: None
        self._open: dict[int, SimulatedLane] = {}
        self._lanes_seen = len(replicas)
        self._paused: dict[int, bool] = {}
        self._waiting: defaultdict[int, list[bytes]] = defaultdict(list)
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

    def join(self, replica: Replica) -> SimulatedLane:
        """A replica's lane opens, before any slot is under way: it votes."""
        seat = replica.seat
        old = self.lanes.get(seat)
        lane = self._lane(seat if old is None else self._next_number(), replica)
        self.lanes[seat] = lane
        if old is not None:
            self.close(old)
        replica.send(self.core.replica_joined(seat, self.now(), lane.number))
        return lane

    async def adopt(self, seat: int, line: "Line") -> SimulatedLane:
        """A new replica's lane: it votes."""
        await asyncio.sleep(0)
        lane = self.on_adopted(line.replica)
        lane.line = line
        return lane

    async def adopt_shadow(self, line: "Line") -> SimulatedLane:
        """A shadow's lane opens."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            line.close()
            raise
        lane = self.on_shadow(line.replica)
        lane.line = line
        return lane

    def join_shadow(self, replica: Replica) -> SimulatedLane:
        """A shadow's lane opens. Nothing is sent on it yet."""
        lane = self._lane(self._next_number(), replica)
        lane.kept = []
        return lane

    def _lane(self, number: int, replica: Replica) -> SimulatedLane:
        lane = self._open[number] = SimulatedLane(self, number, replica)
        replica.attach(self, number)
        return lane

    def _next_number(self) -> int:
        self._lanes_seen += 1
        return self._lanes_seen - 1

    def close(self, lane: SimulatedLane) -> None:
        """Nothing is sent or heard on this lane any more."""
        if lane.is_open:
            lane.is_open = False
            if lane.line is not None:
                lane.line.close()
            del self._open[lane.number]
            self._paused.pop(lane.number, None)
            self.timeline.after(0, partial(self.lane_broke, lane.number))

    def begin(self, lane: SimulatedLane, seat: int) -> None:
        """A shadow has almost the cell's state: from the next checkpoint on, keep for it what is to be sent."""
        self.shadows[lane.number] = lane
        self.on_waiting(lane, seat)
        self.core.shadow_waits(lane.number, seat, self.now())
        self.schedule()

    def release(self, lane: SimulatedLane) -> None:
        """A shadow holds the state of the checkpoint: send what was kept, and from now on all."""
        setup = self.core.shadow_sealed(lane.number, self.now())
        kept, lane.kept = lane.kept, None
        lane.write(b"".join([setup, *(kept or ())]))
        self.schedule()

    def give_up(self, lane: SimulatedLane, seat: int) -> None:
        """A shadow is thrown away."""
        self.shadows.pop(lane.number, None)
        self.core.shadow_left(lane.number, seat, self.now())
        self.on_given_up(lane)
        self.close(lane)
        self.schedule()

    def seat(self, lane: SimulatedLane, seat: int) -> None:
        """A shadow took its seat: its lane is the seat's."""
        old = self.lanes.get(seat)
        self.lanes[seat] = self.shadows.pop(lane.number)
        if old is not None:
            self.close(old)
        self.on_seated(lane.replica)

    def lane_heard(self, number: int, data: bytes) -> None:
        """A replica's bytes arrived."""
        if number in self._open and not self.is_ending:
            self._waiting[number].append(data)
            self._read_lane(number)

    def _read_lane(self, number: int) -> None:
        waiting = self._waiting[number]
        while waiting and number in self._open and not self._paused.get(number) and not self.is_ending:
            data = waiting.pop(0)
            now = self.now()
            self.lane_read_max = max(self.lane_read_max, len(data))
            self.on_heard(number, data)
            self.core.replica_answered(number, data, now)
            self.on_delivered(number)
            self._paused[number] = self.core.lane_is_full(number)
            if any(self._paused.values()) or self.core.has_output(now):
                self.send_soon(0)

    def lane_broke(self, number: int, cause: Cause = Cause.CRASH) -> None:
        """A replica cannot be reached any more."""
        if self.is_ending:
            return
        self.timeline.note(f"lane {number} broke: {cause.value}")
        self.core.replica_lost(number, cause, self.now())
        self.schedule()

    # Clients.

    def connect(self, take: Callable[[bytes], None]) -> Connection:
        """A client came."""
        self._clients_seen += 1
        client = Client(self._clients_seen, f"client {self._clients_seen}")
        connection = Connection(self, client, take)
        self.connections[client.number] = connection
        if self.is_listening:
            self.core.client_connected(client, self.now())
        else:
            connection.is_reading = False
        return connection

    def listen(self) -> None:
        """From now on clients are served: those first who came meanwhile."""
        self.is_listening = True
        for connection in list(self.connections.values()):
            self.core.client_connected(connection.client, self.now())
            connection.read_on()

    def client_heard(self, connection: Connection, data: bytes) -> None:
        """A client's bytes arrived."""
        core = self.core
        self.client_read_max = max(self.client_read_max, len(data))
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
        if self.is_listening and not self.is_ending:
            self.core.client_left(connection.client, self.now())
            self.schedule()

    # Once per turn.

    def now(self) -> int:
        """The time (ns): read once in a turn that ends with sending."""
        return self._turn_at if self._is_scheduled else self.timeline.now

    @property
    def is_in_turn(self) -> bool:
        """Whether a turn has begun that has not been sent yet."""
        return self._is_scheduled

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
        if self.is_ending:
            return
        is_batch_due = core.is_batch_due(self.timeline.now)
        if self.journal_file is not None and (is_batch_due or core.recording.has_news):
            self.journal_file.write()
            core.recording.has_news = False
        if is_batch_due:
            self._write_lanes(core.distribute.take())
        if self.journal_file is not None:
            self.check_room(self.journal_file)
        if core.reply.ready:
            self._write_clients()
        if core.readable:
            self._read_on()
        if core.sweep.effects:
            effects, core.sweep.effects = core.sweep.effects, []
            self.on_state(effects)
        if core.notices:
            notices, core.notices = core.notices, []
            self.on_notices(notices)
        self._resume_lanes()
        self.on_turn()
        self._arm()

    def _write_lanes(self, data: bytes) -> None:
        self.on_sent(data)
        self.timeline.note(f"lanes <- {data!r}")
        for seat, lane in self.lanes.items():
            if self.core.roles[seat] is Role.VOTING and lane.is_open:
                lane.write(data)
        begins_at = self.core.distribute.begins_at
        for lane in list(self.shadows.values()):
            if begins_at >= 0 and lane.number in self.core.joining.begun:
                lane.kept = [data[begins_at:]]
                self.on_begun(lane, data[begins_at:])
            elif lane.number in self.core.vote.lanes:
                lane.write(data)

    def check_room(self, journal: JournalPort) -> None:
        """Tell the core whether the journal takes more."""
        is_full = journal.is_full
        is_spent = is_full and journal.is_spent
        if (is_full, is_spent) != (self.is_full, self.is_spent):
            self.is_full, self.is_spent = is_full, is_spent
            self.core.protocol.journal_measured(is_full, is_spent)
        holds_too_much = self.gate.size > self.core.limits.clients_output_bytes_max
        self.is_stalled = (journal.is_short and not is_full) or holds_too_much
        if self.is_stalled != self.core.is_stalled:
            # What is read now goes with the next batch.
            self.core.stalled(self.is_stalled, self.now())
            self.schedule()

    def synced(self) -> None:
        """More of the journal is durable, or has room: let go what waited for that."""
        if self.journal_file is None or self.is_ending:
            return
        for held in self.gate.release(self.journal_file.may_release):
            self._write_client(held.client, held.parts, held.is_closing)
        if self.core.is_stalled or self.is_full:
            self.schedule()

    def _write_clients(self) -> None:
        ready, self.core.reply.ready = self.core.reply.ready, []
        self._is_busy = len(ready) > 1
        for client in ready:
            self.on_ready(client)
        slot = self.core.vote.frontier - 1
        if self.journal_file is not None and not (self.gate.is_empty and self.journal_file.may_release(slot)):
            self.gate.hold(slot, ready)
            return
        for client in ready:
            parts, client.out = client.out, []
            self._write_client(client, parts, client.is_closing)

    def _write_client(self, client: Client, parts: list[bytes], is_closing: bool) -> None:
        self.on_told(client)
        connection = self.connections.get(client.number)
        if connection is None or connection.is_closing:
            return
        self.sent_max = max(self.sent_max, sum(map(len, parts)))
        connection.send(b"".join(parts))
        connection.is_closing = is_closing
        connection.take(b"".join(parts))

    def _read_on(self) -> None:
        readable, self.core.readable = self.core.readable, []
        for client in readable:
            connection = self.connections.get(client.number)
            if connection is not None and not client.inbox:
                connection.read_on()

    def _resume_lanes(self) -> None:
        for number, is_paused in self._paused.items():
            if is_paused and not self.core.lane_is_full(number):
                self._paused[number] = False
                self.timeline.after(0, partial(self._read_lane, number))

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
        if due != self._timer_at or self.is_ending:
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
