"""Ranges of buried slots."""

from quorate.trusted.tombstones import Tombstones


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
