"""Numbers in requests: what Redis reads, and nothing else."""

import pytest

from quorate.trusted.protocols.redis.arguments import integer_argument, timeout_milliseconds, timeout_seconds
from quorate.trusted.protocols.redis.base import Refusal

MILLISECOND_NS = 1_000_000


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"12", 12),
        (b"-7", -7),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"9223372036854775808", None),
        (b"99999999999999999999", None),
        (b"", None),
        (b"-", None),
        (b"-0", None),
        (b"+1", None),
        (b"01", None),
        (b" 1", None),
        (b"1 ", None),
        (b"1.0", None),
        (b"1_0", None),
    ],
)
def test_an_integer_is_plain_decimal(text: bytes, number: int | None) -> None:
    assert integer_argument(text) == number


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        (b"0", 0),
        (b"1.5", 1500),
        (b"0.0001", 1),
        (b"0.0014", 2),
        (b"-0.0009", 0),
        (b"0x10p0", 16_000),
        (b"5.", 5_000),
        (b"1e1", 10_000),
        (b"9223372036854774", 0),
    ],
)
def test_seconds_are_rounded_up_to_milliseconds(text: bytes, milliseconds: int) -> None:
    assert timeout_seconds(text) == milliseconds * MILLISECOND_NS


@pytest.mark.parametrize("text", [b"inf", b"-inf", b"infinity", b"1e20", b"1e400", b"-1", b"-0.001"])
def test_a_wait_that_is_negative_or_overflows_is_refused_in_redis_words(text: bytes) -> None:
    with pytest.raises(Refusal, match=r"^ERR timeout is negative$"):
        timeout_seconds(text)


@pytest.mark.parametrize("text", [b"", b"x", b"nan", b" 1", b"1 ", b"1_0", b"0x", b"1" * 6000, b"0x1p99999"])
def test_seconds_that_are_no_number_are_refused_in_redis_words(text: bytes) -> None:
    with pytest.raises(Refusal, match=r"^ERR timeout is not a float or out of range$"):
        timeout_seconds(text)


def test_block_takes_whole_milliseconds() -> None:
    assert timeout_milliseconds(b"0") == 0
    assert timeout_milliseconds(b"25") == 25 * MILLISECOND_NS
    assert timeout_milliseconds(b"9223372036854775807") == 0
    with pytest.raises(Refusal, match=r"^ERR timeout is not an integer or out of range$"):
        timeout_milliseconds(b"1.5")
    with pytest.raises(Refusal, match=r"^ERR timeout is negative$"):
        timeout_milliseconds(b"-1")
