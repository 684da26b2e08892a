"""A snapshot survives the way through JSON, and what another release added or lacks."""

import json

import pytest

from quorate.observe.snapshot import CellSnapshot, ReplicaSnapshot

REPLICA = ReplicaSnapshot("a", "v", "sandbox", "voting", slot=7, pid=12, guarantees={"network": "none"})
CELL = CellSnapshot(
    "x", "redis", "127.0.0.1:1", 1, "serving", 99, slot=7, requests=8, warnings=("drills are on",), replicas=(REPLICA,)
)


def test_a_snapshot_survives_json() -> None:
    assert CellSnapshot.from_json(json.loads(json.dumps(CELL.to_json()))) == CELL


def test_the_promised_keys_are_there() -> None:
    data = CELL.to_json()
    assert {"slot", "requests", "unanswered", "split", "replicas"} <= data.keys()
    assert {"name", "variant", "domain", "role", "slot", "dissents", "pid"} <= data["replicas"][0].keys()


def test_unknown_keys_are_ignored_and_missing_ones_have_defaults() -> None:
    data = {key: CELL.to_json()[key] for key in ("name", "protocol", "listen", "f", "state", "pid")} | {"later": 1}
    cell = CellSnapshot.from_json(data)
    assert (cell.name, cell.slot, cell.replicas) == ("x", 0, ())


def test_a_snapshot_without_its_name_is_none() -> None:
    with pytest.raises(TypeError):
        CellSnapshot.from_json({"slot": 3})
