from quorate.trusted.distribute import Distribute
from quorate.trusted.span import Span
from tests.trusted.support import PROTOCOL

RESP3 = 3 << 16
RESP2 = 2 << 16


def test_a_turns_requests_leave_as_one_piece_once() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.send(Span(None, [b"a", b"b"], RESP2, is_write=False))
    distribute.send(Span(None, [b"c"], RESP2, is_write=False))
    assert distribute.take() == PROTOCOL.switch(-1, RESP2) + b"abc"
    assert distribute.take() == b""


def test_a_change_of_mode_is_part_of_the_stream() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.send(Span(None, [b"a"], RESP2, is_write=False))
    distribute.take()
    distribute.send(Span(None, [b"b"], RESP2, is_write=False))
    distribute.send(Span(None, [b"c"], RESP3, is_write=False))
    assert distribute.take() == b"b" + PROTOCOL.switch(RESP2, RESP3) + b"c"
