"""Long replies come in many pieces: what they cost grows with their length, not with its square."""

import pytest

from quorate.trusted import vote
from quorate.trusted.messages import Cause
from quorate.trusted.seat import STREAMED_REPLY_BYTES_MAX
from tests.trusted.support import Booth

PIECE = 1_024
LONG = b"$%d\r\n%b\r\n" % (4 * STREAMED_REPLY_BYTES_MAX, b"x" * (4 * STREAMED_REPLY_BYTES_MAX))


def pieces(reply: bytes) -> list[bytes]:
    return [reply[start : start + PIECE] for start in range(0, len(reply), PIECE)]


def test_a_long_reply_is_decided_whichever_seats_send_it_and_however() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    for piece in pieces(LONG + b"+after\r\n"):
        for seat in range(3):
            booth.hears_bytes(seat, piece)
    assert booth.said() == [LONG, b"+after\r\n"]
    assert (booth.dissents, booth.faults) == ([], [])


def test_short_replies_before_and_after_a_long_one_are_still_voted_on_as_streams() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b", b"GET c")
    stream = b"+before\r\n" + LONG + b"+after\r\n"
    booth.hears_bytes(0, stream)
    booth.hears_bytes(2, stream)
    booth.hears_bytes(1, stream)
    assert booth.said() == [b"+before\r\n", LONG, b"+after\r\n"]
    assert (booth.dissents, booth.faults) == ([], [])


def test_a_long_reply_that_differs_in_its_last_byte_is_a_dissent_of_its_slot_alone() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    for seat in (0, 2):
        booth.hears_bytes(seat, LONG + b"+after\r\n")
    for piece in pieces(LONG[:-3] + b"y\r\n" + b"+after\r\n"):
        booth.hears_bytes(1, piece)
    assert booth.dissenters() == [(1, 1)]
    assert booth.faults == []


def test_a_long_reply_that_ends_as_garbage_is_reported() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.hears_bytes(1, LONG[:-2] + b"zz")
    for seat in (0, 2):
        booth.hears_bytes(seat, LONG)
    assert booth.said() == [LONG]
    assert booth.accused() == [(1, Cause.GARBAGE)]


def test_the_pieces_of_a_long_reply_are_not_compared_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    agree = vote._agree

    def counting(one: bytearray, other: bytearray) -> bool:
        nonlocal compared
        compared += min(len(one), len(other))
        return agree(one, other)

    monkeypatch.setattr(vote, "_agree", counting)
    booth = Booth()
    booth.asks(b"GET a")
    for piece in pieces(LONG):
        for seat in range(3):
            booth.hears_bytes(seat, piece)
    assert booth.said() == [LONG]
    beginning = STREAMED_REPLY_BYTES_MAX // PIECE
    assert compared <= 6 * beginning * STREAMED_REPLY_BYTES_MAX  # streams up to that length, at each arrival
