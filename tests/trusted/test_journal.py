"""The journal's records, without a disk: what is read back, and what is not, whatever happened to the bytes."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.journal_reader import JournalReader, entries_of, reason_of
from quorate.trusted.journal_record import (
    ENDED,
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
from quorate.trusted.journal_writer import REASON_BYTES_MAX, RECORD_BYTES_GOAL, Journal
from quorate.trusted.span import Span

KEY = b"a secret of ours"
OTHER_KEY = b"another's secret"
ZEROS = bytes(4096)

Told = tuple[int, int, int, list[Change], list[bytes]]


def span_of(first: int, *requests: bytes, mode: int = 7, frames: int = 1, at: int = 0) -> Span:
    span = Span(None, list(requests), mode, is_write=True)
    span.first, span.frames, span.ordered_at = first, frames, at
    return span


def told(entry: Entry) -> Told:
    return entry.first, entry.mode, entry.frames, entry.changes, entry.requests


def read(data: bytes, key: bytes = KEY, piece: int = 0) -> tuple[JournalReader, list[Record]]:
    """All records of one segment, fed in pieces of so many bytes (0: at once)."""
    reader = JournalReader()
    reader.resume(key, 0, NO_CHECKSUM, 0)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)] if piece else [data]
    records = [record for part in pieces for record in reader.feed(part)]
    reader.finish()
    return reader, records


def written(count: int, is_each_synced: bool) -> list[Record]:
    """So many records; each is durable before the next is made, or none is."""
    journal = Journal(KEY)
    records = []
    for number in range(1, count + 1):
        journal.synced = number - 1 if is_each_synced else 0
        journal.append(span_of(number * 10, b"SET %d" % number, b"x"), [(3, 1, b"key")])
        records += journal.take()
    return records


def bytes_of(records: list[Record]) -> bytes:
    return b"".join(record.data for record in records)


def numbers_read(data: bytes) -> list[int] | str:
    """The numbers of the records that are read back, or why nothing is."""
    try:
        return [record.number for record in read(data)[1]]
    except JournalFault as fault:
        return str(fault)


SYNCED = written(5, is_each_synced=True)
UNSYNCED = written(5, is_each_synced=False)
STARTS = [0, *(len(bytes_of(SYNCED[: index + 1])) for index in range(5))]


def record_at(offset: int) -> int:
    """The number of the record that holds the byte at `offset`."""
    return next(index + 1 for index, (start, end) in enumerate(pairwise(STARTS)) if start <= offset < end)


# What is written is read.


@pytest.mark.parametrize("piece", [0, 1, 7, 64])
def test_a_turn_is_one_record_and_is_read_back_as_it_was(piece: int) -> None:
    journal = Journal(KEY)
    journal.append(span_of(3, b"SET a 1", b"", mode=1 << 16, frames=2, at=77), [(0, 1, b"a"), (15, 255, b"")])
    journal.append(span_of(9, b"DEL b", at=78), [])
    (record,) = journal.take()
    assert (record.first_slot, record.last_slot, record.time, journal.last_slot) == (3, 9, 78, 9)
    reader, (again,) = read(record.data + ZEROS, piece=piece)
    assert [told(entry) for entry in entries_of(again)] == [
        (3, 1 << 16, 2, [(0, 1, b"a"), (15, 255, b"")], [b"SET a 1", b""]),
        (9, 7, 1, [], [b"DEL b"]),
    ]
    assert (reader.number, reader.previous, reader.last_slot, reader.time) == (1, record.checksum, 9, 78)


def test_a_turn_without_writes_makes_no_record() -> None:
    assert Journal(KEY).take() == []


def test_neighbours_of_one_mode_share_an_entry_and_others_do_not() -> None:
    journal = Journal(KEY)
    journal.append(span_of(1, b"a"), [(0, 1, b"k")])
    journal.append(span_of(2, b"b"), [(0, 2, b"l")])
    journal.append(span_of(3, b"c", mode=8), [])
    journal.append(span_of(4, b"d", mode=8, frames=2), [])
    journal.append(span_of(6, b"e", mode=8, frames=2), [])
    (record,) = journal.take()
    assert [told(entry) for entry in entries_of(record)] == [
        (1, 7, 1, [(0, 1, b"k"), (0, 2, b"l")], [b"a", b"b"]),
        (3, 8, 1, [], [b"c"]),
        (4, 8, 2, [], [b"d"]),
        (6, 8, 2, [], [b"e"]),
    ]


def test_slots_are_journaled_in_their_order() -> None:
    journal = Journal(KEY, last_slot=5)
    with pytest.raises(BrokenInvariant, match="in their order"):
        journal.append(span_of(5, b"a"), [])


def test_notes_stand_between_the_writes_in_their_order() -> None:
    journal = Journal(KEY)
    journal.append(span_of(1, b"a", b"b", at=5), [])
    assert journal.pending_bytes >= 2
    journal.tombstone(2, "it made f+1 replicas die: é", now=6)
    journal.append(span_of(3, b"c", at=8), [])
    assert journal.pending_bytes > 3
    journal.end(now=9)
    records = journal.take()
    assert journal.pending_bytes == 0
    reader, again = read(bytes_of(records))
    assert [(record.kind, record.first_slot, record.last_slot) for record in again] == [
        (WRITES, 1, 2),
        (TOMBSTONE, 2, 2),
        (WRITES, 3, 3),
        (ENDED, 3, 3),
    ]
    assert reason_of(again[1]) == "it made f+1 replicas die: é"
    assert (reader.last_slot, reader.time) == (3, 9)


def test_neighbours_that_are_buried_for_one_reason_have_one_tombstone() -> None:
    """Until something else is noted, or the records are taken."""
    journal = Journal(KEY)
    for slot, reason in ((1, "split"), (2, "split"), (3, "unanswered"), (5, "unanswered")):
        journal.tombstone(slot, reason, now=1)
    journal.append(span_of(6, b"a"), [])
    for slot in (7, 8):
        journal.tombstone(slot, "split", now=2)
    records = journal.take()
    journal.tombstone(9, "split", now=3)
    journal.end(now=4)
    records += journal.take()
    assert [(record.kind, record.first_slot, record.last_slot) for record in read(bytes_of(records))[1]] == [
        (TOMBSTONE, 1, 2),
        (TOMBSTONE, 3, 3),
        (TOMBSTONE, 5, 5),
        (WRITES, 6, 6),
        (TOMBSTONE, 7, 8),
        (TOMBSTONE, 9, 9),
        (ENDED, 6, 6),
    ]


def test_a_long_reason_is_cut() -> None:
    journal = Journal(KEY)
    journal.tombstone(1, "x" * 10_000, now=0)
    assert reason_of(journal.take()[0]) == "x" * REASON_BYTES_MAX


def test_a_turn_that_orders_much_makes_several_records() -> None:
    journal = Journal(KEY)
    large = bytes(RECORD_BYTES_GOAL // 2 - 100)
    for slot in range(1, 4):
        journal.append(span_of(slot, large), [])
    records = journal.take()
    assert [(record.first_slot, record.last_slot) for record in records] == [(1, 2), (3, 3)]
    assert [record.number for record in read(bytes_of(records))[1]] == [1, 2]


def test_keys_count_as_what_a_turn_orders() -> None:
    journal = Journal(KEY)
    large = bytes(RECORD_BYTES_GOAL // 2 - 100)
    for slot in range(1, 4):
        journal.append(span_of(slot, b"DEL"), [(0, 1, large)])
    assert journal.pending_bytes > 3 * len(large)
    assert [(record.first_slot, record.last_slot) for record in journal.take()] == [(1, 2), (3, 3)]


def test_what_is_larger_than_a_record_may_be_is_our_own_bug() -> None:
    journal = Journal(KEY)
    journal.append(span_of(1, bytes(RECORD_BYTES_MAX)), [])
    with pytest.raises(BrokenInvariant, match="fits into a record"):
        journal.take()


def test_what_lies_behind_a_slot_keeps_all_keys() -> None:
    entry = Entry(4, 7, 1, [(0, 1, b"k")], [b"a", b"b", b"c"])
    assert entry.last == 6
    assert entry.after(3) is entry
    assert told(entry.after(4)) == (5, 7, 1, [(0, 1, b"k")], [b"b", b"c"])


# A torn tail, and a corrupt middle.


def test_a_journal_cut_at_any_byte_gives_all_records_before() -> None:
    data = bytes_of(SYNCED)
    for size in range(len(data) + 1):
        whole = [number for number in range(1, 6) if STARTS[number] <= size]
        assert numbers_read(data[:size]) == whole
        assert numbers_read(data[:size] + ZEROS) == whole


def test_any_flipped_bit_before_the_last_record_is_a_corrupt_middle_when_each_was_synced() -> None:
    data = bytearray(bytes_of(SYNCED))
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        found = numbers_read(bytes(data) + ZEROS)
        data[bit // 8] ^= 1 << bit % 8
        number = record_at(bit // 8)
        if number < 5:
            # The next record says that this one was durable; those after it say so of more.
            assert isinstance(found, str)
            assert f"its records {number} to " in found
        else:
            assert found == [1, 2, 3, 4]


def test_any_flipped_bit_in_what_was_never_synced_cuts_it_there() -> None:
    data = bytearray(bytes_of(UNSYNCED))
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        found = numbers_read(bytes(data) + ZEROS)
        data[bit // 8] ^= 1 << bit % 8
        assert found == list(range(1, record_at(bit // 8)))


def test_after_a_clean_end_damage_to_the_last_write_shows_too() -> None:
    journal = Journal(KEY)
    journal.append(span_of(1, b"a"), [])
    records = journal.take()
    journal.synced = 1
    journal.end(now=0)
    records += journal.take()
    data = bytearray(bytes_of(records))
    assert numbers_read(bytes(data)) == [1, 2]
    for offset in range(len(records[0].data)):
        data[offset] ^= 1
        assert "its records 1 to 1 are lost" in numbers_read(bytes(data))
        data[offset] ^= 1


@pytest.mark.parametrize("records", [SYNCED, UNSYNCED], ids=["synced", "unsynced"])
def test_records_swapped_repeated_or_removed_end_the_chain(records: list[Record]) -> None:
    for index in range(4):
        swapped = [*records[:index], records[index + 1], records[index], *records[index + 2 :]]
        repeated = [*records[: index + 1], *records[index:]]
        removed = [*records[:index], *records[index + 1 :]]
        for changed, kept in ((swapped, index), (repeated, index + 1), (removed, index)):
            found = numbers_read(bytes_of(changed) + ZEROS)
            most = max(_synced(record) for record in changed[kept:])
            if most > kept:
                assert f"its records {kept + 1} to " in found
            else:
                assert found == list(range(1, kept + 1))


def _synced(record: Record) -> int:
    return int(struct.unpack_from("<Q", record.data, 8 + 4 + 1 + 8)[0])


def test_a_page_of_zeros_is_a_torn_tail_only_where_nothing_after_it_says_otherwise() -> None:
    for records, is_lost in ((SYNCED, True), (UNSYNCED, False)):
        data = bytes_of(records)
        for number in range(1, 6):
            start, end = STARTS[number - 1], STARTS[number]
            found = numbers_read(data[:start] + bytes(end - start) + data[end:] + ZEROS)
            if is_lost and number < 5:
                assert f"its records {number} to " in found
            else:
                assert found == list(range(1, number))


def test_records_kept_by_the_disk_beyond_a_hole_that_nobody_synced_are_no_proof() -> None:
    """Power was lost while a group of records was under way: the disk kept the later pages first."""
    journal = Journal(KEY)
    records = []
    for slot in range(1, 7):
        journal.synced = 2 if slot > 3 else 0
        journal.append(span_of(slot, b"SET"), [])
        records += journal.take()
    hole = bytes(len(records[2].data))
    assert numbers_read(bytes_of(records[:2]) + hole + bytes_of(records[3:])) == [1, 2]
    hole = bytes(len(records[1].data))
    assert "its records 2 to 2 are lost" in numbers_read(bytes_of(records[:1]) + hole + bytes_of(records[2:]))


def test_what_another_key_sealed_is_no_record() -> None:
    assert numbers_read(bytes_of(SYNCED[:2])) == [1, 2]
    assert read(bytes_of(SYNCED), key=OTHER_KEY)[1] == []


def test_a_client_cannot_forge_a_record_within_its_request() -> None:
    forger = Journal(OTHER_KEY, number=90)
    forger.append(span_of(1, b"x"), [])
    forged = bytes_of(forger.take())
    # Even one who guessed the mark.
    forged += mark_of(KEY) + forged[8:]
    journal = Journal(KEY)
    journal.append(span_of(1, b"a"), [])
    first = bytes_of(journal.take())
    journal.append(span_of(2, b"SET k " + forged), [])
    second = bytes_of(journal.take())
    assert numbers_read(first + second) == [1, 2]
    assert numbers_read(first + second[:-1] + ZEROS) == [1]


def test_a_record_that_says_it_is_longer_than_its_segment_is_no_record() -> None:
    head = mark_of(KEY) + struct.pack("<I", 1_000_000)
    for length in (0, 1_000_000, RECORD_BYTES_MAX + 1):
        head = mark_of(KEY) + struct.pack("<I", length) + bytes(100)
        assert numbers_read(bytes_of(SYNCED[:1]) + head) == [1]
    # What it hides is found all the same, when the segment ends.
    assert "its records 2 to 4 are lost" in numbers_read(
        bytes_of(SYNCED[:1]) + mark_of(KEY) + struct.pack("<I", 1_000_000) + bytes_of(SYNCED[4:])
    )


def test_the_tail_is_looked_through_in_pieces_too() -> None:
    data = bytes_of(SYNCED[:1]) + b"?" + bytes_of(SYNCED[2:])
    for piece in (1, 3, 50):
        with pytest.raises(JournalFault, match="its records 2 to 2 are lost"):
            read(data, piece=piece)


def test_a_fault_says_what_to_do() -> None:
    with pytest.raises(JournalFault) as caught:
        read(bytes_of(SYNCED[1:]))
    assert "restore the state directory from a copy" in caught.value.hint


def test_what_is_fed_before_a_segment_begins_is_nothing() -> None:
    reader = JournalReader()
    assert reader.feed(bytes_of(SYNCED)) == []
    assert reader.has_ended


@given(st.binary(max_size=200), st.integers(0, 600), st.integers(0, 200))
def test_whatever_the_bytes_only_a_beginning_of_what_was_written_is_read(junk: bytes, at: int, gap: int) -> None:
    data = bytes_of(SYNCED)
    for key in (KEY, OTHER_KEY):
        try:
            found = read(data[:at] + junk + data[at + gap :], key=key)[1]
        except JournalFault:
            continue
        assert [record.data for record in found] == [record.data for record in SYNCED[: len(found)]]


# Segments.


def test_the_chain_goes_on_in_the_next_segment_with_another_key() -> None:
    """What stands behind the last record was cut off: the next process went on from there."""
    journal = Journal(OTHER_KEY, 2, SYNCED[1].checksum, last_slot=20)
    journal.append(span_of(30, b"a"), [])
    (third,) = journal.take()
    for torn in (b"", ZEROS, SYNCED[2].data[:-1], SYNCED[3].data):
        reader = JournalReader()
        reader.resume(KEY, 0, NO_CHECKSUM, 0)
        reader.feed(bytes_of(SYNCED[:2]) + torn[:60])
        reader.resume(OTHER_KEY, 2, SYNCED[1].checksum, 2)
        assert not reader.has_ended
        assert [record.number for record in reader.feed(third.data)] == [3]
        reader.finish()
        assert not reader.has_ended


def test_a_journal_may_begin_with_any_segment() -> None:
    reader = JournalReader()
    reader.resume(KEY, 3, SYNCED[2].checksum, 3)
    assert [record.number for record in reader.feed(bytes_of(SYNCED[3:]))] == [4, 5]


def test_a_segment_that_follows_on_a_synced_one_proves_what_is_lost() -> None:
    reader = JournalReader()
    reader.resume(KEY, 0, NO_CHECKSUM, 0)
    reader.feed(bytes_of(UNSYNCED[:2]))
    with pytest.raises(JournalFault, match="its records 3 to 4 are lost"):
        reader.resume(KEY, 5, UNSYNCED[4].checksum, 4)


def test_a_segment_beyond_a_torn_tail_is_only_looked_through() -> None:
    reader = JournalReader()
    reader.resume(KEY, 0, NO_CHECKSUM, 0)
    reader.feed(bytes_of(UNSYNCED[:2]))
    reader.resume(KEY, 3, UNSYNCED[2].checksum, 0)
    assert reader.feed(bytes_of(UNSYNCED[3:])) == []
    assert (reader.number, reader.has_ended) == (2, True)


@pytest.mark.parametrize(("number", "previous"), [(1, SYNCED[0].checksum), (2, SYNCED[0].checksum)])
def test_two_histories_are_refused(number: int, previous: bytes) -> None:
    reader = JournalReader()
    reader.resume(KEY, 0, NO_CHECKSUM, 0)
    reader.feed(bytes_of(SYNCED[:2]))
    with pytest.raises(JournalFault, match="continues twice"):
        reader.resume(KEY, number, previous, 0)


# What is intact, and makes no sense all the same.


def forged(kind: int, first: int, last: int, payload: bytes) -> Record:
    """An intact record with any payload: what a bug, or another release, would write."""
    journal = Journal(KEY)
    journal._finish(kind, first, last, [payload])
    return journal.take()[0]


@pytest.mark.parametrize(("kind", "first", "last"), [(WRITES, 0, 1), (WRITES, 2, 1), (0, 1, 1), (9, 1, 1)])
def test_an_intact_record_out_of_order_or_of_no_known_kind_is_refused(kind: int, first: int, last: int) -> None:
    with pytest.raises(JournalFault, match="record 1 of the journal makes no sense"):
        read(forged(kind, first, last, b"").data)


def body(entries: int, requests: int, changes: int, heads: list[int], rest: bytes = b"") -> bytes:
    return struct.pack(f"<III{len(heads)}Q", entries, requests, changes, *heads) + rest


ONE = struct.pack("<I", 1)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        body(0, 0, 0, []),
        body(1, 1, 0, []),
        body(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, [1, 1, 0, 1, 0]),
        body(1, 0, 0, [1, 0, 0, 1, 0]),  # no slot
        body(1, 1, 0, [0, 1, 0, 1, 0], ONE + b"a"),  # before its first slot
        body(1, 1, 0, [2, 1, 0, 1, 0], ONE + b"a"),  # beyond its last one
        body(1, 2, 0, [1, 2, 0, 1, 0], ONE * 2 + b"ab"),  # more than its slots
        body(1, 0, 0, [1, 1, 0, 1, 0]),  # a slot without a request
        body(1, 2, 0, [1, 1, 0, 1, 0], ONE * 2 + b"ab"),  # a request without a slot
        body(1, 1, 0, [1, 1, 0, 1, 0], ONE),  # a request that is not there
        body(1, 1, 0, [1, 1, 0, 1, 0], ONE + b"ab"),  # more than was said
        body(1, 1, 1, [1, 1, 0, 1, 0], ONE + bytes(3) + bytes(4) + b"a"),  # a key of no entry
        body(1, 1, 0, [1, 1, 0, 1, 1], ONE + b"a"),  # a key that is not there
        body(1, 1, 1, [1, 1, 0, 1, 1], ONE + bytes(3) + b"\xff\xff\xff\xff" + b"a"),
    ],
)
def test_an_intact_record_that_contradicts_itself_is_refused(payload: bytes) -> None:
    with pytest.raises(JournalFault, match="record 1 of the journal makes no sense"):
        entries_of(forged(WRITES, 1, 1, payload))


@given(st.binary(max_size=120))
def test_whatever_an_intact_record_holds_it_is_read_or_refused(payload: bytes) -> None:
    try:
        entries = entries_of(forged(WRITES, 1, 3, payload))
    except JournalFault:
        return
    assert entries[-1].last == 3
