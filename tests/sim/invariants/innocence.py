"""Who is not guilty: while at most f replicas are faulty, no correct one is accused of anything.

Checks every notice against what the simulated replica really did, and every dissent against its delivered reply. One
that was only slow may be retired, never convicted. Cannot judge runs with more than f faulty replicas, where a majority
may lie; there, only the dissents.
"""

from quorate.trusted.messages import Cause, Convicted, Dissented, Notice, Retired, Spared
from tests.sim.invariants.base import Invariant
from tests.sim.replica import MERELY_LATE, Replica
from tests.sim.swarm import Fault, Phase


class Innocence(Invariant):
    """No innocent is convicted."""

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Dissented):
            self._check_dissent(notice)
        if self.world.swarm.phase is Phase.BEYOND:
            return
        if not isinstance(notice, Convicted | Dissented | Retired | Spared):
            return
        if isinstance(notice, Retired) and notice.cause is Cause.RESTART:
            return
        replica = self.world.replicas[notice.seat]
        if not self._may_happen(replica, notice):
            sins = sorted(sin.name for sin in replica.sins) or "nothing"
            raise self.broken(f"replica {notice.seat} did {sins}: {notice}")

    def _may_happen(self, replica: Replica, notice: Convicted | Dissented | Retired | Spared) -> bool:
        if not replica.sins:
            return False
        if not replica.sins <= MERELY_LATE or isinstance(notice, Retired | Spared):
            return True
        return isinstance(notice, Convicted) and notice.cause is Cause.MUTE and Fault.STALL in replica.sins

    def _check_dissent(self, notice: Dissented) -> None:
        slot = self.world.ledger.slots.get(notice.slot)
        if slot is not None and slot.is_decided and slot.replies.get(notice.seat, notice.dissenting) == slot.decided:
            raise self.broken(f"seat {notice.seat} answered slot {notice.slot} rightly: {notice}")
