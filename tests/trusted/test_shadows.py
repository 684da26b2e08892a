"""Shadows: replicas that are prepared for a seat. They begin at a checkpoint, are compared, and take the seat."""

import pytest

from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    ShadowFailed,
    Undecided,
)
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state import PROTOCOL, state_request
from quorate.trusted.protocols.redis.values import bulk
from tests.trusted.support import STRING_1, Cell, Shadow, Talker

COUNT = encode_request([b"DBSIZE"])
STATE_MODE = PROTOCOL << 16
CLIENT_MODE = 2 << 16


def get(key: bytes) -> bytes:
    return encode_request([b"GET", key])


def cell_with_shadow(seat: int = 2, f: int = 1, **limits: int) -> tuple[Cell, Shadow]:
    """A cell in which nothing was written yet, and a shadow that was sealed and waits for the first slot to decide."""
    cell = Cell(f, **limits)
    cell.keeps_state()
    shadow = cell.shadow(seat)
    assert cell.stored() == [b"checkpoint 0 "]
    shadow.is_sealed()
    cell.notices()
    return cell, shadow


def following(seat: int = 2, f: int = 1, **limits: int) -> tuple[Cell, Shadow]:
    """A cell with a sealed shadow that has not answered its lane's setup yet, so that it goes on following."""
    cell = Cell(f, **limits)
    cell.keeps_state()
    shadow = cell.shadow(seat)
    cell.writes_lanes()
    cell.core.shadow_sealed(shadow.lane, cell.now)
    return cell, shadow


def answers_setup(shadow: Shadow) -> None:
    shadow.hears(*[b"+OK"] * shadow.cell.core.protocol.setup()[1])


# The whole way.


def test_a_shadow_begins_at_the_checkpoint_and_is_sent_what_comes_after_it() -> None:
    cell = Cell()
    cell.keeps_state()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    shadow = cell.shadow(2)
    ann.says("GET a")
    sent = cell.lanes()
    read = state_request(b"a", 1)[0] + COUNT
    before, after = sent.split(read)
    assert b"SET" in before
    assert shadow.kept == after == cell.core.protocol.switch(-1, CLIENT_MODE) + get(b"a")
    cell.reply(*STRING_1, b":1", b"+1")
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 3 0:1"]
    ann.says("GET b")
    shadow.is_sealed()
    assert shadow.setup == cell.core.protocol.setup()[0]
    assert shadow.kept.endswith(get(b"a") + get(b"b"))
    assert cell.notices() == []
    shadow.hears(b"+1")
    assert cell.notices() == [Seated(2, 5, cell.now)]
    assert ann.hears() == b"+OK\r\n+1\r\n"
    shadow.hears(b"+2")
    cell.hears(0, b"+2")
    assert ann.hears() == b"+2\r\n", "its vote counts as any other"


def test_what_gathered_before_it_began_is_not_for_a_shadow() -> None:
    cell = Cell()
    cell.keeps_state()
    ann = cell.client().says("GET a")
    cell.core.distribute.take()
    ann.says("GET b")
    shadow = cell.shadow(0)
    ann.says("GET c")
    assert cell.core.is_batch_due(cell.now), "what it begins in is written at once"
    sent = cell.lanes()
    assert sent.startswith(get(b"b"))
    assert shadow.kept == cell.core.protocol.switch(-1, CLIENT_MODE) + get(b"c")
    assert sent.endswith(shadow.kept)


def test_a_shadow_begins_in_the_mode_of_its_first_slot() -> None:
    cell = Cell()
    cell.keeps_state()
    ann = cell.client().says("HELLO 3", "SELECT 5", "SET a 1")
    cell.reply(b"+OK")
    shadow = cell.shadow(0)
    ann.says("GET a")
    cell.lanes()
    assert shadow.kept == cell.core.protocol.switch(-1, 3 << 16 | 5) + get(b"a")


