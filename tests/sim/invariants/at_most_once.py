"""Promise 3: no slot is executed twice on one state.

Checks at the end that no tag, pushed once by a caller, is found twice in a correct replica's lists.
Cannot see doubled reads, nor a request that a client itself sent twice.
"""

from collections import deque

from tests.sim.invariants.base import Invariant
from tests.sim.workload import TAGS


class AtMostOnce(Invariant):
    """Each tag once."""

    def ended(self) -> None:
        for replica in self.world.innocents():
            tags: list[bytes] = []
            for database in replica.machine.keyspace.databases:
                value = database.values.get(TAGS)
                tags += value if isinstance(value, deque) else []
            if len(tags) != len(set(tags)):
                raise self.broken(f"replica {replica.seat} executed a request twice: {sorted(tags)}")
