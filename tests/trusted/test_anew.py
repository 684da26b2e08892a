"""What the core needs to begin anew: the journal, what is executed again, and all replicas exchanged at once."""

import pytest

from quorate.trusted.changes import EXTRA, STRING, WHOLE
from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.journal_reader import entries_of
from quorate.trusted.journal_record import Entry
from quorate.trusted.journal_writer import Journal
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    QuorumRegained,
    Role,
    Undecided,
)
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import digest
from tests.trusted.support import STRING_1, Cell

SCRIPT = b"return redis.call('incr', KEYS[1])"


def keeping(**limits: int) -> Cell:
    """A cell whose state is kept."""
    cell = Cell(**limits)
    cell.keeps_state()
    return cell


def journaling(**limits: int) -> tuple[Cell, Journal]:
    """A cell whose state is kept and whose writes are journaled."""
    cell = keeping(**limits)
    journal = Journal(b"k" * 16)
    cell.core.recording.begin(journal)
    cell.core.changes.is_journaled = True
    return cell, journal


def kinds(notices: list[Notice]) -> list[type]:
    return [type(notice) for notice in notices]


def entries(journal: Journal) -> list[Entry]:
    return [entry for record in journal.take() for entry in entries_of(record)]


# The journal.


def test_each_write_is_journaled_with_what_it_may_change() -> None:
    cell, journal = journaling()
    ann = cell.client().says("SET a 1", "GET a", "MULTI", "INCR b", "EXEC")
    (first, second) = entries(journal)
    assert (first.first, first.requests, first.frames) == (1, [encode_request([b"SET", b"a", b"1"])], 1)
    assert (second.first, second.frames) == (3, 3)
    assert [*first.changes, *second.changes] == [(0, STRING, b"a"), (0, STRING, b"b")]
    cell.reply(b"+OK", b"$1", b"1", b"+OK", b"+QUEUED", b"*1", b":1")
    ann.says("FLUSHDB")
    assert [entry.changes for entry in entries(journal)] == [[(0, WHOLE, b"")]]


def test_state_reads_are_not_journaled_and_leave_no_trace_there() -> None:
    cell, journal = journaling()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(b"+list", b":-1", b"-WRONGTYPE", b":1")
    cell.reply(b"+list", b":-1", b"*1", b"$1", b"x", b":1")
    ann.says("SET b 1")
    changes = [change for entry in entries(journal) for change in entry.changes]
    assert changes == [(0, STRING, b"a"), (0, STRING, b"b")]


def test_what_a_write_may_change_is_journaled_though_no_state_is_kept_any_more() -> None:
    cell, journal = journaling()
    cell.core.state_is_lost(cell.now)
    cell.client().says("SET a 1", "INCR b")
    changes = [change for entry in entries(journal) for change in entry.changes]
    assert changes == [(0, STRING, b"a"), (0, STRING, b"b")]


def test_while_too_much_waits_for_the_disk_clients_wait() -> None:
    cell, _ = journaling()
    ann = cell.client()
    cell.core.stalled(True, cell.now)
    ann.says("GET a")
    assert len(ann.client.inbox) == 1
    cell.core.stalled(False, cell.now)
    assert ann.client.inbox == []


def test_what_the_journal_holds_is_executed_again_and_not_journaled_again() -> None:
    cell, journal = journaling()
    cell.core.begin_at(41)
    requests = [encode_request([b"SET", b"a", b"1"]), encode_request([b"SET", b"b", b"1"])]
    assert not cell.core.order.is_full()
    cell.core.replay(Entry(7, 2 << 16, 1, [(0, STRING, b"a"), (3, WHOLE, b"")], requests), cell.now)
    assert b"".join(requests) in cell.lanes()
    cell.reply(b"+OK", b"+OK")
    assert cell.core.order.next_slot == 44
    assert journal.take() == []
    assert cell.core.changes.whole == [3]
    assert cell.core.changes.take(9, 99_999) == [(0, b"a", STRING)]


def test_a_cell_begins_at_one_slot() -> None:
    cell = Cell()
    cell.client().says("GET a")
    with pytest.raises(BrokenInvariant):
        cell.core.begin_at(9)
    cell.reply(b"+1")
    with pytest.raises(BrokenInvariant):
        cell.core.begin_at(0)


def test_no_more_is_replayed_than_may_be_under_way() -> None:
    cell = Cell(inflight_slots_max=2, client_pending_max=2)
    request = encode_request([b"SET", b"a", b"1"])
    cell.core.replay(Entry(1, 2 << 16, 1, [], [request, request]), cell.now)
    assert cell.core.order.is_full()
    cell.reply(b"+OK", b"+OK")
    assert not cell.core.order.is_full()


