"""What of the journal is suspected, and how that is narrowed down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.suspects import PARTS_MAX, WAIT_SECONDS_MAX, WAIT_SECONDS_MIN, Suspects


def suspecting(first: int, last: int, lived_seconds: float = 0.0) -> Suspects:
    suspects = Suspects()
    suspects.suspect(first, last, lived_seconds)
    return suspects


def test_nothing_is_suspected_at_first() -> None:
    suspects = Suspects()
    assert not suspects
    assert suspects.part_of(0) == suspects.part_of(1) == 0
    assert not suspects.is_within(0, 10)


@given(st.integers(1, 50), st.integers(0, 300))
def test_all_that_is_suspected_is_in_few_parts_one_after_the_other(first: int, more: int) -> None:
    suspects = suspecting(first, first + more)
    parts = [suspects.part_of(slot) for slot in range(first, first + more + 1)]
    assert parts == sorted(parts)
    assert parts[0] == 1
    assert parts[-1] <= PARTS_MAX
    assert suspects.part_of(first - 1) == suspects.part_of(first + more + 1) == 0


@given(st.integers(1, 50), st.integers(0, 5_000), st.integers(0, 5_000))
def test_whichever_slot_it_is_is_soon_found_and_then_looked_at_once_more(first: int, more: int, at: int) -> None:
    """Each look gives the part that the slot is in, with more or less of what is in it."""
    culprit = first + at % (more + 1)
    suspects = suspecting(first, first + more)
    looks = 0
    while True:
        looks += 1
        part = suspects.part_of(culprit)
        slots = [slot for slot in range(suspects.first, suspects.last + 1) if suspects.part_of(slot) == part]
        if not suspects.narrow((slots[0], slots[-1])):
            break
    assert (suspects.first, suspects.last) == (culprit, culprit)
    assert looks <= 6


def test_a_loss_outside_of_it_says_nothing() -> None:
    suspects = suspecting(4, 9)
    assert not suspects.narrow(None)
    assert (suspects.first, suspects.last) == (4, 9)


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(1, 3, False), (1, 4, True), (5, 6, True), (9, 12, True), (10, 12, False)]
)
def test_what_is_partly_suspected(first: int, last: int, expected: bool) -> None:
    assert suspecting(4, 9).is_within(first, last) == expected


def test_each_look_that_finds_nothing_has_the_next_one_wait_longer() -> None:
    suspects = suspecting(1, 2, 0.2)
    assert suspects.wait_seconds == 0.4
    suspects.absolve()
    assert not suspects
    suspects.suspect(1, 2, 0.0)
    assert suspects.wait_seconds == 0.8
    suspects.suspect(1, 2, 60.0)
    assert suspects.wait_seconds == WAIT_SECONDS_MAX
    suspects.clear()
    suspects.suspect(1, 2, 0.0)
    assert suspects.wait_seconds == WAIT_SECONDS_MIN
