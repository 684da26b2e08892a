"""Ranges of buried slots."""

from hypothesis import given
from hypothesis import strategies as st

from quorate.trusted.tombstones import Tombstones

SLOTS_MAX = 40

RANGES = st.builds(
    lambda first, count, reason: (first, min(first + count, SLOTS_MAX), reason),
    st.integers(1, SLOTS_MAX),
    st.integers(0, 15),
    st.sampled_from("ab"),
)


def buried(*ranges: tuple[int, int, str]) -> Tombstones:
    tombstones = Tombstones()
    for first, last, reason in ranges:
        tombstones.bury(first, last, reason)
    return tombstones


def test_neighbours_that_were_buried_for_one_reason_are_one_range() -> None:
    tombstones = buried((3, 3, "split"), (4, 6, "split"), (7, 7, "unanswered"), (9, 9, "unanswered"))
    assert tombstones.ranges == [(3, 6, "split"), (7, 7, "unanswered"), (9, 9, "unanswered")]


def test_what_was_buried_late_stands_in_its_place() -> None:
    tombstones = buried((30, 40, "split"), (7, 7, "split"))
    assert tombstones.ranges == [(7, 7, "split"), (30, 40, "split")]
    assert tombstones.last_slot() == 40
    assert Tombstones().last_slot() == 0


def test_what_is_buried_already_keeps_its_reason() -> None:
    assert buried((40, 60, "a"), (50, 50, "b")).ranges == [(40, 60, "a")]
    assert buried((40, 60, "a"), (40, 60, "b")).ranges == [(40, 60, "a")]
    assert buried((40, 60, "a"), (30, 45, "b")).ranges == [(30, 39, "b"), (40, 60, "a")]
    assert buried((40, 60, "a"), (55, 70, "b")).ranges == [(40, 60, "a"), (61, 70, "b")]
    assert buried((40, 60, "a"), (55, 70, "a")).ranges == [(40, 70, "a")]
    tombstones = buried((3, 4, "a"), (8, 9, "a"), (1, 12, "b"))
    assert tombstones.ranges == [(1, 2, "b"), (3, 4, "a"), (5, 7, "b"), (8, 9, "a"), (10, 12, "b")]


@given(st.lists(RANGES, max_size=8), st.integers(1, SLOTS_MAX), st.integers(0, SLOTS_MAX))
def test_whatever_was_buried_stays_buried(ranges: list[tuple[int, int, str]], first: int, count: int) -> None:
    """However often it was, and in whatever order: ranges that overlap are all of them."""
    tombstones = buried(*ranges)
    reasons: dict[int, str] = {}
    for begin, end, reason in ranges:
        for slot in range(begin, end + 1):
            reasons.setdefault(slot, reason)
    told = [(slot, reason) for begin, end, reason in tombstones.ranges for slot in range(begin, end + 1)]
    assert told == sorted(reasons.items())
    assert tombstones.last_slot() == max(reasons, default=0)
    found = [slot for begin, end in tombstones.within(first, first + count) for slot in range(begin, end + 1)]
    assert found == [slot for slot in sorted(reasons) if first <= slot <= first + count]


def test_what_lies_within_is_told_as_far_as_it_does() -> None:
    tombstones = buried((3, 6, "a"), (8, 8, "b"), (20, 30, "c"))
    assert tombstones.within(1, 2) == []
    assert tombstones.within(7, 7) == []
    assert tombstones.within(31, 90) == []
    assert tombstones.within(5, 25) == [(5, 6), (8, 8), (20, 25)]
    assert tombstones.within(22, 23) == [(22, 23)]
    assert tombstones.within(3, 3) == [(3, 3)]
    assert Tombstones().within(1, 9) == []


def test_what_lies_behind_a_checkpoint_is_forgotten() -> None:
    tombstones = buried((3, 6, "a"), (8, 12, "b"))
    tombstones.forget(2)
    assert len(tombstones.ranges) == 2
    tombstones.forget(8)
    assert tombstones.ranges == [(8, 12, "b")], "only what lies behind it whole"
