from quorate.trusted.client import Client
from quorate.trusted.span import Answer, Close, Continue, Form, Span


def test_a_span_grows_before_it_is_ordered() -> None:
    span = Span(None, [b"one"], 0, is_write=False)
    span.extend(b"three")
    assert (span.count, span.size, span.requests) == (2, 8, [b"one", b"three"])


def test_a_slot_finds_its_request_however_many_were_decided_before() -> None:
    span = Span(None, [b"a", b"b", b"c"], 0, is_write=True)
    span.first = 10
    assert [span.request_at(slot) for slot in (10, 11, 12)] == [b"a", b"b", b"c"]
    span.first, span.count = 12, 1
    assert [span.request_at(slot) for slot in (10, 11, 12)] == [b"a", b"b", b"c"]
    span.first, span.count = 13, 0
    assert [span.request_at(slot) for slot in (10, 11, 12)] == [b"a", b"b", b"c"]


def test_a_form_compares_byte_for_byte_unless_it_says_otherwise() -> None:
    assert Form.is_exact
    assert Form().canonical(b"+1\r\n") == b"+1\r\n"


def test_effects_name_their_client() -> None:
    client = Client(1, "test")
    assert Answer(client, b"+OK\r\n").client is client
    assert Close(client).client is client
    assert Continue(client).client is client
