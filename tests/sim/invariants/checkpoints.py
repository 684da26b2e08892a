"""A checkpoint holds exactly the state at its slot, for every key (docs/adr/0009-state-by-vote.md).

Checks each commit, those too of which only the keeper knew before it ended, and the first of the next keeper: what a
machine holds that is made from the store's records, against one without faults that executed all ordered writes up to
that slot and nothing else. Cannot see kinds that the dictionary store does not know (streams), nor runs with more than
f faulty replicas, where a majority may have lied.
"""

from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.sim.feed import State


class Checkpoints(Invariant):
    """The store holds the state at one slot."""

    def committed(self, slot: int, state: "State", right: "State") -> None:
        if state != right:
            raise self.broken(f"at slot {slot} the store differs from the order: {difference(state, right)}")


def difference(state: "State", right: "State") -> str:
    """What is in one of the two only, the first of it."""
    surplus = [row for row in state if row not in right]
    missing = [row for row in right if row not in state]
    return f"there is {surplus[:3]}, there should be {missing[:3]}"
