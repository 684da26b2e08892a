"""The sweep between a world that is written to and a store that is told: what is asked for, when, and what follows."""

import pytest

from quorate.trusted.changes import LIST, STRING, UNKNOWN
from quorate.trusted.sweep import (
    CALM_ROUNDS,
    CALM_SHARES,
    HASTE_MAX,
    IDLE_SHARES,
    MISCOUNTS_MAX,
    PAUSE_NS_MAX,
    ROUNDS_MAX,
)
from quorate.trusted.unreadable import DISAGREED, UNDECIDED_MAX
from tests.trusted.room import Room

# A checkpoint.


def test_where_nothing_changed_there_is_a_checkpoint_at_once() -> None:
    room = Room()
    room.wants()
    assert room.checkpoints == [0]
    assert not room.sweep.is_wanted
    assert room.goes_on() == []


def test_what_changed_is_read_and_counted_in_one_run() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"s2", database=3)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"read 0 a 1", b"read 3 b 1", b"count 0", b"count 3"]
    assert room.sweep.is_closing()
    assert room.sweep.closing_slot == 6
    assert room.goes_on() == [], "one run at a time"
    room.decides_all()
    assert room.checkpoints == [6]
    assert room.counts == {0: 1, 3: 1}


def test_where_keys_may_hide_they_are_counted_though_none_was_noted() -> None:
    room = Room()
    room.toy.changes.note_hidden(4)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 4"]
    room.decides_all()
    assert room.counts == {4: 0}


def test_what_is_written_while_the_run_is_under_way_is_not_in_the_checkpoint_and_is_read_for_the_next() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.writes(b"a", b"s2")
    room.writes(b"new", b"s3")
    room.decides_all()
    assert room.checkpoints == [3]
    assert room.store == {(0, b"a"): b"s1"}
    room.wants()
    room.decides_all()
    assert room.checkpoints == [3, 8]
    assert room.store == room.world


def test_a_checkpoint_with_a_wrong_hint_is_tried_again_with_a_better_one() -> None:
    room = Room()
    room.writes(b"a", b"lx", hint=STRING)
    room.writes(b"b", b"s1", hint=UNKNOWN)
    room.wants()
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 a 2", b"read 0 b 1", b"count 0"]
    room.decides_all()
    assert room.checkpoints == [room.slot]


def test_a_run_in_which_something_was_not_decided_is_tried_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"s2")
    room.wants()
    room.decides(1)
    room.decides(is_decided=False)
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 b 1", b"count 0"]
    room.decides()
    room.decides(is_decided=False)
    assert room.checkpoints == [], "a count that is not known is no count"
    room.settles()
    assert room.checkpoints == [room.slot]


def test_one_span_may_be_decided_in_pieces_before_any_of_them_is_told() -> None:
    room = Room()
    for number in range(6):
        room.writes(b"%d" % number, b"s%d" % number)
    room.wants()
    room.decides(1, is_told=False)
    room.decides(3, is_told=False)
    room.decides(is_decided=False, is_told=False)
    room.decides(1)
    assert room.store == {(0, b"%d" % number): b"s%d" % number for number in (0, 1, 2, 3, 5)}
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 4 1", b"count 0"]
    room.decides_all()
    assert room.checkpoints == [room.slot]


def test_after_too_many_rounds_it_gives_up_until_it_is_wanted_again() -> None:
    room = Room()
    room.writes(b"a", b"lx")
    room.wants()
    for _ in range(ROUNDS_MAX + 1):
        room.decides_all()
        # What it is thought to hold is wrong each time.
        room.writes(b"a", b"sx" if room.world[0, b"a"] == b"lx" else b"lx", hint=UNKNOWN)
        room.goes_on()
    room.decides_all()
    assert room.checkpoints == []
    assert not room.sweep.is_wanted
    reason = "keys kept turning out to hold something else than was thought"
    assert room.sweep.given_up() == [((0, b"a"), reason)], "who waits for it is told"
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]


# Many keys.


def test_many_keys_are_read_in_chunks_that_are_as_large_as_their_values_allow() -> None:
    room = Room(sweep_bytes=200, sweep_keys_max=256)
    for number in range(100):
        room.writes(b"%03d" % number, b"s" + b"x" * 18)
    room.sweep.want(is_urgent=True)
    assert len(room.goes_on()) == 16, "nothing is known of their size yet"
    assert not room.sweep.is_closing()
    room.decides_all()
    assert len(room.goes_on()) == 200 // 21
    room.decides_all()
    room.settles()
    assert room.checkpoints == [room.slot]
    assert len(room.store) == 100


