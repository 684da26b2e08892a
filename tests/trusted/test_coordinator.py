"""The whole core between clients and replicas that the test plays: what is sent, told, noticed and held back."""

import pytest

from quorate.trusted.distribute import BATCH_WAIT_NS_MAX
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    QuorumLost,
    Retired,
    Role,
    Spared,
    Undecided,
)
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.values import bulk
from tests.trusted.support import SECOND_NS, Cell

LOST = b"-NOQUORUM fewer than f+1 replicas vote\r\n"


# One request's way.


def test_a_request_goes_to_all_lanes_and_the_agreed_reply_to_its_client() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("SET a 1")
    assert cell.core.distribute.take().endswith(encode_request([b"SET", b"a", b"1"]))
    cell.hears(0, b"+OK")
    assert ann.hears() == b""
    cell.hears(1, b"+OK")
    assert ann.hears() == b"+OK\r\n"
    assert cell.core.reply.ready == [ann.client]
    assert (cell.core.tally.requests, cell.core.tally.decided) == (1, 1)
    assert cell.core.order.inflight_slots == cell.core.order.inflight_bytes == 0


def test_each_client_hears_its_own_replies_in_its_own_order() -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says("GET a", "PING", "ECHO here", "GET b")
    bob.says("GET c")
    cell.reply(*[b"+%d" % number for number in range(cell.core.order.next_slot - 1)])
    heard = ann.hears()
    assert heard.startswith(b"+0\r\n")
    assert heard.count(b"\r\n") >= 4
    assert bob.hears() == b"+%d\r\n" % (cell.core.order.next_slot - 2)


def test_an_answer_of_the_coordinator_waits_for_the_slots_before_it() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a", "CLIENT GETNAME")
    assert ann.hears() == b""
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n$-1\r\n"
    assert cell.core.tally.answered_here == 1


def test_a_connection_closes_after_its_replies() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a", "QUIT")
    assert not ann.is_closed()
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n+OK\r\n"
    assert ann.is_closed()
    ann.says("GET b")
    assert cell.core.order.next_slot == 2, "nothing is read any more"


def test_a_broken_request_is_answered_after_the_good_ones_before_it() -> None:
    cell = Cell()
    ann = cell.client()
    ann.sends(encode_request([b"GET", b"a"]) + b"*1\r\n$x\r\n")
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n-ERR Protocol error: invalid bulk length\r\n"
    assert ann.is_closed()


def test_what_a_client_asked_is_executed_though_it_left() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("SET a 1")
    ann.leaves()
    ann.says("SET b 1")
    cell.reply(b"+OK")
    assert ann.hears() == b""
    assert cell.core.reply.ready == []
    assert cell.core.tally.decided == 1


def test_a_reply_without_order_is_released_in_canonical_order() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("SMEMBERS s")
    cell.hears(0, b"*2", b"$1", b"b", b"$1", b"a")
    cell.hears(1, b"*2", b"$1", b"a", b"$1", b"b")
    assert ann.hears() == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"


def test_what_takes_several_slots_holds_its_own_client_only() -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says("SPOP s")
    ann.says("GET a")
    bob.says("GET b")
    cell.reply(b"*1\r\n$1\r\nx", b"+bob")
    assert bob.hears() == b"+bob\r\n"
    assert ann.hears() == b""
    cell.core.distribute.take()
    while not ann.client.out or ann.client.pending:
        slot = cell.core.order.next_slot
        cell.reply(*[b":1"] * cell.core.order.inflight_slots)
        assert cell.core.order.next_slot < slot + 3, "the plan ends"
    assert ann.hears() == b"$1\r\nx\r\n:1\r\n"


def test_after_a_wait_with_nothing_more_said_the_next_request_is_read_at_once() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("SPOP s")
    cell.reply(b"*0")
    assert ann.hears() == b"$-1\r\n"
    ann.says("GET a")
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n"


# Undecided slots.


