"""Rebuilds: what the schedule says is done, shadow by shadow, as `quorate.recovery` and `quorate.rebuild` do it.

Work that takes time is a generator that yields how long to wait (ns); `Task` carries it on along the timeline.
"""

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from quorate.state.faults import StateFault
from quorate.trusted.messages import Cause, Convicted, Notice, Retired, Role, Seated, ShadowFailed, StateUnreadable
from quorate.trusted.recover import Rebuild, Schedule, Strategy, Why
from tests.sim.keeper import Feed
from tests.sim.replica import Replica
from tests.sim.shell import SimulatedLane
from tests.sim.timeline import MILLISECOND_NS, SECOND_NS, Timeline

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

REBUILD_NS_MAX = 10 * SECOND_NS
POLL_NS = 2 * MILLISECOND_NS

Work = Generator[int, None, None]


class Fault(Exception):
    """A shadow came to nothing, or a beginning did, for this reason."""


class Task:
    """Work that goes on along the timeline."""

    def __init__(self, timeline: Timeline, work: Work) -> None:
        self.is_done = False
        self._timeline = timeline
        self._work = work
        self._step()

    def cancel(self) -> None:
        """End it where it waits."""
        self.is_done = True
        self._work.close()

    def _step(self) -> None:
        if self.is_done:
            return
        try:
            delay = next(self._work)
        except StopIteration:
            self.is_done = True
        else:
            self._timeline.after(delay, self._step)


class Shadow:
    """A replica that is prepared for a seat. `fault` says why it never will have it."""

    def __init__(self, seat: int, replica: Replica) -> None:
        self.seat = seat
        self.replica = replica
        self.lane: SimulatedLane | None = None
        self.feed: Feed | None = None
        self.is_seated = False
        self.fault = ""