def test_what_is_replayed_is_compared_byte_for_byte_if_it_was_the_first_time() -> None:
    cell, journal = journaling()
    cell.client().says("INCR a", "SORT s ALPHA", "INCR a")
    cell.reply(b":1", b"*2", b"$1", b"x", b"$1", b"y", b":2")
    found = entries(journal)
    for entry in found:
        cell.core.replay(entry, cell.now)
    cell.hears(0, b":1", b"*2", b"$1", b"x", b"$1", b"y", b":2")
    cell.hears(1, b":1", b"*2", b"$1", b"y", b"$1", b"x", b":2")
    assert cell.core.order.inflight_slots == 0
    cell.hears(2, b":1", b"*2", b"$1", b"y", b"$1", b"x", b":3")
    assert kinds(cell.notices()) == [Dissented, Convicted]
    assert [entry.first for entry in found] == [1, 2, 3]


def test_a_transaction_that_is_replayed_may_show_each_replica_s_own_order() -> None:
    cell, _ = journaling()
    ann = cell.client().says("MULTI", "SADD s x y", "SMEMBERS s", "EXEC")
    assert cell.core.recording.journal is not None
    (entry,) = entries(cell.core.recording.journal)
    members = [(b"$1", b"x", b"$1", b"y"), (b"$1", b"y", b"$1", b"x"), (b"$1", b"y", b"$1", b"x")]
    for _ in range(2):
        for replica in cell.seats:
            cell.hears(replica, b"+OK", b"+QUEUED", b"+QUEUED", b"*2", b":2", b"*2", *members[replica])
        cell.core.replay(entry, cell.now)
    ann.hears()
    assert (cell.core.tally.split, cell.core.tally.dissents) == (0, [0, 0, 0])
    assert cell.notices() == []
    assert cell.core.roles == [Role.VOTING] * 3


def test_a_script_that_the_journal_names_is_known_again() -> None:
    cell = Cell()
    cell.core = type(cell.core)(
        1, RedisProtocol(cell.limits, Settings(scripts=frozenset((digest(SCRIPT),))), b"s"), cell.limits
    )
    cell.core.replay(Entry(1, 0, 1, [(0, EXTRA, SCRIPT), (0, EXTRA, b"not listed")], []), cell.now)
    assert cell.core.order.next_slot == 1, "nothing was left of it to execute"
    assert SCRIPT in cell.core.protocol.setup()[0]
    assert b"not listed" not in cell.core.protocol.setup()[0]


def test_a_write_that_was_not_decided_is_buried() -> None:
    cell, journal = journaling()
    ann = cell.client().says("INCR a", "GET a")
    for replica in cell.seats:
        cell.hears(replica, b":%d" % replica, b"$1", b"%d" % replica)
    assert ann.hears().count(b"NOQUORUM") == 2
    assert cell.core.recording.tombstones.ranges == [(1, 2, "split")], "one range, with the read behind it"
    assert [(record.first_slot, record.last_slot) for record in journal.take()] == [(1, 1), (1, 2)]
    cell.core.recording.kept(0)
    assert cell.core.recording.tombstones.ranges == [(1, 2, "split")]
    cell.core.recording.kept(2)
    assert cell.core.recording.tombstones.ranges == []