def test_a_split_is_told_honestly_and_nobody_is_convicted() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a", "GET b")
    for seat in cell.seats:
        cell.hears(seat, b"+%d" % seat, b"+same")
    assert ann.hears() == b"-NOQUORUM slot 1 was not decided: split\r\n+same\r\n"
    assert cell.notices() == [Undecided(1, encode_request([b"GET", b"a"]), False, True, cell.now)]
    assert (cell.core.tally.split, cell.core.tally.unanswered) == (1, 0)
    assert cell.core.order.inflight_slots == 0


def test_an_unanswered_request_ends_in_an_error() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a")
    cell.passes(31)
    assert ann.hears() == b"-NOQUORUM slot 1 was not decided: unanswered\r\n"
    assert cell.core.tally.unanswered == 1
    assert [type(notice) for notice in cell.notices()] == [Undecided]


def test_a_reply_over_the_limit_on_all_replicas_is_the_requests_fault() -> None:
    cell = Cell(reply_bytes_max=1000)
    ann = cell.client()
    ann.says("GET big", "GET a")
    for seat in cell.seats:
        cell.hears(seat, bulk(b"x" * 1000)[:-2])
        cell.hears(seat, b"+1")
    assert ann.hears() == b"-NOQUORUM slot 1 was not decided: its reply is over the limit\r\n+1\r\n"
    assert cell.notices() == []
    assert cell.core.roles == [Role.VOTING] * 3


# Guilt.


def test_a_wrong_reply_to_a_write_convicts_and_is_kept_as_evidence() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("INCR a")
    cell.hears(0, b":2")
    cell.hears(1, b":1")
    cell.hears(2, b":1")
    assert ann.hears() == b":1\r\n"
    assert cell.notices() == [
        Dissented(1, 0, encode_request([b"INCR", b"a"]), b":1\r\n", b":2\r\n", True, cell.now),
        Convicted(0, Cause.WRONG_WRITE, 1, cell.now),
    ]
    assert cell.core.roles[0] is Role.CONVICTED
    assert cell.core.tally.dissents == [1, 0, 0]
    assert cell.core.vote.voters() == 2
    cell.hears(0, b":3")
    ann.says("INCR a")
    cell.reply(b":2", but=0)
    assert ann.hears() == b":2\r\n"


def test_a_wrong_read_is_asked_again_and_convicts_when_repeated() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a")
    cell.core.distribute.take()
    cell.reply(b"+1", but=2)
    cell.hears(2, b"+lie")
    assert ann.hears() == b"+1\r\n"
    assert cell.core.distribute.take() == encode_request([b"GET", b"a"])
    assert cell.core.tally.reasked == 1
    cell.reply(b"+1", but=2)
    cell.hears(2, b"+lie")
    assert ann.hears() == b"", "what was asked again is told to nobody"
    assert [type(notice) for notice in cell.notices()] == [Dissented, Dissented, Convicted]
    assert cell.core.roles[2] is Role.CONVICTED


def test_a_wrong_read_that_is_not_repeated_is_forgiven_a_few_times() -> None:
    cell = Cell()
    ann = cell.client()
    for _ in range(2):
        ann.says("GET a")
        cell.reply(b"+1", but=2)
        cell.hears(2, b"+lie")
        cell.reply(b"+1")
        assert cell.core.roles[2] is Role.VOTING
    ann.says("GET a")
    cell.reply(b"+1", but=2)
    cell.hears(2, b"+lie")
    assert cell.notices()[-1] == Convicted(2, Cause.WRONG_READS, 5, cell.now)


def test_one_who_is_wrong_about_what_was_asked_again_for_another_is_not_asked_in_circles() -> None:
    cell = Cell(f=2)
    ann = cell.client()
    ann.says("GET a")
    cell.reply(b"+1", but=4)
    cell.hears(4, b"+lie")
    cell.hears(3, b"+lie")
    for seat in (0, 1, 2, 4):
        cell.hears(seat, b"+1")
    assert cell.core.tally.reasked == 1
    assert cell.core.order.inflight_slots == 0
    assert cell.core.roles == [Role.VOTING] * 5