def test_a_checkpoint_that_came_to_nothing_has_the_shadow_begin_anew() -> None:
    cell = Cell()
    cell.keeps_state()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    shadow = cell.shadow(2)
    ann.says("GET x")
    cell.lanes()
    first = shadow.kept
    cell.reply(b"+list", b":-1", b"-WRONGTYPE", b":1", b"+x")
    assert cell.stored() == [], "the hint was wrong, so there was no checkpoint"
    assert cell.core.vote.shadow_of(2) is not None
    ann.says("GET y")
    cell.lanes()
    assert get(b"x") in first
    assert get(b"x") not in shadow.kept
    assert shadow.kept.endswith(get(b"y"))
    cell.reply(b"+list", b":-1", b"*1", b"$1", b"v", b":1", b"+y")
    assert cell.stored() == [b"0 put a l -1 v", b"checkpoint 6 0:1"]
    shadow.is_sealed()
    shadow.hears(b"+y")
    assert cell.notices() == [Seated(2, 8, cell.now)]


def test_a_shadow_that_comes_while_a_checkpoint_is_under_way_begins_at_the_next() -> None:
    cell = Cell()
    cell.keeps_state()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.lanes()
    shadow = cell.shadow(2)
    assert cell.core.vote.shadow_of(2) is None
    cell.reply(*STRING_1, b":1")
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 3 0:1"]
    assert cell.core.vote.shadow_of(2) is not None, "the next checkpoint was asked for at once"
    cell.lanes()
    cell.reply(b":1")
    assert cell.stored() == [b"checkpoint 4 0:1"]
    assert cell.core.sweep.is_sealed()
    shadow.is_sealed()
    assert cell.notices() == [Seated(2, 5, cell.now)]


def test_while_a_shadow_is_sealed_the_store_stands_still_and_goes_on_afterwards() -> None:
    cell = Cell()
    cell.keeps_state()
    shadow = cell.shadow(2)
    assert cell.stored() == [b"checkpoint 0 "]
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.lanes()
    assert not cell.core.order.inflight_slots, "no state is read"
    assert cell.core.next_deadline() == 0
    shadow.is_sealed()
    shadow.hears(b"+OK")
    assert cell.core.roles[2] is Role.VOTING
    cell.reply(*STRING_1, b":1", but=2)
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 3 0:1"]


def test_a_shadow_that_is_given_up_lets_the_store_go_on() -> None:
    cell = Cell()
    cell.keeps_state()
    shadow = cell.shadow(2)
    assert cell.core.sweep.is_sealed()
    shadow.leaves()
    assert not cell.core.sweep.is_sealed()
    assert cell.core.vote.shadow_of(2) is None
    cell.wants_checkpoint()
    assert cell.stored() == [b"checkpoint 0 ", b"checkpoint 0 "]
    assert cell.core.roles == [Role.VOTING] * 3


def test_a_shadow_that_is_given_up_before_it_began_is_forgotten() -> None:
    cell = Cell()
    cell.keeps_state()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    shadow = cell.shadow(2)
    shadow.leaves()
    cell.reply(*STRING_1, b":1")
    assert cell.stored() == [b"0 put a s -1 1", b"checkpoint 3 0:1"]
    assert not cell.core.sweep.is_sealed()
    assert not cell.core.sweep.is_wanted


# Several at once.


def test_two_shadows_begin_at_one_checkpoint_and_are_sealed_each_for_itself() -> None:
    cell = Cell()
    cell.keeps_state()
    ann = cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    one, other = cell.shadow(0), cell.shadow(1)
    cell.reply(*STRING_1, b":1")
    cell.reply(b":1")
    assert cell.stored()[-1] == b"checkpoint 4 0:1"
    ann.says("GET a")
    one.is_sealed()
    assert cell.core.sweep.is_sealed(), "the other needs it still"
    other.is_sealed()
    assert not cell.core.sweep.is_sealed()
    one.hears(b"+1")
    other.hears(b"+1")
    assert ann.hears() == b"+OK\r\n", "shadows decide nothing"
    cell.hears(2, b"+1")
    cell.hears(0, b"+1")
    assert cell.notices() == [Seated(0, 6, cell.now), Seated(1, 6, cell.now)]
    assert ann.hears() == b"+1\r\n"


