"""Promise 5: a planned rebuild by a shadow costs no vote; one by a restart costs one, and says so.

Checks at the end of each turn that every seat which stopped voting was convicted or retired, for a reason of its own;
stopped to be started again only where the strategy is `restart`, and then f+1 still vote. Cannot see how long that
lasts.
"""

from typing import TYPE_CHECKING

from quorate.trusted.messages import Cause, Convicted, Notice, Retired, Role
from quorate.trusted.recover import Strategy
from tests.sim.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld


class Planned(Invariant):
    """No vote is lost by plan."""

    world: "RecoveringWorld"
    _voted: frozenset[int] = frozenset()
    _lost: frozenset[int] = frozenset()

    def began_anew(self) -> None:
        self._voted = frozenset()

    def noticed(self, notice: Notice) -> None:
        if not isinstance(notice, Convicted | Retired):
            return
        self._lost |= {notice.seat}
        if notice.cause is not Cause.RESTART or self.world.begins_anew:
            return
        voters = self.world.core.vote.voters()
        if self.world.fate.strategy is not Strategy.RESTART or voters < self.world.swarm.f + 1:
            raise self.broken(f"a rebuild by plan leaves {voters} voters: {notice}")

    def turned(self) -> None:
        voting = frozenset(seat for seat, role in enumerate(self.world.core.roles) if role is Role.VOTING)
        gone = self._voted - voting - self._lost
        if gone:
            raise self.broken(f"seats {sorted(gone)} vote no more, and nobody said why")
        self._voted, self._lost = voting, frozenset()
