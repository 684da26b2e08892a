"""Whether a journal belongs to the state store beside it: two that do not are refused, never joined.

Each process that opens a journal is a *writer* of it, by a name of its own. Every segment names its writer, and the
checkpoint that its writer started from, its *base*. Every checkpoint names the writer in whose time it was made, and
the *predecessor*: who wrote the end of the journal that this one went on with, and up to which record. A process
starts from the last checkpoint there is. So whatever moment a crash takes, one of these is true of what it leaves:

1. There is no checkpoint, and the journal began beside an empty store. (Whether it still reaches back so far is seen
   when it is executed again.)
2. The journal's last writer started from this checkpoint, and has found then that they belong together.
3. The journal's last writer made this checkpoint himself, and all the records that were durable by then are there.
4. Somebody after him made it, of whom the journal kept nothing: it ends where he went on.

Names of writers, not of journals: of two copies of a cell that both went on, each has writers that the other has not,
though most of their journals is the same to the byte.

A journal may lack what was written before its *origin*, the slot of a checkpoint: one that begins beside a store which
is not empty, or whose last records a loss of power took, while a checkpoint kept their writes.
"""

from pathlib import Path

from ..trusted.journal_record import NO_CHECKPOINT_HINT, JournalFault
from .anchor import Base
from .journal_segment import Head

BELONGING_HINT = (
    "restore state store and journal from one copy; or move the journal away: the cell then starts from its last "
    "checkpoint, and what was written after that is lost"
)


def check_belonging(directory: Path, last: Head, number: int, base: Base) -> None:
    """Raise `JournalFault` unless the journal in `directory` belongs to the state store whose checkpoint is `base`.

    `last` is the head of the last segment that its chain reaches, `number` the chain's last record.
    """
    if not base.slot:
        if last.origin:
            raise JournalFault(
                f"the journal {directory} begins behind slot {last.origin}, "
                "but the last checkpoint is of slot 0: what was written between is lost",
                NO_CHECKPOINT_HINT,
            )
        return
    if last.base == base.name:
        return
    anchor = base.anchor
    is_own = last.writer == anchor.writer
    durable = anchor.synced if is_own else anchor.continued
    if not is_own and (last.writer != anchor.predecessor or number > anchor.continued):
        raise JournalFault(
            f"the journal {directory} and the state store beside it do not belong together: one of the two is another "
            "cell's, or of another moment",
            BELONGING_HINT,
        )
    if number < durable:
        raise JournalFault(
            f"the journal {directory} is older than the state store beside it: it ends with record {number}, and "
            f"{durable} were on disk when the last checkpoint was made",
            BELONGING_HINT,
        )


def origin_of(last: Head | None, number: int, base: Base) -> int:
    """The slot before which the journal may lack something from now on; `last` and `number` as above, or no journal.

    Where it cannot be told whether the missing records' writes are in the checkpoint, they are taken to be.
    """
    if last is None or number < base.anchor.number:
        return base.slot
    return last.origin