def test_a_shadow_that_comes_while_another_is_sealed_begins_at_a_checkpoint_of_its_own() -> None:
    cell = Cell()
    cell.keeps_state()
    one = cell.shadow(0)
    assert cell.core.sweep.is_sealed()
    other = cell.shadow(1)
    assert cell.core.vote.shadow_of(1) is None
    one.is_sealed()
    assert cell.core.sweep.is_sealed(), "for the other"
    assert cell.core.vote.shadow_of(1) is not None
    assert cell.stored() == [b"checkpoint 0 "] * 2
    other.is_sealed()
    assert cell.notices() == [Seated(0, 1, cell.now), Seated(1, 1, cell.now)]
    assert not cell.core.sweep.is_sealed()


def test_two_shadows_of_five_replicas_take_their_seats_while_two_others_lie() -> None:
    cell = Cell(f=2)
    cell.keeps_state()
    one, other = cell.shadow(0), cell.shadow(4)
    one.is_sealed()
    other.is_sealed()
    ann = cell.client().says("GET a")
    for replica in (0, 1):
        cell.hears(replica, b"+lie")
    one.hears(b"+1")
    other.hears(b"+1")
    for replica in (2, 3, 4):
        cell.hears(replica, b"+1")
    assert ann.hears() == b"+1\r\n"


# What a shadow does wrong.


def failures(cell: Cell) -> list[tuple[int, Cause]]:
    return [(notice.seat, notice.cause) for notice in cell.notices() if isinstance(notice, ShadowFailed)]


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ([b"+lie"], Cause.WRONG_SHADOW),
        ([b"what is this"], Cause.WRONG_SHADOW),
        ([b"+1", b"+2"], Cause.UNASKED),
        ([b"$2000", b"x" * 1500], Cause.WRONG_SHADOW),
    ],
)
def test_a_shadow_that_errs_fails_and_its_seat_is_as_it_was(said: list[bytes], cause: Cause) -> None:
    cell, shadow = following(reply_bytes_max=1000)
    ann = cell.client().says("INCR a")
    answers_setup(shadow)
    shadow.hears(*said)
    cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n"
    notices = cell.notices()
    assert [notice.cause for notice in notices if isinstance(notice, ShadowFailed)] == [cause]
    assert not [notice for notice in notices if isinstance(notice, Dissented | Convicted | Retired | Seated)]
    assert cell.core.tally.dissents == [0, 0, 0]
    assert cell.core.roles == [Role.VOTING] * 3
    assert cell.core.vote.shadows == []
    ann.says("GET a")
    shadow.hears(b"+2")
    cell.hears(2, b"+2")
    assert ann.hears() == b""
    cell.hears(0, b"+2")
    assert ann.hears() == b"+2\r\n"


def test_a_shadow_that_sends_what_nobody_asked_for_does_not_take_its_seat() -> None:
    cell, shadow = following()
    answers_but_one = cell.core.protocol.setup()[1] - 1
    shadow.hears(*[b"+OK"] * answers_but_one, b"+OK", b"+unasked")
    assert failures(cell) == [(2, Cause.UNASKED)]
    assert cell.core.roles == [Role.VOTING] * 3


def test_a_shadow_that_refuses_its_setup_fails() -> None:
    cell, shadow = following()
    shadow.hears(b"-NOPERM")
    assert failures(cell) == [(2, Cause.REFUSED)]


def test_a_mute_shadow_fails_after_its_silence_and_not_while_it_is_held() -> None:
    cell = Cell()
    cell.keeps_state()
    shadow = cell.shadow(2)
    cell.client().says("GET a")
    cell.writes_lanes()
    cell.reply(b"+1")
    cell.passes(60)
    assert failures(cell) == []
    cell.core.shadow_sealed(shadow.lane, cell.now)
    answers_setup(shadow)
    cell.passes(4.9)
    assert failures(cell) == []
    cell.passes(0.2)
    assert failures(cell) == [(2, Cause.MUTE)]
    assert cell.core.next_deadline() == 0


def test_a_shadow_that_answers_but_stays_behind_fails() -> None:
    cell, shadow = following()
    cell.client().says(*["GET a"] * 100)
    cell.reply(*[b"+1"] * 100)
    answers_setup(shadow)
    for _ in range(16):
        shadow.hears(b"+1")
        cell.passes(1)
    assert failures(cell) == [(2, Cause.LAG)]


