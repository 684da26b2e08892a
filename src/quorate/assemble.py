"""The one place that wires a cell together: core, protocol, shell, domains.

Ring 1: trusted in fact, with host privilege. It boots the replicas, hands their lanes to the shell, ends the domains of
those that lost their vote, and keeps the core told of their memory. It decides nothing about requests. Observers are
given facts; the cell runs without any.
"""

import asyncio
import gc
import resource
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from .boot import BOOT_POLL_SECONDS, recipe
from .config import Config, Replica
from .config_values import Duration
from .domains.make import make
from .domains.port import Domain
from .drills import FAULTS, ON_DOMAIN, drill
from .facts import (
    Fact,
    JournalFull,
    JournalHasRoom,
    JournalLost,
    JournalMissing,
    StateLost,
    StateMiscounted,
    StateRegained,
)
from .families import settings
from .journaling import Journaling
from .keeping import StateKeeping
from .lives import Life
from .rebuild import Progress as Stages
from .rebuild import Rebuilder
from .recovery import Recovery, end
from .refill import Refill
from .revival import Revival
from .seats import Seat
from .state import dialects
from .state.link import Keeper
from .trusted.connection import Connection
from .trusted.coordinator import Coordinator
from .trusted.errors import OperatorFault
from .trusted.messages import Convicted, Notice, QuorumLost, Retired, Role
from .trusted.protocol import Protocol
from .trusted.protocols.redis.dialect import RedisProtocol
from .trusted.quorum import votes_needed
from .trusted.shell import Lane, Shell

DRAIN_NS_MAX = 5_000_000_000
MEASURE_SECONDS = 1.0
SET_UP_SECONDS_MAX = 5.0
# Growing writes are allowed again once memory is this much below its limit.
MEMORY_LOW_SHARE = 0.95
DESCRIPTORS_OF_OUR_OWN = 256
GARBAGE_ALLOCATIONS = 50_000

Progress = Callable[[str, str], None]
OnNotices = Callable[[list[Notice]], None]
OnFact = Callable[[Fact], None]


def _unheard(fact: Fact) -> None:
    """Nobody wants to know."""