def test_a_chunk_has_no_more_keys_than_the_limit_however_small_they_are() -> None:
    room = Room(sweep_keys_max=20)
    for number in range(300):
        room.writes(b"%03d" % number, b"s")
    room.wants()
    room.decides_all()
    assert len(room.goes_on()) == 20


def test_keys_that_change_as_fast_as_they_are_read_are_read_faster_until_all_fit_into_one_run() -> None:
    room = Room(sweep_bytes=10)
    values = b"s" + b"x" * 100
    hot = [b"%d" % number for number in range(40)]
    for key in hot:
        room.writes(key, values)
    room.wants()
    for _ in range(20):
        for key in hot:
            room.writes(key, values)
        room.decides_all()
        if room.checkpoints:
            break
        room.goes_on()
    assert room.checkpoints


def test_haste_stops_at_what_a_slow_replica_may_owe() -> None:
    room = Room(lag_bytes_max=16_000, reply_bytes_max=16_000, sweep_bytes=10)
    hot = [b"%03d" % number for number in range(300)]
    for key in hot:
        room.writes(key, b"s" + b"x" * 97)
    room.wants()
    for _ in range(HASTE_MAX + 20):
        for key in hot:
            room.writes(key, b"s" + b"x" * 97)
        room.decides_all()
        assert len(room.goes_on()) <= 20
    assert not room.checkpoints


# Pauses.


def test_while_nobody_waits_reading_takes_a_share_of_the_time() -> None:
    room = Room()
    for number in range(100):
        room.writes(b"%d" % number, b"s")
    room.wants(is_urgent=False)
    assert room.sweep.next_deadline() == 0, "something is asked"
    room.now += 1_000
    room.decides_all()
    assert room.sweep.next_deadline() == room.now + IDLE_SHARES * 1_000
    assert room.goes_on() == []
    room.now += IDLE_SHARES * 1_000
    assert room.goes_on()
    room.now += 10 * PAUSE_NS_MAX
    room.decides_all()
    assert not room.sweep.is_wanted or room.sweep.next_deadline() <= room.now + PAUSE_NS_MAX


def test_when_somebody_waits_there_is_no_pause() -> None:
    room = Room()
    for number in range(100):
        room.writes(b"%d" % number, b"s")
    room.wants(is_urgent=False)
    room.wants(is_urgent=True)
    room.now += 1_000
    room.decides_all()
    assert room.sweep.next_deadline() == room.now
    assert room.goes_on()


def test_what_was_never_begun_is_due_at_once() -> None:
    room = Room()
    assert room.sweep.next_deadline() == 0
    room.sweep.want(is_urgent=False)
    assert 0 < room.sweep.next_deadline() <= room.now


def test_while_the_store_cannot_take_more_nothing_is_read() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.sweep.is_held = True
    room.wants()
    assert not room.asked
    assert room.sweep.next_deadline() == 0
    room.sweep.is_held = False
    assert room.goes_on()


# Whole databases.


def test_an_emptied_database_is_counted_and_cleared() -> None:
    room = Room()
    room.writes(b"a", b"s1", database=2)
    room.writes(b"b", b"s1")
    room.wants()
    room.decides_all()
    room.flushes(2)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 2"]
    room.decides_all()
    assert room.store == {(0, b"b"): b"s1"}
    room.settles()
    assert room.checkpoints[-1] == room.slot


def test_a_database_that_may_hold_anything_is_listed_and_read() -> None:
    room = Room()
    room.writes(b"a", b"s1", database=0)
    room.writes(b"b", b"lx", database=1)
    room.wants()
    room.settles()
    room.swaps(0, 1)
    room.writes(b"c", b"s3", database=1)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 0"]
    room.decides_all()
    assert room.goes_on() == [b"list 0"]
    room.writes(b"d", b"s4", database=0)
    room.decides_all()
    assert room.store == {(1, b"b"): b"lx"}
    room.settles()
    assert room.checkpoints[-1] == room.slot
    assert room.store == room.world


