"""What a cell says about itself at one moment: frozen, complete, and the same for screen, JSON and metrics.

Knows nothing of how the numbers are gathered. `from_json` takes what another release printed: unknown keys are
ignored, missing ones take their defaults.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

SERVING = "serving"
QUORUM_LOST = "quorum lost"
REVIVING = "reviving"
DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class ShadowSnapshot:
    """A replica that is prepared for a seat: where it stands in its life, and how much of that is done, 0 to 1."""

    variant: str
    role: str
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplicaSnapshot:
    """One seat's replica. Counters belong to the name, over all of its rebuilds.

    `role` is a word of the table in which a replica's life is written down; `slot` the last slot it answered;
    `backlog` counts slots that are decided but that it has not answered; `pid` is the service's own process as the
    host sees it; `cause` says why it was convicted or retired; `guarantees` what its domain enforces, by name.
    `age_seconds` is how long ago the replica that votes was begun, `last_rebuild_seconds` how long ago the seat was
    rebuilt, `last_recovery_seconds` how long it went without a vote when it last lost it. `shadow` is what is prepared
    for the seat beside it. None where there is nothing to tell. `retiring` counts replicas that another one has
    replaced, and whose domains have not ended yet. `rebuilds_failed` counts those that came to nothing; `postponed`
    says why a restart that is due is not begun.
    """

    name: str
    variant: str
    domain: str
    role: str
    slot: int = 0
    dissents: int = 0
    pid: int | None = None
    cause: str = ""
    backlog: int = 0
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    guarantees: dict[str, str] = field(default_factory=dict)
    convictions: int = 0
    rebuilds: int = 0
    rebuilds_failed: int = 0
    postponed: str = ""
    age_seconds: float | None = None
    last_rebuild_seconds: float | None = None
    last_recovery_seconds: float | None = None
    shadow: ShadowSnapshot | None = None
    retiring: int = 0

    def to_json(self) -> dict[str, Any]:
        """The replica as plain data for a JSON encoder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ReplicaSnapshot":
        """The replica that `to_json` described. Raises `TypeError` when it has no name, variant, domain or role."""
        known = _known(cls, data)
        if known.get("shadow") is not None:
            known["shadow"] = ShadowSnapshot(**_known(ShadowSnapshot, known["shadow"]))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class CheckpointSnapshot:
    """The newest stable checkpoint: its slot, 0 for none yet, and how long ago it was made.

    `fault` says why state is kept no more, if it is not. `unreadable` names keys for which there are no checkpoints,
    the first of so many `unreadable_keys`.
    """

    slot: int = 0
    age_seconds: float | None = None
    fault: str = ""
    unreadable: tuple[str, ...] = ()
    unreadable_keys: int = 0


@dataclass(frozen=True, slots=True)
class JournalSnapshot:
    """How the journal is kept, and the slot of the newest write that is on disk, 0 for none. Reads do not count.

    `fault` says why it can no longer be written, if so; `is_full` that the disk has no room and writes are refused.
    """

    sync: str = "off"
    synced_slot: int = 0
    fault: str = ""
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class CellSnapshot:
    """A whole cell. `requests` counts what clients asked, `slot` what was ordered, `agreed` the slots decided.

    `state` is `serving`, `quorum lost`, `reviving` or `draining`. `unanswered` and `split` count slots closed without
    f+1 equal replies: for want of replies, and because they differed. `seats_empty` counts seats without a voter.
    `evidence_dropped` counts dissents that could not be kept. `exposure_seconds` is the age of the oldest replica that
    votes: for so long an intrusion may have gone unseen.
    """

    name: str
    protocol: str
    listen: str
    f: int
    state: str
    pid: int
    uptime_seconds: float = 0.0
    slot: int = 0
    requests: int = 0
    agreed: int = 0
    unanswered: int = 0
    split: int = 0
    clients: int = 0
    drills: bool = False
    seats_empty: int = 0
    evidence_dropped: int = 0
    exposure_seconds: float = 0.0
    revivals: int = 0
    tombstones: int = 0
    checkpoint: CheckpointSnapshot = CheckpointSnapshot()
    journal: JournalSnapshot = JournalSnapshot()
    warnings: tuple[str, ...] = ()
    replicas: tuple[ReplicaSnapshot, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data for a JSON encoder: what `status --json` prints."""
        return asdict(self) | {
            "checkpoint": asdict(self.checkpoint) | {"unreadable": list(self.checkpoint.unreadable)},
            "warnings": list(self.warnings),
            "replicas": [replica.to_json() for replica in self.replicas],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "CellSnapshot":
        """The cell that `to_json` described. Raises `TypeError` when a key without default is missing."""
        known = _known(cls, data)
        checkpoint = _known(CheckpointSnapshot, known.get("checkpoint", {}))
        checkpoint["unreadable"] = tuple(checkpoint.get("unreadable", ()))
        known["checkpoint"] = CheckpointSnapshot(**checkpoint)
        known["journal"] = JournalSnapshot(**_known(JournalSnapshot, known.get("journal", {})))
        known["warnings"] = tuple(known.get("warnings", ()))
        known["replicas"] = tuple(map(ReplicaSnapshot.from_json, known.get("replicas", ())))
        return cls(**known)


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {entry.name for entry in fields(kind)}
    return {name: value for name, value in data.items() if name in names}