class Cell:
    """A running cell. `start` boots it, `stop` drains it and leaves nothing behind."""

    def __init__(
        self,
        config: Config,
        on_notices: OnNotices,
        progress: Progress,
        on_fact: OnFact = _unheard,
        left_out: int = 0,
    ) -> None:
        self.config = config
        self.protocol = make_protocol(config)
        self.core = Coordinator(config.cell.f, self.protocol, config.limits)
        self.seats: list[Seat] = []
        self.is_draining = False
        self.is_broken = False
        self.stopping = asyncio.Event()
        self.shell = Shell(self.core, self._noticed)
        self._on_notices = on_notices
        self._recovered = on_fact
        self._progress = progress
        self._tasks: set[asyncio.Task[None]] = set()
        self._directory = config.cell.state / "domains"
        every = config.checkpoint.every
        seconds, slots = (every.ns / 1e9, 0) if isinstance(every, Duration) else (0.0, every)
        self.keeping = StateKeeping(self.shell, seconds, slots, config.journal.sync != "off")
        self.journaling = Journaling(config, self.shell, self._journal_failed, left_out)
        self.rebuilder = Rebuilder(config, self.protocol, self.shell, self.keeping, self._directory)
        self.recovery = Recovery(
            config, self.shell, self.seats, self.keeping, self.rebuilder, self._begin, self._recovered
        )
        self.refill = Refill(self.shell, self.keeping, self.recovery, self._begin)
        self.revival = Revival(
            self.shell,
            self.keeping,
            self.journaling,
            self.recovery,
            self.refill,
            self._begin,
            self._recovered,
            config.cell.on_quorum_lost != "halt",
        )

    async def start(self, listener: socket.socket) -> None:
        """Boot all replicas, then serve clients on `listener`. On failure nothing is left running."""
        self._check_descriptors()
        asyncio.get_running_loop().set_exception_handler(self.broke)
        shutil.rmtree(self._directory, ignore_errors=True)
        self.seats += [self._seat(index, replica) for index, replica in enumerate(self.config.replicas)]
        try:
            await self._open_state()
            newcomers = await self.refill.prepare(is_first=True, progress=self._progress)
            await self.refill.take_seats(newcomers, self._progress)
            await self._set_up()
            has_replayed = await self.revival.replay()
            self._begin_all()
            if has_replayed:
                # Else all would be executed again at the next start too. What cannot be read is said, and served.
                await self.revival.read()
        except BaseException:
            await self.stop()
            raise
        tame_garbage_collector()
        await self.shell.listen(listener)

    async def _set_up(self) -> None:
        """Until the replicas took what their lanes begin with. Raises `OperatorFault` where fewer than f+1 did."""
        give_up = time.monotonic() + SET_UP_SECONDS_MAX
        while self._is_setting_up() and time.monotonic() < give_up:  # noqa: ASYNC110 - the core knows no events
            await asyncio.sleep(BOOT_POLL_SECONDS)
        refused = [f"replica {seat.replica.name}: {seat.cause}" for seat in self.seats if seat.cause]
        if refused and self.core.vote.voters() < votes_needed(self.core.f):
            raise OperatorFault("; ".join(refused), "docs/configuration.md says what a variant must be like")

    def _is_setting_up(self) -> bool:
        return any(seat.setup_frames and self.core.roles[seat.index] is Role.VOTING for seat in self.core.vote.seats)

    def _begin_all(self) -> None:
        """Whatever goes on while the cell lives begins before anything waits for it, the first checkpoint included."""
        self._begin(self._measure())
        self._begin(self.keeping.run())
        self._begin(self.keeping.scrub())
        self._begin(self.keeping.watch())
        self._begin(self.recovery.run())
        # What was lost before is seen to as well.
        self.revival.arm()

    def broke(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that nobody expected came up. In the shell or the core it is our own bug: the cell halts."""
        loop.default_exception_handler(context)
        if "handle" in context or isinstance(context.get("protocol"), Connection | Lane):
            self._halt()

    def _halt(self) -> None:
        self.is_broken = True
        self.shell.halt()
        self.stopping.set()

    async def stop(self) -> None:
        """Answer what is decided, close every connection, end every domain. Leaves no process, directory or socket."""
        self.is_draining = True
        async with AsyncExitStack() as rest:
            # Last things first. Whatever fails, all the rest is done, and only then it is raised.
            rest.push_async_callback(self._kill_all)
            rest.push_async_callback(self.journaling.close)
            rest.push_async_callback(self.keeping.stop)
            rest.push_async_callback(self._end_tasks)
            await self.shell.drain(DRAIN_NS_MAX)

    async def recover(self, names: list[str], strategy: str | None, progress: Stages) -> None:
        """Rebuild these replicas, all if none is named; return when they vote. Raises `OperatorFault` otherwise."""
        await self.recovery.recover(names or [seat.replica.name for seat in self.seats], strategy, progress)

    async def inject(self, name: str, fault: str, is_on: bool) -> None:
        """Begin or end a drill. Raises `OperatorFault` when the cell does not allow it."""
        if not self.config.cell.drills:
            raise OperatorFault("this cell allows no drills", "set cell.drills = true")
        seat = next((seat for seat in self.seats if seat.replica.name == name), None)
        if seat is None:
            names = ", ".join(seat.replica.name for seat in self.seats)
            raise OperatorFault(f"there is no replica {name!r}", f"the replicas are: {names}")
        if fault not in FAULTS:
            raise OperatorFault(f"there is no fault {fault!r}", f"the faults are: {', '.join(FAULTS)}")
        if self.core.roles[seat.index] is not Role.VOTING:
            role = self.core.roles[seat.index] if seat.role is Role.VOTING else seat.role
            raise OperatorFault(f"replica {name} is {role.value}, it has no vote to spoil")
        if not is_on and fault in ON_DOMAIN:
            raise OperatorFault(f"{fault} ends with the replica's domain")
        if not is_on:
            if fault not in seat.faults:
                raise OperatorFault(f"replica {name} is not under the drill {fault}")
            self._end_drill(seat)
        else:
            await self._begin_drill(seat, fault)

    async def _begin_drill(self, seat: Seat, fault: str) -> None:
        colluders = [other for other in self.seats if "collude" in other.faults and other is not seat]
        if fault == "collude" and len(colluders) >= self.core.f:
            raise OperatorFault(f"f = {self.core.f}: more colluders than f can make the cell lie")
        if fault == "crash":
            await seat.domain.kill()
        elif fault == "hog":
            seat.faults.add(fault)
            await seat.domain.hog()
        else:
            self._end_drill(seat)
            seat.faults.add(fault)
            seat.drill = drill(fault, self.protocol.scanner(), seat.index)
            self.shell.lanes[seat.index].edge = seat.drill

    def _end_drill(self, seat: Seat) -> None:
        """Nothing stands at the lane's edge any more. What a drill held back is heard before what comes next."""
        lane = self.shell.lanes[seat.index]
        lane.edge = None
        seat.faults.intersection_update(ON_DOMAIN)
        if seat.drill is not None:
            seat.drill.end(lane.deliver)
            seat.drill = None

    # Booting.

    def _seat(self, index: int, replica: Replica) -> Seat:
        variant = self.config.variants[replica.variants[0]]
        domain = make(replica.domain, recipe(replica, variant), self._directory / replica.name, index)
        return Seat(index, replica, variant, domain, Life(born_at=time.monotonic()))

    async def _open_state(self) -> None:
        """Open the state store and the journal, and keep state from the first slot on. With sync `off`, start empty."""
        cell = self.config.cell
        directory = state_directory(self.config)
        private_directory(directory)
        start = partial(Keeper.start, directory / "checkpoint.sqlite3", cell.protocol, cell.name)
        keeper = await self.keeping.open(start, dialects.make(cell.protocol).databases)
        self.keeping.on_broken = lambda fault: self._recovered(StateLost(str(fault)))
        self.keeping.on_regained = lambda: self._recovered(StateRegained())
        self.keeping.on_miscounted = lambda databases: self._recovered(StateMiscounted(databases))
        self.keeping.on_committed = self.journaling.committed
        self.keeping.anchor = self.journaling.anchor
        self.protocol.adopt_extras(keeper.extras)
        self.journaling.open(directory, keeper.base)
        if self.journaling.is_missing:
            self._recovered(JournalMissing(keeper.checkpoint.slot))

    def _journal_failed(self, reason: str) -> None:
        """What was acknowledged could be lost from now on: a crash, never tried again."""
        self._recovered(JournalLost(reason))
        if self.config.journal.sync != "off":
            self._halt()

    def _check_descriptors(self) -> None:
        """Each client takes a descriptor: raise our limit as far as it goes, and lower the number of clients to it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.config.limits.clients_max + DESCRIPTORS_OF_OUR_OWN
        if soft < wanted:
            soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
            with suppress(OSError, ValueError):  # no limit at all may still be more than the kernel allows
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted:
            raise OperatorFault(
                f"limits.clients_max needs {wanted} open files, and this process may have {soft}",
                "raise the limit (ulimit -n), or lower limits.clients_max",
            )

    # Running.

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task has ended. If by an error that nobody expected, what it was to do is left undone: the cell halts."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "a task of the cell's own broke", "exception": error, "future": task}
            asyncio.get_running_loop().default_exception_handler(context)
            self._halt()

    def _noticed(self, notices: list[Notice]) -> None:
        for notice in notices:
            if isinstance(notice, Convicted | Retired):
                self._dismissed(notice, self.seats[notice.seat])
            self.recovery.noticed(notice)
            self.revival.noticed(notice)
            if isinstance(notice, QuorumLost) and not self.core.is_suspended:
                self._quorum_lost()
        self._on_notices(notices)

    def _dismissed(self, notice: Convicted | Retired, seat: Seat) -> None:
        if seat.role is Role.VOTING:  # else it goes with all the others, which begin anew
            seat.become(Role.CONVICTED if isinstance(notice, Convicted) else Role.RETIRING)
        seat.cause = notice.cause.value
        seat.last_slot = notice.slot
        self._begin(self._end_replica(seat, self.shell.lanes[seat.index], seat.domain))

    def _quorum_lost(self) -> None:
        """Nothing can be done about it: answer errors, or end, as the operator decided."""
        if self.config.cell.on_quorum_lost == "halt":
            self.stopping.set()

    async def _end_replica(self, seat: Seat, lane: Lane, domain: Domain) -> None:
        """A replica without a vote does no more: its lane is closed and its domain ended."""
        seat.usage = domain.usage()
        lane.transport.close()
        await end(seat, domain)

    async def _measure(self) -> None:
        limit = self.config.limits.memory_bytes_max
        is_full = has_no_room = False
        while True:
            if self.journaling.is_full != has_no_room:
                has_no_room = not has_no_room
                self._recovered(JournalFull() if has_no_room else JournalHasRoom())
            voting = [seat for seat in self.seats if self.core.roles[seat.index] is Role.VOTING]
            for seat in voting:
                seat.usage = seat.domain.usage()
            if limit:
                most = max((seat.usage.resident_bytes for seat in voting), default=0)
                is_full = most > (limit * MEMORY_LOW_SHARE if is_full else limit)
                self.protocol.memory_measured(is_full)
            await asyncio.sleep(MEASURE_SECONDS)

    async def _end_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _kill_all(self) -> None:
        domains = [domain for seat in self.seats for domain in (seat.domain, *seat.retiring)]
        domains += [shadow.domain for shadow in self.rebuilder.shadows.values()]
        await asyncio.gather(*(domain.kill() for domain in domains), return_exceptions=True)
        shutil.rmtree(self._directory, ignore_errors=True)


def tame_garbage_collector() -> None:
    """Look for cycles seldom: requests make none, and what was loaded so far stays anyway."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_ALLOCATIONS, 20, 100)


def make_protocol(config: Config) -> Protocol:
    """The cell's protocol, with what the operator decided about it. Raises `OperatorFault` when that cannot be."""
    return RedisProtocol(config.limits, settings(config), secrets.token_bytes(32))


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to where clients will come. Raises `OperatorFault` when it cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as undo:
            sock = undo.enter_context(socket.socket(family, kind, proto))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            # Binding a port that another process listens on succeeds only until one of the two listens.
            sock.listen(4096)
            sock.setblocking(False)
            undo.pop_all()
    except OSError as error:
        raise OperatorFault(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "stop what uses the port, or set cell.listen to another",
        ) from None
    return sock


def state_directory(config: Config) -> Path:
    """Where the cell keeps checkpoint and journal. With sync `off` that is void at each start, and kept elsewhere.

    Raises `OperatorFault` when what was kept for good would be passed over.
    """
    durable, void = config.cell.state / "durable", config.cell.state / "void"
    if config.journal.sync != "off":
        return durable
    if durable.exists():
        raise OperatorFault(
            f"{durable} holds what was written with a journal, and journal.sync is off: it would be left out",
            "set journal.sync again, or move that directory away",
        )
    shutil.rmtree(void, ignore_errors=True)
    return void


def private_directory(path: Path) -> None:
    """Make a directory that only we may enter. Raises `OperatorFault` where there can be none."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorFault(
            f"cannot make the directory {path}: {error.strerror}", "set cell.state to a directory that you may write"
        ) from None
