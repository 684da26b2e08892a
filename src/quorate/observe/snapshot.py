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
class ReplicaSnapshot:
    """One seat's replica. Counters belong to the name, over all of its rebuilds.

    `role` is a word of the table in which a replica's life is written down; `slot` the last slot it answered;
    `backlog` counts slots that are decided but that it has not answered; `pid` is the service's own process as the
    host sees it; `cause` says why it was convicted or retired; `guarantees` what its domain enforces, by name.
    `age_seconds` is how long ago the replica that votes was begun, `last_rebuild` how many seconds ago the seat was
    rebuilt, `last_recovery_seconds` how long it went without a vote when it last lost it; None where there is nothing
    to tell.
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
    age_seconds: float | None = None
    last_rebuild: float | None = None
    last_recovery_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The replica as plain data for a JSON encoder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ReplicaSnapshot":
        """The replica that `to_json` described. Raises `TypeError` when it has no name, variant, domain or role."""
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class RecoveringSnapshot:
    """A replica under way for a seat. `share` is how much of its stage is done, 0 to 1."""

    replica: str
    stage: str
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckpointSnapshot:
    """The newest stable checkpoint: its slot, 0 for none yet, and how long ago it was made."""

    slot: int = 0
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JournalSnapshot:
    """How the journal is kept, and the newest slot that is on disk, 0 for none."""

    sync: str = "off"
    synced_slot: int = 0


@dataclass(frozen=True, slots=True)
class CellSnapshot:
    """A whole cell. `requests` counts what clients asked, `slot` what was ordered, `agreed` the slots decided.

    `state` is `serving`, `quorum lost` or `draining`. `unanswered` and `split` count slots closed without f+1 equal
    replies: for want of replies, and because they differed. `seats_empty` counts seats without a voting replica.
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
    checkpoint: CheckpointSnapshot = CheckpointSnapshot()
    journal: JournalSnapshot = JournalSnapshot()
    recovering: tuple[RecoveringSnapshot, ...] = ()
    warnings: tuple[str, ...] = ()
    replicas: tuple[ReplicaSnapshot, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data for a JSON encoder: what `status --json` prints."""
        return asdict(self) | {
            "recovering": [asdict(entry) for entry in self.recovering],
            "warnings": list(self.warnings),
            "replicas": [replica.to_json() for replica in self.replicas],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "CellSnapshot":
        """The cell that `to_json` described. Raises `TypeError` when a key without default is missing."""
        known = _known(cls, data)
        known["checkpoint"] = CheckpointSnapshot(**_known(CheckpointSnapshot, known.get("checkpoint", {})))
        known["journal"] = JournalSnapshot(**_known(JournalSnapshot, known.get("journal", {})))
        recovering = known.get("recovering", ())
        known["recovering"] = tuple(RecoveringSnapshot(**_known(RecoveringSnapshot, entry)) for entry in recovering)
        known["warnings"] = tuple(known.get("warnings", ()))
        known["replicas"] = tuple(map(ReplicaSnapshot.from_json, known.get("replicas", ())))
        return cls(**known)


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {entry.name for entry in fields(kind)}
    return {name: value for name, value in data.items() if name in names}
