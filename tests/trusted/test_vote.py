"""Ballots as conversations: who says what, what is decided, who is blamed."""

import pytest

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.messages import Cause
from quorate.trusted.protocols.redis.order_free import Unordered
from quorate.trusted.protocols.redis.values import bulk
from quorate.trusted.span import Form, Span
from quorate.trusted.vote import Vote
from tests.trusted.support import PROTOCOL, SECOND_NS, START_NS, Booth, line

SMALL = {"reply_bytes_max": 100, "lag_bytes_max": 100, "client_output_bytes_max": 100}


# Agreement.


def test_two_equal_replies_of_three_decide_without_the_slowest() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(2, b"+1")
    assert booth.said() == []
    booth.hears(0, b"+1")
    assert booth.said() == [b"+1\r\n"]


def test_the_slowest_is_compared_when_it_comes() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    booth.hears(0, b"+1", b"+2")
    booth.hears(1, b"+1", b"+2")
    booth.hears_bytes(2, b"+1\r\n+")
    assert booth.dissents == []
    booth.hears_bytes(2, b"3\r\n")
    assert booth.dissenters() == [(2, 2)]
    dissent = booth.dissents[0]
    assert (dissent.agreed, dissent.reply) == (b"+2\r\n", b"+3\r\n")
    assert dissent.span.request_at(dissent.slot) == b"GET b"


def test_slots_are_decided_in_order_though_a_later_one_is_clear_first() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    booth.hears(0, b"+x", b"+2")
    booth.hears(1, b"+1", b"+2")
    assert booth.said() == []
    booth.hears(2, b"+1")
    assert booth.said() == [b"+1\r\n", b"+2\r\n"]
    assert booth.dissenters() == [(0, 1)]


def test_the_first_f_streams_may_lie_each_its_own_way() -> None:
    booth = Booth(f=2)
    booth.asks(b"GET a", b"GET b")
    for seat, reply in enumerate((b"+x", b"+y", b"+1", b"+1", b"+1")):
        booth.hears(seat, reply, b"+2")
    assert booth.said() == [b"+1\r\n", b"+2\r\n"]
    assert booth.dissenters() == [(0, 1), (1, 1)]


def test_a_liar_that_sends_one_byte_does_not_hold_the_stream_up() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b", b"GET c")
    booth.hears_bytes(0, b"+")
    booth.hears(1, b"+1", b"+2", b"+3")
    booth.hears(2, b"+1", b"+2", b"+3")
    assert booth.said() == [b"+1\r\n", b"+2\r\n", b"+3\r\n"]
    assert booth.dissents == []


def test_replies_in_another_order_agree_and_the_canonical_order_is_released() -> None:
    booth = Booth()
    booth.asks(b"SMEMBERS s", form=Unordered(1))
    booth.asks(b"GET a")
    booth.hears(0, b"*2", b"$1", b"b", b"$1", b"a", b"+1")
    booth.hears(1, b"*2", b"$1", b"a", b"$1", b"b", b"+1")
    assert booth.said() == [b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"+1\r\n"]
    booth.hears(2, b"*2", b"$1", b"b", b"$1", b"a", b"+1")
    assert booth.dissents == []


