"""Who is guilty. Weighs dissents and faults, and says what follows; removes nobody itself.

Only a decided slot convicts. A first dissent on a write convicts. On a read the request is asked again, as a new
slot, to all: a repeated dissent convicts, and so do too many first ones. A lane that broke is useless either way.
No other conviction may leave fewer than f+1 voters. Who is merely slow is replaced, not convicted.
"""

from enum import Enum

from .messages import Cause
from .quorum import may_lose_a_voter
from .span import Form, Span
from .verdicts import Dissent


class Sentence(Enum):
    """What happens to a replica that was found at fault."""

    CONVICT = "convict"
    RETIRE = "retire"
    SPARE = "spare"


class Untold(Form):
    """The cell's own, told to nobody: nothing follows from the agreed reply."""


class Replayed(Untold):
    """A write executed again. Its replies were voted on the first time, in a form that nobody knows any more.

    They may hold elements in each replica's own order, so all count as equal. What the write left is compared when the
    state is read.
    """

    is_exact = False

    def canonical(self, reply: bytes) -> bytes:
        """The same for all: that there was a reply."""
        return b"replayed"


class Reask(Untold):
    """A read asked again because `accused` dissented; compared as the first time, told to nobody."""

    def __init__(self, accused: int, form: Form | None) -> None:
        self.accused = accused
        self.is_exact = form is None or form.is_exact
        self._form = form

    def canonical(self, reply: bytes) -> bytes:
        """As the form of the request that is asked again."""
        return reply if self._form is None else self._form.canonical(reply)


# After these, nothing that the replica sends can be counted: its vote is lost already.
LANE_IS_LOST = frozenset(
    (Cause.GARBAGE, Cause.UNASKED, Cause.FLOOD, Cause.CRASH, Cause.REFUSED, Cause.BACKLOG),
)

# A correct replica may come to this.
MERELY_SLOW = frozenset((Cause.LAG, Cause.BACKLOG))


class Judge:
    """Remembers what each replica did on reads, by seat."""

    def __init__(self, f: int, seats: int, read_dissents_max: int) -> None:
        self._f = f
        self._read_dissents_max = read_dissents_max
        self._read_dissents = [0] * seats

    def weigh(self, dissent: Dissent) -> Cause | None:
        """Why this dissent convicts, or None: then the request is asked again, if it was a first dissent."""
        form = dissent.span.form
        if dissent.span.is_write:
            return Cause.WRONG_WRITE
        if isinstance(form, Reask) and form.accused == dissent.seat:
            return Cause.WRONG_READ
        self._read_dissents[dissent.seat] += 1
        if self._read_dissents[dissent.seat] >= self._read_dissents_max:
            return Cause.WRONG_READS
        return None

    def forgive_all(self) -> None:
        """All seats have new replicas."""
        self._read_dissents = [0] * len(self._read_dissents)

    def forgive(self, seat: int) -> None:
        """Another replica has this seat: nothing is held against it."""
        self._read_dissents[seat] = 0

    def reask(self, dissent: Dissent) -> Span:
        """The read that a replica dissented on, as a new request of the cell itself."""
        span = dissent.span
        again = Span(None, [span.request_at(dissent.slot)], span.mode, False, Reask(dissent.seat, span.form))
        again.frames = span.frames
        return again

    def sentence(self, cause: Cause, voters: int) -> Sentence:
        """What follows for a replica at fault, while `voters` replicas vote, itself included."""
        if cause not in LANE_IS_LOST and not may_lose_a_voter(voters, self._f):
            return Sentence.SPARE
        return Sentence.RETIRE if cause in MERELY_SLOW else Sentence.CONVICT
