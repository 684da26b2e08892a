"""What is told of a seat's life: how often its replica was rebuilt, how old it is, how far the next one has come.

Written by the cell, read by its observers. Decides nothing: the schedule is the trusted core's.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Life:
    """One seat's life. Moments are seconds of the monotonic clock.

    `born_at` is when the replica in the seat was begun; `last_recovery_seconds` how long the seat went without a vote,
    from its loss to voting again, when that happened last. `stage` is where the replica under way stands, a word of
    the table in which a replica's life is written down, and empty while there is none; `share` how much of that stage
    is done, 0 to 1.
    """

    rebuilds: int = 0
    born_at: float = 0.0
    last_rebuild_at: float | None = None
    last_recovery_seconds: float | None = None
    stage: str = ""
    share: float = 0.0
