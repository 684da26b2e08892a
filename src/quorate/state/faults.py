"""What can go wrong with kept state, by who must act.

OperatorFault
└── StateFault  the store on disk is damaged, full or somebody else's: the operator must act
FeedFault       one feed of one shadow has ended; nothing else has
"""

from pathlib import Path

from ..trusted.errors import OperatorFault

BEGIN_EMPTY = "to begin empty, move its whole directory away"
# The journal may still reach back to the first slot: then nothing is lost with the store.
BEGIN_FROM_JOURNAL = (
    "restore the state directory from a copy; without one, move the store's files alone away: the cell starts if its "
    "journal still holds all from the beginning, and says so if it does not"
)


class StateFault(OperatorFault):
    """The state store cannot be used: no replica is to blame."""


def damaged(path: Path, what: object) -> StateFault:
    """The fault of a store that does not hold what was written to it."""
    return StateFault(f"the state store {path} is damaged: {what}", BEGIN_FROM_JOURNAL)


class FeedFault(Exception):
    """A feed ended without success. `is_replicas` says that the replica misbehaved, so that it deserves no seat."""

    def __init__(self, reason: str, is_replicas: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_replicas = is_replicas
