"""A snapshot survives the way through JSON, and what another release added or lacks."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from quorate.observe.snapshot import (
    CellSnapshot,
    CheckpointSnapshot,
    JournalSnapshot,
    ReplicaSnapshot,
    ShadowSnapshot,
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
    last_rebuild_seconds=3.0,
    last_recovery_seconds=0.5,
    shadow=ShadowSnapshot("w", "restoring", 0.5),
    retiring=1,
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
    checkpoint=CheckpointSnapshot(6, 1.5, "its disk is full", ("database 0 key 'long': too long",), 1),
    revivals=2,
    tombstones=3,
    journal=JournalSnapshot("always", 7, "no disk", is_full=True),
    warnings=("drills are on",),
    replicas=(REPLICA,),
)


def test_a_snapshot_survives_json() -> None:
    assert CellSnapshot.from_json(json.loads(json.dumps(CELL.to_json()))) == CELL


def test_the_promised_keys_are_there() -> None:
    data = CELL.to_json()
    assert {"slot", "requests", "unanswered", "split", "replicas"} <= data.keys()
    assert {"name", "variant", "domain", "role", "slot", "dissents", "pid"} <= data["replicas"][0].keys()
    life = {"rebuilds", "convictions", "age_seconds", "last_rebuild_seconds", "last_recovery_seconds"}
    assert life <= data["replicas"][0].keys()
    assert data["exposure_seconds"] == 3.5
    unreadable = ["database 0 key 'long': too long"]
    assert data["checkpoint"] == {
        "slot": 6,
        "age_seconds": 1.5,
        "fault": "its disk is full",
        "unreadable": unreadable,
        "unreadable_keys": 1,
    }
    assert data["journal"] == {"sync": "always", "synced_slot": 7, "fault": "no disk", "is_full": True}
    assert data["replicas"][0]["shadow"] == {"variant": "w", "role": "restoring", "share": 0.5}
    assert data["replicas"][0]["retiring"] == 1


def test_the_documentation_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = page.split("## quorate status")[1].split("## ")[0]
    kinds = (CellSnapshot, ReplicaSnapshot, ShadowSnapshot, CheckpointSnapshot, JournalSnapshot)
    assert [field.name for kind in kinds for field in fields(kind) if f"`{field.name}`" not in section] == []


def test_unknown_keys_are_ignored_and_missing_ones_have_defaults() -> None:
    data = {key: CELL.to_json()[key] for key in ("name", "protocol", "listen", "f", "state", "pid")} | {"later": 1}
    cell = CellSnapshot.from_json(data)
    assert (cell.name, cell.slot, cell.replicas) == ("x", 0, ())
    assert (cell.checkpoint, cell.journal) == (CheckpointSnapshot(), JournalSnapshot())
    later = data | {"checkpoint": {"slot": 3, "later": 1}, "journal": {"later": 1}}
    assert CellSnapshot.from_json(later).checkpoint == CheckpointSnapshot(3)
    shadow = {"variant": "v", "role": "booting", "later": 1}
    replica = {"name": "a", "variant": "v", "domain": "sandbox", "role": "voting", "shadow": shadow}
    assert ReplicaSnapshot.from_json(replica).shadow == ShadowSnapshot("v", "booting")


def test_a_snapshot_without_its_name_is_none() -> None:
    with pytest.raises(TypeError):
        CellSnapshot.from_json({"slot": 3})