def test_a_stream_is_cut_where_order_begins_not_to_matter() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.asks(b"SMEMBERS s", form=Unordered(1))
    booth.asks(b"GET b")
    for seat in range(2):
        booth.hears(seat, b"+1", b"*2", b"$1", b"b", b"$1", b"a", b"+2")
    assert booth.said() == [b"+1\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"+2\r\n"]


def test_several_frames_may_be_one_slots_reply() -> None:
    booth = Booth()
    booth.asks(b"MULTI ... EXEC", frames=3, is_write=True)
    booth.hears(0, b"+OK", b"+QUEUED")
    booth.hears(1, b"+OK", b"+QUEUED")
    assert booth.said() == []
    booth.hears(0, b"*1", b":1")
    booth.hears(1, b"*1", b":1")
    assert booth.said() == [b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"]


# Undecided slots.


def test_three_different_replies_split_and_nobody_is_guilty() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    for seat, reply in enumerate((b"+1", b"+2", b"+3")):
        booth.hears(seat, reply)
    assert booth.said() == [None]
    assert booth.reasons[1] == "split"
    assert booth.is_content()
    booth.asks(b"GET b")
    booth.hears(0, b"+4")
    booth.hears(1, b"+4")
    assert booth.said() == [None, b"+4\r\n"]


@pytest.mark.parametrize("lies", [(), (b"+2",)])
def test_only_where_replies_differed_is_a_slot_split(lies: tuple[bytes, ...]) -> None:
    """Where all who are left said the same, and were merely too few, it is unanswered."""
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    for lie in lies:
        booth.hears(1, lie)
    for seat in range(1 + len(lies), 3):
        assert booth.said() == []
        booth.removes(seat)
    assert booth.said() == [None]
    assert booth.reasons[1] == ("split" if lies else "unanswered")


def test_garbage_is_no_reply_that_differs() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    for seat in (1, 2):
        booth.hears(seat, b"?")
    assert booth.said() == [None]
    assert booth.reasons[1] == "unanswered"
    assert booth.accused() == [(1, Cause.GARBAGE), (2, Cause.GARBAGE)]


def test_a_slot_that_waits_too_long_is_closed_and_its_late_replies_are_not_compared() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears_bytes(2, b"+")
    booth.passes(29)
    assert booth.said() == []
    booth.passes(1)
    assert booth.reasons[1] == "unanswered"
    booth.asks(b"GET b")
    booth.hears(0, b"+2")
    booth.hears(1, b"+what", b"+2")
    booth.hears_bytes(2, b"ever\r\n+2\r\n")
    assert booth.said() == [None, b"+2\r\n"]
    assert booth.is_content()


def test_a_slot_is_closed_early_once_the_missing_replies_cannot_decide_it() -> None:
    booth = Booth(f=2)
    booth.asks(b"GET a")
    for seat in range(3):
        booth.hears(seat, b"+%d" % seat)
    assert booth.said() == []
    booth.hears(3, b"+3")
    assert booth.reasons == {1: "unanswered"}


def test_without_a_quorum_of_voters_slots_are_closed_at_once() -> None:
    booth = Booth()
    booth.removes(0)
    booth.removes(1)
    booth.asks(b"GET a")
    booth.passes(0)
    assert booth.said() == [None]


def test_when_a_voter_goes_the_slots_under_way_are_decided_without_it() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+x")
    booth.hears(1, b"+1")
    booth.removes(0)
    assert booth.said() == []
    booth.hears(2, b"+1")
    assert booth.said() == [b"+1\r\n"]
    booth.hears(0, b"+y")
    booth.asks(b"SMEMBERS s", form=Unordered(1))
    booth.hears(1, b"*0")
    booth.hears(2, b"*0")
    assert booth.said() == [b"+1\r\n", b"*0\r\n"]
    assert booth.is_content()


# What no correct replica does.


def test_garbage_is_a_fault_once_the_slot_is_decided() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    booth.hears(0, b"what is this")
    assert booth.faults == []
    booth.hears(1, b"+1")
    booth.hears(2, b"+1")
    assert booth.accused() == [(0, Cause.GARBAGE)]
    assert booth.dissents[0].reply == b"what is this\r\n"
    booth.hears(0, b"+2")
    booth.hears(1, b"+2")
    booth.hears(2, b"+2")
    assert booth.accused() == [(0, Cause.GARBAGE)], "it is reported once"
    assert booth.dissenters() == [(0, 1)]


def test_garbage_is_reported_once_however_many_slots_are_decided_in_one_turn() -> None:
    booth = Booth()
    for _ in range(5):
        booth.asks(b"SMEMBERS s", form=Unordered(1))
    booth.hears(0, b"what is this")
    booth.hears(1, *[b"*0"] * 5)
    booth.hears(2, *[b"*0"] * 5)
    assert booth.said() == [b"*0\r\n"] * 5
    assert booth.accused() == [(0, Cause.GARBAGE)]
    assert booth.dissenters() == [(0, 1)]


def test_garbage_in_a_slot_that_is_closed_is_a_fault_too() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"what is this")
    booth.hears(1, b"+1")
    booth.hears(2, b"+2")
    assert booth.said() == [None]
    assert booth.accused() == [(0, Cause.GARBAGE)]
    assert booth.dissents == []
    booth.removes(0)
    booth.asks(b"GET b")
    booth.hears(1, b"+1")
    booth.hears(2, b"+1")
    assert booth.said() == [None, b"+1\r\n"]


def test_garbage_from_one_that_is_behind() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    booth.hears(0, b"+1", b"+2")
    booth.hears(1, b"+1", b"+2")
    booth.hears(2, b"+1", b"what is this")
    assert booth.accused() == [(2, Cause.GARBAGE)]
    assert booth.dissenters() == [(2, 2)]


def test_a_reply_that_nobody_asked_for() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    for seat in range(3):
        booth.hears(seat, b"+1")
    booth.hears(1, b"+2")
    booth.hears(1, b"+3")
    assert booth.accused() == [(1, Cause.UNASKED)]


def test_replies_sent_ahead_of_their_requests_are_one_vote_and_no_more() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1", b"+lie", b"+lie")
    booth.asks(b"GET b", b"GET c")
    booth.hears(1, b"+1", b"+2", b"+3")
    booth.hears(2, b"+1", b"+2", b"+3")
    assert booth.said() == [b"+1\r\n", b"+2\r\n", b"+3\r\n"]
    assert booth.dissenters() == [(0, 2), (0, 3)]


# Large replies.


def test_an_oversized_reply_on_all_is_the_requests_fault() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET big", b"GET a")
    for seat in range(3):
        booth.hears(seat, bulk(b"x" * 100)[:-2])
    assert booth.said() == [b""]
    for seat in range(3):
        booth.hears(seat, b"+1")
    assert booth.said() == [b"", b"+1\r\n"]
    assert booth.is_content()


def test_a_reply_that_must_be_sorted_may_have_less() -> None:
    booth = Booth(unordered_bytes_max=18)
    booth.asks(b"SMEMBERS s", form=Unordered(1))
    booth.asks(b"LRANGE l 0 -1")
    for seat in range(3):
        booth.hears(seat, b"*3", b":10", b":11", b":12", b"*3", b":10", b":11", b":12")
    assert booth.said() == [b"", b"*3\r\n:10\r\n:11\r\n:12\r\n"]
    assert booth.is_content()


@pytest.mark.parametrize("pieces", [1, 3, 50, 107])
def test_oversized_is_oversized_however_it_arrives(pieces: int) -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET big")
    booth.asks(b"GET a")
    replies = bulk(b"x" * 100)
    booth.hears_bytes(0, replies)
    booth.hears_bytes(1, bulk(b"y" * 100))
    for start in range(0, len(replies), pieces):
        booth.hears_bytes(2, replies[start : start + pieces])
    assert booth.said() == [b""]
    for seat in range(3):
        booth.hears(seat, b"+1")
    assert booth.said() == [b"", b"+1\r\n"]
    assert booth.is_content()


def test_an_oversized_reply_against_a_smaller_agreed_one_is_a_flood() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    booth.hears_bytes(2, b"$1000\r\n" + b"x" * 200)
    assert booth.dissenters() == [(2, 1)]
    assert booth.accused() == [(2, Cause.FLOOD)]


def test_a_small_reply_against_an_agreed_oversized_one_is_a_dissent() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET big")
    booth.hears_bytes(0, bulk(b"x" * 100))
    booth.hears_bytes(1, bulk(b"x" * 100))
    booth.hears(2, b"+1")
    assert booth.said() == [b""]
    assert [(dissent.agreed, dissent.reply) for dissent in booth.dissents] == [(b"", b"+1\r\n")]


def test_a_never_ending_reply_keeps_no_memory_and_ends_as_lag() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET big", b"GET a")
    booth.hears_bytes(0, bulk(b"x" * 100))
    booth.hears_bytes(1, bulk(b"x" * 100))
    booth.hears_bytes(2, b"$9999999999\r\n")
    for _ in range(20):
        booth.hears_bytes(2, b"x" * 50)
    assert booth.said() == [b""]
    assert len(booth.vote.seats[2].buffer) <= 100
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    for _ in range(15):
        booth.hears_bytes(2, b"x" * 50)
        booth.passes(1)
    assert booth.accused() == [(2, Cause.LAG)]


def test_an_oversized_reply_that_turns_to_garbage_is_a_fault() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"LRANGE big 0 -1")
    booth.hears_bytes(0, b"*100\r\n" + b":1\r\n" * 30)
    booth.hears_bytes(1, b"*100\r\n" + b":1\r\n" * 30)
    assert booth.said() == [b""]
    booth.hears(1, b"what")
    booth.hears(1, b"more")
    assert booth.accused() == [(1, Cause.GARBAGE)]


