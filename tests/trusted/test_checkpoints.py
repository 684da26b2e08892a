"""The core and kept state: what is read by vote, told to the store, journaled, replayed; all replicas begun anew."""

import pytest

from quorate.trusted.changes import EXTRA, STRING, WHOLE
from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.journal import Entry, Journal, entries_of
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    StateUnreadable,
    Undecided,
)
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS, digest
from quorate.trusted.protocols.redis.state import state_request
from quorate.trusted.protocols.redis.values import bulk
from tests.trusted.support import ABSENT_STRING, SECOND_NS, STRING_1, Cell

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


# State reads are slots.


def test_what_clients_wrote_is_read_by_vote_and_told_to_the_store() -> None:
    cell = keeping()
    ann = cell.client().says("SET a 1", "RPUSH l x", "DEL gone")
    cell.reply(b"+OK", b":1", b":0")
    cell.lanes()
    cell.wants_checkpoint()
    requests = [state_request(key, kind)[0] for key, kind in ((b"a", 1), (b"l", 2), (b"gone", 0))]
    assert b"".join(requests[:2]) in cell.lanes()
    cell.hears(0, *STRING_1, b"+list", b":-1", b"*1", b"$1", b"x", b"+none", b":-2", b":2")
    assert cell.stored() == [], "one replica decides nothing"
    cell.hears(1, *STRING_1, b"+list", b":-1", b"*1", b"$1", b"x", b"+none", b":-2", b":2")
    assert cell.stored() == [b"0 put a s -1 1", b"0 put l l -1 x", b"0 delete gone", b"checkpoint 7 0:2"]
    assert ann.hears() == b"+OK\r\n:1\r\n:0\r\n", "nobody is told of it"
    assert cell.core.tally.requests == 3, "they are no client's requests"


def test_nothing_comes_between_the_reads_of_a_checkpoint() -> None:
    cell = keeping()
    ann = cell.client().says("SET a 1", "SELECT 3", "SET b 1")
    cell.reply(b"+OK", b"+OK")
    ann.says("SET a 2")
    first = cell.core.order.next_slot
    cell.wants_checkpoint()
    ann.says("SET a 3")
    assert cell.core.sweep.closing_slot == cell.core.order.next_slot - 2
    assert cell.core.order.next_slot - 1 - first == 5, "three keys and two counts"
    cell.lanes()
    cell.reply(b"+OK", *STRING_1, *STRING_1, *STRING_1, b":1", b":2", b"+OK")
    stored = cell.stored()
    assert stored[-1] == b"checkpoint %d 0:1 3:2" % (first + 4)
    cell.wants_checkpoint()
    cell.reply(*STRING_1, b":1", b":2")
    assert cell.stored()[0] == b"3 put a s -1 1", "what was written meanwhile is read for the next"


def test_who_differs_on_a_state_read_is_asked_again_and_convicted() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(*STRING_1, b":1", but=2)
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 3 0:1"]
    cell.hears(2, b"+string", b":-1", b"$1", b"2", b":1")
    assert kinds(cell.notices()) == [Dissented]
    cell.reply(*STRING_1, but=2)
    cell.hears(2, b"+string", b":-1", b"$1", b"2")
    notices = cell.notices()
    assert kinds(notices) == [Dissented, Convicted]
    assert notices[-1] == Convicted(2, Cause.WRONG_READ, 4, cell.now)


def test_who_has_a_key_too_many_is_found_by_the_count() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(*STRING_1, b":1", but=0)
    cell.hears(0, *STRING_1, b":2")
    assert kinds(cell.notices()) == [Dissented]
    cell.reply(b":1", but=0)
    cell.hears(0, b":2")
    assert kinds(cell.notices()) == [Dissented, Convicted]


