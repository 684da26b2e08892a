"""The thin shell around the core: the only trusted module that knows sockets, the clock and the event loop.

Once per turn of the loop it drains what the core wants sent: one write per lane, one per client. It owns one timer. It
decides nothing: what a client is told comes from the core, what a lane carries too.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol, cast

from .changes import StoreEffect
from .connection import Connection, Connections
from .coordinator import Coordinator
from .gate import Gate
from .messages import Cause, Notice, Role
from .turn import Turn

DRAIN_POLL_NS = 5_000_000
# A client that goes on reading at the end is waited for longer than one that does not: for so many times as long.
DRAIN_TIMEOUTS_MAX = 6

# What a fault drill does to a replica's bytes on their way to the core (see quorate.drills); None for nothing.
Edge = Callable[[bytes, Callable[[bytes], None]], None]


class JournalPort(Protocol):
    """What the shell needs of the journal's file."""

    def write(self) -> None:
        """Write what the core appended in this turn, without waiting until it is durable."""

    def may_release(self, slot: int) -> bool:
        """Whether replies to slots up to `slot` may leave."""

    @property
    def is_short(self) -> bool:
        """Whether requests must wait, because room is only being made."""

    @property
    def is_full(self) -> bool:
        """Whether writes must be refused, because the disk has no room."""

    @property
    def is_spent(self) -> bool:
        """Whether, where it is full, what was reserved for the cell's own writes is nearly used up too."""


class Clock:
    """Wall-clock time that never jumps: read once, then carried on by the machine's monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._offset + time.monotonic_ns()


class Lane(asyncio.Protocol):
    """One replica's socket. A drill may stand at its edge."""

    def __init__(self, shell: "Shell", number: int) -> None:
        self._shell = shell
        self.number = number
        self.edge: Edge | None = None
        # What a shadow is to be sent once it holds the state of the slot before; None: it is sent all at once.
        self.kept: list[bytes] | None = None
        self.kept_bytes = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The lane is open."""
        # uvloop's transports are Transports by shape alone.
        self.transport = cast(asyncio.Transport, transport)
        # What a correct replica may owe, and what is under way for clients and for a checkpoint: a slow one must come
        # to be retired, not convicted.
        limits = self._shell.core.limits
        self.transport.set_write_buffer_limits(high=2 * limits.lag_bytes_max + limits.inflight_bytes_max)

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
        turn = shell.turn
        now = turn.now()
        if turn.answered(self.number, data, now):
            shell.pause(self)
        turn.send_if_any(now, bool(shell.paused))

    def pause_writing(self) -> None:
        """The replica has not taken anything for longer than requests may be under way."""
        self._shell.lane_broke(self.number, Cause.MUTE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The lane broke, or was closed by us."""
        self._shell.lane_broke(self.number, Cause.CRASH)

    def begin(self, data: bytes) -> None:
        """These bytes are the first that the replica is to be sent: keep them."""
        self.kept = [data]
        self.kept_bytes = len(data)

    def write(self, data: bytes) -> None:
        """Send to the replica, or keep for it."""
        if self.kept is None:
            self.transport.write(data)
            return
        self.kept.append(data)
        self.kept_bytes += len(data)
        if self.kept_bytes > self._shell.core.limits.lag_bytes_max:
            self._shell.lane_broke(self.number, Cause.LAG)