def test_an_oversized_reply_that_turned_to_garbage_before_it_was_counted_is_a_fault() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"LRANGE big 0 -1")
    booth.hears_bytes(0, b"*100\r\n" + b":1\r\n" * 30)
    booth.hears(0, b"what")
    booth.hears_bytes(1, b"*100\r\n" + b":1\r\n" * 30)
    assert booth.said() == [b""]
    assert booth.accused() == [(0, Cause.GARBAGE)]


def test_a_reply_that_came_alone_counts_as_given_when_its_slot_is_closed() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.passes(booth.limits.decision_ns_max / SECOND_NS)
    assert booth.said() == [None]
    assert [len(seat.owed) for seat in booth.vote.seats] == [0, 1, 1]


def test_garbage_that_came_alone_is_a_fault_when_its_slot_is_closed() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"what")
    booth.passes(booth.limits.decision_ns_max / SECOND_NS)
    assert booth.said() == [None]
    assert booth.accused() == [(0, Cause.GARBAGE)]


def test_an_owed_oversized_reply_is_skipped_before_the_next_is_compared() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"GET big", b"GET a")
    booth.hears_bytes(0, bulk(b"x" * 100) + b"+1\r\n")
    booth.hears_bytes(1, bulk(b"x" * 100) + b"+1\r\n")
    booth.hears_bytes(2, bulk(b"x" * 100)[:-4])
    booth.hears_bytes(2, b"x")
    booth.hears_bytes(2, b"x\r\n+2\r\n")
    assert booth.dissenters() == [(2, 2)]
    assert booth.faults == []


