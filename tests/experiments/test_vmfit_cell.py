"""The configurations of the paper's experiment are ones that a cell accepts."""

from pathlib import Path

import pytest

from quorate.config import Config, load
from quorate.experiments.vmfit_cell import counter, redis
from quorate.experiments.vmfit_schedule import SCALES, STRATEGIES, Schedule

NS = 1_000_000_000


def loaded(text: str, directory: Path) -> Config:
    path = directory / "cell.toml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("letter", STRATEGIES)
def test_each_strategy_is_configured(letter: str, tmp_path: Path) -> None:
    config = loaded(counter(letter, Schedule(60, 1)), tmp_path)
    assert config.recovery.strategy == STRATEGIES[letter]
    assert config.recovery.reactive == (letter != "A")
    assert config.every_ns() == [0 if letter == "A" else 5 * NS] * 3
    assert config.limits.silence_ns_max == NS
    # In A what is not decided is never given up within a run, the longest of which lasts as long as the paper's.
    assert (config.limits.decision_ns_max > 1_800 * NS) == (letter == "A")
    assert config.cell.drills
    assert {replica.domain for replica in config.replicas} == {"sandbox"}


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_can_be_configured(scale: int, tmp_path: Path) -> None:
    assert loaded(counter("C", Schedule(scale, 5)), tmp_path).every_ns() == [300 // scale * NS] * 3


@pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
@pytest.mark.parametrize("state_bytes", [10**6, 10**9])
def test_the_redis_cell_has_room_for_its_state(state_bytes: int, tmp_path: Path) -> None:
    config = loaded(redis(state_bytes, 1), tmp_path)
    assert config.recovery.strategy == "none"
    assert config.recovery.reactive
    assert config.limits.memory_bytes_max > 2 * state_bytes
    assert all((variant.memory or 0) > config.limits.memory_bytes_max for variant in config.variants.values())
