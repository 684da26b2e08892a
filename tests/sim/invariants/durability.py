"""Promise 4: what was acknowledged survives; the rest is there whole or not at all; nothing twice.

With sync `always`, checks at each reply that all writes up to its slot are on disk or in a checkpoint, and that what is
buried has its tombstone there. After each restart: that what was found reaches as far as was acknowledged (`always`) or
synced (`interval`). After each restart and revival: that the replicas hold the last checkpoint and each write after it
that was found and not buried, once. While the disk is full, no client's write is ordered. Cannot see a disk that lies
about a sync.
"""

from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant
from tests.sim.invariants.checkpoints import difference
from tests.sim.ledger import Slot

if TYPE_CHECKING:
    from tests.sim.feed import State
    from tests.sim.recovery import RecoveringWorld


class Durability(Invariant):
    """Nothing acknowledged is ever lost."""

    world: "RecoveringWorld"

    def ordered(self, slots: list[Slot]) -> None:
        if self.world.shell.is_full and any(slot.is_write and slot.owner is not None for slot in slots):
            raise self.broken("a client's write was ordered although the disk is full")

    def acknowledged(self, slot: int) -> None:
        world = self.world
        if world.fate.sync != "always":
            return
        last = world.last_write(slot)
        if last > world.journal.durable_slot:
            raise self.broken(f"slot {slot} was answered, and write {last} is not on disk")
        if slot in world.buried and slot not in world.journal.durable_tombstones:
            raise self.broken(f"slot {slot} was answered with an error, and has no tombstone on disk")

    def restarted(self, synced_slot: int, last_slot: int) -> None:
        world = self.world
        due = synced_slot
        if world.fate.sync == "always":
            due = max(due, world.last_write(world.acknowledged_slot))
        if last_slot < due:
            raise self.broken(f"the journal and the store reach up to slot {last_slot}, not {due}")

    def refilled(self, state: "State", right: "State") -> None:
        if state != right:
            raise self.broken(f"after all began anew: {difference(state, right)}")