def test_a_database_emptied_again_while_it_is_listed_is_counted_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.flushes(0)
    room.writes(b"b", b"s1")
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 0"]
    room.flushes(0)
    room.decides_all()
    assert room.goes_on() == [b"list 0"]
    room.decides_all()
    assert room.goes_on() == [b"count 0"]
    room.settles()
    assert room.store == {}


def test_one_emptied_while_the_last_run_is_under_way_is_no_checkpoint() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.flushes(0)
    room.decides_all()
    assert room.checkpoints == []
    room.settles()
    assert room.checkpoints == [room.slot]


@pytest.mark.parametrize("asked", [1, 2])
def test_a_count_or_a_list_that_is_not_decided_is_asked_for_again(asked: int) -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.toy.changes.note_whole(0)
    room.wants()
    for _ in range(asked - 1):
        room.decides_all()
        room.goes_on()
    room.decides(is_decided=False)
    assert room.sweep.is_wanted
    assert room.sweep.given_up() == []
    assert room.goes_on() == [b"count 0"]
    room.settles()
    assert room.checkpoints == [room.slot]


def test_a_count_that_is_an_error_is_asked_for_again() -> None:
    room = Room()
    room.toy.changes.note_whole(0)
    room.wants()
    room.asked[0][1][0] = b"-ERR;"
    room.decides_all()
    assert room.goes_on() == [b"count 0"]


# What cannot be read.


def test_while_something_is_unreadable_there_is_no_checkpoint_and_each_who_wants_one_is_told() -> None:
    room = Room()
    room.writes(b"a", b"?")
    room.writes(b"b", b"s1")
    for _ in range(2):
        room.wants()
        room.settles()
        assert not room.sweep.is_wanted
        assert room.sweep.given_up() == [((0, b"a"), "it holds what is no abstract state")]
    assert room.checkpoints == []
    assert room.sweep.given_up() == []
    room.writes(b"a", None)
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]
    assert room.sweep.given_up() == []


def test_a_value_over_the_limit_is_unreadable_until_it_is_another() -> None:
    room = Room()
    room.writes(b"a", b"s" + b"x" * 1_000)
    room.wants()
    room.tells_oversized()
    room.decides_all()
    assert room.sweep.given_up() == [((0, b"a"), "its state is over the limit of one reply")]
    assert room.checkpoints == []
    room.writes(b"a", b"s1")
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]


def test_in_a_database_that_was_emptied_nothing_is_unreadable() -> None:
    room = Room()
    room.writes(b"a", b"?")
    room.writes(b"a", b"?", database=1)
    room.wants()
    room.settles()
    room.flushes(0)
    room.wants()
    room.settles()
    assert list(room.sweep.unreadable) == [(1, b"a")]
    room.swaps(1, 2)
    room.writes(b"a", None, database=2)
    room.wants()
    room.settles()
    assert room.sweep.unreadable == {}
    assert room.checkpoints == [room.slot]


def test_a_database_with_too_many_keys_to_list_is_not_asked_for_again_and_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.toy.changes.note_whole(0)
    for _ in range(2):
        room.wants()
        room.decides_all()
        assert room.goes_on() == [b"list 0"]
        room.tells_oversized()
        assert room.sweep.given_up() == [((0, b""), "its keys are too many to be listed")]
        assert not room.sweep.is_wanted
        assert room.goes_on() == []
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot], "there were fewer by then"


# What the replicas do not agree on.


def test_a_key_that_is_never_decided_is_given_up_by_name_and_read_again_when_a_checkpoint_is_wanted() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"s2")
    room.wants()
    for _ in range(UNDECIDED_MAX):
        assert room.sweep.given_up() == []
        room.goes_on()
        room.decides(is_decided=False)
        room.decides_all()
    assert room.sweep.given_up() == [((0, b"a"), DISAGREED)]
    assert not room.sweep.is_wanted
    assert room.checkpoints == []
    room.wants()
    room.settles()
    assert room.sweep.unreadable == {}
    assert room.checkpoints == [room.slot]


def test_one_that_is_decided_in_between_is_not() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    for _ in range(UNDECIDED_MAX):
        room.writes(b"a", b"s1")
        room.wants()
        room.decides(is_decided=False)
        room.settles()
    assert room.sweep.unreadable == {}
    assert room.sweep.given_up() == []


