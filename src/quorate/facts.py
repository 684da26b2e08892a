"""What Ring 1 tells observers of recovery, in the past tense."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RebuildBegan:
    """A shadow is being prepared for a replica's seat."""

    replica: str
    variant: str
    why: str


@dataclass(frozen=True, slots=True)
class RebuildFailed:
    """A shadow came to nothing. It is tried again, unless it was asked for."""

    replica: str
    variant: str
    reason: str


@dataclass(frozen=True, slots=True)
class RebuildDone:
    """A rebuilt replica votes, `seconds` after its predecessor was lost, or else after its rebuild began.

    `is_planned`: nobody was lost, it was due or asked for.
    """

    replica: str
    variant: str
    seconds: float
    is_planned: bool = False


@dataclass(frozen=True, slots=True)
class RebuildPostponed:
    """A restart that is due would leave too few voters."""

    replica: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeatLeftEmpty:
    """The cell begins without a replica in this seat, for this reason; it is rebuilt as any that was lost."""

    replica: str
    reason: str


@dataclass(frozen=True, slots=True)
class RevivalBegan:
    """All replicas begin anew, because of this."""

    reason: str


@dataclass(frozen=True, slots=True)
class RevivalEnded:
    """The cell serves again, after so many seconds; or it is lost, with the reason why."""

    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JournalSuspected:
    """All began anew so many `times` in a row: something among these slots of the journal may be why."""

    first: int
    last: int
    times: int


@dataclass(frozen=True, slots=True)
class StateLost:
    """State is kept no more, for this reason: no replica can be rebuilt until another keeper has read it anew."""

    reason: str


@dataclass(frozen=True, slots=True)
class StateRegained:
    """Another keeper has made a checkpoint: what was lost with the one before is made up for."""


@dataclass(frozen=True, slots=True)
class StateMiscounted:
    """Keys of these databases came or went that no request named: there is no checkpoint before all is read again."""

    databases: list[int]


@dataclass(frozen=True, slots=True)
class JournalLost:
    """The journal cannot be written any more, for this reason. With sync `off`, the cell serves on without it."""

    reason: str


@dataclass(frozen=True, slots=True)
class JournalMissing:
    """The cell begins at the checkpoint of `slot` without any journal: nothing written after it is known."""

    slot: int


@dataclass(frozen=True, slots=True)
class JournalFull:
    """The disk has no room for the journal: writes are refused, reads are served."""


@dataclass(frozen=True, slots=True)
class JournalHasRoom:
    """The disk has room for the journal again: writes are served."""


Fact = (
    RebuildBegan
    | RebuildFailed
    | RebuildDone
    | RebuildPostponed
    | SeatLeftEmpty
    | RevivalBegan
    | RevivalEnded
    | JournalSuspected
    | StateLost
    | StateRegained
    | StateMiscounted
    | JournalLost
    | JournalMissing
    | JournalFull
    | JournalHasRoom
)
