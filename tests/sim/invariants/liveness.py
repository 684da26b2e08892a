"""Promise 8: once faults stop, everything is answered within a bound, and new clients are served.

Checks at the end that no request of a caller that stayed is unanswered, that no client's slot is under way, and that a
newcomer is answered rightly. Cannot see how long a single request took on the way.
"""

from quorate.trusted.messages import Role
from tests.sim.invariants.base import Invariant
from tests.sim.swarm import Phase


class Liveness(Invariant):
    """All is answered."""

    def ended(self) -> None:
        world = self.world
        waiting = [
            slot.number for slot in world.ledger.slots.values() if slot.owner is not None and not slot.is_decided
        ]
        if waiting:
            raise self.broken(f"slots {waiting} are still under way")
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
