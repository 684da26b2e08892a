"""What is told of a seat's life is what happened: how long it was without a vote, and that it has one again.

Counts for itself since when each seat has had no vote, from the notices and from where all begin anew, and compares
whenever another replica is said to vote. Cannot see what becomes of that on its way to the operator.
"""

from typing import TYPE_CHECKING

from quorate.seats import Seat
from quorate.trusted.messages import Convicted, Notice, Retired, Role
from tests.sim.invariants.base import Invariant
from tests.sim.timeline import SECOND_NS

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

# What an event loop takes from one step to the next.
STEPS_SECONDS_MAX = 0.0001


class Lives(Invariant):
    """Nobody's life is told as shorter or longer."""

    world: "RecoveringWorld"

    def __init__(self, world: "RecoveringWorld") -> None:
        super().__init__(world)
        self._lost_at: dict[int, int] = {}

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Convicted | Retired):
            self._lost(notice.seat)

    def began_anew(self) -> None:
        for replica in self.world.replicas:
            self._lost(replica.seat)

    def left_empty(self, seat: int) -> None:
        self._lost(seat)

    def rebuilt(self, seat: Seat, seconds: float) -> None:
        now, since = self.world.timeline.now, self._lost_at.pop(seat.index, None)
        if self.world.core.roles[seat.index] is not Role.VOTING:
            self._lost(seat.index)
        elif seat.role is not Role.VOTING:
            raise self.broken(f"seat {seat.index} votes, and is shown as {seat.role.value}")
        if since is not None and abs((now - since) / SECOND_NS - seconds) > STEPS_SECONDS_MAX:
            raise self.broken(f"seat {seat.index} had no vote since {now - since} ns, not for {seconds} s")

    def _lost(self, seat: int) -> None:
        self._lost_at.setdefault(seat, self.world.timeline.now)
