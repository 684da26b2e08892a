"""The index of deadlines: it never misses a true one, forgets what a reply ruled out, and stays within its bounds."""

import dataclasses
import random

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Refusal
from quorate.trusted.protocols.redis.deadlines import DEADLINE_MS_MAX, Change, Deadlines

KEY = b"key"


@pytest.fixture
def index() -> Deadlines:
    return Deadlines(Limits())


def limited(**limits: int) -> Deadlines:
    return Deadlines(dataclasses.replace(Limits(), **limits))


def test_a_key_is_due_after_its_deadline_and_not_at_it(index: Deadlines) -> None:
    index.set(0, KEY, 100)
    assert not index.is_due(100)
    assert index.due(100) == []
    assert index.is_due(101)
    assert index.due(101) == [(0, [KEY])]
    assert len(index) == 0
    assert index.due(1_000) == []


def test_it_wakes_in_the_first_millisecond_after_the_earliest_deadline(index: Deadlines) -> None:
    assert index.next_ns() == 0
    index.set(0, KEY, 100)
    index.set(0, b"other", 50)
    assert index.next_ns() == 51_000_000


def test_due_keys_come_by_database_earliest_first(index: Deadlines) -> None:
    index.set(1, b"b", 20)
    index.set(0, b"c", 30)
    index.set(1, b"a", 10)
    assert index.due(100) == [(1, [b"a", b"b"]), (0, [b"c"])]


def test_what_is_certain_replaces_all_candidates(index: Deadlines) -> None:
    index.add(0, KEY, 10)
    index.set(0, KEY, 500)
    assert index.candidates(0, KEY) == [500]
    assert index.due(100) == []  # the overtaken entry for 10 comes up, and finds nothing due
    assert index.next_ns() == 501_000_000
    index.clear(0, KEY)
    index.clear(0, KEY)
    assert index.candidates(0, KEY) == []
    assert index.due(1_000) == []


def test_a_shared_candidate_outlives_a_change_in_between(index: Deadlines) -> None:
    index.set(0, KEY, 100)
    left = index.leave(0, KEY)  # RENAME, say: its reply is under way
    assert left is not None
    index.add(0, KEY, 100)  # and the key is made anew in the same millisecond
    index.settle(left, True)
    assert index.candidates(0, KEY) == [100]


def test_a_deadline_that_moves_earlier_is_due_earlier(index: Deadlines) -> None:
    index.set(0, KEY, 500)
    index.set(0, KEY, 100)
    assert index.due(200) == [(0, [KEY])]
    assert index.due(1_000) == []


def test_a_candidate_in_doubt_is_due_and_later_ones_stay(index: Deadlines) -> None:
    index.set(0, KEY, 300)
    index.add(0, KEY, 100)
    assert index.due(200) == [(0, [KEY])]
    assert index.candidates(0, KEY) == [300]
    assert index.due(400) == [(0, [KEY])]


def test_a_change_that_was_not_made_takes_its_candidate_back(index: Deadlines) -> None:
    index.set(0, KEY, 300)
    change = index.add(0, KEY, 100)
    index.settle(change, was_made=False)
    assert index.candidates(0, KEY) == [300]


def test_a_change_that_was_made_rules_out_all_older_ones(index: Deadlines) -> None:
    index.set(0, KEY, 300)
    change = index.add(0, KEY, 100)
    index.add(0, KEY, 700)
    index.settle(change, was_made=True)
    assert index.candidates(0, KEY) == [100, 700]


def test_equal_changes_share_a_candidate_until_the_last_was_refused(index: Deadlines) -> None:
    changes = [index.add(0, KEY, 100) for _ in range(3)]
    assert index.candidates(0, KEY) == [100]
    index.settle(changes[1], was_made=False)
    index.settle(changes[0], was_made=False)
    assert index.candidates(0, KEY) == [100]
    index.settle(changes[2], was_made=False)
    assert index.candidates(0, KEY) == []


