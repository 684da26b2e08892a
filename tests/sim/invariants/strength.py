"""No conviction for a wrong reply leaves fewer than f+1 voters: a cell that cannot decide anything helps nobody.

Checks the notices against the number of voters. Lanes that broke, or carry what is no reply, are lost in any case.
"""

from quorate.trusted.messages import Cause, Convicted, Notice, Retired, Seated
from tests.sim.invariants.base import Invariant

LOST_ANYWAY = {Cause.GARBAGE, Cause.UNASKED, Cause.FLOOD, Cause.CRASH, Cause.REFUSED, Cause.BACKLOG}


class Strength(Invariant):
    """The quorum is not given away."""

    _lost: frozenset[int] = frozenset()

    def began_anew(self) -> None:
        self._lost = frozenset()

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Seated):
            self._lost -= {notice.seat}
        if not isinstance(notice, Convicted | Retired) or self.world.begins_anew:
            return
        self._lost |= {notice.seat}
        left = len(self.world.replicas) - len(self._lost)
        if left < self.world.swarm.f + 1 and notice.cause not in LOST_ANYWAY:
            raise self.broken(f"{left} voters are left after {notice}")