# A lane's setup.


def joined_booth(frames: int) -> Booth:
    booth = Booth()
    booth.vote = Vote(1, 3, PROTOCOL, booth.limits)
    for seat in range(3):
        booth.vote.joined(seat, seat, frames, START_NS)
    return booth


def test_replies_to_the_setup_are_no_votes() -> None:
    booth = joined_booth(2)
    for seat in range(3):
        booth.hears(seat, b"+set", b"+up")
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    assert booth.said() == [b"+1\r\n"]


def test_half_a_setup_is_neither_a_reply_that_nobody_asked_for_nor_a_vote() -> None:
    booth = joined_booth(1)
    booth.hears_bytes(0, b"$2\r\no")
    booth.hears(1, b"+OK")
    booth.hears(2, b"+OK")
    assert booth.faults == []
    booth.asks(b"MULTI ... EXEC", frames=2)
    booth.hears(1, b"+1", b"+2")
    booth.hears(2, b"+1", b"+2")
    assert booth.said() == [b"+1\r\n+2\r\n"]
    booth.hears_bytes(0, b"k\r\n+1\r\n+2\r\n")
    assert booth.is_content()
    assert not booth.vote.seats[0].owed


def test_a_refused_setup_is_a_fault() -> None:
    booth = joined_booth(2)
    booth.hears(0, b"+OK", b"-NOPERM")
    assert booth.accused() == [(0, Cause.REFUSED)]


def test_garbage_for_a_setup_is_a_fault() -> None:
    booth = joined_booth(1)
    booth.hears(0, b"what")
    assert booth.accused() == [(0, Cause.GARBAGE)]


def test_a_setup_without_end_is_a_flood() -> None:
    booth = joined_booth(1)
    booth.hears_bytes(0, b"$9999999999\r\n" + b"x" * booth.limits.reply_bytes_max)
    assert booth.accused() == [(0, Cause.FLOOD)]
    booth.hears_bytes(0, b"x" * 1000)
    assert len(booth.vote.seats[0].buffer) < booth.limits.reply_bytes_max + 100


def test_a_replica_joins_before_the_first_slot_only() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    with pytest.raises(BrokenInvariant):
        booth.vote.joined(0, 0, 0, booth.now)


