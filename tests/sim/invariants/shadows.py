"""Shadows are never counted, none begins while it lacks much, and none is thrown away that did nothing wrong.

Checks whenever one is to begin at the next checkpoint that the keeper follows with it, and knows of nothing it lacks.
Checks whenever one takes a seat that it was heard to answer every slot since its first, up to the frontier, each as it
was decided; and that who failed had sinned, or was merely too far behind. That decisions need f+1 voters is Agreement's
to check, for which a shadow is nobody before it has a seat. Cannot judge innocence where more than f are faulty.
"""

from typing import TYPE_CHECKING

from quorate.rebuild import Shadow
from quorate.trusted.messages import Cause, Notice, ShadowFailed
from tests.sim.invariants.base import Invariant
from tests.sim.swarm import Phase

if TYPE_CHECKING:
    from tests.sim.recovery import RecoveringWorld

MERELY_BEHIND = (Cause.LAG, Cause.BACKLOG)


class Shadows(Invariant):
    """Compared, not counted."""

    world: "RecoveringWorld"

    def waits(self, shadow: Shadow) -> None:
        keeping = self.world.keeping
        feeding = keeping.simulated.feeds.get(shadow.feed) if keeping.has_keeper else None
        if feeding is None or feeding.fault is not None or feeding.lag:
            lag = "no keeper follows with it" if feeding is None else f"it lacks {feeding.lag} keys: {feeding.fault}"
            raise self.broken(f"the shadow for {shadow.name} is to begin, and {lag}")

    def seated(self, lane: int, seat: int) -> None:
        stream = self.world.ledger.streams.get(lane)
        if stream is None:
            raise self.broken(f"the shadow of lane {lane} has a seat and never began")
        decided = [slot for slot in self.world.ledger.slots.values() if slot.is_decided]
        if stream.setup_frames or any(slot.number >= stream.next_slot for slot in decided):
            raise self.broken(f"the shadow of lane {lane} votes, and has not answered all that is decided")
        for slot in decided:
            reply = slot.replies.get(lane)
            if reply is not None and slot.decided is not None and reply != slot.decided:
                raise self.broken(f"the shadow of lane {lane} answered {reply!r} to slot {slot.number}, and votes")

    def noticed(self, notice: Notice) -> None:
        if not isinstance(notice, ShadowFailed) or self.world.swarm.phase is Phase.BEYOND:
            return
        replica = self.world.rebuilding.shadow_of(notice.seat)
        if replica is not None and not replica.sins and notice.cause not in MERELY_BEHIND:
            raise self.broken(f"the shadow for seat {notice.seat} did nothing: {notice}")