def behind(owed: int) -> tuple[Cell, Shadow, Talker]:
    """A cell with a shadow that is not sealed yet and owes so many slots of eight, and a client."""
    cell = Cell(inflight_slots_max=4, client_pending_max=4, lag_slots_max=8)
    cell.keeps_state()
    shadow = cell.shadow(2)
    ann = cell.client()
    for _ in range(owed):
        ann.says("GET a")
        cell.reply(b"+1")
    assert ann.hears() == b"+1\r\n" * owed
    return cell, shadow, ann


def is_let_in(cell: Cell) -> bool:
    return cell.core.order.inflight_slots > 0


def test_what_is_kept_for_a_shadow_is_bounded_and_clients_are_slowed_for_it_once() -> None:
    cell, _, ann = behind(5)
    assert cell.core.vote.shadows[0].slows_since == 0, "nobody had to wait for half of it"
    for owed in (5, 6, 7):
        ann.says("GET a")
        assert not is_let_in(cell)
        cell.passes(3.7)
        assert not is_let_in(cell)
        cell.passes(0.05)
        assert is_let_in(cell), f"as much later as is owed beyond the half: {owed} of 8"
        cell.reply(b"+1")
    cell.passes(15)
    assert failures(cell) == []
    ann.says("GET a")
    assert is_let_in(cell), "the time is over, and does not begin again"
    cell.reply(b"+1")
    assert failures(cell) == [(2, Cause.LAG)]
    assert ann.hears() == b"+1\r\n" * 4


def test_what_is_under_way_counts_for_what_a_shadow_will_owe() -> None:
    cell, _, ann = behind(3)
    ann.says("GET a")
    ann.says("GET a")
    assert cell.core.order.inflight_slots == 2
    ann.says("GET a")
    assert cell.core.order.inflight_slots == 2
    cell.passes(3.8)
    assert cell.core.order.inflight_slots == 3


def test_clients_are_slowed_for_the_bytes_that_a_shadow_owes() -> None:
    cell = Cell(reply_bytes_max=100, lag_bytes_max=100)
    cell.keeps_state()
    cell.shadow(2)
    ann = cell.client().says("GET a" + "a" * 60)
    cell.reply(b"+1")
    ann.says("GET a")
    assert not is_let_in(cell)
    cell.passes(14.9)
    assert is_let_in(cell)


@pytest.mark.parametrize("is_given_up", [True, False])
def test_clients_go_on_at_once_when_a_shadow_comes_on_or_is_given_up(is_given_up: bool) -> None:
    cell, shadow, ann = behind(5)
    ann.says("GET a")
    assert not is_let_in(cell)
    if is_given_up:
        shadow.leaves()
        assert cell.core.next_deadline() <= cell.now
        cell.core.woken(cell.now)
        assert cell.core.next_deadline() > cell.now
    else:
        shadow.is_sealed()
        assert not is_let_in(cell)
        shadow.hears(b"+1")
    assert is_let_in(cell)
    assert failures(cell) == []


def test_a_client_who_goes_while_all_are_slowed_leaves_no_deadline() -> None:
    cell, _, ann = behind(5)
    ann.says("GET a")
    ann.leaves()
    cell.passes(60)
    assert cell.core.next_deadline() == 0


def test_a_shadow_whose_lane_breaks_fails() -> None:
    cell, shadow = following()
    cell.core.replica_lost(shadow.lane, Cause.CRASH, cell.now)
    assert failures(cell) == [(2, Cause.CRASH)]
    cell.core.replica_lost(shadow.lane, Cause.CRASH, cell.now)
    assert failures(cell) == []
    assert cell.core.roles == [Role.VOTING] * 3


def test_what_a_shadow_says_before_it_began_is_nobodys() -> None:
    cell = Cell()
    cell.keeps_state()
    cell.client().says("SET a 1")
    cell.wants_checkpoint()
    shadow = cell.shadow(2)
    shadow.hears(b"what is this")
    cell.core.replica_lost(shadow.lane, Cause.CRASH, cell.now)
    assert cell.notices() == []


