"""What happens to a cell's replicas while an experiment runs, seen from outside by asking for its status now and then.

Knows what a status says; changes nothing. Times are of the monotonic clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..observe.snapshot import CellSnapshot, ReplicaSnapshot
from ..trusted.errors import OperatorFault
from .cell import PrivateCell

LOOK_SECONDS = 0.1
VOTING = "voting"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a replica: `fault`, `lost` its vote, `rebuilt`. `at` is of the monotonic clock."""

    at: float
    kind: str
    replica: str


class Watch:
    """Compares each status with the one before, and notes what happened in between."""

    def __init__(self, cell: PrivateCell) -> None:
        self.events: list[Event] = []
        self._cell = cell
        self._before: dict[str, ReplicaSnapshot] = {}
        self.look()

    def look(self) -> CellSnapshot:
        """The status now."""
        status = self._cell.status()
        now = time.monotonic()
        for replica in status.replicas:
            before = self._before.get(replica.name, replica)
            # Between two looks a replica may have been convicted and rebuilt.
            if replica.convictions > before.convictions or before.role == VOTING != replica.role:
                self.events.append(Event(now, "lost", replica.name))
            self.events += [Event(now, "rebuilt", replica.name)] * (replica.rebuilds - before.rebuilds)
            self._before[replica.name] = replica
        return status

    def inject(self, replica: str, *faults: str) -> bool:
        """Begin drills at a replica, and note it; False when it has no vote at this moment, so that none began."""
        status = self.look()
        if role_of(status, replica) != VOTING:
            return False
        begun = 0
        try:
            for fault in faults:
                self._cell.inject(replica, fault)
                begun += 1
        except OperatorFault:
            # It lost its vote, or its domain ended, since our look: the next look says so, or that we are wrong.
            if not self._is_another(replica_of(status, replica)):
                raise
        if begun:
            self.events.append(Event(time.monotonic(), "fault", replica))
        return begun > 0

    def _is_another(self, before: ReplicaSnapshot) -> bool:
        """Whether this replica has no vote any more, or has been rebuilt since."""
        now = replica_of(self.look(), before.name)
        return now.role != VOTING or now.rebuilds > before.rebuilds

    def until(self, condition: Callable[[CellSnapshot], T | None], seconds: float, what: str) -> T:
        """The first value of `condition(status)` that is not None.

        Raises `OperatorFault`, naming `what` was waited for, when `seconds` pass before.
        """
        give_up = time.monotonic() + seconds
        while (value := condition(self.look())) is None:
            if time.monotonic() > give_up:
                roles = ", ".join(f"{replica.name} is {replica.role}" for replica in self._before.values())
                raise OperatorFault(f"{what} took longer than {seconds:g} s; {roles}")
            time.sleep(LOOK_SECONDS)
        return value


def replica_of(status: CellSnapshot, name: str) -> ReplicaSnapshot:
    """The replica of this name."""
    return next(replica for replica in status.replicas if replica.name == name)


def role_of(status: CellSnapshot, name: str) -> str:
    """Where the replica of this name stands in its life."""
    return replica_of(status, name).role


def all_vote(status: CellSnapshot) -> CellSnapshot | None:
    """The status, when every seat has a voting replica."""
    return status if all(replica.role == VOTING for replica in status.replicas) else None