def test_a_refused_change_leaves_an_equal_certain_deadline(index: Deadlines) -> None:
    index.set(0, KEY, 100)
    change = index.add(0, KEY, 100)
    index.settle(change, was_made=False)
    assert index.candidates(0, KEY) == [100]


def test_a_refused_change_leaves_an_equal_deadline_that_was_set_later(index: Deadlines) -> None:
    change = index.add(0, KEY, 100)
    index.set(0, KEY, 100)
    index.settle(change, was_made=False)
    assert index.candidates(0, KEY) == [100]


def test_a_change_of_a_key_that_went_and_came_back_touches_nothing(index: Deadlines) -> None:
    change = index.add(0, KEY, 100)
    index.due(200)
    index.set(0, KEY, 300)
    index.settle(change, was_made=True)
    index.settle(change, was_made=False)
    assert index.candidates(0, KEY) == [300]


def test_a_copy_brings_all_candidates_of_its_source(index: Deadlines) -> None:
    index.set(0, b"source", 100)
    index.add(0, b"source", 200)
    index.set(1, KEY, 50)
    copied = index.copy((0, b"source"), (1, KEY))
    assert copied is not None
    assert index.candidates(1, KEY) == [50, 100, 200]
    index.settle(copied, was_made=True)
    assert index.candidates(1, KEY) == [100, 200]
    assert index.candidates(0, b"source") == [100, 200]


def test_a_copy_that_was_refused_leaves_what_was(index: Deadlines) -> None:
    index.set(0, b"source", 100)
    index.set(1, KEY, 50)
    copied = index.copy((0, b"source"), (1, KEY))
    assert copied is not None
    index.settle(copied, was_made=False)
    assert index.candidates(1, KEY) == [50]


def test_there_is_nothing_to_copy_from_a_key_without_a_deadline(index: Deadlines) -> None:
    assert index.copy((0, b"source"), (0, KEY)) is None
    assert index.leave(0, b"source") is None


def test_a_key_may_get_its_own_deadline_and_some_time_more(index: Deadlines) -> None:
    index.set(0, KEY, 100)
    index.copy((0, KEY), (0, KEY), later_ms=50)
    assert index.candidates(0, KEY) == [100, 150]
    with pytest.raises(Refusal, match="too far away"):
        index.copy((0, KEY), (0, KEY), later_ms=DEADLINE_MS_MAX)


@pytest.mark.parametrize(("was_made", "left"), [(True, [900]), (False, [100, 900])])
def test_a_key_that_left_takes_its_older_candidates_along(index: Deadlines, was_made: bool, left: list[int]) -> None:
    index.set(0, KEY, 100)
    change = index.leave(0, KEY)
    index.add(0, KEY, 900)
    assert change is not None
    index.settle(change, was_made)
    assert index.candidates(0, KEY) == left


def test_swapped_databases_keep_their_keys_and_their_changes(index: Deadlines) -> None:
    index.set(0, b"a", 100)
    change = index.add(1, b"b", 200)
    index.swap(0, 1)
    assert index.candidates(1, b"a") == [100]
    index.settle(change, was_made=False)
    assert index.candidates(0, b"b") == []
    assert index.due(150) == [(1, [b"a"])]


def test_a_flush_forgets_one_database_or_all(index: Deadlines) -> None:
    for database in range(3):
        index.set(database, KEY, 100)
    change = index.add(1, KEY, 200)
    index.flush(1)
    assert len(index) == 2
    index.settle(change, was_made=False)
    index.flush(None)
    assert len(index) == 0
    assert index.due(1_000) == []


def test_past_the_number_of_candidates_a_deadline_is_refused(index: Deadlines) -> None:
    index = limited(deadlines_max=2)
    index.set(0, b"a", 100)
    index.set(0, b"b", 100)
    with pytest.raises(Refusal, match="deadlines_max"):
        index.set(0, b"c", 100)
    assert index.candidates(0, b"c") == []
    index.set(0, b"a", 200)  # no more than before
    index.clear(0, b"b")
    index.set(0, b"c", 100)


