"""Convergence: all correct replicas end in the same state, which is the one that the order leads to.

Checks the abstract states of all correct machines against a machine without faults that executed the lanes' bytes.
Cannot see states in between, nor replicas that were ever faulty.
"""

from tests.sim.invariants.base import Invariant


class Convergence(Invariant):
    """One state."""

    def ended(self) -> None:
        world = self.world
        right = world.truth.state()
        for replica in world.innocents():
            if replica.executed < world.sent_requests:
                raise self.broken(f"replica {replica.seat} executed {replica.executed} of {world.sent_requests}")
            state = replica.machine.state()
            if state != right:
                different = [pair for pair in zip(state, right, strict=False) if pair[0] != pair[1]]
                raise self.broken(f"replica {replica.seat} differs from the order: {different[:3]}")
