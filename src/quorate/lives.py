"""What is told of a seat's life: how often its replica was rebuilt, and how old it is.

Written by the cell, read by its observers. Decides nothing: the schedule is the trusted core's.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Life:
    """One seat's life. Moments are seconds of the monotonic clock.

    `born_at` is when the replica in the seat was begun; `last_recovery_seconds` how long the seat went without a vote,
    from its loss to voting again, when that happened last. `failures` counts what was to be the seat's next replica and
    came to nothing; `postponed` says why a restart that is due does not begin.
    """

    rebuilds: int = 0
    failures: int = 0
    postponed: str = ""
    born_at: float = 0.0
    last_rebuild_at: float | None = None
    last_recovery_seconds: float | None = None