# Silence and lag.


def test_silence_counts_from_the_decision() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.passes(20)
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    assert booth.vote.next_deadline() == booth.now + booth.limits.silence_ns_max
    booth.passes(4)
    assert booth.faults == []
    booth.passes(1)
    assert booth.accused() == [(2, Cause.MUTE)]


def test_silence_about_a_closed_slot_is_nobodys_fault() -> None:
    booth = Booth()
    booth.asks(b"DEBUG SLEEP 40")
    booth.passes(30)
    assert booth.said() == [None]
    booth.passes(100)
    assert booth.faults == []
    assert booth.vote.next_deadline() == 0
    booth.asks(b"GET a")
    for seat in range(2):
        booth.hears(seat, b"+woke", b"+1")
    booth.passes(5)
    assert booth.accused() == [(2, Cause.MUTE)], "but a decided slot behind it counts"


def test_who_owes_decided_slots_between_closed_ones_is_judged_by_the_decided() -> None:
    booth = Booth(decision_ns_max=6 * SECOND_NS)
    booth.asks(b"GET a", b"GET b")
    booth.passes(2)
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    booth.passes(4)
    assert booth.said() == [b"+1\r\n", None]
    assert booth.vote.next_deadline() == booth.now + 1 * SECOND_NS, "the first slot's silence"
    booth.hears(2, b"+1")
    assert booth.vote.next_deadline() == 0, "the second was closed"
    booth.asks(b"GET c")
    booth.hears(0, b"+what", b"+3")
    booth.hears(1, b"+ever", b"+3")
    assert booth.vote.next_deadline() == booth.now + booth.limits.silence_ns_max
    booth.hears(2, b"+late", b"+3")
    assert booth.vote.next_deadline() == 0
    assert booth.is_content()


def test_who_answers_all_the_time_but_stays_behind_lags() -> None:
    booth = Booth()
    booth.asks(*[b"GET a"] * 20)
    booth.hears(0, *[b"+1"] * 20)
    booth.hears(1, *[b"+1"] * 20)
    for _ in range(15):
        assert booth.faults == []
        booth.hears_bytes(2, b"+1\r")
        booth.hears_bytes(2, b"\n")
        booth.passes(1)
    assert booth.accused() == [(2, Cause.LAG)]


def test_nobody_is_late_while_the_cell_itself_was_stopped() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    booth.asks(b"GET b")
    booth.passes(1)
    booth.now += 60 * SECOND_NS
    booth.vote.missed(60 * SECOND_NS)
    booth.passes(3)
    assert booth.faults == []
    assert booth.vote.next_deadline() == booth.now + 1 * SECOND_NS, "what went before the gap counts"
    booth.passes(1)
    assert booth.accused() == [(2, Cause.MUTE)]
    booth.removes(2)
    booth.passes(24)
    assert booth.said() == [b"+1\r\n"], "the slot under way keeps what it had of its time, too"
    booth.passes(1)
    assert booth.said() == [b"+1\r\n", None]


def test_what_the_cell_missed_before_is_not_added_to_what_comes_later() -> None:
    booth = Booth(**WINDOW)
    booth.vote.missed(600 * SECOND_NS)
    booth.asks(*[b"GET a"] * 11)
    booth.hears(0, *[b"+1"] * 11)
    booth.hears(1, *[b"+1"] * 11)
    assert booth.vote.is_throttled(booth.now)
    assert booth.vote.next_deadline() == booth.now + booth.limits.throttle_ns_max
    booth.hears(2, *[b"+1"] * 11)
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    assert booth.vote.next_deadline() == booth.now + booth.limits.silence_ns_max
    booth.vote.spared(2, booth.now)
    assert booth.vote.next_deadline() == booth.now + booth.limits.silence_ns_max
    booth.hears(2, b"+1")
    booth.asks(b"GET b")
    assert booth.vote.next_deadline() == booth.now + booth.limits.decision_ns_max
    booth.shadow(3, 2)
    booth.releases(2)
    booth.asks(b"GET c")
    for seat in range(3):
        booth.hears(seat, b"+2", b"+3")
    assert booth.vote.next_deadline() == booth.now + booth.limits.silence_ns_max, "the shadow's"