def test_past_the_bytes_of_keys_a_deadline_is_refused() -> None:
    index = limited(deadline_bytes_max=5)
    index.set(0, b"four", 100)
    with pytest.raises(Refusal, match="deadline_bytes_max"):
        index.add(0, b"ab", 100)
    index.add(0, b"four", 200)
    index.due(300)
    index.add(0, b"fives", 100)


def test_past_the_unsettled_deadlines_of_one_key_another_is_refused() -> None:
    index = limited(deadlines_per_key_max=2)
    change = index.add(0, KEY, 100)
    index.add(0, KEY, 200)
    with pytest.raises(Refusal, match="deadlines_per_key_max"):
        index.add(0, KEY, 300)
    index.settle(change, was_made=False)
    index.add(0, KEY, 300)


def test_overtaken_entries_do_not_pile_up(index: Deadlines) -> None:
    for deadline in range(20_000, 0, -1):
        index.set(0, KEY, deadline)
    for number in range(20_000):
        index.set(0, b"%d" % number, number)
        index.clear(0, b"%d" % number)
    for number in range(20_000):
        index.set(1, b"%d" % number, number)
    index.flush(1)
    assert len(index) == 1
    assert len(index._heap) < 2_000
    assert index.due(2) == [(0, [KEY])]


class Model:
    """A replica that holds true deadlines, and the index whose replies about it come late."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.index = Deadlines(Limits())
        self.truth: dict[tuple[int, bytes], int] = {}
        self.unsettled: list[tuple[Change, bool]] = []

    def reap(self, now: int) -> None:
        for database, names in self.index.due(now):
            for name in names:
                if self.truth.get((database, name), now) < now:
                    del self.truth[database, name]

    def change(self, now: int) -> None:
        """Anything, to any key; half of what depends on a reply is not made."""
        keys = [(database, name) for database in (0, 1) for name in (b"a", b"b", b"c")]
        key, other = self.draw.sample(keys, 2)
        deadline = now + self.draw.randrange(60)
        is_made = self.draw.random() < 0.5
        match self.draw.randrange(12):
            case 0:
                self.index.clear(*key)
                self.truth.pop(key, None)
            case 1:
                self.index.swap(0, 1)
                self.truth = {(1 - number, name): deadline for (number, name), deadline in self.truth.items()}
            case 2 | 3 | 4:
                self.index.set(*key, deadline)
                self.truth[key] = deadline
            case 5 | 6:
                self.rename(key, other, is_made)
            case _:
                self.unsettled.append((self.index.add(*key, deadline), is_made))
                if is_made:
                    self.truth[key] = deadline

    def rename(self, key: tuple[int, bytes], other: tuple[int, bytes], is_made: bool) -> None:
        changes = (self.index.copy(key, other), self.index.leave(*key))
        self.unsettled += [(change, is_made) for change in changes if change is not None]
        if is_made:
            self.truth.pop(other, None)
            if key in self.truth:
                self.truth[other] = self.truth.pop(key)

    def settle(self, left: int) -> None:
        while len(self.unsettled) > left:
            self.index.settle(*self.unsettled.pop(0))


@pytest.mark.parametrize("seed", range(20))
def test_no_true_deadline_is_ever_missed(seed: int) -> None:
    """Random changes: a key is reaped in the millisecond after its true deadline, and nothing is left at the end."""
    model = Model(seed)
    for now in range(1_000):
        model.reap(now)
        assert all(deadline >= now for deadline in model.truth.values())
        model.change(now)
        model.settle(left=model.draw.randrange(10))
    model.settle(left=0)
    model.reap(10_000)
    assert model.truth == {}
    assert len(model.index) == 0
