"""Promise 3: no slot is executed twice on one state.

Checks at the end that no tag, pushed once by a caller, is found twice in a correct replica's lists; and in what all new
replicas hold that have executed the journal.
Cannot see doubled reads, nor a request that a client itself sent twice.
"""

from collections import deque
from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant
from tests.sim.machine import Machine
from tests.sim.workload import TAGS

if TYPE_CHECKING:
    from tests.sim.feed import State


class AtMostOnce(Invariant):
    """Each tag once."""

    def refilled(self, state: "State", right: "State") -> None:
        self._check(self.world.truth, "all new replicas")

    def ended(self) -> None:
        for replica in self.world.innocents():
            self._check(replica.machine, f"replica {replica.seat}")

    def _check(self, machine: Machine, who: str) -> None:
        tags: list[bytes] = []
        for database in machine.keyspace.databases:
            value = database.values.get(TAGS)
            tags += value if isinstance(value, deque) else []
        if len(tags) != len(set(tags)):
            raise self.broken(f"{who} executed a request twice: {sorted(tags)}")