def test_a_set_told_in_another_order_is_the_same_set_when_asked_again_too() -> None:
    cell = keeping()
    cell.client().says("SADD s x y")
    cell.reply(b":2")
    cell.wants_checkpoint()
    one = (b"+set", b":-1", b"*2", b"$1", b"x", b"$1", b"y")
    other = (b"+set", b":-1", b"*2", b"$1", b"y", b"$1", b"x")
    cell.hears(0, *one, b":1")
    cell.hears(1, *other, b":1")
    assert cell.stored() == [b"0 put s S -1 x y", b"checkpoint 3 0:1"]
    cell.hears(2, b"+set", b":-1", b"*1", b"$1", b"x", b":1")
    assert kinds(cell.notices()) == [Dissented]
    for replica, said in ((0, one), (1, other), (2, one)):
        cell.hears(replica, *said)
    assert cell.notices() == []
    assert cell.core.roles == [Role.VOTING] * 3


def test_a_read_that_is_split_is_said_and_asked_again() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    for replica in cell.seats:
        cell.hears(replica, b"+string", b":-1", b"$1", b"%d" % replica, b":1")
    assert [(notice.slot, notice.is_write) for notice in cell.notices() if isinstance(notice, Undecided)] == [
        (2, False)
    ]
    assert cell.stored() == []
    assert cell.core.order.inflight_slots == 2
    cell.reply(*STRING_1, b":1")
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 5 0:1"]


def test_what_expires_while_a_state_read_is_split_is_deleted_all_the_same() -> None:
    cell = keeping()
    ann = cell.client().says("SET a 1 PX 50", "SET b 1")
    cell.reply(b"+OK", b"+OK")
    cell.wants_checkpoint()
    cell.lanes()
    cell.now += SECOND_NS // 10
    for replica in cell.seats:
        cell.hears(replica, b"+string", b":-1", b"$1", b"%d" % replica)
    assert cell.lanes().count(b"EVALSHA") == 1
    cell.passes(1)
    ann.says("PTTL a")
    assert b"EVALSHA" not in cell.lanes(), "and only once"


def test_a_wrong_hint_costs_a_second_look() -> None:
    cell = keeping()
    cell.client().says("EXPIRE a 100", "INCR b")
    cell.reply(b":1", b":1")
    cell.wants_checkpoint()
    cell.reply(b"+hash", b":7", b"+list", b":-1", b"-WRONGTYPE", b":2")
    assert cell.stored() == []
    cell.reply(b"+hash", b":7", b"*2", b"$1", b"f", b"$1", b"v", b"+list", b":-1", b"*1", b"$1", b"x", b":2")
    assert cell.stored() == [b"0 put a h 7 f v", b"0 put b l -1 x", b"checkpoint 8 0:2"]


def test_what_has_no_abstract_state_is_told_and_there_is_no_checkpoint() -> None:
    cell = keeping()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(b"+module", b":-1", b"-WRONGTYPE", b":1")
    assert cell.notices() == [StateUnreadable(0, b"a", "it holds what is no abstract state", cell.now)]
    assert cell.stored() == []
    assert cell.core.order.inflight_slots == 0
    ann.says("DEL a")
    cell.reply(b":1")
    cell.wants_checkpoint()
    cell.reply(*ABSENT_STRING[:2], b":0")
    assert cell.stored() == [b"0 delete a", b"checkpoint 6 0:0"]


def test_a_value_over_the_limit_of_a_reply_is_told() -> None:
    cell = keeping(reply_bytes_max=1_000)
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    for replica in cell.seats:
        cell.hears(replica, b"+string", b":-1", bulk(b"x" * 1_500)[:-2], b":1")
    assert cell.notices() == [StateUnreadable(0, b"a", "its state is over the limit of one reply", cell.now)]
    assert cell.core.roles == [Role.VOTING] * 3


# Whole databases.


@pytest.mark.parametrize(
    ("requests", "databases"),
    [
        (["FLUSHDB"], [0]),
        (["FLUSHALL ASYNC"], list(range(16))),
        (["SWAPDB 3 5"], [3, 5]),
        (["SELECT 4", "FLUSHDB"], [4]),
        (["MULTI", "SELECT 4", "FLUSHDB", "SELECT 6", "FLUSHDB", "EXEC"], [4, 6]),
        (["MULTI", "FLUSHALL", "EXEC"], list(range(16))),
        (["MULTI", "SWAPDB 0 1", "EXEC"], [0, 1]),
        (["SWAPDB 99 1"], [1]),
    ],
)
def test_what_may_change_all_of_a_database_has_it_read_whole(requests: list[str], databases: list[int]) -> None:
    cell = keeping()
    cell.client().says(*requests)
    assert cell.core.changes.whole == databases


