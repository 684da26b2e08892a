"""Where replicas run: domains that boot well, slowly, wrongly or never, lines to what runs in them, and their end.

A domain keeps `quorate.domains.port`, so that the product's own `boot` starts it. Lines stand for sockets.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from quorate.domains.port import Ended, Recipe
from quorate.trusted.errors import OperatorFault
from tests.sim.invariants.base import Violation
from tests.sim.machine import Machine
from tests.sim.replica import Replica
from tests.sim.swarm import Fault
from tests.sim.timeline import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

# Longer than those who are ready wait for the others, and than a rebuild may last.
TOO_LONG_SECONDS = 100.0
# How long a domain takes to end, at most, and some of them.
DYING_NS_MAX = 10 * MILLISECOND_NS
DYING_SLOWLY_NS_MAX = 300 * MILLISECOND_NS
ANSWER_NS_MAX = MILLISECOND_NS
# How often a faulty replica spoils what it is given of the state.
SPOILED_FEEDS = 0.1
POISON = b"poison"
WRONG = b"-LOADING\r\n"
KILLED = -9


class Boot(Enum):
    """What becomes of a domain that is started."""

    WELL = "its service answers after a while"
    REFUSED = "it cannot be started"
    HANGING = "its start does not end"
    DEAF = "its service never listens"
    MUTE = "its service never answers"
    WRONG = "its service answers something else"
    MORTAL = "its service ends at once"


AT_ONCE = (Boot.REFUSED, Boot.MORTAL)
FAILING = (*AT_ONCE, Boot.DEAF, Boot.MUTE, Boot.WRONG)


class RecoveringReplica(Replica):
    """A replica in a domain. A poisonous request may break it."""

    is_susceptible = False
    on_death: Callable[[], None] | None = None

    def crash(self) -> None:
        """It ends, and with it its lane."""
        super().crash()
        if self.on_death is not None:
            self.on_death()

    def is_fed_in_vain(self) -> bool:
        """It is given something of the state. Whether it says nothing to that."""
        chance = self._timeline.chance
        if self.is_rotten and not self.is_reformed and chance.random() < SPOILED_FEEDS:
            sin = chance.choice((Fault.CORRUPT, Fault.CRASH, Fault.MUTE))
            self.sins.add(sin)
            if sin is Fault.CORRUPT:
                self._corrupt()
            elif sin is Fault.CRASH:
                self.crash()
                self.is_broken = True
            else:
                self._is_mute = True
        return self._is_mute

    def _execute(self, arguments: list[bytes]) -> bytes:
        if not self.is_susceptible or arguments[:2] != [b"SET", POISON]:
            return super()._execute(arguments)
        if arguments[2] == b"split":
            super()._execute(arguments)
            return b"+%d\r\n" % self.seat
        if arguments[2] == b"crash":
            self.crash()
        else:
            self.sins.add(Fault.MUTE)
            self._is_mute = True
        return b""


class Line:
    """Stands for a connected socket: its other end is this replica."""

    def __init__(self, replica: RecoveringReplica, how: Boot) -> None:
        self.replica = replica
        self.is_open = True
        self._how = how
        self._answers = b""

    def close(self) -> None:
        """Nothing is left of it."""
        self.is_open = False

    def sent(self, data: bytes) -> None:
        """Bytes for the service."""
        machine = self.replica.machine
        replies = [machine.run(machine.session(), arguments, 0) for arguments in Machine(None).cut(data)]
        self._answers += WRONG if self._how is Boot.WRONG else b"".join(replies)

    async def received(self, bytes_max: int) -> bytes:
        """What the service says next."""
        if self._how is Boot.MUTE:
            await asyncio.sleep(TOO_LONG_SECONDS)
        await asyncio.sleep(ANSWER_NS_MAX / SECOND_NS)
        if self.replica.is_broken:
            return b""
        data, self._answers = self._answers[:bytes_max], self._answers[bytes_max:]
        return data


class SimulatedDomain:
    """One place for one replica, which comes when it is started."""

    def __init__(self, world: "RecoveringWorld", seat: int, directory: Path, number: int) -> None:
        self.seat = seat
        self.directory = directory
        self.number = number
        self.replica: RecoveringReplica | None = None
        self.how = Boot.WELL
        self.lines: list[Line] = []
        # Whether its service was killed, and whether all of it is gone.
        self.is_killed = False
        self.is_ended = False
        self._world = world
        self._ending = world.loop.ending
        self._end: asyncio.Future[Ended] = world.loop.create_future()
        self._ready_at = 0

    @property
    def has_begun(self) -> bool:
        """Whether it was started, or was to be."""
        return self.replica is not None

    def run(self, replica: RecoveringReplica) -> None:
        """This replica runs in it, and is ready."""
        self.replica = replica
        replica.on_death = self._died

    async def start(self) -> None:
        """Run the service."""
        if self.has_begun:
            raise Violation("Domains: one is started twice")
        world, chance = self._world, self._world.timeline.chance
        self.run(world.successor(self.seat))
        self.how = world.misfortunes.boots(self.seat)
        world.timeline.note(f"{self.directory}: {self.how.value}")
        if self.how is Boot.HANGING:
            await asyncio.sleep(TOO_LONG_SECONDS)
        if self.how in (Boot.REFUSED, Boot.HANGING):
            raise OperatorFault("it cannot be started")
        delay = chance.randint(1, world.fate.boot_ns)
        self._ready_at = world.timeline.now + delay
        if self.how is Boot.MORTAL:
            world.timeline.after(delay // 2, self._died)

    async def connect(self) -> Line:
        """A line to the service."""
        replica = self.replica
        is_late = self._world.timeline.now < self._ready_at
        if replica is None or is_late or self._end.done() or self.how in (Boot.DEAF, Boot.MORTAL):
            raise ConnectionRefusedError("nothing listens")
        line = Line(replica, self.how)
        self.lines.append(line)
        return line

    async def kill(self) -> Ended:
        """Nothing of it is left, after a while."""
        self.is_killed = True
        if self.replica is not None:
            self.replica.is_broken = True
        if self.has_begun and not self.is_ended:
            chance = self._world.timeline.chance
            # Whoever waits for an innocent's next variant would go on without it.
            is_slow = not self._world.misfortunes.is_refilling and chance.random() < 0.3
            delay = chance.randint(1, DYING_SLOWLY_NS_MAX if is_slow else DYING_NS_MAX)
            await asyncio.wait((self._ending,), timeout=delay / SECOND_NS)
        self.is_ended = True
        if not self._end.done():
            self._end.set_result(Ended(KILLED, ""))
        return self._end.result()

    async def ended(self) -> Ended:
        """Wait until the service ends."""
        await asyncio.wait((self._end,))
        return self._end.result()

    def _died(self) -> None:
        """The service ended by itself."""
        if self.replica is not None:
            self.replica.is_broken = True
        if not (self._end.done() or self._ending.done()):
            self._end.set_result(Ended(1, ""))


class Domains:
    """All of one process."""

    def __init__(self, world: "RecoveringWorld") -> None:
        self.all: list[SimulatedDomain] = []
        self._world = world

    def make(self, kind: str, recipe: Recipe, directory: Path, number: int) -> SimulatedDomain:
        """As `quorate.domains.make`: `recipe` is of the replica that is named by the number of its seat."""
        for other in self.all:
            if not other.is_ended and (other.directory == directory or other.number == number):
                raise Violation(f"Domains: {directory} shares a place with {other.directory}")
        domain = SimulatedDomain(self._world, int(recipe.replica), directory, number)
        self.all.append(domain)
        return domain

    def last_of(self, seat: int) -> SimulatedDomain:
        """The last one that was made for this seat."""
        return [domain for domain in self.all if domain.seat == seat][-1]
