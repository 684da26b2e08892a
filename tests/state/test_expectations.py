from types import SimpleNamespace
from typing import cast

import pytest

from quorate.state import dialects
from quorate.state.expectations import (
    ACKNOWLEDGEMENT_BYTES_MAX,
    UNIT_SLACK_BYTES,
    Acknowledgements,
    Exact,
    Expectation,
    Told,
)
from quorate.state.faults import FeedFault
from quorate.trusted.changes import HASH, SET
from quorate.trusted.protocols.redis.state_streams import CLAIMS_MAX
from quorate.trusted.protocols.redis.values import array, bulk
from tests.state.support import PROTOCOL

DIALECT = dialects.make(PROTOCOL)
FIRST, SECOND = b"$3\r\nabc\r\n", b"$4\r\ndefg\r\n"


def fed(expectation: Expectation, data: bytes, size: int) -> bytes:
    """Give it `data` in pieces, until it is done; what is left over. The buffer is longer than what counts of it."""
    position = 0
    while not expectation.is_done and position < len(data):
        piece = data[position : position + size]
        position += expectation.take(bytearray(b"??" + piece + b"+OK\r\n??"), 2, 2 + len(piece))
    return data[position:]


def exact() -> Exact:
    return Exact(FIRST + SECOND, [(0, b"one", len(FIRST)), (3, b"two", len(SECOND))])


def acknowledgements() -> Acknowledgements:
    return Acknowledgements(DIALECT, [(0, b"one", 2), (3, b"two", 3), (4, None, 1)], 6)


def told(*units: bytes, kind: int = SET) -> Told:
    """The keys s, t, u, … are to be read as these units, which are in canonical form."""
    return Told(DIALECT, [(0, b"%c" % (ord("s") + index), kind, unit) for index, unit in enumerate(units)])


def members(*names: bytes) -> bytes:
    """What a replica tells of a set with these members, in canonical form."""
    return b":-1\r\n" + array(sorted(bulk(name) for name in names))


def test_the_longest_acknowledgement_of_pending_entries_is_no_longer_than_it_may_be() -> None:
    """XCLAIM … JUSTID names each entry, and its reply may come in any pieces."""
    longest = b"%d-%d" % (2**64 - 1, 2**64 - 2)
    reply = array([bulk(longest)] * CLAIMS_MAX)
    assert len(reply) <= ACKNOWLEDGEMENT_BYTES_MAX
    for size in (1, 1_000, len(reply) - 1):
        expectation = Acknowledgements(DIALECT, [(0, b"stream", 1)], 1)
        assert fed(expectation, reply, size) == b""
        assert expectation.is_done


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 100])
def test_what_was_foretold_is_taken_in_any_pieces(size: int) -> None:
    expectation = exact()
    assert fed(expectation, FIRST + SECOND + b"rest", size).endswith(b"rest"[-1:])
    assert expectation.is_done


def test_only_what_belongs_to_it_is_taken() -> None:
    assert fed(exact(), FIRST + SECOND + b"rest", 1_000) == b"rest"
    assert fed(acknowledgements(), b"+OK\r\n" * 6 + b"rest", 1_000) == b"rest"
    assert fed(acknowledgements(), b":1\r\n" * 6 + b"rest", 1_000) == b"rest"
    assert fed(told(members(b"a", b"b")), SAID + b"rest", 1_000) == b"rest"
    assert fed(told(members(b"a", b"b")), CANONICAL + b"rest", 1_000) == b"rest"


@pytest.mark.parametrize("size", [1, 4, 100])
def test_each_wrong_byte_is_found_with_its_key(size: int) -> None:
    data = FIRST + SECOND
    for index in range(len(data)):
        wrong = data[:index] + b"!" + data[index + 1 :]
        name = "database 0 key 'one'" if index < len(FIRST) else "database 3 key 'two'"
        with pytest.raises(FeedFault, match=f"{name} reads back as … b'!") as caught:
            fed(exact(), wrong, size)
        assert caught.value.is_replicas


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("replies", [[b"+OK\r\n"] * 6, [b":1\r\n", b"+OK\r\n", b"$3\r\n1-1\r\n"] * 2])
def test_requests_are_acknowledged_in_any_pieces(size: int, replies: list[bytes]) -> None:
    expectation = acknowledgements()
    fed(expectation, b"".join(replies), size)
    assert expectation.is_done


def test_much_may_follow_what_is_incomplete() -> None:
    for usual in (b"+OK\r\n", b":1\r\n"):
        count = 3 * ACKNOWLEDGEMENT_BYTES_MAX
        expectation = Acknowledgements(DIALECT, [(0, b"one", count)], count)
        fed(expectation, usual * count, 2 * ACKNOWLEDGEMENT_BYTES_MAX + 1)
        assert expectation.is_done


