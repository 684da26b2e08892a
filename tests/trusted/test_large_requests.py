"""No request that a client may send is more than a record of the journal holds: else it would end the cell."""

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted import journal_writer
from quorate.trusted.journal_reader import entries_of
from quorate.trusted.journal_record import RECORD_BYTES_MAX, Change
from quorate.trusted.journal_writer import Journal
from quorate.trusted.limits import ADDED_BYTES_MAX, ADDITIONS_BYTES_MAX, ORDERED_BYTES_MAX, SECOND_NS, Limits
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.span import Span
from tests.trusted.support import Cell, Talker

MIB = 1024 * 1024
REQUEST_BYTES_MAX = Limits().request_bytes_max


def journaled(**limits: int) -> tuple[Cell, Journal]:
    """A cell whose writes go into this journal."""
    cell, journal = Cell(**limits), Journal(bytes(16))
    cell.core.recording.begin(journal)
    return cell, journal


def taken(journal: Journal, record_bytes_max: int = RECORD_BYTES_MAX) -> list[Change]:
    """What the requests of a turn may change, as the journal has it."""
    records = journal.take()
    assert all(len(record.data) <= record_bytes_max for record in records)
    return [change for record in records for entry in entries_of(record) for change in entry.changes]


def filled(*words: bytes, size: int = REQUEST_BYTES_MAX) -> bytes:
    """A request of so many bytes, or hardly less: each word that is a star is as long as any other such."""
    stars = sum(word == b"*" for word in words)
    length = (size - len(encode_request(list(words))) - 8 * stars) // stars
    raw = encode_request(
        [b"%d" % index * (length // len(b"%d" % index)) if word == b"*" else word for index, word in enumerate(words)]
    )
    assert size - 16 * stars < len(raw) <= size
    return raw


def in_transaction(*requests: bytes) -> bytes:
    return encode_request([b"MULTI"]) + b"".join(requests) + encode_request([b"EXEC"])


DATABASES = [word for database in range(16) for word in (b"DB", b"%d" % database)]


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ([b"MOVE", b"*", b"1"], [0, 1]),
        ([b"COPY", b"*", b"*", *DATABASES], [0, 15]),
        ([b"COPY", b"*", b"*"], [0, 0]),
        ([b"RENAME", b"*", b"*"], [0, 0]),
        ([b"MSET", *[b"*", b""] * 1_000], [0] * 1_000),
        ([b"DEL", *[b"*"] * 20_000], [0] * 20_000),
    ],
)
def test_the_longest_names_fit_into_a_record(words: list[bytes], places: list[int]) -> None:
    cell, journal = journaled()
    client = cell.client()
    client.sends(filled(*words))
    assert [place for place, _, _ in taken(journal)] == places
    part = filled(*words, size=REQUEST_BYTES_MAX // 8)
    client.sends(in_transaction(*[part] * 8))
    assert [place for place, _, _ in taken(journal)] == places * 8


def test_a_transaction_of_as_many_requests_as_it_may_have() -> None:
    cell, journal = journaled()
    limits = cell.limits
    part = REQUEST_BYTES_MAX // limits.transaction_requests_max
    requests = [filled(b"MOVE", b"*", b"1", size=part)] * limits.transaction_requests_max
    cell.client().sends(in_transaction(*requests))
    assert len(taken(journal)) == 2 * len(requests)
    for word in (b"FLUSHALL", b"PEXPIREAT key 9999999999999"):
        requests = [encode_request(word.split())] * limits.transaction_requests_max
        cell.client().sends(in_transaction(*requests))
        assert len(taken(journal)) == len(requests) * (16 if word == b"FLUSHALL" else 1)


def test_what_many_parked_clients_try_at_once_goes_into_several_records() -> None:
    """A COPY wakes them all; what their requests may change is more than one record holds."""
    cell, journal = journaled()
    names = [b"%d" % number * (8 * MIB - 1_000) for number in range(4)]
    for name in names:
        cell.client().sends(encode_request([b"BLMOVE", name, b"target", b"LEFT", b"LEFT", b"0"]))
        cell.reply(b"$-1")
    taken(journal)
    cell.client().sends(filled(b"COPY", b"*", b"*"))
    noted = [key for _, _, key in taken(journal)]
    assert noted[2::2] == names
    assert noted[3::2] == [b"target"] * 4


def test_what_ends_at_once_goes_into_several_records() -> None:
    cell, journal = journaled()
    names = [b"%d" % number * (15 * MIB) for number in range(4)]
    for name in names:
        cell.client().sends(encode_request([b"SET", name, b"", b"PX", b"1000"]))
        cell.reply(b"+OK")
        taken(journal)
    cell.passes(2)
    assert [key for _, _, key in taken(journal)] == names


def test_each_change_stands_no_later_than_what_makes_it() -> None:
    """The first record takes what it has room for, the second what is left of that, with its own."""
    journal = Journal(bytes(16))
    names = [b"%d" % number * (12 * MIB) for number in range(5)]
    noted: list[Change] = [(0, 0, name) for name in names]
    for slot, changes in ((1, noted), (2, []), (3, [])):
        span = Span(None, [b"DEL"], 0, is_write=True)
        span.first = slot
        journal.append(span, changes)
    entries = [entry for record in journal.take() for entry in entries_of(record)]
    assert [(entry.first, len(entry.changes), len(entry.requests)) for entry in entries] == [
        (1, 4, 1),
        (2, 1, 1),
        (3, 0, 1),
    ]
    assert [change for entry in entries for change in entry.changes] == noted


def test_a_record_holds_the_largest_request_with_its_keys_twice() -> None:
    limits = Limits()
    assert max(limits.request_bytes_max, limits.transaction_bytes_max) <= ORDERED_BYTES_MAX
    assert limits.transaction_requests_max * ADDED_BYTES_MAX <= ADDITIONS_BYTES_MAX
    assert 3 * ORDERED_BYTES_MAX + ADDITIONS_BYTES_MAX <= RECORD_BYTES_MAX


# Anything, in a smaller world: all limits, and the record, are shorter alike.

SMALL_BYTES = 4_096
SMALL = {
    "request_bytes_max": SMALL_BYTES,
    "inline_bytes_max": SMALL_BYTES,
    "transaction_bytes_max": SMALL_BYTES,
    "transaction_requests_max": 16,
    "reap_keys_max": 16,
}
SMALL_RECORD_BYTES = 3 * SMALL_BYTES + 16 * ADDED_BYTES_MAX
TEMPLATES = [
    "SET * *",
    "SET * * PX 1000",
    "GETEX * PX 1000",
    "PEXPIRE * 1000",
    "MOVE * 1",
    "MOVE * 0",
    "MOVE * x",
    "COPY * * " + b" ".join(DATABASES).decode(),
    "COPY * * DB 2 REPLACE",
    "RENAME * *",
    "MSET * * * * * *",
    "DEL * * * * * * * * *",
    "SUNIONSTORE * * * *",
    "SORT * STORE *",
    "GEORADIUS * 1 2 3 m STORE * STOREDIST *",
    "LMOVE * * LEFT LEFT",
    "BLMOVE * * LEFT LEFT 0",
    "BLPOP * * * 0",
    "BLMPOP 0 2 * * LEFT",
    "XADD * ^ * *",
    "XREADGROUP GROUP * * BLOCK 0 STREAMS * >",
    "SPOP * 9",
    "FLUSHALL",
    "SWAPDB 0 1",
    "SELECT 1",
]


def request_of(template: str, name: bytes, size: int) -> bytes:
    """A request of hardly more than `size` bytes, and no more than it may have."""
    words = [b"*" if word == "^" else word.encode() for word in template.split()]
    stars = [index for index, word in enumerate(template.split()) if word == "*"]
    if not stars:
        return encode_request(words)
    least = len(encode_request(words)) + 3 * len(stars)
    length = max((min(size, SMALL_BYTES) - least) // len(stars), 1)
    for number, index in enumerate(stars):
        words[index] = (name + b"%d" % number) * (length // 2) + b"x" * (length % 2)
    return encode_request(words)


def answer(cell: Cell, members: int, is_there: bool) -> None:
    """The replicas reply to the oldest slot: as they would, more or less."""
    span = cell.core.vote.awaiting[0]
    raw = span.request_at(cell.core.vote.frontier)
    lines = [b"+OK"] * span.frames
    if raw.startswith(b"*1\r\n$5\r\nMULTI"):
        results = span.frames - 2
        lines = [b"+OK", *[b"+QUEUED"] * results, b"*%d" % results, *[b"+OK"] * results]
    elif b"SMEMBERS" in raw:
        lines = [b"*%d" % members, *[word for number in range(members) for word in (b"$3", b"%03d" % number)]]
    elif b"SREM" in raw:
        lines = [b":1"] * span.frames
    elif b"TYPE" in raw[:14]:
        lines = [b"+stream", b"*-1"]
    elif b"LLEN" in raw[:14]:
        lines = [b":0", b"$-1"]
    elif any(word in raw[:30] for word in (b"LMPOP", b"XREADGROUP")):
        lines = [b"*-1"]
    elif b"LMOVE" in raw[:30]:
        lines = [b"$1", b"v"] if is_there else [b"$-1"]
    cell.reply(*lines)


REQUESTS = st.builds(
    request_of,
    st.sampled_from(TEMPLATES),
    st.sampled_from([b"a", b"b"]),
    st.sampled_from([1, 100, SMALL_BYTES // 4, SMALL_BYTES // 2, SMALL_BYTES]),
)
SAID = st.one_of(REQUESTS, st.lists(REQUESTS, max_size=16).map(lambda requests: in_transaction(*requests)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), SAID, st.booleans(), st.sampled_from([0, 0, 2])), max_size=20))
def test_whatever_clients_say_each_record_is_short_enough(said: list[tuple[int, bytes, bool, int]]) -> None:
    with (
        patch.object(journal_writer, "RECORD_BYTES_MAX", SMALL_RECORD_BYTES),
        patch.object(journal_writer, "RECORD_BYTES_GOAL", SMALL_BYTES),
    ):
        cell, journal = journaled(**SMALL)
        clients: list[Talker] = [cell.client() for _ in range(5)]
        for index, data, is_there, seconds in said:
            clients[index].sends(data)
            taken(journal, SMALL_RECORD_BYTES)
            for _ in range(50):
                if cell.core.vote.awaiting:
                    answer(cell, 9, is_there)
                    taken(journal, SMALL_RECORD_BYTES)
            cell.now += seconds * SECOND_NS
        cell.core.woken(cell.now)
        taken(journal, SMALL_RECORD_BYTES)
        assert not journal._ahead, "what was noted for a span stands beside it"