class Rebuilding:
    """Keeps the seats filled. In quiet times nothing is rebuilt by plan."""

    def __init__(self, world: "RecoveringWorld", variants: int) -> None:
        fate = world.fate
        self.shadows: dict[int, Shadow] = {}
        self.is_quiet = False
        self.is_over = False
        self.is_paused = False
        self._world = world
        self._tasks: dict[int, Task] = {}
        self._schedule = Schedule(
            world.swarm.f,
            fate.strategy,
            [fate.every_ns] * len(world.replicas),
            [variants] * len(world.replicas),
            True,
            world.swarm.limits.rebuild_retry_ns_max,
            world.timeline.now,
        )
        world.keeping.on_sealed = self._sealed
        world.keeping.on_lost = self._state_lost

    @property
    def is_busy(self) -> bool:
        """Whether a rebuild is under way."""
        return any(not task.is_done for task in self._tasks.values())

    def begin(self) -> None:
        """From now on look what is to be rebuilt."""
        self._world.timeline.after(POLL_NS, self._look)

    def _look(self) -> None:
        world = self._world
        if self.is_over:
            return
        voting = [role is Role.VOTING for role in world.core.roles]
        for rebuild in () if self.is_paused else self._schedule.due(world.shell.now(), voting):
            if self.is_quiet and rebuild.why is Why.SCHEDULED and voting[rebuild.seat]:
                break
            if rebuild.strategy is Strategy.RESTART and not world.keeping.has_keeper:
                rebuild = replace(rebuild, strategy=Strategy.SHADOW)
            self._schedule.began(rebuild)
            self._tasks[rebuild.seat] = Task(world.timeline, self._rebuild(rebuild))
        world.timeline.after(POLL_NS, self._look)

    # What the core tells.

    def noticed(self, notice: Notice) -> None:
        """Something happened in the core."""
        if isinstance(notice, Convicted | Retired):
            if notice.cause is not Cause.RESTART:
                self._schedule.lost(notice.seat, _why(notice), self._world.shell.now())
        elif isinstance(notice, ShadowFailed):
            shadow = self.shadows.get(notice.seat)
            if shadow is not None:
                shadow.fault = shadow.fault or notice.cause.value
        elif isinstance(notice, Seated):
            self._seated(notice.seat)
        elif isinstance(notice, StateUnreadable):
            self._world.keeping.refused(f"the state of {notice.key!r} cannot be read")

    def _seated(self, seat: int) -> None:
        shadow = self.shadows.pop(seat)
        assert shadow.lane is not None
        self._world.shell.seat(shadow.lane, seat)
        self._world.take_seat(shadow.replica)
        shadow.is_seated = True

    def _sealed(self) -> None:
        for shadow in self.shadows.values():
            if shadow.lane is not None and shadow.lane.number in self._world.core.joining.begun:
                assert shadow.feed is not None
                then = partial(self._proved, shadow)
                if shadow.feed.is_over:
                    then("there is no such feed")
                else:
                    self._world.keeping.simulated.begin_seal(shadow.feed, then)

    def _state_lost(self, fault: StateFault) -> None:
        for shadow in self.shadows.values():
            if shadow.feed is not None and shadow.lane is not None and shadow.lane.kept is not None:
                shadow.fault = shadow.fault or str(fault)

    def _proved(self, shadow: Shadow, fault: str) -> None:
        lane = shadow.lane
        assert lane is not None
        if fault:
            shadow.fault = shadow.fault or fault
            self._world.shell.give_up(lane, shadow.seat)
        elif not shadow.fault and not shadow.is_seated and lane.number in self._world.core.joining.begun:
            self._world.shell.release(lane)

    # One rebuild.

    def _rebuild(self, rebuild: Rebuild) -> Work:
        world, seat = self._world, rebuild.seat
        world.timeline.note(f"{rebuild}")
        if rebuild.strategy is Strategy.RESTART:
            world.core.replica_stopped(seat, world.shell.now())
            world.shell.schedule()
        shadow = self.shadows[seat] = Shadow(seat, world.successor(seat))
        give_up = world.timeline.now + REBUILD_NS_MAX
        is_done = False
        try:
            for wait in self._prepare(shadow):
                if shadow.fault:
                    break
                if world.timeline.now > give_up:
                    world.abandoned(shadow)
                    break
                yield wait
            is_done = shadow.is_seated or self._has_seat(shadow)
        finally:
            if is_done:
                self._schedule.succeeded(seat, world.shell.now())
                if world.core.roles[seat] is not Role.VOTING:
                    self._schedule.lost(seat, Why.CRASHED, world.shell.now())
            else:
                self._abandon(shadow)
                self._schedule.failed(seat, world.shell.now())

    def _prepare(self, shadow: Shadow) -> Work:
        world = self._world
        waiter = world.keeping.wanted()
        yield world.timeline.chance.randint(1, world.fate.boot_ns)
        if world.timeline.chance.random() < world.fate.boot_fails:
            shadow.fault = "it did not become ready"
            yield 0
        shadow.lane = world.join_shadow(shadow.replica)
        while not waiter.done():
            yield POLL_NS
        if waiter.exception() is not None or not world.keeping.has_keeper:
            shadow.fault = shadow.fault or "no state is kept"
            yield 0
        told: list[str] = []
        shadow.feed = world.keeping.simulated.begin_feed(shadow.replica, told.append)
        while not told:
            yield POLL_NS
        shadow.fault = shadow.fault or told[0]
        yield 0
        world.shell.begin(shadow.lane, shadow.seat)
        while not shadow.is_seated:
            yield POLL_NS

    def _has_seat(self, shadow: Shadow) -> bool:
        """Whether it votes already, although nobody was told yet."""
        voter = self._world.core.vote.lanes.get(shadow.lane.number) if shadow.lane is not None else None
        return voter is not None and voter.is_voting

    def _abandon(self, shadow: Shadow) -> None:
        self._world.timeline.note(f"the shadow for seat {shadow.seat} is given up: {shadow.fault or 'too late'}")
        if self.shadows.get(shadow.seat) is shadow:
            del self.shadows[shadow.seat]
        if shadow.feed is not None:
            shadow.feed.drop()
        if shadow.lane is not None:
            self._world.shell.give_up(shadow.lane, shadow.seat)
            self._world.forget_lane(shadow.lane.number)
        shadow.replica.is_broken = True

    # When all replicas begin anew.

    def clear(self) -> None:
        """Give up all rebuilds, and begin none before `go_on`."""
        self.is_paused = True
        for task in self._tasks.values():
            if not task.is_done:
                task.cancel()

    def go_on(self) -> None:
        """All began anew: where a new replica votes, nothing that was wanted before is wanted any more."""
        for seat, role in enumerate(self._world.core.roles):
            if role is Role.VOTING:
                self._schedule.began(Rebuild(seat, Strategy.SHADOW, Why.CRASHED))
                self._schedule.succeeded(seat, self._world.shell.now())
        self.is_paused = False

    def left_empty(self, seat: int) -> None:
        """All began anew, but for this seat."""
        self._schedule.lost(seat, Why.CRASHED, self._world.shell.now())


def _why(notice: Convicted | Retired) -> Why:
    if isinstance(notice, Retired):
        return Why.RETIRED
    return Why.CRASHED if notice.cause is Cause.CRASH else Why.CONVICTED