# The old replica meanwhile.


def test_the_old_replica_votes_until_the_shadow_does() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a")
    cell.hears(2, b"+1")
    cell.hears(0, b"+1")
    assert ann.hears() == b"+1\r\n"
    answers_setup(shadow)
    shadow.hears(b"+1")
    assert [type(notice) for notice in cell.notices()] == [Seated]
    cell.hears(2, b"what is this")
    cell.core.replica_lost(2, Cause.CRASH, cell.now)
    assert cell.notices() == [], "its lane is nobody's any more"
    ann.says("GET b")
    cell.hears(2, b"+lie")
    cell.hears(1, b"+1", b"+2")
    assert ann.hears() == b""
    shadow.hears(b"+2")
    assert ann.hears() == b"+2\r\n"
    cell.core.replica_lost(shadow.lane, Cause.CRASH, cell.now)
    assert cell.notices() == [Convicted(2, Cause.CRASH, 3, cell.now)], "the seat's lane is the shadow's"


def test_the_old_replica_is_convicted_while_its_shadow_follows() -> None:
    cell, shadow = following()
    ann = cell.client().says("INCR a")
    cell.reply(b":1", but=2)
    cell.hears(2, b":7")
    assert [type(notice) for notice in cell.notices()] == [Dissented, Convicted]
    ann.says("INCR a")
    cell.reply(b":2", but=2)
    answers_setup(shadow)
    shadow.hears(b":1", b":2")
    assert cell.notices() == [Seated(2, 3, cell.now)]
    assert cell.core.roles[2] is Role.VOTING
    ann.says("GET a")
    shadow.hears(b"$1", b"2")
    cell.hears(1, b"$1", b"2")
    assert ann.hears().endswith(b"$1\r\n2\r\n")


def test_what_the_old_replica_did_on_reads_is_not_held_against_the_new() -> None:
    cell, shadow = following()
    ann = cell.client()
    for _ in range(2):
        ann.says("GET a")
        cell.reply(b"+1", but=2)
        cell.hears(2, b"+lie")
        cell.reply(b"+1")
    answers_setup(shadow)
    shadow.hears(*[b"+1"] * 4)
    assert Seated(2, 5, cell.now) in cell.notices()
    for _ in range(2):
        ann.says("GET a")
        cell.reply(b"+1", but=2)
        shadow.hears(b"+lie")
        cell.reply(b"+1", but=2)
        shadow.hears(b"+1")
    assert cell.core.roles[2] is Role.VOTING


def test_a_shadow_takes_the_seat_of_one_that_owes() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a", "GET b")
    cell.reply(b"+1", b"+2", but=2)
    assert ann.hears() == b"+1\r\n+2\r\n"
    answers_setup(shadow)
    shadow.hears(b"+1", b"+2")
    assert cell.notices() == [Seated(2, 3, cell.now)]
    cell.passes(60)
    assert cell.notices() == [], "what the old one owed is owed by nobody"


def test_a_shadow_takes_the_seat_of_one_that_is_ahead_and_the_vote_goes_on_with_the_shadows() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a", "GET b")
    cell.hears(2, b"+1", b"+two")
    cell.hears(0, b"+1")
    assert ann.hears() == b"+1\r\n"
    answers_setup(shadow)
    shadow.hears(b"+1")
    assert cell.notices() == [Seated(2, 2, cell.now)]
    cell.hears(1, b"+1", b"+two")
    assert ann.hears() == b"", "what the old one said of the second slot counts no more"
    shadow.hears(b"+two")
    assert ann.hears() == b"+two\r\n"


def test_a_shadow_takes_the_seat_of_one_that_sent_half_a_reply() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a", "GET b")
    cell.core.replica_answered(2, b"+1\r\n$10\r\nhalf", cell.now)
    cell.hears(0, b"+1")
    answers_setup(shadow)
    shadow.hears(b"+1", b"+2")
    assert cell.notices() == [Seated(2, 2, cell.now)]
    cell.hears(2, b"the rest")
    cell.hears(1, b"+1", b"+2")
    assert ann.hears() == b"+1\r\n+2\r\n"


