"""What the simulator found, as tests that outlive its seeds.

Others: tests/cell/test_slow_lane.py (seed 115), tests/trusted/test_turn.py (seed 30007 and its like).
"""

import pytest

from tests.trusted.support import Booth


@pytest.mark.parametrize("silent", [(1, 2), (2,)])
def test_what_was_sent_for_closed_slots_is_taken_at_once(silent: tuple[int, ...]) -> None:
    """Seed 20778164: replies to slots that were closed undecided lay unread until their replica sent again."""
    booth = Booth()
    booth.asks(b"GET a", b"GET b", b"GET c")
    replies = {0: b"1", 1: b"2"}
    for seat, reply in replies.items():
        if seat not in silent:
            booth.hears(seat, *[b"+" + reply] * 3)
    booth.passes(booth.limits.decision_ns_max / 1_000_000_000)
    assert booth.said() == [None, None, None]
    for seat in replies:
        voter = booth.vote.seats[seat]
        assert (len(voter.owed), bytes(voter.buffer)) == (3 if seat in silent else 0, b"")
    assert booth.is_content()
