"""Promises 8 and 9: with f+1 correct replicas every slot is decided; without, clients get errors and the cell says so.

Checks that no slot is closed undecided, and no quorum lost, while at most f replicas are faulty; and that each
undecided slot has its notice. Cannot see whether an error's text helps.
"""

from quorate.trusted.messages import Notice, QuorumLost, Undecided
from quorate.trusted.verdicts import Decision
from tests.sim.invariants.base import Invariant
from tests.sim.ledger import Slot
from tests.sim.swarm import Phase


class HonestFailure(Invariant):
    """Errors only when there is no agreement, and never in silence."""

    _closed = 0
    _told = 0

    def decided(self, decision: Decision, slots: list[Slot]) -> None:
        if decision.data is not None:
            return
        self._closed += len(slots)
        if self.world.swarm.phase is Phase.WITHIN and not self.world.is_poisoned:
            raise self.broken(f"slot {decision.first} was closed ({decision.reason}) with f+1 correct replicas")

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Undecided):
            self._told += notice.count
        if isinstance(notice, QuorumLost) and self.world.swarm.phase is Phase.WITHIN and not self.world.is_poisoned:
            raise self.broken("the quorum was lost with f+1 correct replicas")

    def ended(self) -> None:
        if self._told != self._closed:
            raise self.broken(f"{self._closed} slots were closed undecided, {self._told} were told of")
