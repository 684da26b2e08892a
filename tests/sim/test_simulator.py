"""The simulator's share of `make test`: fresh seeds every day, all seeds that ever failed, and its own determinism."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quorate.trusted.messages import Convicted, Dissented, Notice, QuorumLost, Retired, Spared, Undecided
from tests.sim.__main__ import RECOVERING_FROM, failed_seeds, reproduce, world_of
from tests.sim.recovery import RecoveringWorld
from tests.sim.swarm import THEMES, Fault, Theme, draw
from tests.sim.world import World

FRESH_SEEDS = 200
# Of these, so many are runs in which replicas are rebuilt: tests/sim/test_recovering.py.
FRESH_RECOVERING = FRESH_SEEDS // 2
BATCH = 10
DAY_SECONDS = 86_400
# From which seed on to look for a fault that would take long from the beginning.
FIRST = {Fault.FORGET: 229, Fault.MUTE: 409, Fault.REFUSE: 1876}
VERDICTS: set[type[Notice]] = {Convicted, Dissented, QuorumLost, Retired, Spared, Undecided}
ROOT = Path(__file__).resolve().parents[2]


def fresh_seeds() -> list[int]:
    """Other seeds each day, the same ones all day long."""
    first = int(time.time()) // DAY_SECONDS * 1000
    return list(range(first, first + FRESH_SEEDS))


def batches() -> list[list[int]]:
    seeds = fresh_seeds()[FRESH_RECOVERING:]
    return [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]


def test_the_fresh_seeds_of_any_day_are_ordinary_runs() -> None:
    """Seeds are told apart by their size: once, all fresh ones had grown into recoveries."""
    assert not isinstance(world_of(fresh_seeds()[-1]), RecoveringWorld)
    in_a_thousand_years = (int(time.time()) // DAY_SECONDS + 365_250) * 1000
    assert in_a_thousand_years + FRESH_SEEDS < RECOVERING_FROM


HASHES = """
from tests.sim.world import World
for seed in (2, 8, 21):
    world = World(seed)
    world.run()
    print(world.timeline.trace_hash())
"""


def run(seed: int) -> World:
    world = world_of(seed)
    try:
        world.run()
    except Exception as broken:
        raise AssertionError(f"{broken}\nto see it again: {reproduce(seed)}") from broken
    return world


def run_all(seeds: list[int]) -> None:
    for seed in seeds:
        run(seed)


@pytest.mark.farmed(job=run_all)
@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"from-{seeds[0]}")
def test_fresh_seeds_break_no_promise(seeds: list[int], outcome: Callable[[], None]) -> None:
    outcome()


@pytest.mark.farmed(job=run_all)
@pytest.mark.parametrize("seeds", [[seed] for seed in failed_seeds()], ids=lambda seeds: f"{seeds[0]}")
def test_seeds_that_failed_once_break_no_promise(seeds: list[int], outcome: Callable[[], None]) -> None:
    outcome()


def test_a_seed_gives_one_trace_whatever_the_hash_seed_is() -> None:
    found = set()
    for hash_seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            [sys.executable, "-c", HASHES], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def happens(fault: Fault) -> bool:
    drawn = (seed for seed in range(FIRST.get(fault, 0), 10_000) if (fault,) in faults_of(seed))
    return any(fault in sins_of(run(seed)) for seed in itertools.islice(drawn, 20))


@pytest.mark.farmed(job=happens)
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_happens(fault: Fault, outcome: Callable[[], bool]) -> None:
    """A fault that is drawn and never happens would keep every promise about it."""
    assert outcome()


def faults_of(seed: int) -> set[tuple[Fault, ...]]:
    return {character.faults for character in draw(seed).characters if character is not None}


def sins_of(world: World) -> set[Fault]:
    return {sin for replica in world.replicas for sin in replica.sins}


def verdicts() -> set[type[Notice]]:
    told_of: set[type[Notice]] = set()
    for seed in range(40):
        told_of |= run(seed).told_of
        if told_of >= VERDICTS:
            break
    return told_of


@pytest.mark.farmed(job=verdicts)
def test_every_verdict_is_reached(outcome: Callable[[], set[type[Notice]]]) -> None:
    assert outcome() >= VERDICTS


def test_any_seeds_in_a_row_hold_every_theme() -> None:
    assert {draw(seed).theme for seed in range(1000, 1000 + len(THEMES))} == set(Theme)