def test_the_slowest_is_convicted_of_a_late_lie() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("INCR a")
    cell.reply(b":1", but=1)
    cell.passes(3)
    cell.hears(1, b":2")
    assert cell.notices()[-1] == Convicted(1, Cause.WRONG_WRITE, 1, cell.now)


def test_lies_of_one_convicted_meanwhile_are_evidence_and_no_more() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("INCR a", "INCR a")
    cell.reply(b":1", b":2", but=1)
    cell.hears(1, b":7", b":8")
    assert [type(notice) for notice in cell.notices()] == [Dissented, Convicted, Dissented]
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert cell.notices() == []


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ([b"what is this"], Cause.GARBAGE),
        ([b"+1", b"+2"], Cause.UNASKED),
        ([b"+1", *[b"+OK"] * 1000], Cause.UNASKED),
        ([b"$2000", b"x" * 1500], Cause.FLOOD),
    ],
)
def test_what_no_correct_replica_does_convicts(said: list[bytes], cause: Cause) -> None:
    cell = Cell(reply_bytes_max=1000)
    ann = cell.client()
    ann.says("GET a")
    cell.hears(0, *said)
    cell.reply(b"+1", but=0)
    assert ann.hears() == b"+1\r\n"
    assert [notice for notice in cell.notices() if not isinstance(notice, Dissented)] == [
        Convicted(0, cause, 1 if cause in (Cause.GARBAGE, Cause.FLOOD) else 2, cell.now)
    ]


def test_garbage_for_a_write_convicts_once() -> None:
    cell = Cell()
    cell.client().says("INCR a")
    cell.hears(0, b"what is this")
    cell.reply(b":1", but=0)
    assert [type(notice) for notice in cell.notices()] == [Dissented, Convicted]