def test_who_is_spared_stays_a_voter_and_is_reported_again_only_after_as_long_a_silence() -> None:
    booth = Booth()
    booth.removes(0)
    booth.asks(b"GET a")
    booth.asks(b"GET b")
    booth.passes(31)
    booth.hears(1, b"+1")
    assert booth.said() == [None, None]
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+1")
    booth.removes(0)
    booth.passes(5)
    booth.vote.spared(2, booth.now)
    booth.passes(4)
    assert booth.accused() == [(2, Cause.MUTE)]
    assert booth.vote.next_deadline() > booth.now
    booth.passes(1)
    assert booth.accused() == [(2, Cause.MUTE)] * 2
    booth.asks(b"GET b")
    booth.hears(1, b"+2")
    booth.hears(2, b"+1", b"+2")
    assert booth.said() == [b"+1\r\n", b"+2\r\n"]


# The lag window.


WINDOW = {"inflight_slots_max": 10, "client_pending_max": 10, "lag_slots_max": 20}


def lagging_booth(**limits: int) -> Booth:
    """Seats 0 and 1 are eleven slots ahead of seat 2: beyond half the window of twenty."""
    booth = Booth(**{**WINDOW, **limits})
    booth.asks(*[b"GET a"] * 11)
    booth.hears(0, *[b"+1"] * 11)
    booth.hears(1, *[b"+1"] * 11)
    return booth


def test_one_that_lags_throttles_all_until_it_has_caught_up() -> None:
    booth = lagging_booth()
    assert booth.vote.is_throttled(booth.now)
    booth.hears(2, *[b"+1"] * 11)
    assert not booth.vote.is_throttled(booth.now)
    assert booth.vote.next_deadline() == 0


def test_one_for_whom_all_are_throttled_too_long_lags() -> None:
    booth = lagging_booth()
    booth.hears_bytes(2, b"+")
    booth.passes(0.4)
    assert booth.vote.is_throttled(booth.now)
    booth.passes(0.4)
    assert booth.faults == [], "the time counts from when somebody was held back"
    assert booth.vote.next_deadline() == booth.now + int(0.1 * 10**9)
    booth.passes(0.1)
    assert booth.accused() == [(2, Cause.LAG)]
    booth.removes(2)
    assert not booth.vote.is_throttled(booth.now)


def test_a_short_lag_long_ago_does_not_count_for_the_next_one() -> None:
    booth = lagging_booth()
    assert booth.vote.is_throttled(booth.now)
    booth.hears(2, *[b"+1"] * 11)
    booth.now += 10**10
    booth.asks(*[b"GET a"] * 11)
    booth.hears(0, *[b"+1"] * 11)
    booth.hears(1, *[b"+1"] * 11)
    assert booth.vote.is_throttled(booth.now)
    booth.passes(0.4)
    assert booth.faults == []


def test_what_is_kept_for_the_one_behind_counts_in_bytes_requests_too() -> None:
    booth = Booth(**SMALL)
    booth.asks(b"SET a " + b"x" * 60, is_write=True)
    booth.hears(0, b"+OK")
    booth.hears(1, b"+OK")
    assert booth.vote.is_throttled(booth.now)
    assert booth.vote.seats[2].owed_bytes == 66 + 5
    booth.hears(2, b"+OK")
    assert booth.vote.seats[2].owed_bytes == 0


def test_beyond_the_whole_window_those_ahead_are_not_read() -> None:
    booth = Booth(**SMALL)
    booth.asks(*[b"GET big"] * 2)
    reply = bulk(b"x" * 60)
    booth.hears_bytes(0, reply * 2)
    booth.hears_bytes(1, reply * 2)
    assert [booth.vote.is_ahead(seat) for seat in range(3)] == [True, True, False]
    assert booth.vote.next_deadline() == booth.now + booth.limits.throttle_ns_max
    booth.hears_bytes(2, reply * 2)
    assert not any(booth.vote.is_ahead(seat) for seat in range(3))
    assert booth.vote.next_deadline() == 0


