"""What changed keys may weigh: never less than their read brings under way, and once they are read no more."""

import pytest

from quorate.trusted.changes import (
    ALONE_BYTES,
    HIDDEN,
    LARGE_BYTES,
    STRING,
    TOLD_BYTES,
    UNKNOWN,
    WHOLE,
    Change,
    Changes,
)
from quorate.trusted.sweep import PAUSE_NS_MAX
from quorate.trusted.unreadable import DEADLY, DEADLY_MAX, DEADLY_NS_MAX
from tests.trusted.room import Room

NAME = 6  # bytes that a key of one letter has in its read
ENDLESS = 1 << 40


def kept() -> Changes:
    changes = Changes()
    changes.is_kept = True
    return changes


def names(taken: list[Change]) -> list[bytes]:
    return [key for _, key, _ in taken]


def test_what_is_written_adds_up_until_it_is_taken() -> None:
    changes = kept()
    changes.note(0, b"a", STRING, 10)
    changes.note(0, b"a", STRING, 5)
    changes.note(0, b"b", STRING)
    assert changes.may_weigh(0, b"a") == NAME + 15
    assert changes.weight == 2 * NAME + 15
    changes.take(1, ENDLESS)
    assert changes.weight == changes.may_weigh(0, b"b") == NAME
    changes.forget()
    assert changes.weight == 0


def test_what_reaches_far_counts_once() -> None:
    changes = kept()
    for _ in range(3):
        changes.note(0, b"a", STRING, 0, 1_000)
    assert changes.weight == 1_000


def test_no_more_is_taken_than_may_weigh_so_much_but_one_at_least() -> None:
    changes = kept()
    for key, size in ((b"a", 10), (b"b", 10), (b"c", 500), (b"d", 10)):
        changes.note(0, key, STRING, size)
    assert names(changes.take(9, 100)) == [b"a", b"b"]
    assert names(changes.take(9, 100)) == [b"c"]
    assert names(changes.take(9, 100)) == [b"d"]
    assert (changes.count, changes.weight) == (0, 0)


def test_a_long_name_weighs_twice_as_often_as_a_read_says_it() -> None:
    changes = kept()
    changes.note(0, b"n" * 100, STRING)
    assert changes.weight == 600


def test_what_a_large_key_held_is_added_to_what_is_written_to_it_later() -> None:
    changes = kept()
    changes.found(0, b"a", LARGE_BYTES)
    changes.found(0, b"b", LARGE_BYTES - 1)
    assert changes.may_weigh(0, b"a") == LARGE_BYTES
    changes.note(0, b"a", STRING, 10)
    changes.note(0, b"b", STRING, 10)
    assert changes.weight == LARGE_BYTES + 20 + 2 * NAME


def test_what_became_small_is_not_remembered() -> None:
    changes = kept()
    changes.found(0, b"a", LARGE_BYTES)
    changes.found(0, b"a", 1)
    assert changes.may_weigh(0, b"a") == 0
    changes.note(0, b"a", STRING, 1)
    assert changes.weight == NAME + 1


def test_until_it_was_read_a_key_holds_what_it_may_hold() -> None:
    changes = kept()
    changes.note(0, b"a", STRING, 0, 5 * LARGE_BYTES)
    changes.take(1, ENDLESS)
    assert changes.may_weigh(0, b"a") == 5 * LARGE_BYTES
    changes.keep(0, b"a", UNKNOWN)
    assert changes.weight == 5 * LARGE_BYTES + NAME


def test_what_was_only_feared_is_taken_off_what_was_written_meanwhile() -> None:
    changes = kept()
    changes.note(0, b"a", STRING, 5 * LARGE_BYTES)
    changes.take(1, ENDLESS)
    changes.note(0, b"a", STRING, 7)
    changes.found(0, b"a", 20)
    assert NAME + 7 <= changes.weight <= 20 + 2 * NAME + 7
    assert changes.weight == changes.may_weigh(0, b"a")
    assert changes.take(1, ENDLESS) == [(0, b"a", STRING)], "its kind is kept"


def test_databases_may_be_exchanged_before_they_are_read() -> None:
    changes = kept()
    changes.found(0, b"a", LARGE_BYTES)
    changes.found(4, b"a", 3 * LARGE_BYTES)
    changes.found(4, b"other", LARGE_BYTES)
    changes.emptied(0)
    changes.emptied(4)
    changes.keep(5, b"a", STRING)
    assert changes.weight == 3 * LARGE_BYTES + NAME
    changes.found(0, b"a", LARGE_BYTES)
    changes.all_read()
    assert changes.may_weigh(5, b"z") == 0
    changes.take(9, ENDLESS)
    changes.found(5, b"a", 0)
    assert changes.may_weigh(5, b"a") == LARGE_BYTES, "what was found again is remembered, what was not is not"


def test_what_a_whole_database_held_is_remembered_while_it_is_listed() -> None:
    changes = kept()
    changes.note(0, b"a", STRING, 0, LARGE_BYTES)
    changes.note_whole(0)
    changes.take_whole()
    assert (changes.count, changes.weight) == (0, 0)
    changes.keep(0, b"a", UNKNOWN)
    assert changes.weight == LARGE_BYTES + NAME