def test_what_a_shadow_said_ahead_decides_directly_after_it_took_its_seat() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a", "GET b")
    cell.hears(0, b"+1", b"+2")
    cell.hears(1, b"+1")
    assert ann.hears() == b"+1\r\n"
    answers_setup(shadow)
    shadow.hears(b"+1", b"+2")
    assert Seated(2, 2, cell.now) in cell.notices()
    assert ann.hears() == b"+2\r\n", "two of three replicas that vote said so"


def test_a_lie_that_a_shadow_told_ahead_convicts_it_once_it_has_its_seat() -> None:
    cell, shadow = following()
    ann = cell.client().says("INCR a", "INCR b")
    cell.hears(0, b":1", b":2")
    cell.hears(1, b":1")
    answers_setup(shadow)
    shadow.hears(b":1", b":666")
    assert cell.notices() == [Seated(2, 2, cell.now)]
    cell.hears(1, b":2")
    assert ann.hears() == b":1\r\n:2\r\n"
    assert [type(notice) for notice in cell.notices()] == [Dissented, Convicted]


def test_a_shadow_waits_for_the_rest_of_a_reply_that_nobody_kept() -> None:
    cell, shadow = following(reply_bytes_max=1000)
    ann = cell.client().says("GET big", "GET a")
    big = bulk(b"x" * 1500)
    cell.reply(big[:-2], b"+1")
    answers_setup(shadow)
    shadow.hears(big[:1200])
    assert [type(notice) for notice in cell.notices()] == []
    cell.core.replica_answered(shadow.lane, big[1202:] + b"+1\r\n", cell.now)
    ann.hears()
    assert cell.core.roles == [Role.VOTING] * 3


# The cell without a quorum.


def test_a_shadow_that_follows_gives_the_cell_its_quorum_back() -> None:
    cell, shadow = following(seat=0)
    ann = cell.client().says("GET a")
    cell.reply(b"+1")
    cell.core.replica_lost(0, Cause.CRASH, cell.now)
    cell.core.replica_lost(1, Cause.CRASH, cell.now)
    assert [type(notice) for notice in cell.notices()] == [Convicted, Convicted, QuorumLost]
    ann.hears()
    ann.says("GET a")
    assert ann.hears() == b"-NOQUORUM fewer than f+1 replicas vote\r\n"
    answers_setup(shadow)
    shadow.hears(b"+1")
    assert cell.notices() == [Seated(0, 2, cell.now), QuorumRegained(2, cell.now)]
    assert not cell.core.is_lost
    ann.says("GET a")
    shadow.hears(b"+1")
    cell.hears(2, b"+1")
    assert ann.hears() == b"+1\r\n"


def test_a_lost_cell_that_wants_a_checkpoint_waits_without_looking_again_and_again() -> None:
    cell = Cell()
    cell.keeps_state()
    cell.client().says("SET a 1")
    cell.reply(b"+OK")
    cell.wants_checkpoint()
    cell.reply(b"+list", b":-1", b"-WRONGTYPE", b":1")
    for replica in (0, 1):
        cell.core.replica_lost(replica, Cause.CRASH, cell.now)
    cell.passes(1)
    assert cell.core.is_lost
    assert cell.core.sweep.is_wanted
    assert cell.core.next_deadline() == 0


def test_a_slot_that_was_closed_is_owed_by_a_shadow_and_not_judged() -> None:
    cell, shadow = following()
    ann = cell.client().says("GET a", "GET b")
    for replica in cell.seats:
        cell.hears(replica, b"+%d" % replica, b"+same")
    assert ann.hears() == b"-NOQUORUM slot 1 was not decided: split\r\n+same\r\n"
    answers_setup(shadow)
    shadow.hears(b"+anything", b"+same")
    assert [type(notice) for notice in cell.notices()] == [Undecided, Seated]


def test_garbage_for_a_slot_that_was_closed_is_no_dissent_but_a_fault() -> None:
    cell, shadow = following()
    cell.client().says("GET a")
    answers_setup(shadow)
    shadow.hears(b"what is this")
    for replica in cell.seats:
        cell.hears(replica, b"+%d" % replica)
    assert failures(cell) == [(2, Cause.GARBAGE)]
