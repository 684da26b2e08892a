"""The real core of a run in which replicas are rebuilt: it is seen what it writes, decides, seats, and when all go."""

from typing import TYPE_CHECKING

from quorate.trusted.journal_record import Entry
from quorate.trusted.span import Span
from quorate.trusted.verdicts import Decision
from tests.sim.world import WatchedCoordinator

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld


class RecoveringCoordinator(WatchedCoordinator):
    """The real core; the world sees what it writes, whose replies it releases, and who takes a seat."""

    world: "RecoveringWorld"

    def _ask(self, span: Span, now: int) -> None:
        super()._ask(span, now)
        if span.is_write and not span.is_replayed:
            self.world.wrote(span)

    def _decided(self, decision: Decision, now: int) -> None:
        super()._decided(decision, now)
        self.world.released(decision)

    def replay(self, entry: Entry, now: int) -> None:
        """As the core."""
        self.world.widest_read = max(self.world.widest_read, len(entry.requests))
        super().replay(entry, now)
        self.world.misfortunes.replayed()

    def suspend(self, now: int) -> None:
        """As the core; then no replica is left to speak of."""
        super().suspend(now)
        self.world.suspended()

    def _seat_shadows(self, now: int) -> bool:
        shadows = {seat: lane for lane, seat in self.vote.lanes.items() if seat.is_shadow}
        has_seated = super()._seat_shadows(now)
        for shadow, lane in shadows.items():
            if shadow.is_voting:
                self.world.voted(lane, shadow.index)
        return has_seated