def test_the_journal_is_told_what_bytes_do_not_tell() -> None:
    changes, again = kept(), kept()
    changes.is_journaled = True
    changes.note(0, b"small", STRING, 5)
    changes.note(0, b"reached", STRING, 0, TOLD_BYTES)
    changes.note(1, b"long", UNKNOWN, LARGE_BYTES)
    changes.note_whole(2)
    changes.note_hidden(3)
    recent = changes.take_recent()
    assert [kind for _, kind, _ in recent][3:] == [WHOLE, HIDDEN]
    again.note_again(recent, 500)
    assert again.may_weigh(0, b"small") == 5 * NAME + 100
    assert again.may_weigh(0, b"reached") == again.may_weigh(1, b"long") == ALONE_BYTES
    assert again.take(9, ENDLESS) == [(0, b"small", STRING), (0, b"reached", STRING), (1, b"long", UNKNOWN)]
    assert (again.whole, list(again.hidden)) == ([2], [3])


def test_what_was_written_while_nobody_kept_state_is_remembered_if_it_was_much() -> None:
    changes = Changes()
    changes.note(0, b"a", STRING, 0, 5 * LARGE_BYTES)
    changes.note(0, b"b", STRING, 5)
    changes.is_kept = True
    changes.keep(0, b"a", UNKNOWN)
    changes.keep(0, b"b", UNKNOWN)
    assert changes.weight == 5 * LARGE_BYTES + 2 * NAME


def test_what_is_remembered_while_nobody_keeps_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.trusted.changes.UNKEPT_LARGE_MAX", 3)
    changes = Changes()
    for number in range(10):
        changes.note(0, b"%d" % number, STRING, 0, LARGE_BYTES)
    assert [changes.may_weigh(0, b"%d" % number) for number in range(10)] == [LARGE_BYTES] * 3 + [0] * 7


# What the sweep makes of it.


def test_heavy_keys_are_read_one_by_one_and_end_in_a_checkpoint() -> None:
    room = Room(lag_bytes_max=65_536, reply_bytes_max=65_536)
    for number in range(20):
        room.writes(b"small%d" % number, b"s1")
    for number in range(8):
        room.writes(b"big%d" % number, b"s1", least=40_000)
    room.sweep.want(is_urgent=True)
    chunks = []
    while asked := room.goes_on():
        chunks.append(sum(b"big" in request for request in asked))
        room.decides_all()
    assert sum(chunks) == 8
    assert max(chunks) <= 3, "no more than what a replica may owe twice"
    assert len(room.checkpoints) == 1


def test_a_key_that_is_too_large_for_a_reply_is_read_alone_next_time() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.tells_oversized()
    room.decides_all()
    assert room.toy.changes.may_weigh(0, b"a") == room.toy.changes.may_weigh(7, b"a") == 64 * 1024 * 1024


def test_writers_of_heavy_keys_are_slowed_until_one_is_left() -> None:
    room = Room(lag_bytes_max=65_536, reply_bytes_max=65_536, checkpoint_wait_ns_max=1)
    keys = [b"%d" % number for number in range(5)]
    for key in keys:
        room.writes(key, b"s0", least=60_000)
    room.sweep.want(is_urgent=True)
    writes = 0
    for _ in range(100):
        room.now += 1_000_000
        room.goes_on()
        for key in keys:
            if not room.sweep.needs_calm(room.now):
                room.writes(key, b"s%d" % writes, least=60_000)
                writes += 1
        room.decides_all()
        if room.checkpoints:
            break
    assert room.checkpoints
    assert writes


def test_what_the_replicas_may_have_died_of_is_read_alone_from_then_on() -> None:
    room = Room()
    for number in range(10):
        room.writes(b"%d" % number, b"s1")
    room.wants()
    room.decides(10, is_decided=False)
    room.decides_all()
    room.sweep.restart()
    chunks = []
    while room.sweep.is_wanted:
        room.now += PAUSE_NS_MAX
        chunks.append(sum(b"read" in request for request in room.goes_on()))
        room.decides_all()
    assert sum(chunks) == 10
    assert max(chunks) <= 2
    assert len(room.checkpoints) == 1


def test_what_replicas_do_not_survive_even_alone_is_given_up_for_a_while() -> None:
    room = Room()
    room.writes(b"giant", b"s1")
    for _ in range(DEADLY_MAX):
        room.wants()
        assert room.sweep.unreadable == {}
        room.decides(1, is_decided=False)
        room.decides_all()
        room.sweep.restart()
    assert room.goes_on() == [b"read 0 giant %d" % UNKNOWN, b"count 0"], "only whether there is anything"
    room.decides_all()
    assert room.sweep.unreadable == {(0, b"giant"): DEADLY}
    assert room.sweep.given_up() == [((0, b"giant"), DEADLY)]
    assert not room.sweep.is_wanted
    # It goes on when the key is gone, or after a while.
    room.writes(b"giant", None)
    room.settles_anew()
    assert len(room.checkpoints) == 1
    room.writes(b"giant", b"s2")
    room.settles_anew()
    assert len(room.checkpoints) == 2, "what it is now was survived"


def test_after_a_while_it_is_tried_again() -> None:
    room = Room()
    room.writes(b"giant", b"s1")
    for _ in range(DEADLY_MAX):
        room.wants()
        room.decides(1, is_decided=False)
        room.decides_all()
        room.sweep.restart()
    room.now += DEADLY_NS_MAX
    room.settles_anew()
    assert len(room.checkpoints) == 1
