"""How much and how long: each bound at the last value that is put up with, and one beyond."""

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.messages import Cause
from quorate.trusted.patience import Patience
from quorate.trusted.seat import Seat, Segment
from quorate.trusted.span import Span
from tests.trusted.support import PROTOCOL

LIMITS = Limits(
    lag_slots_max=10,
    inflight_slots_max=10,
    client_pending_max=10,
    silence_ns_max=50,
    lag_ns_max=70,
    throttle_ns_max=20,
    attention_ns_max=1,
)
PATIENCE = Patience(LIMITS)
DECIDED_AT = 1_000


def owing(slots: int, data: bytes | None = b"+1\r\n", heard_at: int = 0) -> Seat:
    """A seat that owes one segment, decided, or closed where there is no `data`."""
    seat = Seat(0, PROTOCOL.scanner())
    seat.heard_at = heard_at
    seat.owe(Segment(1, slots, data, [Span(None, [b"GET a"] * slots, 0, False)], 0, DECIDED_AT))
    return seat


def test_the_shortest_wait_is_the_least_of_all() -> None:
    assert PATIENCE.wait_ns_min(30) == 20
    assert PATIENCE.wait_ns_min(2) == 2


def test_a_slot_waits_from_when_it_was_ordered() -> None:
    span = Span(None, [b"GET a"], 0, False)
    span.awaited_at = 7
    assert PATIENCE.decision_due(span) == 7 + LIMITS.decision_ns_max


@pytest.mark.parametrize(
    ("slots", "lags", "is_beyond"), [(5, False, False), (6, True, False), (10, True, False), (11, True, True)]
)
def test_who_owes_half_of_what_is_kept_lags_and_beyond_is_all_of_it(slots: int, lags: bool, is_beyond: bool) -> None:
    seat = owing(slots)
    assert (PATIENCE.lags(seat), PATIENCE.is_beyond(seat)) == (lags, is_beyond)


def test_what_is_owed_counts_in_bytes_too() -> None:
    seat = owing(1, b"$" * (LIMITS.lag_bytes_max // 2))
    assert not PATIENCE.lags(seat)
    seat.owed_bytes += 1
    assert (PATIENCE.lags(seat), PATIENCE.is_beyond(seat)) == (True, False)
    seat.owed_bytes = LIMITS.lag_bytes_max + 1
    assert PATIENCE.is_beyond(seat)


@pytest.mark.parametrize(
    ("heard_at", "excused_at", "throttles_since", "due", "cause"),
    [
        (0, 0, 0, DECIDED_AT + 50, Cause.MUTE),
        (DECIDED_AT + 10, 0, 0, DECIDED_AT + 60, Cause.MUTE),
        (DECIDED_AT + 30, 0, 0, DECIDED_AT + 70, Cause.LAG),
        (0, DECIDED_AT + 100, 0, DECIDED_AT + 150, Cause.MUTE),
        (0, 0, DECIDED_AT + 5, DECIDED_AT + 25, Cause.LAG),
        (0, DECIDED_AT + 10, DECIDED_AT + 5, DECIDED_AT + 30, Cause.LAG),
    ],
)
def test_time_is_up_by_what_comes_first(
    heard_at: int, excused_at: int, throttles_since: int, due: int, cause: Cause
) -> None:
    seat = owing(1, heard_at=heard_at)
    seat.excused_at, seat.throttles_since = excused_at, throttles_since
    assert (PATIENCE.due(seat), PATIENCE.cause(seat, due)) == (due, cause)


def test_nothing_is_due_of_who_owes_nothing_decided_or_is_heard_no_more() -> None:
    closed, broken, held = owing(1, data=None), owing(1), owing(1)
    broken.is_broken = held.is_held = True
    assert [PATIENCE.due(seat) for seat in (closed, broken, held)] == [0, 0, 0]
