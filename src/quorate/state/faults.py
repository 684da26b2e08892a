"""What can go wrong with kept state, by who must act.

OperatorFault
└── StateFault  the store on disk is damaged, full or somebody else's: the operator must act
FeedFault       one feed of one shadow has ended; nothing else has
"""

from pathlib import Path

from ..trusted.errors import OperatorFault

START_EMPTY = "with the cell stopped, move it away; the cell then starts without this state"


class StateFault(OperatorFault):
    """The state store cannot be used: no replica is to blame."""


def damaged(path: Path, what: object) -> StateFault:
    """The fault of a store that does not hold what was written to it."""
    return StateFault(f"the state store {path} is damaged: {what}", START_EMPTY)


class FeedFault(Exception):
    """A feed ended without success. `is_replicas` says that the replica misbehaved, so that it deserves no seat."""

    def __init__(self, reason: str, is_replicas: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_replicas = is_replicas
