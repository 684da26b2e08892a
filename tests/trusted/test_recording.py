"""What is written down of the order, and for how long a slot stays buried."""

from quorate.trusted.changes import STRING, Changes
from quorate.trusted.journal_reader import entries_of
from quorate.trusted.journal_writer import Journal
from quorate.trusted.recording import Recording
from quorate.trusted.span import Span


def write(first: int) -> Span:
    span = Span(None, [b"SET a 1"], 0, is_write=True)
    span.first = first
    return span


def test_a_write_is_journaled_with_what_it_may_change_while_there_is_a_journal() -> None:
    changes = Changes()
    recording = Recording(changes)
    changes.note(0, b"early", STRING)
    recording.wrote(write(1))
    journal = Journal(b"k" * 16)
    recording.begin(journal)
    changes.note(0, b"a", STRING)
    recording.wrote(write(2))
    recording.end()
    changes.note(0, b"late", STRING)
    recording.wrote(write(3))
    (record,) = journal.take()
    assert [(entry.first, entry.changes) for entry in entries_of(record)] == [(2, [(0, STRING, b"a")])]
    assert changes.take_recent() == []


def test_a_slot_is_buried_until_a_checkpoint_lies_behind_it() -> None:
    recording = Recording(Changes())
    journal = Journal(b"k" * 16)
    recording.bury(3, "split", now=1)
    news = [recording.has_news]
    recording.begin(journal)
    recording.bury(7, "unanswered", now=2)
    assert [*news, recording.has_news] == [False, True], "without a journal there is nowhere to write it"
    assert [(record.first_slot, record.last_slot) for record in journal.take()] == [(7, 7)]
    recording.kept(2)
    assert recording.tombstones.ranges == [(3, 3, "split"), (7, 7, "unanswered")]
    recording.kept(3)
    assert recording.tombstones.ranges == [(7, 7, "unanswered")]
    recording.kept(9)
    assert recording.tombstones.ranges == []


def test_reads_that_were_not_decided_are_buried_only_between_writes() -> None:
    """They need no tombstone, but leaving them out would give each write beside them one of its own."""
    recording = Recording(Changes())
    for slot, is_write in ((1, False), (2, True), (3, False), (4, True), (6, False)):
        recording.closed(slot, "unanswered", is_write, now=slot)
    assert recording.tombstones.ranges == [(2, 4, "unanswered")]
