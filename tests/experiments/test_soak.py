"""The soak breaks one replica at a time: it is the cell that is to be tested beyond nothing but what it promises."""

import random
import threading
from dataclasses import dataclass
from typing import cast

import pytest

from quorate.experiments import soak, watch
from quorate.experiments.cell import PrivateCell
from quorate.experiments.soak import FAULTS, Plan, Soak
from quorate.observe.snapshot import CellSnapshot, ReplicaSnapshot
from quorate.trusted.errors import OperatorFault

REJUVENATIONS = 200
# How often one looks before a fault is found out, and before the seat has its next replica.
LOOKS_UNTIL_CONVICTED = 8
LOOKS_UNTIL_REBUILT = 3


@dataclass
class Seated:
    """One seat's replica: its `fault`, if it has one, and for how many more looks its present state lasts."""

    pid: int
    fault: str = ""
    role: str = "voting"
    looks: int = 0
    rebuilds: int = 0


class Played:
    """A cell whose faulty replicas are found out late, and in which successors often come at the wrong moment."""

    def __init__(self, seed: int) -> None:
        self.seats = {name: Seated(number) for number, name in enumerate("abc", 1)}
        self.injected: set[str] = set()
        self.exchanged = 0
        self._pids = 3
        self._random = random.Random(seed)
        self._lock = threading.RLock()

    def _begin_anew(self, name: str) -> None:
        self._pids += 1
        self.seats[name] = Seated(self._pids, rebuilds=self.seats[name].rebuilds + 1)

    def _goes_on(self, name: str) -> None:
        seat = self.seats[name]
        seat.looks -= 1
        if seat.fault in soak.CONVICTING and seat.role == "voting" and seat.looks <= 0:
            seat.role, seat.looks = "convicted", LOOKS_UNTIL_REBUILT
        elif seat.role == "convicted" and seat.looks <= 0:
            self._begin_anew(name)

    def _replica(self, name: str, seat: Seated) -> ReplicaSnapshot:
        pid = seat.pid if seat.role == "voting" else None
        return ReplicaSnapshot(name, "redis", "sandbox", seat.role, pid=pid, rebuilds=seat.rebuilds)

    def status(self) -> CellSnapshot:
        with self._lock:
            for name in self.seats:
                self._goes_on(name)
            replicas = tuple(self._replica(name, seat) for name, seat in self.seats.items())
            return CellSnapshot("cell", "redis", "127.0.0.1:1", 1, "serving", 1, replicas=replicas)

    def inject(self, replica: str, fault: str, is_on: bool = True) -> None:
        with self._lock:
            if self._random.random() < 0.5 and self.seats[replica].role == "voting":
                self._begin_anew(replica)
                self.exchanged += is_on
            seat = self.seats[replica]
            if seat.role != "voting" or (not is_on and seat.fault != fault):
                raise OperatorFault(f"replica {replica} is {seat.role}, {seat.fault or 'without fault'}")
            if is_on:
                others = [other for name, other in self.seats.items() if name != replica]
                assert [other for other in others if other.fault or other.role != "voting"] == [], (replica, fault)
            seat.fault, seat.looks = fault if is_on else "", LOOKS_UNTIL_CONVICTED
            self.injected.add(fault)

    def recover(self, replica: str | None, strategy: str) -> None:
        with self._lock:
            names = [replica] if replica is not None else list(self.seats)
            if any(self.seats[name].role != "voting" for name in names):
                raise OperatorFault(f"replica {names[0]}: it is being rebuilt already")
            for name in names:
                self._begin_anew(name)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the played cell no longer than it needs."""
    for name in ("FAULT_PAUSE_SECONDS_MAX", "REFUSED_PAUSE_SECONDS", "PASSING_SECONDS"):
        monkeypatch.setattr(soak, name, 0.0)
    monkeypatch.setattr(soak, "REBUILD_PAUSE_SECONDS_MAX", 0.01)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_whoever_a_fault_hit_is_gone_before_the_next_is_made(seed: int) -> None:
    """A successor may take the seat between the look at a replica and the fault, which is then the successor's."""
    cell = Played(seed)
    told: list[str] = []
    soaked = Soak(cast(PrivateCell, cell), Plan(REJUVENATIONS, 60.0, seed), [], told.append)
    soaked.work()
    result = soaked.result()
    assert result["is_complete"], result
    assert cell.exchanged > 0
    assert cell.injected == set(FAULTS) == set(result["faults"]), result
    assert told
    assert [seat.role for seat in cell.seats.values()] == ["voting"] * 3
    assert {seat.fault for seat in cell.seats.values()} == {""}