def test_a_database_is_listed_and_read_after_it_was_swapped() -> None:
    cell = keeping()
    cell.client().says("SWAPDB 0 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(b":0")
    cell.reply(b":2")
    assert cell.stored() == [b"clear 0"]
    cell.lanes()
    cell.hears(0, b"*2", b"$1", b"b", b"$1", b"a")
    cell.hears(1, b"*2", b"$1", b"a", b"$1", b"b")
    assert cell.stored() == [b"clear 1"]
    cell.hears(2, b"*2", b"$1", b"a", b"$1", b"b")
    cell.reply(b"+string", b":-1", b"+string", b":-1", b":2")
    cell.reply(*STRING_1, *STRING_1, b":2")
    assert cell.stored() == [b"1 put a s -1 1", b"1 put b s -1 1", b"checkpoint 10 1:2"]


def test_a_database_with_other_counts_in_the_store_is_read_whole() -> None:
    cell = keeping()
    cell.core.state_is_miscounted([2], cell.now)
    assert cell.core.sweep.is_urgent
    cell.reply(b":1")
    cell.reply(b"*1", b"$1", b"a")
    cell.reply(b"+string", b":-1", b":1")
    cell.reply(*STRING_1, b":1")
    assert cell.stored() == [b"clear 2", b"2 put a s -1 1", b"checkpoint 6 2:1"]


# When there is time.


def test_while_the_store_cannot_take_more_nothing_is_read_until_it_can() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.core.sweep.is_held = True
    cell.wants_checkpoint()
    assert cell.core.order.inflight_slots == 0
    cell.core.sweep.is_held = False
    cell.core.go_on(cell.now)
    assert cell.core.order.inflight_slots == 2


def test_a_sweep_that_nobody_waits_for_goes_on_when_it_has_rested() -> None:
    cell = keeping()
    cell.client().says(*[f"SET {number} 1" for number in range(100)])
    cell.reply(*[b"+OK"] * 100)
    cell.wants_checkpoint(is_urgent=False)
    asked = cell.core.order.inflight_slots
    cell.now += 10_000_000
    cell.reply(*STRING_1 * asked)
    cell.lanes()
    assert cell.core.order.inflight_slots == 0
    assert cell.core.next_deadline() == cell.now + 30_000_000
    cell.passes(0.03)
    assert cell.core.order.inflight_slots > 0


def test_what_the_store_is_told_is_output() -> None:
    cell = keeping()
    cell.wants_checkpoint()
    assert cell.core.has_output(cell.now)
    assert cell.stored() == [b"checkpoint 0 "]
    assert not cell.core.has_output(cell.now)


def test_when_too_much_has_changed_writers_wait_until_it_is_read() -> None:
    cell = keeping(changes_bytes_max=1_000)
    ann = cell.client()
    ann.says(*[f"SET {number} 1" for number in range(10)])
    cell.reply(*[b"+OK"] * 10)
    ann.says("SET late 1")
    assert len(ann.client.inbox) == 1
    assert cell.core.sweep.is_wanted
    assert cell.core.next_deadline() <= cell.now, "it begins at once"
    cell.core.woken(cell.now)
    assert cell.core.order.inflight_slots > 0
    cell.reply(*STRING_1 * 10, b":10")
    assert ann.client.inbox == []
    cell.reply(b"+OK")
    assert ann.hears() == b"+OK\r\n" * 11


def test_when_half_of_what_may_change_has_changed_it_is_read_before_anybody_waits() -> None:
    cell = keeping(changes_bytes_max=1_000)
    ann = cell.client()
    ann.says(*[f"SET {number} 1" for number in range(6)])
    cell.reply(*[b"+OK"] * 6)
    assert cell.core.sweep.next_deadline() == 0
    ann.says("GET 1")
    assert not ann.client.inbox
    assert cell.core.sweep.is_wanted
    assert cell.core.sweep.is_urgent


def test_when_nobody_keeps_state_any_more_clients_go_on() -> None:
    cell = keeping(changes_bytes_max=1_000)
    ann = cell.client()
    ann.says(*[f"SET {number} 1" for number in range(10)])
    cell.reply(*[b"+OK"] * 10)
    cell.wants_checkpoint()
    ann.says("SET late 1")
    ann.hears()
    cell.core.state_is_lost(cell.now)
    cell.reply(*STRING_1 * 10, b":10", b"+OK")
    assert ann.hears() == b"+OK\r\n"
    ann.says("SET later 1")
    assert (cell.core.changes.count, cell.core.sweep.is_wanted) == (0, False)


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
    assert cell.core.can_replay()
    cell.core.replay(Entry(7, 2 << 16, 1, [(0, STRING, b"a"), (3, WHOLE, b"")], requests), cell.now)
    assert b"".join(requests) in cell.lanes()
    cell.reply(b"+OK", b"+OK")
    assert cell.core.order.next_slot == 44
    assert journal.take() == []
    assert cell.core.changes.whole == [3]
    assert cell.core.changes.take(9) == [(0, b"a", STRING)]


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
    assert not cell.core.can_replay()
    cell.reply(b"+OK", b"+OK")
    assert cell.core.can_replay()


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
    assert cell.core.recording.tombstones == {1: "split"}, "reads need none"
    assert [(record.first_slot, record.last_slot) for record in journal.take()] == [(1, 1), (1, 1)]
    cell.core.recording.kept(0)
    assert cell.core.recording.tombstones == {1: "split"}
    cell.core.recording.kept(1)
    assert cell.core.recording.tombstones == {}


def test_without_a_journal_a_write_is_buried_all_the_same() -> None:
    cell = keeping()
    cell.client().says("INCR a")
    cell.passes(31)
    assert cell.core.recording.tombstones == {1: "unanswered"}


# Replicas that go by plan.


def test_a_replica_that_is_stopped_is_retired_and_the_slots_under_way_are_decided_without_it() -> None:
    cell = Cell()
    ann = cell.client().says("GET a")
    cell.hears(0, b"+1")
    cell.core.replica_stopped(0, cell.now)
    assert cell.notices() == [Retired(0, Cause.RESTART, 1, cell.now)]
    cell.reply(b"+1", but=0)
    assert ann.hears() == b"+1\r\n"
    cell.core.replica_stopped(0, cell.now)
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    assert cell.notices() == []


def test_a_lane_that_is_no_more_is_nobody_s() -> None:
    cell = Cell()
    cell.core.replica_lost(17, Cause.CRASH, cell.now)
    cell.hears(17, b"+1")
    assert cell.notices() == []
    assert not cell.core.lane_is_full(17)


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
    assert cell.core.recording.tombstones == {1: "unanswered"}
    assert cell.core.order.inflight_slots == 0
    bob.says("GET b")
    cell.passes(60)
    assert bob.hears() == b""
    cell.hears(1, b":1", b"$1", b"1")
    assert kinds(cell.notices()) == [Undecided, Undecided], "the old lanes are nobody's"
    assert cell.lanes() == b""
    anew(cell, 10)
    cell.core.resume(cell.now)
    assert cell.lanes() == cell.core.protocol.switch(-1, 2 << 16) + encode_request([b"GET", b"b"])
    cell.hears(10, b"+1")
    cell.hears(12, b"+1")
    assert bob.hears() == b"+1\r\n"


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


def test_a_shadow_may_not_be_sealed_before_its_checkpoint() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    shadow = cell.shadow(2)
    with pytest.raises(BrokenInvariant):
        shadow.is_sealed()
    cell.reply(*STRING_1, b":1")
    shadow.is_sealed()
    assert Seated(2, 4, cell.now) in cell.notices()


def test_the_deadline_that_a_state_read_found_is_kept() -> None:
    cell = keeping()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    held = cell.now // 1_000_000 + 50 + DEADLINE_OFFSET_MS
    cell.reply(b"+string", b":%d" % held, b"$1", b"1", b":1")
    cell.lanes()
    cell.passes(1)
    assert b"EVALSHA" in cell.lanes()
