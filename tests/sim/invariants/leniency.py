"""A read that went wrong may be chance: it is asked again, and only who is wrong about it often loses its vote for it.

Checks each conviction for reads against the dissents that were told of the seat's present replica: for one read that
was asked again there are two at least, for reads in general as many as the limit says. What the replica before it did
does not count. Cannot see whether the read was asked again in the same form.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from quorate.trusted.messages import Cause, Convicted, Dissented, Notice, Seated
from tests.sim.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.sim.world import World


class Leniency(Invariant):
    """Not at the first word."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._wrong: defaultdict[int, int] = defaultdict(int)

    def began_anew(self) -> None:
        self._wrong.clear()

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Seated):
            self._wrong[notice.seat] = 0
        elif isinstance(notice, Dissented):
            self._wrong[notice.seat] += not notice.is_write
        elif isinstance(notice, Convicted):
            needed = {Cause.WRONG_READ: 2, Cause.WRONG_READS: self.world.core.limits.read_dissents_max}
            if self._wrong[notice.seat] < needed.get(notice.cause, 0):
                raise self.broken(f"after {self._wrong[notice.seat]} wrong reads: {notice}")
