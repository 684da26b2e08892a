"""What an experiment notes of a cell, from one status to the next."""

from dataclasses import replace
from typing import cast

import pytest

from quorate.experiments.cell import PrivateCell
from quorate.experiments.watch import Watch, all_vote, role_of
from quorate.observe.snapshot import CellSnapshot, ReplicaSnapshot
from quorate.trusted.errors import OperatorFault

VOTING = tuple(ReplicaSnapshot(name, "redis", "sandbox", "voting") for name in "abc")
SERVING = CellSnapshot("cell", "redis", "127.0.0.1:1", 1, "serving", 1, replicas=VOTING)


class Played:
    """A cell that says what its test wants it to say, the last of it again and again."""

    def __init__(self, *statuses: CellSnapshot) -> None:
        self.statuses = list(statuses)
        self.injected: list[tuple[str, str]] = []
        self.refusal = ""

    def status(self) -> CellSnapshot:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def inject(self, replica: str, fault: str) -> None:
        if self.refusal:
            raise OperatorFault(self.refusal)
        self.injected.append((replica, fault))


def with_b(role: str, **changes: int) -> CellSnapshot:
    a, b, c = VOTING
    return replace(SERVING, replicas=(a, replace(b, role=role, **changes), c))  # type: ignore[arg-type]


def watching(*statuses: CellSnapshot) -> tuple[Played, Watch]:
    cell = Played(*statuses)
    return cell, Watch(cast(PrivateCell, cell))


def kinds(watch: Watch) -> list[tuple[str, str]]:
    return [(event.kind, event.replica) for event in watch.events]


def test_a_lost_vote_and_a_rebuild_are_noted_once() -> None:
    gone, back = with_b("convicted", convictions=1), with_b("voting", convictions=1, rebuilds=1)
    _, watch = watching(SERVING, gone, gone, back, back)
    for _ in range(4):
        watch.look()
    assert kinds(watch) == [("lost", "b"), ("rebuilt", "b")]
    assert watch.events[0].at <= watch.events[1].at


def test_what_happened_between_two_looks_is_noted_too() -> None:
    _, watch = watching(SERVING, with_b("voting", convictions=1, rebuilds=2))
    watch.look()
    assert kinds(watch) == [("lost", "b"), ("rebuilt", "b"), ("rebuilt", "b")]


def test_a_crash_costs_a_vote_without_a_conviction() -> None:
    _, watch = watching(SERVING, with_b("retired"))
    watch.look()
    assert kinds(watch) == [("lost", "b")]


def test_a_fault_begins_only_where_there_is_a_vote() -> None:
    cell, watch = watching(with_b("booting"), with_b("booting"), SERVING)
    assert not watch.inject("b", "mute", "hog")
    assert watch.inject("b", "mute", "hog")
    assert cell.injected == [("b", "mute"), ("b", "hog")]
    assert kinds(watch) == [("fault", "b")]


def test_a_refused_fault_is_no_error_only_when_the_replica_has_just_gone() -> None:
    cell, watch = watching(SERVING, SERVING, with_b("convicted"))
    cell.refusal = "replica b is convicted"
    assert not watch.inject("b", "mute")
    assert "fault" not in [kind for kind, _ in kinds(watch)]
    cell, watch = watching(SERVING)
    cell.refusal = "this cell allows no drills"
    with pytest.raises(OperatorFault, match="no drills"):
        watch.inject("b", "mute")


def test_it_waits_for_a_condition_and_not_for_ever() -> None:
    _, watch = watching(with_b("booting"), with_b("restoring"), SERVING)
    assert watch.until(all_vote, 30.0, "all votes") == SERVING
    _, watch = watching(with_b("booting"))
    with pytest.raises(OperatorFault, match=r"all votes took longer than 0 s; .*b is booting"):
        watch.until(all_vote, 0.0, "all votes")
    assert role_of(SERVING, "b") == "voting"
