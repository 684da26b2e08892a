"""Promise 1: what is decided was given by f+1 voting replicas, equal in canonical form.

Checks each decided slot against the replies that had been delivered by then from seats that still voted, framed and
counted by the simulator's own code; and, while at most f replicas are faulty, against a machine without faults.
Cannot see whether the canonical form itself says too little: that is the reference's task (client_order).
"""

from quorate.trusted.messages import Role
from quorate.trusted.verdicts import Decision
from tests.sim.invariants.base import Invariant
from tests.sim.ledger import Slot
from tests.sim.swarm import Phase


class Agreement(Invariant):
    """f+1 equal replies for each decided slot."""

    def decided(self, decision: Decision, slots: list[Slot]) -> None:
        if decision.data is None:
            return
        roles = self.world.core.roles
        needed = self.world.swarm.f + 1
        for slot in slots:
            voters = [seat for seat, reply in slot.replies.items() if reply == slot.decided]
            voters = [seat for seat in voters if seat < len(roles) and self._voted(seat, slot.number)]
            if len(voters) < needed:
                raise self.broken(f"slot {slot.number} was decided as {slot.decided!r} by seats {voters} only")
            self._check_truth(slot)

    def _voted(self, seat: int, slot: int) -> bool:
        """Whether the seat voted when this slot was decided: it may have lost its vote since, in the same turn."""
        return self.world.core.roles[seat] is Role.VOTING or slot < self.world.dismissed_at.get(seat, 0)

    def _check_truth(self, slot: Slot) -> None:
        if self.world.swarm.phase is Phase.BEYOND:
            return
        truth = self.world.true_reply(slot)
        if truth != slot.decided:
            raise self.broken(f"slot {slot.number} {slot.request!r}: decided {slot.decided!r}, right is {truth!r}")