@pytest.mark.parametrize("asked", [1, 2])
def test_a_database_whose_keys_are_never_decided_is_not_asked_for_again_and_again(asked: int) -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.toy.changes.note_whole(0)
    room.wants()
    for _ in range(UNDECIDED_MAX):
        for _ in range(asked - 1):
            room.goes_on()
            room.decides_all()
        assert room.sweep.given_up() == []
        room.goes_on()
        room.decides(is_decided=False)
    assert room.sweep.given_up() == [((0, b""), DISAGREED)]
    assert room.goes_on() == []
    room.wants()
    room.settles()
    assert room.sweep.unreadable == {}
    assert room.checkpoints[-1] == room.slot


def test_a_database_whose_keys_cannot_be_counted_in_the_end_is_given_up_too() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    for _ in range(UNDECIDED_MAX):
        assert room.sweep.given_up() == []
        room.goes_on()
        while len(room.asked) > 1:
            room.decides()
        room.decides(is_decided=False)
    assert room.sweep.given_up() == [((0, b""), DISAGREED)]
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]
    room.toy.changes.note_whole(0)
    room.flushes(0)
    room.wants()
    room.settles()
    assert room.checkpoints[-1] == room.slot


def test_when_all_replicas_are_new_it_is_forgotten_what_they_did_not_agree_on() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"?")
    room.wants()
    for _ in range(UNDECIDED_MAX):
        room.goes_on()
        room.decides(is_decided=False)
        room.decides_all()
        room.wants()
    assert room.sweep.unreadable == {(0, b"a"): DISAGREED, (0, b"b"): "it holds what is no abstract state"}
    room.sweep.restart()
    assert list(room.sweep.unreadable) == [(0, b"b")]


# Sealing.


def test_a_checkpoint_that_is_to_be_sealed_leaves_the_store_as_it_is() -> None:
    room = Room()
    room.sweep.is_sealing = True
    room.writes(b"a", b"s1")
    room.wants()
    room.decides_all()
    assert room.sweep.is_sealed()
    room.writes(b"a", b"s2")
    room.wants()
    assert not room.asked
    assert room.sweep.next_deadline() == 0
    room.sweep.unseal(will_seal=False)
    assert room.goes_on()
    room.decides_all()
    assert not room.sweep.is_sealed()
    assert room.store == room.world


def test_one_that_was_under_way_before_is_not_the_one_that_is_sealed() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.sweep.is_sealing = True
    room.wants()
    room.decides_all()
    assert room.checkpoints == [3]
    assert not room.sweep.is_sealed()
    assert room.sweep.is_wanted
    room.settles()
    assert room.sweep.is_sealed()


def test_one_that_nobody_waits_for_any_more_is_not_sealed() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.sweep.is_sealing = True
    room.wants()
    room.sweep.unseal(will_seal=False)
    room.sweep.is_sealing = True
    room.sweep.want(is_urgent=True)
    room.decides_all()
    assert room.checkpoints == [3]
    assert not room.sweep.is_sealed(), "who waits now came after it was begun"
    room.settles()
    assert room.sweep.is_sealed()


def test_unsealed_for_another_it_goes_on_to_the_next_checkpoint() -> None:
    room = Room()
    room.sweep.is_sealing = True
    room.wants()
    assert room.sweep.is_sealed()
    room.sweep.unseal(will_seal=True)
    assert room.sweep.is_wanted
    assert room.sweep.is_urgent
    room.goes_on()
    assert room.sweep.is_sealed()
    assert room.checkpoints == [0, 0]


def test_where_no_state_is_kept_any_more_nothing_is_asked() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.sweep.stop()
    room.toy.changes.forget()
    room.decides(is_decided=False)
    room.decides_all()
    assert not room.sweep.is_wanted
    assert room.goes_on() == []
    assert room.toy.changes.count == 0


def test_writers_are_held_back_when_shadows_have_waited_for_long() -> None:
    room = Room(shadow_wait_ns_max=50)
    room.writes(b"a", b"s1")
    room.sweep.is_sealing = True
    room.sweep.want(is_urgent=True)
    assert not room.sweep.needs_calm(1)
    assert not room.sweep.needs_calm(51)
    assert room.sweep.needs_calm(52)
    room.sweep.unseal(will_seal=True)
    assert not room.sweep.needs_calm(52), "the next ones have waited for nothing yet"


# Writers who change keys faster than they are read.


