"""A cell with its observers: evidence, metrics, control socket, register. They may fail, and the cell goes on."""

import asyncio
import os
import signal
import socket
import time
from itertools import islice

import structlog
import uvloop

from ..assemble import Cell, Progress, bind, private_directory
from ..config import Config
from ..config_values import Address
from ..config_warnings import warnings
from ..rebuild import Shadow
from ..seats import Seat
from ..state.rows import name_of
from ..trusted.errors import OperatorFault
from ..trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    ShadowFailed,
    Spared,
    StateUnreadable,
    Undecided,
)
from ..trusted.recover import Strategy
from ..trusted.tally import LATENCY_BOUNDS_NS
from . import register
from .control import ControlServer, Message, Tell
from .evidence import EvidenceStore
from .fact_lines import log_fact
from .lock import StateLock
from .logs import one_line
from .metrics import Latencies, MetricsServer
from .snapshot import (
    DRAINING,
    QUORUM_LOST,
    REVIVING,
    SERVING,
    CellSnapshot,
    CheckpointSnapshot,
    JournalSnapshot,
    ReplicaSnapshot,
    ShadowSnapshot,
)

DIALECT = "redis 7.0"
# How many keys that hold up checkpoints are named at once.
UNREADABLE_SHOWN_MAX = 8
# How many lines a minute tell of slots that were not decided.
UNDECIDED_LINES_MAX = 20
# How long such a key is not named in the log again.
UNREADABLE_SECONDS = 600.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STRATEGIES = [strategy.value for strategy in Strategy if strategy is not Strategy.NONE]

_log = structlog.get_logger()


