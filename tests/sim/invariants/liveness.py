"""Promise 8: once faults stop, everything is answered within a bound, and new clients are served.

Checks at the end that no request of a client that stayed is unanswered, that no client's slot is under way, and that a
newcomer is answered rightly; and that the cell comes to rest, which means that it does not go on asking by itself.
Cannot see how long a single request took on the way.
"""

from quorate.trusted.messages import Role
from tests.sim.invariants.base import Invariant
from tests.sim.ledger import Slot
from tests.sim.swarm import Phase

QUIET_SLOTS_MAX = 10_000


class Liveness(Invariant):
    """All is answered."""

    _quiet_slots = 0

    def ordered(self, slots: list[Slot]) -> None:
        """Clients have stopped asking; what they asked before, and what follows from it, has a bound."""
        self._quiet_slots += len(slots) if self.world.is_over else 0
        if self._quiet_slots > QUIET_SLOTS_MAX:
            raise self.broken(f"{self._quiet_slots} slots since nobody asks any more")

    def ended(self) -> None:
        world = self.world
        waiting = [
            slot.number for slot in world.ledger.slots.values() if slot.owner is not None and not slot.is_decided
        ]
        if waiting:
            raise self.broken(f"slots {waiting} are still under way")
        for guest in world.guests():
            if guest.unanswered and not guest.is_leaving:
                raise self.broken(f"{type(guest).__name__} {guest.name} still waits for {guest.unanswered} replies")
        if world.swarm.phase is Phase.BEYOND:
            return
        if world.newcomer is None or world.newcomer.unanswered:
            raise self.broken("a newcomer was not answered")
        for replica in world.innocents():
            if world.core.roles[replica.seat] is not Role.VOTING:
                raise self.broken(f"the correct replica {replica.seat} does not vote")
