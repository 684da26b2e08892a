from quorate.trusted.limits import Limits
from quorate.trusted.order import Order
from quorate.trusted.span import Span


def span_of(*requests: bytes) -> Span:
    return Span(None, list(requests), 0, is_write=True)


def test_slots_are_given_out_in_turn() -> None:
    order = Order(Limits())
    first, second = span_of(b"a", b"b"), span_of(b"c")
    order.admit(first, now=5)
    order.admit(second, now=6)
    assert (first.first, second.first, order.next_slot) == (1, 3, 4)
    assert (first.ordered_at, second.ordered_at) == (5, 6)


def test_it_is_full_at_so_many_slots_until_some_are_decided() -> None:
    order = Order(Limits(inflight_slots_max=2, client_pending_max=2))
    span = span_of(b"a", b"b")
    order.admit(span, 0)
    assert order.is_full()
    order.decided(span, 1, 1)
    assert not order.is_full()


def test_it_is_full_at_so_many_bytes_until_a_whole_span_is_decided() -> None:
    order = Order(Limits(inflight_bytes_max=10, request_bytes_max=10, inline_bytes_max=10, transaction_bytes_max=10))
    span = span_of(b"aaaaa", b"bbbbb")
    order.admit(span, 0)
    order.decided(span, 1, 1)
    assert order.is_full()
    order.decided(span, 2, 1)
    assert (order.inflight_bytes, order.inflight_slots) == (0, 0)


def test_a_spans_bytes_are_given_back_once_though_its_slots_were_decided_one_by_one_in_one_turn() -> None:
    order = Order(Limits())
    other, span = span_of(b"another"), span_of(b"a", b"b", b"c")
    order.admit(other, 0)
    order.admit(span, 0)
    span.first, span.count = 5, 0  # the vote decided all before the first of them is accounted for
    for slot in (2, 3, 4):
        order.decided(span, slot, 1)
    assert (order.inflight_bytes, order.inflight_slots) == (len(b"another"), 1)
