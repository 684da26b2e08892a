"""All replicas begin anew: in a revival (`quorate.revival`), and after all processes were killed (`quorate.restart`).

Both fill them with the last commit, and execute the journal again from there.
"""

from typing import TYPE_CHECKING

from quorate.restart import surviving
from quorate.revival import calls_for
from quorate.trusted.journal import Entry
from quorate.trusted.messages import Notice
from quorate.trusted.protocols.redis.state_records import deadline_of
from quorate.trusted.tombstones import Tombstones
from tests.sim.invariants.base import Violation
from tests.sim.rebuilding import POLL_NS, Fault, Task, Work
from tests.sim.timeline import MILLISECOND_NS

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

WAIT_NS_MAX = 20 * MILLISECOND_NS


class Anew:
    """Revivals of one process, and its start."""

    def __init__(self, world: "RecoveringWorld") -> None:
        self.is_armed = False
        self._world = world
        self._task: Task | None = None

    @property
    def is_busy(self) -> bool:
        """Whether clients wait for it."""
        return self._task is not None and not self._task.is_done

    def cancel(self) -> None:
        """All processes are killed."""
        self.is_armed = False
        if self._task is not None and not self._task.is_done:
            self._task.cancel()

    # Revival.

    def noticed(self, notice: Notice) -> None:
        """See whether what happened calls for it."""
        world = self._world
        reason = calls_for(notice)
        if not reason or not self.is_armed or world.core.is_suspended or world.keeping.keeper.is_broken:
            return
        world.timeline.note(f"revival: {reason}")
        world.core.suspend(world.shell.now())
        world.suspended()
        world.shell.schedule()
        self._task = Task(world.timeline, self._revive())

    def _revive(self) -> Work:
        world = self._world
        try:
            yield world.timeline.chance.randint(0, WAIT_NS_MAX)
            world.rebuilding.clear()
            while world.keeping.keeper.commits_waiting:
                self._check_keeper()
                yield POLL_NS
            world.rewind()
            yield from self._refill()
            world.journal.write()
            yield from self._replay(list(world.journal.entries(world.keeping.keeper.store.slot)))
        except Fault as fault:
            world.timeline.note(f"revival failed: {fault}")
            self.is_armed = False
            world.is_given_up = True
            world.core.lose(world.shell.now())
            world.shell.schedule()
            return
        world.refilled()
        world.core.resume(world.shell.now())
        world.rebuilding.go_on()
        world.shell.schedule()
        world.keeping.checkpoint(is_urgent=True)

    def _check_keeper(self) -> None:
        if self._world.keeping.keeper.is_broken:
            raise Fault("no state is kept")

    # Restart.

    def start(self, entries: list[Entry], tombstones: Tombstones) -> None:
        """All processes are new."""
        self._task = Task(self._world.timeline, self._start(entries, tombstones))

    def _start(self, entries: list[Entry], tombstones: Tombstones) -> Work:
        world = self._world
        core = world.core
        try:
            yield from self._refill()
            core.begin_at(world.first_slot - 1)
            core.recording.tombstones = tombstones
            yield from self._replay(entries)
        except Fault as fault:
            raise Violation(f"Restart: {fault}") from fault
        for (database, key), record in world.keeping.keeper.store.records.items():
            if deadline_of(record) >= 0:
                core.protocol.learn(database, key, deadline_of(record))
        world.refilled()
        world.keep_journal()
        waiter = world.keeping.checkpoint(is_urgent=True)
        while not (waiter.is_done or waiter.fault):
            yield POLL_NS
        world.serve()

    # Both.

    def _refill(self) -> Work:
        """Each seat gets a new replica that holds the last commit."""
        world = self._world
        tasks = [Task(world.timeline, self._fill(seat)) for seat in range(len(world.replicas))]
        while not all(task.is_done for task in tasks):
            try:
                self._check_keeper()
                yield POLL_NS
            except (Fault, GeneratorExit):
                for task in tasks:
                    task.cancel()
                raise

    def _fill(self, seat: int) -> Work:
        world = self._world
        while True:
            replica = world.successor(seat)
            world.end_replica(seat)
            yield world.timeline.chance.randint(1, world.fate.boot_ns)
            told: list[str] = []
            feed = world.keeping.keeper.feed(replica, told.append)
            while not told:
                yield POLL_NS
            if not told[0]:
                world.keeping.keeper.seal(feed, told.append)
                while len(told) == 1:
                    yield POLL_NS
            if not any(told):
                break
        world.take_seat(replica)
        world.join(replica)

    def _replay(self, entries: list[Entry]) -> Work:
        """Execute these again, but for what is buried."""
        world = self._world
        core = world.core
        failed = core.tally.split + core.tally.unanswered
        world.widest_read = max([world.widest_read, *[len(entry.requests) for entry in entries]])
        for entry in entries:
            for part in surviving(entry, core.recording.tombstones):
                while core.order.is_full() and not core.is_lost:
                    yield POLL_NS
                core.replay(part, world.shell.now())
                world.shell.schedule()
        while core.order.inflight_slots:
            yield POLL_NS
        if core.tally.split + core.tally.unanswered > failed or core.is_lost:
            raise Fault("the replicas do not agree on what the journal holds")