def overdue(keys: int) -> Room:
    """A room with so many changed keys, where a checkpoint has been wanted for too long."""
    room = Room(checkpoint_wait_ns_max=100, sweep_bytes=16, sweep_keys_max=8, closing_keys_max=8)
    for number in range(keys):
        room.writes(b"%03d" % number, b"s1")
    room.sweep.want(is_urgent=False)
    assert not room.sweep.needs_calm(1)
    assert not room.sweep.needs_calm(101)
    assert [room.sweep.is_urgent, room.sweep.needs_calm(102), room.sweep.is_urgent] == [False, True, True]
    return room


def test_a_checkpoint_that_is_overdue_is_made_although_writers_never_rest() -> None:
    room = overdue(100)
    room.goes_on()
    rounds = written = 0
    while not room.checkpoints:
        rounds += 1
        assert rounds < 200
        # They write as long as they may, each time another key.
        while not room.sweep.is_closing() and not room.sweep.needs_calm(102):
            written += 1
            room.writes(b"new%d" % written, b"s2")
        room.decides_all()
        room.goes_on()
    assert written > 0, "they are slowed down, not stopped"
    assert written <= 100 // (1 - 1 / CALM_SHARES)


def test_the_next_checkpoint_is_awaited_anew() -> None:
    room = overdue(1)
    room.goes_on()
    room.decides_all()
    assert room.checkpoints
    room.writes(b"a", b"s1")
    room.sweep.want(is_urgent=False)
    assert not room.sweep.needs_calm(202)
    assert not room.sweep.needs_calm(302)
    assert room.sweep.needs_calm(303)


def test_keys_that_are_listed_anew_are_no_writers_doing() -> None:
    room = overdue(20)
    room.flushes(0)
    assert room.sweep.needs_calm(102), "else they could go on emptying it for ever"
    for number in range(50):
        room.world[0, b"%03d" % number] = b"s1"
    assert room.goes_on() == [b"count 0"]
    room.decides_all()
    assert room.goes_on() == [b"list 0"]
    room.decides_all()
    assert room.sweep.needs_calm(102)
    while room.toy.changes.count == 50:  # each is read twice: of what kind it is, then what it holds
        room.goes_on()
        room.decides_all()
    assert not room.sweep.needs_calm(102), "fewer are left than were listed"


def swap_until_a_checkpoint(room: Room, is_held_at_times: bool) -> int:
    """One client exchanges two databases whenever it may; how often it did until there was a checkpoint."""
    swaps = 0
    for number in range(500):
        room.goes_on()
        # Now and then what was read is more than the store takes, and just then the client comes.
        room.sweep.is_held = is_held_at_times and number % 7 == 0
        if not room.sweep.is_closing() and not room.sweep.needs_calm(102 + number * 10):
            swaps += 1
            room.swaps(0, 1)
        room.sweep.is_held = False
        room.decides_all()
        if room.checkpoints:
            return swaps
    pytest.fail("there is no checkpoint")


@pytest.mark.parametrize("is_held_at_times", [False, True])
@pytest.mark.parametrize("keys", [50, 200])
def test_one_who_has_all_read_anew_again_and_again_waits_in_the_end(keys: int, is_held_at_times: bool) -> None:
    room = overdue(keys)
    assert swap_until_a_checkpoint(room, is_held_at_times) > 0, "it is let in as long as it may be an honest one"
    assert room.store == room.world
    room.writes(b"a", b"s1")
    room.sweep.want(is_urgent=False)
    assert not room.sweep.needs_calm(10_000), "for the next checkpoint that begins anew"


def test_databases_listed_before_it_is_overdue_do_not_count() -> None:
    room = Room(checkpoint_wait_ns_max=100, sweep_bytes=16, sweep_keys_max=8, closing_keys_max=8)
    for number in range(50):
        room.writes(b"%03d" % number, b"s1")
    room.sweep.want(is_urgent=True)
    for now in (1, 2, 102):
        assert room.sweep.needs_calm(now) == (now == 102)
        room.toy.changes.note_whole(0)
        for _ in range(2):
            room.goes_on()
            room.decides_all()
    assert room.sweep.needs_calm(102)
    while room.toy.changes.count == 50:
        room.goes_on()
        room.decides_all()
    assert not room.sweep.needs_calm(102), "writers are slowed down, not stopped"


