"""The core and kept state: what is read by vote and told to the store, and when."""

import pytest

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    Retired,
    Role,
    Seated,
    StateUnreadable,
    Undecided,
)
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS
from quorate.trusted.protocols.redis.state import state_request
from quorate.trusted.protocols.redis.values import bulk
from quorate.trusted.sweep import MISCOUNTS_MAX
from tests.trusted.support import ABSENT_STRING, SECOND_NS, STRING_1, Cell


def keeping(**limits: int) -> Cell:
    """A cell whose state is kept."""
    cell = Cell(**limits)
    cell.keeps_state()
    return cell


def kinds(notices: list[Notice]) -> list[type]:
    return [type(notice) for notice in notices]


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


@pytest.mark.parametrize("is_for_shadow", [True, False])
def test_writers_wait_for_a_checkpoint_that_has_long_been_waited_for(is_for_shadow: bool) -> None:
    name, other = "shadow_wait_ns_max", "checkpoint_wait_ns_max"
    cell = keeping(**{name if is_for_shadow else other: SECOND_NS, other if is_for_shadow else name: 1_000 * SECOND_NS})
    ann = cell.client().says("SET a 1")
    if is_for_shadow:
        cell.core.shadow_waits(7, 0, cell.now)
    else:
        cell.core.checkpoint_wanted(is_urgent=False, now=cell.now)
    ann.says("SET b 1")
    assert cell.core.tally.requests == 2, "not yet"
    cell.now += SECOND_NS + 1
    ann.says("SET c 1")
    assert cell.core.tally.requests == 2
    cell.reply(b"+OK", *STRING_1, b":1", b"+OK")
    assert cell.core.tally.requests == 3


def test_clients_stopped_for_a_store_that_hangs_are_served_when_it_is_time() -> None:
    cell = keeping(checkpoint_wait_ns_max=SECOND_NS)
    ann = cell.client()
    cell.core.sweep.is_held = True
    for _ in range(MISCOUNTS_MAX):
        cell.core.state_is_miscounted([0], cell.now)
    ann.says("SET a 1")
    assert cell.core.tally.requests == 0
    assert cell.core.next_deadline() == cell.now + SECOND_NS
    cell.passes(1)
    assert cell.core.tally.requests == 1
    assert cell.core.sweep.next_deadline() == 0


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
