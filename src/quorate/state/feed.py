"""A feed: makes one shadow what the store is, proves it, and keeps it so until it is sealed.

    RESTORING → COUNTING → FOLLOWING → SEALING → SEALED

From a snapshot of the last commit all rows are restored, read back and compared, and in the end the keys of each
database counted: the proof that the shadow is the state at that slot. What later commits change is marked, by key; the
shadow then follows: each marked key is made absent, restored as it was last committed, and read back. When nothing is
marked, the shadow is the last commit. A seal waits for that, and counts once more.

No commit may come between a seal and its end: there would be no slot of which the proof speaks.
"""

from collections.abc import Callable
from enum import Enum

from . import wire
from .batch import BATCH_BYTES, REQUEST_WEIGHT, Batches
from .dialects import StateDialect
from .faults import FeedFault
from .lane import FeedLane, silent
from .marks import Marks
from .store import StateStore

SILENCE_SECONDS_MAX = 10.0
# A longer gap in the keeper's own attention is not held against a replica.
ATTENTION_SECONDS_MAX = 1.0
PROGRESS_ROWS = 10_000


class Phase(Enum):
    """How far a feed has come."""

    RESTORING = "restoring"
    COUNTING = "counting"
    FOLLOWING = "following"
    SEALING = "sealing"
    SEALED = "sealed"


class Feed:
    """Feed `number` of the replica behind `lane`. `say` tells the coordinator."""

    def __init__(
        self,
        number: int,
        lane: FeedLane,
        store: StateStore,
        dialect: StateDialect,
        say: Callable[[wire.Event], None],
    ) -> None:
        self.number = number
        self.lane = lane
        self.phase = Phase.RESTORING
        self._store = store
        self._batches = Batches(lane, dialect)
        self._say = say
        self._marks = Marks()
        self._snapshot = store.snapshot()
        self._rows = self._snapshot.rows()
        self._rows_done = 0
        self._is_to_seal = False
        self._is_lagging = False

    # What the coordinator says.

    def committed(self, changed: Marks) -> None:
        """A commit was made, of these changes. Raises `FeedFault` when this feed cannot go on."""
        if self._is_to_seal:
            raise FeedFault("a commit came between a seal and its end", is_replicas=False)
        self._marks.join(changed)
        if self._marks.is_full:
            raise FeedFault("more keys changed meanwhile than can be remembered", is_replicas=False)
        if self.phase is Phase.FOLLOWING:
            self._tell_lag()

    def seal(self) -> None:
        """The last commit is what the replica must be."""
        self._is_to_seal = True

    # Work, in slices.

    @property
    def has_work(self) -> bool:
        """Whether there is a slice of work that need not wait for replies."""
        if not self.lane.has_room:
            return False
        if self.phase is Phase.FOLLOWING:
            return self._is_to_seal or len(self._marks) > 0
        return self.phase is Phase.RESTORING

    def work(self) -> None:
        """Do one slice: one batch. Raises `StateFault` when the store is damaged."""
        if self.phase is Phase.RESTORING:
            self._restore()
        elif len(self._marks):
            self._follow()
        else:
            self._batches.count(self._store.checkpoint.counts)
            self.phase = Phase.SEALING

    def _restore(self) -> None:
        rows = self._batches.restore(self._rows)
        self._rows_done += rows
        if not rows or self._rows_done // PROGRESS_ROWS > (self._rows_done - rows) // PROGRESS_ROWS:
            self._say(wire.Progressed(self.number, self._rows_done, self._snapshot.rows_total))
        if not rows:
            self._batches.count(self._snapshot.counts)
            self.phase = Phase.COUNTING

    def _follow(self) -> None:
        rows: list[tuple[int, bytes, bytes | None]] = []
        size = 0
        cleared = self._marks.take_cleared()
        while size < BATCH_BYTES and (mark := self._marks.take()) is not None:
            record = self._store.read(*mark)
            rows.append((*mark, record))
            size += len(mark[1]) + len(record or b"") + REQUEST_WEIGHT
        self._batches.renew(cleared, rows)
        self._tell_lag()

    def _tell_lag(self) -> None:
        self._is_lagging = True
        self._say(wire.Lagged(self.number, len(self._marks)))

    def settle(self) -> None:
        """Replies came: see what they complete."""
        if not self.lane.is_idle:
            return
        if self.phase is Phase.COUNTING:
            self._say(wire.Fed(self.number, self._snapshot.slot))
            self._snapshot.close()
            self.phase = Phase.FOLLOWING
        elif self.phase is Phase.SEALING:
            self._say(wire.Sealed(self.number, self._store.checkpoint.slot))
            self.phase = Phase.SEALED
        elif self.phase is Phase.FOLLOWING and self._is_lagging and not len(self._marks):
            self._is_lagging = False
            self._say(wire.Lagged(self.number, 0))

    # Time.

    def passed(self, seconds: float) -> None:
        """So much time went by since the last turn. Raises `FeedFault` when the replica was silent for too long."""
        self.lane.wait(min(seconds, ATTENTION_SECONDS_MAX))
        if self.lane.waited > SILENCE_SECONDS_MAX:
            raise silent(self.lane.waited)

    def close(self) -> None:
        """End it, wherever it stands. Idempotent."""
        self._snapshot.close()
        self.lane.close()
