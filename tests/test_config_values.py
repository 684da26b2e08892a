"""Single values: sizes and addresses, right and wrong."""

import pytest
from pydantic_core import PydanticCustomError

from quorate.config_values import Address, read_address, read_optional_address, read_size

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
