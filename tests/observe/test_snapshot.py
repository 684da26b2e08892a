"""A snapshot survives the way through JSON, and what another release added or lacks."""

import json

import pytest

from quorate.observe.snapshot import (
    CellSnapshot,
    CheckpointSnapshot,
    JournalSnapshot,
    RecoveringSnapshot,
    ReplicaSnapshot,
)

REPLICA = ReplicaSnapshot(
    "a",
    "v",
    "sandbox",
    "voting",
    slot=7,
    pid=12,
    guarantees={"network": "none"},
    convictions=1,
    rebuilds=2,
    age_seconds=3.5,
    last_rebuild=3.0,
    last_recovery_seconds=0.5,
)
CELL = CellSnapshot(
    "x",
    "redis",
    "127.0.0.1:1",
    1,
    "serving",
    99,
    slot=7,
    requests=8,
    exposure_seconds=3.5,
    checkpoint=CheckpointSnapshot(6, 1.5),
    journal=JournalSnapshot("always", 7),
    recovering=(RecoveringSnapshot("b", "restoring", 0.5),),
    warnings=("drills are on",),
    replicas=(REPLICA,),
)


def test_a_snapshot_survives_json() -> None:
    assert CellSnapshot.from_json(json.loads(json.dumps(CELL.to_json()))) == CELL


def test_the_promised_keys_are_there() -> None:
    data = CELL.to_json()
    assert {"slot", "requests", "unanswered", "split", "replicas"} <= data.keys()
    assert {"name", "variant", "domain", "role", "slot", "dissents", "pid"} <= data["replicas"][0].keys()
    life = {"rebuilds", "convictions", "age_seconds", "last_rebuild", "last_recovery_seconds"}
    assert life <= data["replicas"][0].keys()
    assert data["exposure_seconds"] == 3.5
    assert data["checkpoint"] == {"slot": 6, "age_seconds": 1.5}
    assert data["journal"] == {"sync": "always", "synced_slot": 7}
    assert data["recovering"] == [{"replica": "b", "stage": "restoring", "share": 0.5}]


def test_unknown_keys_are_ignored_and_missing_ones_have_defaults() -> None:
    data = {key: CELL.to_json()[key] for key in ("name", "protocol", "listen", "f", "state", "pid")} | {"later": 1}
    cell = CellSnapshot.from_json(data)
    assert (cell.name, cell.slot, cell.replicas) == ("x", 0, ())
    assert (cell.checkpoint, cell.journal, cell.recovering) == (CheckpointSnapshot(), JournalSnapshot(), ())
    later = data | {"checkpoint": {"slot": 3, "later": 1}, "journal": {"later": 1}}
    assert CellSnapshot.from_json(later).checkpoint == CheckpointSnapshot(3)


def test_a_snapshot_without_its_name_is_none() -> None:
    with pytest.raises(TypeError):
        CellSnapshot.from_json({"slot": 3})
