"""What is written down of the order: writes as they are ordered, and the slots that nobody executes again.

Knows no disk: the journal's records are taken, and written, by the shell. Without a journal nothing is recorded but
tombstones, which are kept until a checkpoint lies behind them.
"""

from .changes import Changes
from .journal_record import INEXACT, Entry
from .journal_writer import Journal
from .judge import Replayed
from .span import Span
from .tombstones import Tombstones


class Recording:
    """`tombstones` are slots that were closed without a decision since the last checkpoint: all writes among them."""

    def __init__(self, changes: Changes) -> None:
        self.journal: Journal | None = None
        self.tombstones = Tombstones()
        # Whether something is to be written though nothing is to be sent to the replicas.
        self.has_news = False
        self._changes = changes

    def begin(self, journal: Journal) -> None:
        """From now on each write goes into this journal."""
        self.journal = journal
        self._changes.is_journaled = True

    def end(self) -> None:
        """There is no journal any more."""
        self.journal = None
        self._changes.is_journaled = False

    def wrote(self, span: Span) -> None:
        """`span`, all writes, was ordered, and what it may change was noted."""
        if self.journal is not None:
            self.journal.append(span, self._changes.take_recent())

    def bury(self, slot: int, reason: str, now: int) -> None:
        """Nobody executes this slot again. That is on disk before its owner is told."""
        self.tombstones.bury(slot, slot, reason)
        if self.journal is not None:
            self.journal.tombstone(slot, reason, now)
            self.has_news = True

    def closed(self, slot: int, reason: str, is_write: bool, now: int) -> None:
        """This slot was not decided: bury it if it is a write, or if a read leaves no gap between writes so."""
        if is_write or self.tombstones.would_grow(slot, reason):
            self.bury(slot, reason, now)

    def kept(self, slot: int) -> None:
        """A checkpoint is kept: what lies before it is executed by nobody any more."""
        self.tombstones.forget(slot)


def span_of(entry: Entry) -> Span:
    """What the journal holds, as slots of the cell's own."""
    form = Replayed() if entry.mode & INEXACT else None
    span = Span(None, entry.requests, entry.mode & ~INEXACT, is_write=True, form=form)
    span.frames = entry.frames
    span.is_replayed = True
    return span
