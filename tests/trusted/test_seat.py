"""One seat's bookkeeping: what it is owed by, and what it still owes."""

from quorate.trusted.messages import Role
from quorate.trusted.seat import OVERSIZED, Seat, Segment
from quorate.trusted.span import Span
from tests.trusted.support import PROTOCOL


def new_seat() -> Seat:
    seat = Seat(0, PROTOCOL.scanner())
    seat.is_voting = True
    return seat


def span_of(*requests: bytes, first: int = 1) -> Span:
    span = Span(None, list(requests), 0, is_write=False)
    span.first = first
    return span


def standing(seat: Seat) -> tuple[int, int, Segment | None]:
    """How much it owes, in slots and bytes, and since which segment."""
    return seat.owed_slots, seat.owed_bytes, seat.oldest


def test_what_is_owed_is_counted_and_paid_in_turn() -> None:
    seat, span = new_seat(), span_of(b"abc", b"de")
    closed = Segment(1, 1, None, [span], 3, decided_at=5)
    decided = Segment(2, 1, b"+1\r\n", [span], 2, decided_at=6)
    seat.owe(closed)
    assert standing(seat) == (1, 3, None), "a closed slot is nobody's debt in time"
    seat.owe(decided)
    assert standing(seat) == (2, 3 + 2 + 4, decided)
    assert seat.paid() is closed
    assert standing(seat) == (1, 2 + 4, decided)
    assert seat.paid() is decided
    assert standing(seat) == (0, 0, None)


def test_a_shadow_is_verified_when_its_lane_is_written_to() -> None:
    seat = new_seat()
    seat.is_held = True
    assert seat.role() is Role.CATCHING_UP
    seat.is_held = False
    assert seat.role() is Role.VERIFIED


def test_a_decided_segment_is_divided_into_its_slots() -> None:
    seat = new_seat()
    spans = [span_of(b"zero", b"a", b"b"), span_of(b"c", first=4), span_of(b"d", b"e", first=5)]
    spans[0].first, spans[0].count = 4, 0  # all its slots were decided meanwhile
    seat.owe(Segment(2, 4, b"+a\r\n+b\r\n+c\r\n+d\r\n", spans, 4, decided_at=9))
    seat.owe(Segment(6, 1, b"+e\r\n", spans[2:], 1, decided_at=10))
    seat.divide()
    assert [(part.first, part.data) for part in seat.owed] == [
        (2, b"+a\r\n"),
        (3, b"+b\r\n"),
        (4, b"+c\r\n"),
        (5, b"+d\r\n"),
        (6, b"+e\r\n"),
    ]
    assert [part.spans[0].request_at(part.first) for part in seat.owed] == [b"a", b"b", b"c", b"d", b"e"]
    assert standing(seat) == (5, 25, seat.owed[0])


def test_a_reply_is_read_once_and_counted_once() -> None:
    seat, span = new_seat(), span_of(b"a")
    seat.buffer += b"+1\r\n+2\r\n"
    assert seat.has_reply(span, 100)
    assert seat.has_reply(span, 100)
    assert seat.reply == b"+1\r\n"
    seat.take_reply()
    assert seat.has_reply(span, 100)
    assert seat.reply == b"+2\r\n"


def test_a_reply_over_the_limit_is_its_own_kind_of_reply() -> None:
    seat, span = new_seat(), span_of(b"a")
    seat.buffer += b"$50\r\n" + b"x" * 10
    assert not seat.has_reply(span, 20)
    seat.buffer += b"x" * 20
    assert seat.has_reply(span, 20)
    assert seat.reply == OVERSIZED
    seat.take_reply()
    assert seat.is_skipping
    assert not seat.buffer


def test_who_votes_no_more_keeps_nothing() -> None:
    seat = new_seat()
    seat.buffer += b"+1\r\n"
    seat.owe(Segment(1, 1, b"+1\r\n", [span_of(b"a")], 1, decided_at=5))
    seat.clear()
    assert not seat.is_voting
    assert not seat.is_ready()
    assert (len(seat.buffer), len(seat.owed), seat.owed_bytes, seat.oldest) == (0, 0, 0, None)
