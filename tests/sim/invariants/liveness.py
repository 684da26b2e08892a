"""Promise 8: once faults stop, everything is answered within a bound, and new clients are served.

Checks at the end that no request of a caller that stayed is unanswered, that no slot is under way, that no client
waits for its turn, and that a newcomer is answered rightly. Cannot see how long a single request took on the way.
"""

from quorate.trusted.messages import Role

from tests.sim.invariants.base import Invariant
from tests.sim.swarm import Phase


class Liveness(Invariant):
    """All is answered."""

    def ended(self) -> None:
        world = self.world
        if world.core.order.inflight_slots:
            raise self.broken(f"{world.core.order.inflight_slots} slots are still under way")
        for caller in world.callers:
            if caller.unanswered and not caller.is_leaving:
                raise self.broken(f"caller {caller.name} still waits for {caller.unanswered} replies")
        if world.swarm.phase is Phase.BEYOND:
            return
        if world.newcomer is None or world.newcomer.unanswered:
            raise self.broken("a newcomer was not answered")
        for replica in world.innocents():
            if world.core.roles[replica.seat] is not Role.VOTING:
                raise self.broken(f"the correct replica {replica.seat} does not vote")