def test_one_that_crashes_in_mid_reply_costs_no_reply() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a", "GET b")
    cell.core.replica_answered(1, b"+1\r\n$10\r\nhalf", cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    cell.reply(b"+1", b"+2", but=1)
    assert ann.hears() == b"+1\r\n+2\r\n"
    assert cell.notices() == [Convicted(1, Cause.CRASH, 1, cell.now)]
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert cell.notices() == []


def test_a_mute_one_is_convicted_after_its_silence() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a")
    cell.reply(b"+1", but=2)
    cell.passes(4.9)
    assert cell.notices() == []
    cell.passes(0.2)
    assert [(notice.seat, notice.cause) for notice in cell.notices() if isinstance(notice, Convicted)] == [
        (2, Cause.MUTE)
    ]


def test_a_slow_one_is_replaced_and_not_convicted() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says(*["GET a"] * 100)
    cell.reply(*[b"+1"] * 100, but=2)
    for _ in range(16):
        cell.hears(2, b"+1")
        cell.passes(1)
    retired = [notice for notice in cell.notices() if isinstance(notice, Retired)]
    assert [(notice.seat, notice.cause) for notice in retired] == [(2, Cause.LAG)]
    assert cell.core.roles[2] is Role.RETIRING


def test_nobody_is_judged_for_the_time_in_which_the_cell_was_stopped() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a")
    cell.reply(b"+1", but=2)
    cell.now += 3600 * SECOND_NS
    cell.core.woken(cell.now)
    assert cell.notices() == []
    cell.hears(2, b"+1")
    cell.passes(60)
    assert cell.notices() == []


def test_a_cell_that_stands_still_again_and_again_counts_little_of_it_as_silence() -> None:
    """Each gap is shorter than the silence that convicts; together they are longer."""
    cell = Cell(silence_ns_max=SECOND_NS)
    ann = cell.client()
    ann.says("GET a")
    cell.reply(b"+1", but=2)
    for _ in range(5):
        cell.now += 9 * SECOND_NS // 10
        cell.core.woken(cell.now)
    assert cell.notices() == []
    cell.hears(2, b"+1")
    cell.passes(60)
    assert cell.notices() == []


def test_who_is_silent_is_found_out_even_while_the_cell_is_starved_all_the_time() -> None:
    cell = Cell(silence_ns_max=SECOND_NS)
    cell.client().says("GET a")
    cell.reply(b"+1", but=2)
    gaps = SECOND_NS // cell.limits.attention_ns_max
    for gap in range(gaps):
        assert cell.notices() == [], gap
        cell.now += 60 * SECOND_NS
        cell.core.woken(cell.now)
    (convicted,) = cell.notices()
    assert isinstance(convicted, Convicted)
    assert (convicted.seat, convicted.cause) == (2, Cause.MUTE)


def test_a_cell_that_had_nothing_to_do_waits_no_longer_for_what_comes_then() -> None:
    """It was not woken meanwhile: nobody owed it anything."""
    cell = Cell()
    ann = cell.client()
    cell.now += 3600 * SECOND_NS
    ann.says("GET a")
    cell.passes(29.9)
    assert ann.hears() == b""
    cell.passes(0.2)
    assert ann.hears().startswith(b"-NOQUORUM")


# The last f+1 voters.


def test_the_last_voters_are_spared_and_go_on_voting() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("INCR a")
    cell.reply(b":1", but=2)
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.hears(2, b":2")
    assert [type(notice) for notice in cell.notices()] == [Convicted, Dissented, Spared]
    ann.says("INCR a")
    cell.reply(b":2", but=0)
    assert ann.hears() == b":1\r\n:2\r\n"


def test_a_spared_mute_one_is_heard_again_when_it_speaks() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("GET a")
    cell.reply(b"+1", but=2)
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.passes(12)
    spared = [notice for notice in cell.notices() if isinstance(notice, Spared)]
    assert [(notice.seat, notice.cause) for notice in spared] == [(2, Cause.MUTE)] * 2, "once in five seconds"
    ann.says("GET b")
    cell.hears(2, b"+1", b"+2")
    cell.hears(1, b"+2")
    assert ann.hears() == b"+1\r\n+2\r\n"
    assert not cell.core.is_lost


def test_when_the_quorum_is_lost_all_is_refused_at_once() -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says("GET a")
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    cell.core.replica_lost(2, Cause.CRASH, cell.now)
    assert ann.hears() == b"-NOQUORUM slot 1 was not decided: unanswered\r\n"
    assert [notice for notice in cell.notices() if isinstance(notice, QuorumLost)] == [QuorumLost(1, cell.now)]
    bob.says("GET a", "GET b")
    assert bob.hears() == LOST * 2
    assert cell.core.order.inflight_slots == 0


@pytest.mark.parametrize("request_", ["BLPOP list 0", "BRPOPLPUSH list other 0", "XREAD BLOCK 0 STREAMS list 0"])
def test_who_is_parked_when_the_quorum_is_lost_is_told_so_like_all_others(request_: str) -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says(request_, "GET a")
    cell.reply(b"*-1")
    bob.says("BLPOP list 0", "GET b")
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert bob.hears() == b"-NOQUORUM slot 2 was not decided: unanswered\r\n", "its first attempt was under way"
    ann.says("GET c")
    assert ann.hears() == b"", "all replicas may be begun anew, and it may wait on"
    cell.core.woken(cell.now)
    assert ann.hears() == b""
    assert any(isinstance(notice, QuorumLost) for notice in cell.notices())
    assert cell.core.next_deadline() < cell.now
    cell.core.woken(cell.now)
    assert ann.hears() == LOST * 3
    assert bob.hears() == b"-NOQUORUM slot 3 was not decided: unanswered\r\n"
    assert cell.core.next_deadline() > cell.now, "nobody waits any more"


def test_one_who_is_tried_for_another_when_the_quorum_is_lost_is_told_so_too() -> None:
    cell = Cell()
    first, second, writer = cell.client(), cell.client(), cell.client()
    for client in (first, second):
        client.says("BLPOP list 0")
        cell.reply(b"*-1")
    writer.says("RPUSH list a")
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    cell.notices()
    for _ in range(2):
        cell.core.woken(cell.now)
    assert first.hears().startswith(b"-NOQUORUM slot 4")
    assert second.hears().startswith(b"-NOQUORUM slot 5")
    assert cell.core.next_deadline() > cell.now, "nobody waits any more"


# What others are told of.


def test_a_message_stands_where_its_slot_does_among_the_replies_of_who_hears_it() -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says("HELLO 3", "SUBSCRIBE news")
    ann.hears()
    ann.says("GET a")
    bob.says("PUBLISH news hi", "SUBSCRIBE news")
    ann.says("GET b", "PING", "UNSUBSCRIBE news")
    message = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n"
    answered = cell.core.tally.answered_here
    cell.reply(b":0")
    assert ann.hears() == message
    assert cell.core.tally.answered_here == answered, "a message answers nobody"
    assert bob.hears() == b":1\r\n*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
    cell.reply(b"+2")
    assert ann.hears() == b"+2\r\n+PONG\r\n>3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n"


def test_messages_that_were_under_way_when_the_quorum_was_lost_keep_nobody_waiting() -> None:
    cell = Cell()
    ann, bob = cell.client(), cell.client()
    ann.says("SUBSCRIBE news")
    ann.hears()
    bob.says("PUBLISH news hi")
    ann.says("UNSUBSCRIBE news")
    assert ann.hears() == b""
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert ann.hears() == b"*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n"
    assert bob.hears() == b"-NOQUORUM slot 1 was not decided: unanswered\r\n"
    ann.says("SUBSCRIBE news")
    assert ann.hears() == LOST


# Admission.

FEW = {"inflight_slots_max": 4, "client_pending_max": 3, "lag_slots_max": 8}


def test_a_client_with_too_much_pending_waits_for_itself_alone() -> None:
    cell = Cell(**FEW)
    ann, bob = cell.client(), cell.client()
    ann.says("GET a", "GET b", "GET c")
    ann.says("GET d")
    ann.says("GET e")
    assert len(ann.client.inbox) == 2
    bob.says("GET f")
    assert cell.core.order.inflight_slots == 4
    cell.reply(b"+a")
    assert cell.core.readable == [ann.client]
    assert ann.client.inbox == []
    cell.reply(b"+b", b"+c", b"+f", b"+d", b"+e")
    assert ann.hears() == b"+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n"
    assert bob.hears() == b"+f\r\n"


def test_answers_of_the_coordinator_behind_a_slot_count_as_pending() -> None:
    cell = Cell(**FEW)
    ann = cell.client()
    ann.says("GET a", "CLIENT GETNAME", "CLIENT GETNAME")
    ann.says("CLIENT GETNAME")
    assert len(ann.client.inbox) == 1
    cell.reply(b"+a")
    assert ann.hears() == b"+a\r\n" + b"$-1\r\n" * 3


def test_when_too_much_is_under_way_all_wait_in_the_order_they_came() -> None:
    cell = Cell(**FEW)
    ann, bob, cid = cell.client(), cell.client(), cell.client()
    ann.says("GET a", "GET b", "GET c", "GET d")
    bob.says("GET e")
    cid.says("GET f")
    assert (len(bob.client.inbox), len(cid.client.inbox)) == (1, 1)
    cell.core.woken(cell.now)
    assert len(bob.client.inbox) == 1, "nothing is read while the order is full"
    bob.leaves()
    cell.reply(*[b"+%d" % number for number in range(4)])
    cell.reply(b"+f")
    assert cid.hears() == b"+f\r\n"
    assert bob.hears() == b""


def test_clients_are_held_back_for_one_that_lags_until_it_has_caught_up_or_goes() -> None:
    cell = Cell(**FEW)
    ann = cell.client()
    for _ in range(2):
        ann.says("GET a", "GET a", "GET a")
        cell.reply(*[b"+1"] * 3, but=2)
    ann.says("GET b")
    cell.hears(2, b"+1")
    assert len(ann.client.inbox) == 1
    cell.hears(2, *[b"+1"] * 5)
    assert ann.client.inbox == []
    cell.reply(b"+2")
    assert ann.hears() == b"+1\r\n" * 6 + b"+2\r\n"
    for _ in range(2):
        ann.says("GET a", "GET a", "GET a")
        cell.reply(*[b"+1"] * 3, but=2)
    ann.says("GET c")
    cell.passes(0.6)
    assert cell.core.roles[2] is Role.RETIRING
    cell.reply(b"+3", but=2)
    assert ann.hears() == b"+1\r\n" * 6 + b"+3\r\n"


def test_a_lane_far_ahead_is_not_read() -> None:
    cell = Cell(reply_bytes_max=1000)
    ann = cell.client()
    ann.says("GET a", "GET b")
    cell.hears(0, bulk(b"x" * 900), bulk(b"y" * 900))
    assert [cell.core.lane_is_full(seat) for seat in cell.seats] == [True, False, False]


# Time.


def test_with_nothing_owed_it_wants_no_waking() -> None:
    assert Cell().core.next_deadline() == 0


def test_while_replies_are_awaited_it_looks_up_often_enough_to_know_that_it_was_attending() -> None:
    cell = Cell()
    cell.client().says("GET a")
    cell.core.distribute.take()
    assert cell.core.next_deadline() - cell.now == cell.limits.attention_ns_max // 2


def test_a_caller_that_wakes_early_enough_is_spared_the_look_at_what_the_vote_waits_for() -> None:
    cell = Cell()
    ann = cell.client().says("GET a")
    cell.core.distribute.take()
    wake_at = cell.core.deadline_before(0)
    assert wake_at == cell.core.next_deadline()
    assert cell.core.deadline_before(wake_at) == 0
    ann.says("GET b")
    assert cell.core.deadline_before(wake_at) == cell.now + BATCH_WAIT_NS_MAX


def test_a_caller_that_wakes_too_late_for_what_is_new_is_told_all() -> None:
    cell = Cell(throttle_ns_max=1_000_000)
    cell.client().says("GET a")
    cell.core.distribute.take()
    wake_at = cell.core.deadline_before(0)
    assert cell.core.deadline_before(wake_at) == wake_at == cell.core.next_deadline()


def test_a_deadline_of_the_protocol_is_told_to_a_caller_that_wakes_later() -> None:
    cell = Cell()
    ann = cell.client().says("GET a")
    cell.core.distribute.take()
    wake_at = cell.core.deadline_before(0)
    ann.says("BLPOP list 0.01")
    cell.reply(b"$-1")
    cell.core.distribute.take()
    cell.reply(b"*-1")
    assert cell.now < cell.core.deadline_before(wake_at) < wake_at


def test_requests_gather_while_what_was_sent_before_is_undecided() -> None:
    cell = Cell()
    ann = cell.client().says("GET a")
    assert cell.core.is_batch_due(cell.now)
    cell.core.distribute.take()
    ann.says("GET b")
    assert not cell.core.is_batch_due(cell.now)
    assert not cell.core.has_output(cell.now)
    cell.hears(0, b"$-1")
    cell.hears(1, b"$-1")
    assert cell.core.is_batch_due(cell.now)
    assert cell.core.has_output(cell.now)
    assert cell.core.distribute.take() == encode_request([b"GET", b"b"])


def test_what_gathered_waits_only_so_long() -> None:
    cell = Cell()
    ann = cell.client().says("GET a")
    cell.core.distribute.take()
    ann.says("GET b")
    assert cell.core.next_deadline() == cell.now + BATCH_WAIT_NS_MAX
    cell.now += BATCH_WAIT_NS_MAX
    assert cell.core.is_batch_due(cell.now)
    assert cell.core.has_output(cell.now)


def test_a_deadline_of_the_protocol_wakes_it_and_is_performed() -> None:
    cell = Cell()
    ann = cell.client()
    ann.says("SET a 1 PX 50")
    cell.core.distribute.take()
    cell.reply(b"+OK")
    due = cell.core.next_deadline()
    assert 0 < due - cell.now <= SECOND_NS
    cell.passes(1)
    assert b"DEL" in cell.core.distribute.take() or cell.core.order.inflight_slots
