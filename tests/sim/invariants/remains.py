"""Nothing is left of a replica that has no vote: neither what runs in its domain, nor a line to it.

Checks at the end of a run, when all has had time to end, each domain that was made since the processes began: its
replica votes, it was never started, or it is ended, and no seat counts it as retiring; and no line is open but the
lanes of those who vote. Checks of a seat that is left empty, when all begin anew, that nothing goes on in it, and of a
lost cell that nothing goes on at all. That no two domains share a place is checked where they are made. Cannot see what
a real domain leaves on its host.
"""

from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant
from tests.sim.timeline import MILLISECOND_NS

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

# Before a lost cell is tried again.
LOST_NS = 20 * MILLISECOND_NS


class Remains(Invariant):
    """Who goes goes wholly."""

    world: "RecoveringWorld"

    def left_empty(self, seat: int) -> None:
        domain = self.world.rebuilding.place_of(seat)
        if domain.has_begun and not domain.is_killed:
            raise self.broken(f"{domain.directory} goes on in a seat that is left empty")

    def lost(self) -> None:
        rebuilding = self.world.rebuilding
        before = list(rebuilding.domains.all)

        def check() -> None:
            for domain in before:
                if self.world.rebuilding is rebuilding and domain.has_begun and not domain.is_killed:
                    raise self.broken(f"{domain.directory} goes on, and the cell is lost")

        self.world.timeline.after(LOST_NS, check)

    def ended(self) -> None:
        rebuilding = self.world.rebuilding
        if rebuilding.is_busy or self.world.anew.is_busy:
            return
        for domain in rebuilding.seatless():
            if domain.has_begun and not domain.is_ended:
                raise self.broken(f"{domain.directory} was never ended")
        for seat in rebuilding.seats:
            if seat.retiring:
                raise self.broken(f"domains of seat {seat.index} are retiring for ever")
        lanes = [lane.line for lane in self.world.shell.lanes.values()]
        for domain in rebuilding.domains.all:
            if any(line.is_open and line not in lanes for line in domain.lines):
                raise self.broken(f"a line to {domain.directory} was never closed")
        if rebuilding.rebuilder.shadows:
            raise self.broken(f"there are shadows for seats {sorted(rebuilding.rebuilder.shadows)}")
