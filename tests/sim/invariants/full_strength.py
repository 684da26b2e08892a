"""Once faults stop, all seats vote again within a bound, whatever happened; and no shadow ever waits in vain.

Checks at the end of a run, when every seat has had time to be filled, and that state is kept then, whatever became of
keepers, and that the operator was told what became of all that he asked for; of each shadow that was given up for
taking too long, that its replica had sinned; where all begin anew, that f+1 seats at least are filled. Where more than
f liars came to a revival that is not tried again, the cell may be lost for good: then nothing else is due. Cannot see
how long one rebuild took that was done in time.
"""

from typing import TYPE_CHECKING

from quorate.trusted.messages import Role
from tests.sim.invariants.base import Invariant
from tests.sim.swarm import Phase

if TYPE_CHECKING:
    from tests.sim.domains import SimulatedDomain
    from tests.sim.recovery import RecoveringWorld


class FullStrength(Invariant):
    """The cell heals."""

    world: "RecoveringWorld"

    def abandoned(self, domain: "SimulatedDomain") -> None:
        is_guilty = domain.replica is None or domain.replica.sins
        if not (is_guilty or self.world.swarm.phase is Phase.BEYOND):
            raise self.broken(f"the shadow for seat {domain.seat} waited in vain")

    def filled(self, count: int) -> None:
        if count < self.world.swarm.f + 1:
            raise self.broken(f"it is gone on with {count} replicas")

    def ended(self) -> None:
        world = self.world
        if world.rebuilding.asked:
            raise self.broken(f"{world.rebuilding.asked} requests of the operator's are not answered")
        if world.is_given_up and world.swarm.phase is Phase.BEYOND:
            return
        empty = [seat for seat, role in enumerate(world.core.roles) if role is not Role.VOTING]
        if empty or world.core.is_lost or world.core.is_suspended:
            raise self.broken(f"seats {empty} do not vote, long after faults have stopped")
        if world.keeping.is_lost and world.swarm.phase is Phase.WITHIN:
            raise self.broken("no state is kept, long after faults have stopped")