def test_what_is_replayed_and_not_decided_is_never_buried() -> None:
    """It was acknowledged, and has another slot now: a tombstone there could be for a later write of that number."""
    cell, journal = journaling()
    cell.core.replay(Entry(7, 0, 1, [(0, STRING, b"a")], [b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"]), cell.now)
    cell.passes(31)
    assert cell.core.tally.unanswered == 1
    assert cell.core.recording.tombstones.ranges == []
    assert journal.take() == []


def test_what_is_closed_at_once_is_told_and_buried_at_once() -> None:
    """A poison takes all with it that was under way: thousands of neighbours, whoever asked them."""
    cell, journal = journaling()
    for client in (cell.client(), cell.client()):
        client.says(*["INCR a", "GET a"] * 50)
    journal.take()
    cell.passes(31)
    (notice,) = [notice for notice in cell.notices() if isinstance(notice, Undecided)]
    assert (notice.slot, notice.count, notice.is_write, notice.is_split) == (1, 200, True, False)
    assert [(record.first_slot, record.last_slot) for record in journal.take()] == [(1, 200)]
    assert cell.core.recording.tombstones.ranges == [(1, 200, "unanswered")]


def test_without_a_journal_a_write_is_buried_all_the_same() -> None:
    cell = keeping()
    cell.client().says("INCR a")
    cell.passes(31)
    assert cell.core.recording.tombstones.ranges == [(1, 1, "unanswered")]


# All replicas anew.


def anew(cell: Cell, first_lane: int) -> None:
    """Every seat gets a new replica, on a lane of its own number."""
    _, frames = cell.core.protocol.setup()
    for seat in cell.seats:
        cell.core.replica_joined(seat, cell.now, first_lane + seat)
        cell.hears(first_lane + seat, *[b"+OK"] * frames)


def test_while_all_replicas_are_begun_anew_clients_wait_and_are_served_afterwards() -> None:
    cell = keeping()
    ann, bob = cell.client(), cell.client()
    ann.says("INCR a", "GET a")
    cell.hears(0, b":1", b"$1", b"1")
    cell.core.suspend(cell.now)
    assert ann.hears().count(b"-NOQUORUM") == 2
    assert cell.core.recording.tombstones.ranges == [(1, 2, "unanswered")]
    assert cell.core.order.inflight_slots == 0
    bob.says("GET b")
    cell.passes(60)
    assert bob.hears() == b""
    cell.hears(1, b":1", b"$1", b"1")
    assert kinds(cell.notices()) == [Undecided], "the old lanes are nobody's"
    assert cell.lanes() == b""
    anew(cell, 10)
    cell.core.resume(cell.now)
    assert cell.lanes() == cell.core.protocol.switch(-1, 2 << 16) + encode_request([b"GET", b"b"])
    cell.hears(10, b"+1")
    cell.hears(12, b"+1")
    assert bob.hears() == b"+1\r\n"


def test_who_is_lost_while_others_still_join_costs_no_quorum_that_there_never_was() -> None:
    """Nobody is served before all have joined: only then is it told whether they are enough."""
    cell = keeping()
    cell.core.suspend(cell.now)
    cell.core.replica_joined(0, cell.now, 10)
    cell.core.replica_lost(10, Cause.CRASH, cell.now)
    cell.core.replica_joined(1, cell.now, 11)
    cell.core.replica_joined(2, cell.now, 12)
    cell.core.resume(cell.now)
    assert not cell.core.is_lost
    assert kinds(cell.notices()) == [Convicted]


def test_too_few_that_joined_are_told_when_clients_are_to_be_served() -> None:
    cell = keeping()
    ann = cell.client()
    cell.core.suspend(cell.now)
    cell.core.replica_joined(0, cell.now, 10)
    cell.core.replica_joined(1, cell.now, 11)
    cell.core.replica_lost(10, Cause.CRASH, cell.now)
    assert kinds(cell.notices()) == [Convicted, QuorumLost], "they had been enough"
    cell.core.suspend(cell.now)
    cell.core.replica_joined(2, cell.now, 12)
    ann.says("GET a")
    cell.core.resume(cell.now)
    assert cell.notices() == [QuorumLost(1, cell.now)]
    assert b"NOQUORUM" in ann.hears()


def test_a_lost_quorum_is_regained_with_new_replicas() -> None:
    cell = keeping()
    ann = cell.client()
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert kinds(cell.notices()) == [Convicted, Convicted, QuorumLost]
    cell.core.suspend(cell.now)
    ann.says("GET a")
    assert ann.hears() == b"", "it waits instead of being refused"
    anew(cell, 3)
    cell.core.resume(cell.now)
    assert cell.notices() == [QuorumRegained(3, cell.now)]
    cell.hears(3, b"+1")
    cell.hears(4, b"+1")
    assert ann.hears() == b"+1\r\n"


def test_when_new_replicas_cannot_be_had_the_cell_is_lost() -> None:
    cell = keeping()
    ann = cell.client()
    cell.core.suspend(cell.now)
    ann.says("GET a")
    cell.core.lose(cell.now)
    assert cell.notices() == [QuorumLost(0, cell.now)]
    assert ann.hears() == b"-NOQUORUM fewer than f+1 replicas vote\r\n"
    assert cell.core.next_deadline() == 0


def test_shadows_and_checkpoints_under_way_end_when_all_begins_anew() -> None:
    cell = keeping()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    shadow = cell.shadow(2)
    assert cell.core.order.inflight_slots == 2
    cell.core.suspend(cell.now)
    assert cell.core.vote.shadows == []
    assert cell.stored() == []
    shadow.hears(b"what is this")
    shadow.leaves()
    anew(cell, 10)
    cell.core.resume(cell.now)
    cell.notices()
    cell.wants_checkpoint()
    cell.lanes()
    for lane in (10, 11):
        cell.hears(lane, *STRING_1, b":1")
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 5 0:1"]
    assert not cell.core.sweep.is_sealed()
    ann.says("GET a")
    assert cell.notices() == []


def test_deadlines_wait_while_all_begins_anew() -> None:
    cell = keeping()
    cell.client().says("SET a 1 PX 50")
    cell.reply(b"+OK")
    cell.lanes()
    cell.core.suspend(cell.now)
    cell.passes(10)
    assert cell.lanes() == b""
    anew(cell, 10)
    cell.core.resume(cell.now)
    cell.passes(1)
    assert b"EVALSHA" in cell.lanes()
