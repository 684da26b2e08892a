"""The journal's records as bytes, no disk: all that others need of them, in one place.

`Journal` makes one record of the writes that one turn of the loop ordered (`journal_writer.py`); `JournalReader` reads
records back (`journal_reader.py`); both keep to one form (`journal_record.py`). What keeps them is no concern of these.
"""

from .journal_reader import JournalReader, entries_of, reason_of
from .journal_record import (
    CHECKSUM_BYTES,
    DAMAGED_HINT,
    ENDED,
    INEXACT,
    KEY_BYTES,
    NO_CHECKPOINT_HINT,
    NO_CHECKSUM,
    RECORD_BYTES_MAX,
    TOMBSTONE,
    WRITES,
    Change,
    Entry,
    JournalFault,
    Record,
    mark_of,
)
from .journal_writer import Journal

__all__ = [
    "CHECKSUM_BYTES",
    "DAMAGED_HINT",
    "ENDED",
    "INEXACT",
    "KEY_BYTES",
    "NO_CHECKPOINT_HINT",
    "NO_CHECKSUM",
    "RECORD_BYTES_MAX",
    "TOMBSTONE",
    "WRITES",
    "Change",
    "Entry",
    "Journal",
    "JournalFault",
    "JournalReader",
    "Record",
    "entries_of",
    "mark_of",
    "reason_of",
]