def test_writers_who_change_what_nobody_notes_wait_when_it_has_been_tried_beside_them() -> None:
    room = Room()
    room.world[0, b"hidden"] = b"s1"
    for _ in range(MISCOUNTS_MAX - 1):
        room.sweep.miscounted([0])
        assert not room.sweep.needs_calm(1)
        room.settles()
    room.sweep.miscounted([0])
    assert room.sweep.is_urgent
    assert room.sweep.needs_calm(1)
    room.settles()
    assert not room.sweep.is_wanted
    assert room.store == room.world
    room.sweep.miscounts = 0
    room.wants()
    assert not room.sweep.needs_calm(1)


def test_nobody_waits_for_a_store_that_stands_still_at_a_checkpoint() -> None:
    room = Room(checkpoint_wait_ns_max=100)
    room.sweep.is_sealing = True
    room.wants()
    assert room.sweep.is_sealed()
    room.writes(b"a", b"s1")
    room.sweep.want(is_urgent=False)
    assert not room.sweep.needs_calm(1)
    assert not room.sweep.needs_calm(1_000)
    room.sweep.unseal(will_seal=False)
    room.sweep.is_held = True
    assert not room.sweep.needs_calm(2_000), "nor for one that cannot take more"
    assert not room.sweep.needs_calm(3_000)
    room.sweep.is_held = False
    assert not room.sweep.needs_calm(4_000)
    assert room.sweep.needs_calm(4_101)


def test_writers_are_slowed_down_for_no_store_that_could_not_take_more_a_moment_ago() -> None:
    room = overdue(100)
    room.sweep.is_held = True
    assert not room.sweep.needs_calm(150)
    room.sweep.is_held = False
    assert not room.sweep.needs_calm(151)
    assert not room.sweep.needs_calm(251)
    assert room.sweep.needs_calm(252)
    room.flushes(0)
    room.sweep.is_held = True
    assert not room.sweep.needs_calm(260)
    room.sweep.is_held = False
    assert room.sweep.needs_calm(261), "but while all of a database is to be read they wait"


def miscounting(**limits: int) -> Room:
    """A room where the number of keys was wrong as often as it may be beside writers."""
    room = Room(**limits)
    room.world[0, b"hidden"] = b"s1"
    for _ in range(MISCOUNTS_MAX):
        room.sweep.miscounted([0])
    assert room.sweep.needs_calm(1)
    return room


def test_who_changes_what_nobody_notes_waits_for_a_slow_store_too() -> None:
    room = miscounting(checkpoint_wait_ns_max=100)
    for now in (1, 90, 180, 270):
        room.sweep.is_held = True
        assert room.sweep.needs_calm(now), "else it would change something each time that the store is slow"
        assert room.sweep.needs_calm(now + 80)
        room.sweep.is_held = False
        room.goes_on()
        room.decides_all()
    assert room.checkpoints
    assert room.store == room.world


def test_nobody_waits_for_ever_for_a_store_that_takes_nothing() -> None:
    room = miscounting(checkpoint_wait_ns_max=100)
    room.sweep.is_held = True
    assert room.sweep.needs_calm(1_000)
    assert room.sweep.next_deadline() == 1_100
    assert room.sweep.needs_calm(1_099)
    assert not room.sweep.needs_calm(1_100)
    assert room.sweep.next_deadline() == 0, "who waited was let in"
    room.sweep.is_held = False
    assert room.sweep.needs_calm(1_101)
    room.goes_on()
    room.decides_all()
    room.sweep.is_held = True
    assert room.sweep.needs_calm(1_102), "it took something: it is waited for again"
    assert room.sweep.next_deadline() == 1_202
    assert not room.sweep.is_due(1_202)
    assert room.sweep.next_deadline() == 0, "whoever waited may have gone"


def test_another_store_has_miscounted_nothing_yet() -> None:
    room = miscounting()
    room.sweep.stop()
    room.wants()
    assert not room.sweep.needs_calm(1)


def test_who_makes_keys_something_else_again_and_again_waits_before_long() -> None:
    room = Room()
    room.writes(b"a", b"s1", hint=LIST)
    room.wants()
    turns = 0
    while not room.checkpoints:
        turns += 1
        assert turns < 4 * CALM_ROUNDS
        if not room.sweep.needs_calm(room.now):
            # What it holds when it is read is never what the last write hints at.
            room.writes(b"a", b"l1" if turns % 2 else b"s1", hint=STRING if turns % 2 else LIST)
        room.decides_all()
        room.goes_on()
    assert turns >= CALM_ROUNDS
    assert not room.sweep.needs_calm(room.now), "the next one is tried for as ever"
