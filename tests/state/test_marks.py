import pytest

from quorate.state import marks
from quorate.state.marks import MARK_BYTES, Marks


def taken(some: Marks) -> set[tuple[int, bytes]]:
    found = set()
    while (mark := some.take()) is not None:
        found.add(mark)
    return found


def test_each_key_is_marked_once_and_taken_once() -> None:
    some = Marks()
    for key in (b"a", b"b", b"a"):
        some.add(0, key)
    some.add(1, b"a")
    assert (len(some), some.size) == (3, 3 * (1 + MARK_BYTES))
    assert taken(some) == {(0, b"a"), (0, b"b"), (1, b"a")}
    assert (len(some), some.size, some.take()) == (0, 0, None)


def test_a_clear_forgets_what_came_before_in_its_database() -> None:
    some = Marks()
    some.add(0, b"before")
    some.add(1, b"other")
    some.clear(0)
    some.add(0, b"after")
    assert len(some) == 3
    assert (some.take_cleared(), some.take_cleared()) == ([0], [])
    assert some.size == 2 * MARK_BYTES + len(b"otherafter")
    assert taken(some) == {(0, b"after"), (1, b"other")}


def test_joined_marks_come_after() -> None:
    earlier, later = Marks(), Marks()
    earlier.add(0, b"gone")
    earlier.add(1, b"both")
    later.clear(0)
    later.add(0, b"new")
    later.add(1, b"both")
    earlier.join(later)
    assert earlier.size == 2 * MARK_BYTES + len(b"newboth")
    assert earlier.take_cleared() == [0]
    assert taken(earlier) == {(0, b"new"), (1, b"both")}


def test_marks_are_bounded_and_being_full_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MARKS_BYTES_MAX", 10 * MARK_BYTES)
    some = Marks()
    for index in range(1_000):
        some.add(0, b"%d" % index)
    assert some.is_full
    assert len(some) <= 11
    some.clear(0)
    assert some.is_full
    fresh = Marks()
    fresh.join(some)
    assert fresh.is_full
    two = Marks(), Marks()
    for index in range(7):
        two[0].add(0, b"%d" % index)
        two[1].add(1, b"%d" % index)
    two[0].join(two[1])
    assert two[0].is_full