class Service:
    """One cell under observation."""

    def __init__(self, config: Config, progress: Progress, left_out: int = 0) -> None:
        self._config = config
        self._listen = config.cell.listen
        self._started_at = time.monotonic()
        evidence = config.evidence
        self._evidence = EvidenceStore(
            config.cell.state, DIALECT, evidence.payloads == "hash", evidence.entries_max, evidence.payload_bytes_max
        )
        self.cell = Cell(config, self._noticed, progress, log_fact, left_out)
        self._entry = register.own_entry(config.cell.name, config.cell.state)
        self._control = ControlServer(
            self._entry.control, {"status": self._status, "inject": self._inject}, {"recover": self._recover}
        )
        self._convictions = [0] * len(config.replicas)
        self._unreadable: dict[tuple[int, bytes], float] = {}
        self._undecided_at, self._undecided_lines, self._untold = float("-inf"), 0, 0
        self._metrics: MetricsServer | None = None
        if config.metrics.listen is not None:
            listen = config.metrics.listen
            self._metrics = MetricsServer(listen.host, listen.port, self.snapshot, self._latencies)

    async def run(self, progress: Progress) -> int:
        """Serve until SIGTERM or SIGINT, or until the cell ends by itself; return the exit code."""
        listen = self._config.cell.listen
        listener = bind(listen.host, listen.port)
        self._listen = Address(*listener.getsockname()[:2])
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.cell.stopping.set)
        try:
            self._evidence.start()
            if await self._boot(listener):
                await self._open()
                progress("", f"serving {self._config.cell.protocol} on {self._listen} with {self._crew()}")
                await self.cell.stopping.wait()
            return 1 if self.cell.is_broken or self._has_halted() else 0
        finally:
            listener.close()
            await self._close()

    def _crew(self) -> str:
        """Who votes, by name and variant."""
        names = [
            f"{seat.replica.name} ({seat.variant.name if seat.role is Role.VOTING else 'empty'})"
            for seat in self.cell.seats
        ]
        return ", ".join(names)

    def _has_halted(self) -> bool:
        return self.cell.core.is_lost and self._config.cell.on_quorum_lost == "halt"

    async def _boot(self, listener: socket.socket) -> bool:
        """Boot the cell; whether it serves now. A signal that comes meanwhile ends it."""
        boot = asyncio.ensure_future(self.cell.start(listener))
        stop = asyncio.ensure_future(self.cell.stopping.wait())
        try:
            await asyncio.wait((boot, stop), return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                boot.result()
            return boot.done()
        finally:
            for task in (boot, stop):
                task.cancel()
            await asyncio.gather(boot, stop, return_exceptions=True)

    async def _open(self) -> None:
        await self._control.start()
        register.enter(self._entry)
        if self._metrics is not None:
            await self._metrics.start()

    async def _close(self) -> None:
        register.leave(self._entry)
        try:
            await self.cell.stop()
        finally:
            await self._control.stop()
            if self._metrics is not None:
                await self._metrics.stop()
            self._evidence.close()

    # What the cell tells.

    def _noticed(self, notices: list[Notice]) -> None:
        for notice in notices:
            if isinstance(notice, Undecided):
                self._evidence.record_undecided(notice)
                self._tell_undecided(notice)
            elif isinstance(notice, QuorumLost):
                _log.critical("fewer than f+1 replicas vote: clients get errors", voters=notice.voters)
            elif isinstance(notice, QuorumRegained):
                _log.warning("f+1 replicas vote again: clients are answered", voters=notice.voters)
            elif isinstance(notice, StateUnreadable):
                self._tell_unreadable(notice)
            else:
                self._noticed_replica(notice, self.cell.seats[notice.seat])

    def _tell_undecided(self, notice: Undecided) -> None:
        """A few each minute: replicas that agree on nothing any more are no reason to fill the disk."""
        now = time.monotonic()
        if now - self._undecided_at > 60.0:
            self._undecided_at, self._undecided_lines = now, 0
        self._undecided_lines += 1
        if self._undecided_lines > UNDECIDED_LINES_MAX:
            self._untold += notice.count
            return
        untold, self._untold = self._untold, 0
        reason = "split" if notice.is_split else "unanswered"
        what = "slots were closed without f+1 equal replies"
        _log.error(what, first=notice.slot, count=notice.count, reason=reason, not_told_before=untold)

    def _tell_unreadable(self, notice: StateUnreadable) -> None:
        """Once for each key, and again when that has not changed for long; `status` goes on showing it."""
        place, now = (notice.database, notice.key), time.monotonic()
        known = self.cell.core.sweep.unreadable
        recent = {key: at for key, at in self._unreadable.items() if key in known and now - at < UNREADABLE_SECONDS}
        if place in recent or len(recent) >= UNREADABLE_SHOWN_MAX:
            self._unreadable = recent
            return
        self._unreadable = recent | {place: now}
        database, key = place
        _log.error("no checkpoint: a key cannot be read", database=database, key=key, reason=notice.reason)

    def _noticed_replica(
        self, notice: Dissented | Convicted | Retired | Spared | ShadowFailed | Seated, seat: Seat
    ) -> None:
        shadow = self.cell.rebuilder.shadows.get(notice.seat) if isinstance(notice, ShadowFailed) else None
        name, variant = seat.replica.name, (shadow or seat).variant.name
        if isinstance(notice, Dissented):
            self._evidence.record_dissent(notice, name, variant)
            _log.warning("dissent", replica=name, variant=variant, slot=notice.slot)
            return
        if isinstance(notice, Seated):
            _log.info("voting", replica=name, variant=variant, slot=notice.slot)
            return
        if isinstance(notice, Convicted):
            self._convictions[notice.seat] += 1
            self._evidence.record_conviction(name, variant, notice.cause, notice.slot, notice.now)
        told = {Convicted: "convicted", Retired: "retired", Spared: "spared", ShadowFailed: "shadow thrown away"}
        log = _log.info if notice.cause is Cause.RESTART else _log.error
        log(told[type(notice)], replica=name, variant=variant, cause=notice.cause.value, slot=notice.slot)

    # What observers ask.

    async def _status(self, message: Message) -> Message:
        return {"status": self.snapshot().to_json()}

    async def _inject(self, message: Message) -> Message:
        await self.cell.inject(str(message.get("replica")), str(message.get("fault")), message.get("on") is not False)
        return {}

    async def _recover(self, message: Message, tell: Tell) -> Message:
        """Rebuild what is asked for; the reply comes when it votes again. Who stops listening stops no rebuild."""
        names, strategy = self._wanted(message), message.get("strategy")
        if strategy is not None and strategy not in STRATEGIES:
            raise OperatorFault(f"there is no strategy {strategy!r}", f"the strategies are: {', '.join(STRATEGIES)}")

        def progress(replica: str, stage: str, share: float) -> None:
            tell({"replica": replica, "stage": stage, "share": share})

        if names:
            await self.cell.recover(names, strategy, progress)
        return {"recovered": [replica.to_json() for replica in self.snapshot().replicas if replica.name in names]}

    def _wanted(self, message: Message) -> list[str]:
        """The replica that is named, or all, or those without a vote."""
        name, is_all = message.get("replica"), message.get("all") is True
        if name is not None:
            return [str(name)]
        return [seat.replica.name for seat in self.cell.seats if is_all or seat.role is not Role.VOTING]

    def _latencies(self) -> Latencies:
        tally = self.cell.core.tally
        bounds = tuple(bound / 1e9 for bound in LATENCY_BOUNDS_NS)
        return Latencies(bounds, tuple(tally.latency_counts), tally.latency_sum_ns / 1e9)

    def snapshot(self) -> CellSnapshot:
        """The cell at this moment."""
        config, cell, core, now = self._config, self.cell, self.cell.core, time.monotonic()
        replicas = tuple(self._replica(seat, now) for seat in cell.seats)
        ages = [replica.age_seconds for replica in replicas if replica.age_seconds is not None]
        return CellSnapshot(
            name=config.cell.name,
            protocol=config.cell.protocol,
            listen=str(self._listen),
            f=config.cell.f,
            state=self._state(),
            pid=os.getpid(),
            uptime_seconds=now - self._started_at,
            slot=core.order.next_slot - 1,
            requests=core.tally.requests + core.tally.answered_here,
            agreed=core.tally.decided,
            unanswered=core.tally.unanswered,
            split=core.tally.split,
            clients=len(cell.shell.connections),
            drills=config.cell.drills,
            seats_empty=sum(seat.role is not Role.VOTING for seat in cell.seats),
            evidence_dropped=self._evidence.dropped,
            exposure_seconds=max(ages, default=0.0),
            revivals=cell.revival.count,
            tombstones=len(cell.core.recording.tombstones.ranges),
            checkpoint=self._checkpoint(now),
            journal=self._journal(),
            warnings=warnings(config),
            replicas=replicas,
        )

    def _checkpoint(self, now: float) -> CheckpointSnapshot:
        keeping, unreadable = self.cell.keeping, self.cell.core.sweep.unreadable
        return CheckpointSnapshot(
            slot=keeping.checkpoint_slot,
            age_seconds=_ago(now, keeping.checkpoint_at),
            fault=one_line(str(keeping.fault)) if keeping.is_lost else "",
            unreadable_keys=len(unreadable),
            unreadable=tuple(
                f"{name_of(database, key)}: {reason}"
                for (database, key), reason in islice(unreadable.items(), UNREADABLE_SHOWN_MAX)
            ),
        )

    def _journal(self) -> JournalSnapshot:
        journaling = self.cell.journaling
        return JournalSnapshot(
            self._config.journal.sync, journaling.synced_slot, fault=journaling.fault, is_full=journaling.is_full
        )

    def _state(self) -> str:
        core = self.cell.core
        if self.cell.is_draining:
            return DRAINING
        return REVIVING if core.is_suspended or core.is_unread else QUORUM_LOST if core.is_lost else SERVING

    def _replica(self, seat: Seat, now: float) -> ReplicaSnapshot:
        core, life = self.cell.core, seat.life
        voter = core.vote.seats[seat.index]
        is_voting = seat.role is Role.VOTING
        answered = voter.owed[0].first if voter.owed else core.vote.frontier
        return ReplicaSnapshot(
            name=seat.replica.name,
            variant=seat.variant.name,
            domain=seat.domain.kind,
            role=seat.role.value,
            slot=answered - 1 if is_voting else seat.last_slot,
            dissents=core.tally.dissents[seat.index],
            pid=seat.domain.pid if is_voting else None,
            cause=seat.cause,
            backlog=voter.owed_slots,
            resident_bytes=seat.usage.resident_bytes if is_voting else 0,
            cpu_seconds=seat.usage.cpu_ns / 1e9,
            guarantees=seat.domain.guarantees,
            convictions=self._convictions[seat.index],
            rebuilds=life.rebuilds,
            rebuilds_failed=life.failures,
            postponed=life.postponed,
            age_seconds=now - life.born_at if is_voting else None,
            last_rebuild_seconds=_ago(now, life.last_rebuild_at),
            last_recovery_seconds=life.last_recovery_seconds,
            shadow=_shadow(self.cell.rebuilder.shadows.get(seat.index)),
            retiring=len(seat.retiring),
        )


def _shadow(shadow: Shadow | None) -> ShadowSnapshot | None:
    return None if shadow is None else ShadowSnapshot(shadow.variant.name, shadow.role.value, shadow.share)


def _ago(now: float, moment: float | None) -> float | None:
    """How many seconds ago that was, if it was."""
    return None if moment is None else max(0.0, now - moment)


def run(config: Config, progress: Progress, left_out: int = 0) -> int:
    """Run the cell that `config` describes, until a signal; return the exit code. Raises `OperatorFault`.

    `left_out` is a slot of the journal that is not executed again, 0 for none.
    """
    private_directory(config.cell.state)
    with StateLock(config.cell.state), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, progress, left_out))


async def _serve(config: Config, progress: Progress, left_out: int) -> int:
    try:
        return await Service(config, progress, left_out).run(progress)
    except OSError as error:
        raise OperatorFault(f"the cell cannot run: {error}") from error
    finally:
        # Nobody heeds them any more: they must not end a process that is about to end with its own code.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