def test_one_that_is_far_ahead_of_all_is_not_read() -> None:
    booth = Booth(**SMALL)
    booth.asks(*[b"GET big"] * 2)
    booth.hears_bytes(0, bulk(b"x" * 60) * 2)
    assert [booth.vote.is_ahead(seat) for seat in range(3)] == [True, False, False]


def test_where_nothing_is_decided_without_everybody_nobody_is_throttled() -> None:
    booth = lagging_booth()
    booth.removes(0)
    assert not booth.vote.is_throttled(booth.now)


def test_what_is_kept_of_closed_slots_is_bounded_too() -> None:
    booth = Booth(**WINDOW)
    for _ in range(21):
        booth.asks(b"GET a")
        booth.hears(0, b"+1")
        booth.hears(1, b"+2")
        booth.passes(30)
    assert booth.accused() == [(2, Cause.BACKLOG)]
    booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(1, b"+2")
    assert booth.accused() == [(2, Cause.BACKLOG)]


# Differences inside a large run of slots.


def test_one_lie_inside_a_long_agreed_run_is_found_and_the_rest_is_not_blamed() -> None:
    booth = Booth()
    first, second = booth.asks(*[b"GET %d" % key for key in range(5)]), booth.asks(b"X", b"Y", frames=2)
    replies = [b"+%d" % number for number in range(9)]
    booth.hears(0, *replies)
    booth.hears(1, *replies)
    assert len(booth.vote.seats[2].owed) == 1
    lies = [*replies[:3], b"+lie", *replies[4:8], b"+lie"]
    booth.hears(2, *lies)
    assert booth.dissenters() == [(2, 4), (2, 7)]
    assert booth.dissents[0].span is first
    assert booth.dissents[1].span is second
    assert booth.dissents[1].agreed == b"+7\r\n+8\r\n"
    seat = booth.vote.seats[2]
    assert (len(seat.owed), seat.owed_slots, seat.owed_bytes, seat.oldest) == (0, 0, 0, None)


def test_a_run_of_many_spans_is_divided_in_one_walk() -> None:
    booth = Booth()
    for number in range(20_000):
        booth.asks(b"INCR %d" % number, is_write=True)
    booth.hears(0, *[b":1"] * 20_000)
    booth.hears(1, *[b":1"] * 20_000)
    booth.hears(2, *[b":1"] * 19_999, b":2")
    assert booth.dissenters() == [(2, 20_000)]


def test_a_span_may_be_decided_in_pieces() -> None:
    booth = Booth()
    booth.asks(b"a", b"b", b"c", b"d")
    booth.hears(0, b"+1", b"+2")
    booth.hears(1, b"+1", b"+2", b"+3")
    booth.hears(0, b"+3", b"+4")
    booth.hears(1, b"+4")
    assert booth.said() == [line(b"+%d" % number) for number in range(1, 5)]
    booth.hears(2, b"+1", b"+2", b"+3", b"+lie")
    assert booth.dissenters() == [(2, 4)]
    assert booth.dissents[0].span.request_at(4) == b"d"


class LastOf(Form):
    """Of several frames only the last is compared and released."""

    is_exact = False

    def canonical(self, reply: bytes) -> bytes:
        return reply[-4:]


def test_a_canonical_form_is_never_taken_for_the_beginning_of_a_late_stream() -> None:
    booth = Booth()
    booth.asks(b"GUARDED", form=LastOf(), frames=3)
    for seat in range(3):
        booth.hears(seat, b"*0", b"*0", b"*0")
    assert booth.said() == [b"*0\r\n"]
    assert booth.is_content()
    assert not booth.vote.seats[2].owed


def test_state_may_be_as_long_as_any_reply_although_it_has_no_order() -> None:
    large = Unordered(1)
    large.is_large = True
    for form, is_agreed in ((Unordered(1), False), (large, True)):
        booth = Booth(reply_bytes_max=64, unordered_bytes_max=8, lag_bytes_max=64)
        booth.vote.expect(ordered(Span(None, [b"SMEMBERS s"], 0, False, form)))
        for seat in range(3):
            booth.vote.answered(seat, b"*2\r\n$3\r\none\r\n$3\r\ntwo\r\n", booth.now)
        assert [bool(decision.data) for decision in booth.vote.decisions] == [is_agreed]


def ordered(span: Span) -> Span:
    span.first = 1
    return span