class Shell:
    """Sockets on one side, the coordinator core on the other."""

    def __init__(self, core: Coordinator, on_notices: Callable[[list[Notice]], None]) -> None:
        self.core = core
        self.clock = Clock()
        # The lanes of those who vote, by seat, and of shadows that follow, by lane.
        self.lanes: dict[int, Lane] = {}
        self.shadows: dict[int, Lane] = {}
        self._lanes_seen = len(core.roles)
        self.paused: dict[int, Lane] = {}
        # What becomes of the state that was read: nothing, where none is kept.
        self.on_state: Callable[[list[StoreEffect]], None] = list[StoreEffect].clear
        # Where the journal is written, None where there is none, and what waits for it.
        self.journal_file: JournalPort | None = None
        self.gate = Gate()
        self._on_notices = on_notices
        self._loop = asyncio.get_running_loop()
        self._is_full = self._is_spent = False
        self.turn = Turn(core, self.clock.now, self._loop.call_soon, self._flush)
        self.clients = Connections(self.turn)
        self.connections = self.clients.by_number
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self.is_ending = False
        self._server: asyncio.Server | None = None

    # Sockets.

    async def listen(self, sock: socket.socket) -> None:
        """Serve clients on a bound socket."""
        self._server = await self._loop.create_server(self._meet, sock=sock, backlog=4096)

    def _meet(self) -> asyncio.Protocol:
        # A protocol by shape alone: the loop calls its methods, and never asks for its class.
        return cast(asyncio.Protocol, Connection(self.clients))

    async def adopt(self, seat: int, sock: socket.socket) -> Lane:
        """A replica's connected socket becomes its lane, and the replica votes from the next slot on."""
        old = self.lanes.get(seat)
        number = seat if old is None else self._next_number()
        _, lane = await self._loop.create_connection(lambda: Lane(self, number), sock=sock)
        self.lanes[seat] = lane
        if old is not None:
            old.transport.abort()  # its replica is ended, but nobody else may come to notice
        setup = self.core.replica_joined(seat, self.clock.now(), number)
        if setup:
            lane.transport.write(setup)
        return lane

    def _next_number(self) -> int:
        self._lanes_seen += 1
        return self._lanes_seen - 1

    async def adopt_shadow(self, sock: socket.socket) -> Lane:
        """A connected socket becomes the lane of a shadow. Nothing is sent on it yet."""
        number = self._next_number()
        _, lane = await self._loop.create_connection(lambda: Lane(self, number), sock=sock)
        lane.kept = []
        return lane

    def begin(self, lane: Lane, seat: int) -> None:
        """A shadow has almost the cell's state: from the next checkpoint on, keep for it what is to be sent."""
        self.shadows[lane.number] = lane
        self.core.shadow_waits(lane.number, seat, self.now())
        self.schedule()

    def release(self, lane: Lane) -> None:
        """A shadow holds the state of the checkpoint: send what was kept, and from now on all."""
        setup = self.core.shadow_sealed(lane.number, self.now())
        kept, lane.kept = lane.kept, None
        lane.transport.write(b"".join([setup, *(kept or ())]))
        self.schedule()

    def give_up(self, lane: Lane, seat: int) -> None:
        """A shadow is thrown away."""
        self.shadows.pop(lane.number, None)
        self.paused.pop(lane.number, None)
        self.core.shadow_left(lane.number, seat, self.now())
        lane.transport.abort()
        self.schedule()

    def seat(self, lane: Lane, seat: int) -> Lane | None:
        """A shadow took its seat: its lane is the seat's. Returns whose the seat was."""
        old = self.lanes.get(seat)
        self.lanes[seat] = self.shadows.pop(lane.number)
        if old is not None:
            self.paused.pop(old.number, None)
            old.transport.abort()
        return old

    def lane_broke(self, number: int, cause: Cause) -> None:
        """A replica cannot be reached any more."""
        if self.is_ending:
            return
        self.core.replica_lost(number, cause, self.now())
        self.schedule()

    # Once per turn.

    def now(self) -> int:
        """The time (ns): read once in a turn that ends with sending, however much comes in it."""
        return self.turn.now()

    def schedule(self) -> None:
        """See to it that what the core puts out in this turn is sent at its end."""
        self.turn.schedule()

    def _flush(self) -> None:
        self.turn.is_scheduled = False
        core = self.core
        is_batch_due = core.is_batch_due(self.clock.now())
        if self.journal_file is not None and (is_batch_due or core.recording.has_news):
            # What was ordered is written before anything follows from it, and batches make fewer syncs.
            self.journal_file.write()
            core.recording.has_news = False
        if is_batch_due:
            self._write_lanes(core.distribute.take())
        if self.journal_file is not None:
            # Only now: what is read because there is room again is written too before it is sent, with the next batch.
            self.check_room(self.journal_file)
        if core.reply.ready:
            self._write_clients()
        if core.readable:
            self.clients.read_on()
        if core.sweep.effects:
            effects, core.sweep.effects = core.sweep.effects, []
            self.on_state(effects)
        if core.notices:
            notices, core.notices = core.notices, []
            self._on_notices(notices)
        if self.paused:
            self._resume_lanes()
        self._arm()

    def check_room(self, journal_file: JournalPort) -> None:
        """Once a turn, and before the first: tell the core what room the journal has."""
        is_full = journal_file.is_full
        is_spent = is_full and journal_file.is_spent
        if is_full != self._is_full or is_spent != self._is_spent:
            self._is_full, self._is_spent = is_full, is_spent
            self.core.protocol.journal_measured(is_full, is_spent)
        is_stalled = (journal_file.is_short and not is_full) or self._holds_too_much()
        if is_stalled != self.core.is_stalled:
            self.core.stalled(is_stalled, self.now())
            self.schedule()

    def _holds_too_much(self) -> bool:
        return self.gate.size > self.core.limits.clients_output_bytes_max

    def synced(self) -> None:
        """More of the journal is durable, or has room: let go what waited for that."""
        if self.journal_file is None or self.is_ending:
            return
        for held in self.gate.release(self.journal_file.may_release):
            self.clients.send(held.client, held.parts, held.is_closing)
        if self.core.is_stalled or self._is_full:
            self.schedule()

    def _write_lanes(self, data: bytes) -> None:
        roles = self.core.roles
        for seat, lane in self.lanes.items():
            # A shadow that voted in this turn still has its own lane among the shadows; the seat's may be closed.
            if roles[seat] is Role.VOTING and not lane.transport.is_closing():
                lane.transport.write(data)
        if self.shadows:
            self._write_shadows(data)

    def _write_shadows(self, data: bytes) -> None:
        """Shadows that begin in these bytes are sent what is from their first slot on, others everything."""
        begins_at = self.core.distribute.begins_at
        for lane in self.shadows.values():
            if begins_at >= 0 and lane.number in self.core.joining.begun:
                lane.begin(data[begins_at:])
            elif lane.number in self.core.vote.lanes:
                lane.write(data)

    def _write_clients(self) -> None:
        """No reply leaves before all earlier slots are durable, and none overtakes another."""
        slot = self.core.vote.frontier - 1
        if self.journal_file is None or (self.gate.is_empty and self.journal_file.may_release(slot)):
            self.clients.write()
        else:
            ready, self.core.reply.ready = self.core.reply.ready, []
            self.gate.hold(slot, ready)

    def pause(self, lane: Lane) -> None:
        """Read nothing more from a replica that is far ahead of the others, until they have caught up."""
        if lane.number not in self.paused and not lane.transport.is_closing():
            self.paused[lane.number] = lane
            lane.transport.pause_reading()

    def _resume_lanes(self) -> None:
        for number, lane in list(self.paused.items()):
            if not self.core.lane_is_full(number):
                del self.paused[number]
                if not lane.transport.is_closing():
                    lane.transport.resume_reading()

    # Time.

    def _arm(self) -> None:
        due = self.core.deadline_before(self._timer_at if self._timer is not None else 0)
        give_up = self.clients.next_deadline()
        if give_up:
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
        self.clients.expire(now)
        self.core.woken(now)
        self.schedule()

    # The end.

    def halt(self) -> None:
        """The core may no longer know its own state: from now on nobody is answered."""
        self.turn.is_draining = True
        self.is_ending = True
        self.turn.is_scheduled = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections.values()):
            connection.transport.abort()
        for lane in (*self.lanes.values(), *self.shadows.values()):
            lane.transport.abort()

    async def drain(self, timeout_ns: int) -> None:
        """Take no more clients or requests; answer what is under way, for at most `timeout_ns`; then close all.

        What is told waits until it is durable, as ever. A client that reads nothing for `timeout_ns` is given up.
        """
        if self._server is not None:
            self._server.close()
        if self.is_ending:
            return
        # What clients still send is read, and thrown away: closing a socket with unread bytes would reset it, and
        # take the answers with it that the client has not read yet.
        self.turn.is_draining = True
        for connection in self.connections.values():
            connection.read_all()
        began = self.clock.now()
        self._flush()
        while self._is_owing() and self.clock.now() < began + timeout_ns:  # noqa: ASYNC110 - the core knows no events
            await asyncio.sleep(DRAIN_POLL_NS / 1e9)
        self._flush()
        self.is_ending = True
        if self._timer is not None:
            self._timer.cancel()
        for lane in (*self.lanes.values(), *self.shadows.values()):
            lane.transport.close()
        await self._close_clients(timeout_ns, began + timeout_ns * DRAIN_TIMEOUTS_MAX)

    def _is_owing(self) -> bool:
        return self.core.order.inflight_slots > 0 or not self.gate.is_empty

    async def _close_clients(self, timeout_ns: int, give_up: int) -> None:
        """Close who was sent everything, who has read nothing for `timeout_ns`, and at `give_up` (ns) all others."""
        # By number: how much was still to be sent, and how many looks ago that last became less. Looks, not time: what
        # the cell itself slept is not the client's.
        waits: dict[int, tuple[int, int]] = {}
        while self.connections:
            is_over = self.clock.now() >= give_up
            for number, connection in list(self.connections.items()):
                unsent = connection.transport.get_write_buffer_size()
                before, looks = waits.get(number, (unsent, 0))
                waits[number] = (unsent, looks + 1 if unsent >= before else 0)
                if not unsent:
                    connection.transport.close()
                elif is_over or looks >= timeout_ns // DRAIN_POLL_NS:
                    connection.transport.abort()
            await asyncio.sleep(DRAIN_POLL_NS / 1e9)