@pytest.mark.parametrize("size", [1, 6, 100])
@pytest.mark.parametrize("index", range(6))
def test_an_error_is_found_with_its_key(size: int, index: int) -> None:
    name = "number of keys in database 4" if index == 5 else "key 'one'" if index < 2 else "key 'two'"
    for usual in (b"+OK\r\n", b":1\r\n", b"$5\r\n-ERR!\r\n"):
        replies = [usual] * 6
        replies[index] = b"-OOM no room\r\n"
        with pytest.raises(FeedFault, match=f"{name} cannot be restored: b'-OOM no room"):
            fed(acknowledgements(), b"".join(replies), size)


@pytest.mark.parametrize(
    "data", [b"hello\r\n", b"+" + b"x" * 2 * ACKNOWLEDGEMENT_BYTES_MAX, b"$999999999\r\n" + b"x" * 9_000]
)
@pytest.mark.parametrize("size", [100, 100_000])
def test_what_is_no_reply_or_too_long_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(FeedFault, match="key 'one': the answer"):
        fed(acknowledgements(), data, size)


SAID = b":-1\r\n*2\r\n$1\r\nb\r\n$1\r\na\r\n"
CANONICAL = b":-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"


@pytest.mark.parametrize("size", [1, 3, 50, 100])
def test_a_replica_may_tell_in_an_order_of_its_own(size: int) -> None:
    for units in ([SAID], [CANONICAL], [SAID, SAID, CANONICAL], [CANONICAL, SAID, CANONICAL]):
        expectation = told(*[members(b"a", b"b")] * len(units))
        assert fed(expectation, b"".join(units) + b"rest", size).endswith(b"rest"[-1:])
        assert expectation.is_done


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize(
    ("due", "said", "message"),
    [
        (members(b"a", b"c"), SAID, r"reads back as … b'b.*, not … b'c"),
        (members(b"a", b"b", b"c"), SAID, r"reads back as … b'2.*, not … b'3"),
        (members(b"a"), CANONICAL[:-1] + b"!", "reads back as|is no reply"),
        (members(b"a"), b":-2\r\n*0\r\n", r"reads back as … b'2.*, not … b'1"),
        (members(b"a"), b":9\r\n*1\r\n$1\r\na\r\n", r"reads back as … b'9.*, not … b'-1"),
        (members(b"a"), b"-ERR\r\n-ERR\r\n", "reads back as … b'-ERR"),
        (members(b"a"), b":-1\r\n-WRONGTYPE\r\n", "reads back as … b'-WRONGTYPE"),
        (members(b"a"), b":-1\r\n*1\r\n$-1\r\n", ""),
        (members(b"a"), b":-1\r\n*1\r\n*1\r\n:1\r\n", ""),
        (members(b"a"), b":-1\r\n*1\r\n?\r\n", "is no reply"),
        (members(b"a"), b":-1\r\n*9999\r\n" + b"$4\r\nxxxx\r\n" * UNIT_SLACK_BYTES, "longer than it can be"),
    ],
)
def test_whatever_else_it_tells_is_a_fault(size: int, due: bytes, said: bytes, message: str) -> None:
    with pytest.raises(FeedFault, match=f"database 0 key 's'.*{message}") as caught:
        fed(told(due, members(b"next")), said, size)
    assert caught.value.is_replicas


def test_units_are_taken_together_and_no_byte_beyond_them() -> None:
    due = members(b"a", b"b")
    buffer = bytearray(SAID + CANONICAL + SAID)
    assert told(due, due).take(buffer, 0, len(buffer)) == len(SAID) * 2
    assert told(due, due, due).take(buffer, 0, len(buffer) - 1) == len(SAID) * 2


@pytest.mark.parametrize("said", [SAID, CANONICAL])
def test_the_key_that_is_wrong_is_named(said: bytes) -> None:
    right, wrong = members(b"a", b"b"), members(b"a")
    with pytest.raises(FeedFault, match="key 't' reads back as"):
        fed(told(right, wrong, right), said * 3, 1_000)


def test_what_ends_early_has_no_order() -> None:
    with pytest.raises(ValueError, match="the reply ends early"):
        DIALECT.canonical(SET, b":-1\r\n")


def test_what_cannot_be_brought_into_one_order_is_a_fault() -> None:
    def ends_early(kind: int, unit: bytes) -> bytes:
        raise ValueError("it ends early")

    parts = {"scanner": DIALECT.scanner, "proof_frames": DIALECT.proof_frames, "canonical": ends_early}
    dialect = cast(dialects.StateDialect, SimpleNamespace(**parts))
    with pytest.raises(FeedFault, match=r"key 's' reads back as .*: it ends early"):
        fed(Told(dialect, [(0, b"s", SET, members(b"a", b"b"))]), SAID, 100)


def test_fields_have_their_values_in_any_order() -> None:
    due = b":-1\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"
    said = b":-1\r\n*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\n1\r\n"
    expectation = told(due, kind=HASH)
    fed(expectation, said, 100)
    assert expectation.is_done
    with pytest.raises(FeedFault, match="reads back as"):
        fed(told(due, kind=HASH), said.replace(b"2", b"3"), 100)
