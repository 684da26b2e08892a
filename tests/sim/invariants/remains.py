"""Nothing is left of a replica that has no seat: neither what runs in its domain, nor a line to it.

Checks at the end of a run, when all has had time to end, each domain that was made since the processes began: it has a
seat, was never started, or is ended; and no line is open but the lanes of those who vote. One that a seat still counts
as retiring was killed, and is looked after when the cell ends. That no two domains share a place is checked where they
are made. Cannot see what a real domain leaves on its host.
"""

from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld


class Remains(Invariant):
    """Who goes goes wholly."""

    world: "RecoveringWorld"

    def ended(self) -> None:
        rebuilding = self.world.rebuilding
        if rebuilding.is_busy or self.world.anew.is_busy:
            return
        for domain in rebuilding.seatless():
            if domain.has_begun and not domain.is_ended:
                raise self.broken(f"{domain.directory} was never ended")
        lanes = [lane.line for lane in self.world.shell.lanes.values()]
        for domain in rebuilding.domains.all:
            if any(line.is_open and line not in lanes for line in domain.lines):
                raise self.broken(f"a line to {domain.directory} was never closed")
        if rebuilding.rebuilder.shadows:
            raise self.broken(f"there are shadows for seats {sorted(rebuilding.rebuilder.shadows)}")
