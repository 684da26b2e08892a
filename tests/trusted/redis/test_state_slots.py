"""State reads as the core asks for them, and what their replies told."""

import pytest

from quorate.trusted.changes import LIST, SET, STRING, UNKNOWN
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS, digest
from quorate.trusted.protocols.redis.state import PROTOCOL
from quorate.trusted.protocols.redis.values import array, bulk
from quorate.trusted.span import Span

LISTED = b"return redis.call('incr', KEYS[1])"


def dialect(**limits: int) -> RedisProtocol:
    return RedisProtocol(Limits(**limits), Settings(scripts=frozenset((digest(LISTED),))), b"seed")


def string(value: bytes, deadline: int = -1) -> bytes:
    return b"+string\r\n:%d\r\n%b" % (deadline, bulk(value))


def decided(span: Span, count: int) -> int:
    """The next `count` slots of `span` are decided, as the vote does it; the first of them."""
    first = span.first
    span.first += count
    span.count -= count
    return first


def test_what_was_asked_and_told_is_known_by_slot_however_much_is_decided_by_then() -> None:
    protocol = dialect()
    keys = [(3, b"%d" % number, STRING) for number in range(5)]
    (span,) = protocol.read_state(keys)
    span.first = 10
    assert span.mode == PROTOCOL << 16 | 3
    first, second = decided(span, 2), decided(span, 2)
    assert (first, second) == (10, 12)
    parts = protocol.take_state(span, first, 2, string(b"x") + string(b"y"))
    assert [(part.key, part.record is not None and part.record[-3:-2]) for part in parts] == [
        (b"0", b"x"),
        (b"1", b"y"),
    ]
    (part,) = protocol.take_state(span, second, 1, string(b"z"))
    assert (part.database, part.key, part.kind, part.is_settled) == (3, b"2", STRING, True)
    assert protocol.state_asked(span, 13, 2) == keys[3:]


def test_reads_of_one_database_and_one_form_share_a_span() -> None:
    keys = [(0, b"a", STRING), (0, b"b", LIST), (0, b"c", SET), (0, b"d", UNKNOWN), (1, b"e", UNKNOWN)]
    assert [span.count for span in dialect().read_state(keys)] == [2, 1, 1, 1]


def test_a_deadline_that_was_read_is_known_once() -> None:
    protocol = dialect()
    (span,) = protocol.read_state([(0, b"a", STRING)])
    span.first = 1
    for _ in range(2):
        protocol.take_state(span, 1, 1, string(b"x", DEADLINE_OFFSET_MS + 500))
    assert protocol.deadlines.candidates(0, b"a") == [500]
    protocol.take_state(span, 1, 1, string(b"x"))
    assert protocol.deadlines.candidates(0, b"a") == [500], "a write that took it away has told so itself"


def test_what_is_absent_or_not_settled_has_no_deadline() -> None:
    protocol = dialect()
    (span,) = protocol.read_state([(0, b"a", STRING), (0, b"b", STRING)])
    span.first = 1
    gone, other = protocol.take_state(span, 1, 2, b"+none\r\n:-2\r\n$-1\r\n+list\r\n:7\r\n-WRONGTYPE\r\n")
    assert (gone.record, gone.is_settled) == (None, True)
    assert (other.kind, other.record, other.is_settled) == (LIST, None, False)
    assert len(protocol.deadlines) == 0


def test_deadlines_beyond_the_limit_are_not_kept() -> None:
    protocol = dialect(deadlines_max=1)
    protocol.learn(0, b"a", DEADLINE_OFFSET_MS + 500)
    protocol.learn(0, b"b", DEADLINE_OFFSET_MS + 500)
    assert len(protocol.deadlines) == 1


def test_keys_are_counted_and_listed_in_their_database() -> None:
    protocol = dialect()
    count, names = protocol.count_state(4), protocol.list_state(5)
    assert (count.requests, count.mode, count.is_write) == ([encode_request([b"DBSIZE"])], PROTOCOL << 16 | 4, False)
    assert (names.requests, names.mode) == ([encode_request([b"KEYS", b"*"])], PROTOCOL << 16 | 5)
    assert count.is_exact
    assert names.form is not None
    assert names.form.canonical(b"*2\r\n$1\r\nb\r\n$1\r\na\r\n") == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"


@pytest.mark.parametrize(("data", "number"), [(b":7\r\n", 7), (b":0\r\n", 0), (b"-LOADING\r\n", None), (b"", None)])
def test_a_count_is_a_number_or_an_error(data: bytes, number: int | None) -> None:
    assert dialect().counted(data) == number


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"*2\r\n$1\r\na\r\n$0\r\n\r\n", [b"a", b""]),
        (b"*0\r\n", []),
        (b"-LOADING\r\n", None),
        (b"", None),
    ],
)
def test_a_list_is_of_names_or_an_error(data: bytes, names: list[bytes] | None) -> None:
    assert dialect().listed(data) == names


def test_scripts_that_clients_loaded_are_kept_beside_the_keys() -> None:
    protocol = dialect()
    assert protocol.extras() == array([])
    protocol.load(digest(LISTED), LISTED)
    extras = protocol.extras()
    other = dialect()
    frames = other.setup()[1]
    other.adopt_extras(b"")
    assert other.setup()[1] == frames
    other.adopt_extras(extras)
    other.adopt_extra(b"not listed any more")
    assert other.setup()[1] == frames + 1
    assert other.extras() == extras


def test_what_a_variant_does_not_know_is_found_in_the_journal_in_transactions_too() -> None:
    add, get = encode_request([b"XADD", b"s", b"1-1", b"f", b"v"]), encode_request([b"SET", b"k", b"v"])
    protocol = RedisProtocol(Limits(), Settings(unserved=frozenset(("xadd",))), b"seed")
    assert protocol.unknown_in(get) == ""
    assert protocol.unknown_in(encode_request([b"MULTI"]) + get + add + encode_request([b"EXEC"])) == "XADD"
    assert dialect().unknown_in(add) == "", "where all variants know everything nothing is looked at"
