"""The store `dictionary` answers as a real Redis does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import harness

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    with harness.running_store("dictionary") as path:
        yield path


@pytest.fixture(scope="module")
def redis() -> Iterator[Path]:
    with harness.running_redis() as path:
        yield path


@pytest.mark.parametrize("protocol", [2, 3])
def test_table(store: Path, redis: Path, protocol: int) -> None:
    harness.assert_table_agrees(store, redis, protocol)


@pytest.mark.parametrize(("seed", "protocol"), [(1, 2), (2, 3), (3, 2)])
def test_random(store: Path, redis: Path, seed: int, protocol: int) -> None:
    harness.assert_random_agrees(store, redis, seed, 5000, protocol)


def test_pipelining(store: Path) -> None:
    harness.assert_pipelining(store)


def test_split_packets(store: Path) -> None:
    harness.assert_split_packets(store)


def test_silence(store: Path, redis: Path) -> None:
    harness.assert_silence(store, redis)


def test_protocol_errors(store: Path, redis: Path) -> None:
    harness.assert_protocol_errors(store, redis)


def test_scripts(store: Path, redis: Path) -> None:
    harness.assert_scripts(store, redis)


def test_watch(store: Path, redis: Path) -> None:
    harness.assert_watch(store, redis)
