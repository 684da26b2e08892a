"""One stream of bytes for every lane, in batches; where in it a shadow begins."""

from quorate.trusted.distribute import BATCH_BYTES_MAX, NOWHERE, Distribute
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


def test_much_goes_at_once_though_something_is_undecided() -> None:
    distribute = Distribute(PROTOCOL)
    assert not distribute.is_due(1, 0)
    first = Span(None, [b"a"], RESP2, is_write=False)
    first.first = 1
    distribute.send(first)
    assert distribute.is_due(1, 0)
    distribute.take()
    second = Span(None, [b"b" * (BATCH_BYTES_MAX - 1)], RESP2, is_write=False)
    second.first = 2
    distribute.send(second)
    assert not distribute.is_due(1, 0)
    assert distribute.is_due(2, 0)
    distribute.send(Span(None, [b"c"], RESP2, is_write=False))
    assert distribute.is_due(1, 0)


def test_what_gathered_before_a_shadow_begins_is_not_for_it_and_it_begins_without_a_mode() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.send(Span(None, [b"a"], RESP2, is_write=False))
    distribute.begin()
    distribute.send(Span(None, [b"b"], RESP2, is_write=False))
    assert distribute.is_due(1, 0)
    before = PROTOCOL.switch(-1, RESP2) + b"a"
    assert distribute.take() == before + PROTOCOL.switch(-1, RESP2) + b"b"
    assert distribute.begins_at == len(before)
    distribute.send(Span(None, [b"c"], RESP2, is_write=False))
    assert distribute.take() == b"c"
    assert distribute.begins_at == NOWHERE


def test_a_shadow_may_begin_where_nothing_gathered_and_where_nothing_follows() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.begin()
    assert distribute.is_due(1, 0)
    assert (distribute.take(), distribute.begins_at) == (b"", 0)
    assert not distribute.is_due(1, 0)
    distribute.send(Span(None, [b"a"], RESP2, is_write=False))
    distribute.begin()
    distribute.take()
    assert distribute.begins_at == len(PROTOCOL.switch(-1, RESP2) + b"a")


def test_of_two_beginnings_in_one_batch_the_later_counts() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.begin()
    distribute.send(Span(None, [b"a"], RESP2, is_write=False))
    distribute.begin()
    distribute.send(Span(None, [b"b"], RESP2, is_write=False))
    data = distribute.take()
    assert data[distribute.begins_at :] == PROTOCOL.switch(-1, RESP2) + b"b"


def test_new_lanes_are_sent_nothing_that_gathered_for_the_old() -> None:
    distribute = Distribute(PROTOCOL)
    distribute.send(Span(None, [b"a"], RESP2, is_write=False))
    distribute.begin()
    distribute.send(Span(None, [b"b"], RESP2, is_write=False))
    distribute.restart()
    assert not distribute.is_due(1, 0)
    assert distribute.take() == b""
    assert distribute.begins_at == NOWHERE
    distribute.send(Span(None, [b"c"], RESP2, is_write=False))
    assert distribute.take() == PROTOCOL.switch(-1, RESP2) + b"c"
