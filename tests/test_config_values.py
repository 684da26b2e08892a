"""Single values: sizes and addresses, right and wrong."""

import pytest
from pydantic_core import PydanticCustomError

from quorate.config_values import (
    SLOTS_MAX,
    Address,
    Duration,
    read_address,
    read_duration,
    read_optional_address,
    read_optional_duration,
    read_pace,
    read_size,
)

SIZES = {
    0: 0,
    1_048_576: 1_048_576,
    "1MiB": 2**20,
    "1 GiB": 2**30,
    "256MB": 256_000_000,
    "2GB": 2_000_000_000,
    "1TB": 10**12,
    "2000KiB": 2_048_000,
    "2000000B": 2_000_000,
}


@pytest.mark.parametrize(("text", "expected"), SIZES.items())
def test_sizes(text: object, expected: int) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "MB", "1.5GB", "1gb", "1mB", "-1MB", "1KB", "1B", 1, -1, True, 1.5, None, "1 iB", "9" * 16 + "B"]
)
def test_no_sizes(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_size(text)


ADDRESSES = {
    "127.0.0.1:7379": ("127.0.0.1", 7379, True),
    "127.9.9.9:1": ("127.9.9.9", 1, True),
    "localhost:0": ("localhost", 0, True),
    "[::1]:65535": ("::1", 65535, True),
    "0.0.0.0:80": ("0.0.0.0", 80, False),
    "[::]:80": ("::", 80, False),
    "localhost.example.org:80": ("localhost.example.org", 80, False),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_addresses(text: str, expected: tuple[str, int, bool]) -> None:
    address = read_address(text)
    assert (address.host, address.port, address.is_loopback) == expected
    assert str(address) == text
    assert read_address(address) is address


@pytest.mark.parametrize(
    "text", ["", ":", "a", "a:", ":1", "a:b", "a:-1", "a:65536", "a:1:2", "::1", "a b:1", "a:\uff11", 7379, None]
)
def test_no_addresses(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_address(text)


def test_an_empty_address_is_none() -> None:
    assert read_optional_address("") is None
    assert read_optional_address("localhost:1") == Address("localhost", 1)


SECOND = 10**9
DURATIONS = {
    "100ms": SECOND // 10,
    "1500ms": 1_500_000_000,
    "90s": 90 * SECOND,
    "10m": 600 * SECOND,
    "1 h": 3_600 * SECOND,
    "7d": 7 * 86_400 * SECOND,
    "365d": 365 * 86_400 * SECOND,
}


@pytest.mark.parametrize(("text", "expected"), DURATIONS.items())
def test_durations(text: str, expected: int) -> None:
    duration = read_duration(text)
    assert duration == Duration(expected)
    assert read_duration(duration) is duration
    assert read_duration(str(duration)) == duration


def test_a_duration_is_written_in_its_largest_whole_unit() -> None:
    written = [str(Duration(ns)) for ns in (0, 1, 1_500_000_000, 60 * SECOND, 90 * SECOND, 86_400 * SECOND)]
    assert written == ["0s", "1e-09s", "1500ms", "1m", "90s", "1d"]


@pytest.mark.parametrize(
    "text", ["", "s", "10", 10, 1.5, True, None, "1.5h", "-1s", "99ms", "0s", "366d", "1H", "1min", "9" * 10 + "s"]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_duration(text)


def test_an_absent_duration_is_none() -> None:
    assert read_optional_duration(None) is None
    assert read_optional_duration("1s") == Duration(SECOND)


def test_a_pace_is_slots_or_time() -> None:
    assert read_pace(1) == 1
    assert read_pace(SLOTS_MAX) == SLOTS_MAX
    assert read_pace("10s") == Duration(10 * SECOND)


@pytest.mark.parametrize("value", [0, -1, SLOTS_MAX + 1, True, 1.0, "10", None])
def test_no_paces(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_pace(value)
