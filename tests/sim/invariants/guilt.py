"""Who is guilty: a dissent on a decided write convicts, late ones included; so does a reply that nobody asked for.

Checks at the end of each turn that no seat still votes whose delivered reply to a decided write differs, unless the
cell could not spare it; and whenever a seat was heard, that it sent no more than was asked, if nothing is under way.
Cannot see wrong replies that were never delivered, nor judge reads, which are asked again.
"""

from quorate.trusted.messages import Notice, Role, Seated, Spared
from tests.sim.invariants.base import Invariant


class Guilt(Invariant):
    """No liar about a write keeps its vote."""

    _spared: frozenset[int] = frozenset()

    def noticed(self, notice: Notice) -> None:
        if isinstance(notice, Spared):
            self._spared |= {notice.seat}
        if isinstance(notice, Seated):
            # Another replica, which nobody has spared anything.
            self._spared -= {notice.seat}

    def began_anew(self) -> None:
        self._spared = frozenset()

    def turned(self) -> None:
        roles = self.world.core.roles
        for slot in self.world.ledger.slots.values():
            if not slot.is_decided or not slot.is_write or slot.decided is None:
                continue
            for seat, reply in slot.replies.items():
                if seat >= len(roles):
                    continue
                if reply != slot.decided and roles[seat] is Role.VOTING and seat not in self._spared:
                    raise self.broken(f"seat {seat} answered {reply!r} to slot {slot.number}, and still votes")

    def delivered(self, seat: int) -> None:
        world = self.world
        stream = world.ledger.streams[seat]
        if world.core.order.inflight_slots or world.core.roles[seat] is not Role.VOTING:
            return
        has_answered_all = not stream.setup_frames and stream.next_slot > world.ledger.ordered_slots
        if stream.buffer and has_answered_all:
            raise self.broken(f"seat {seat} sent {bytes(stream.buffer)!r}, which nobody asked for, and still votes")
