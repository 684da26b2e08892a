"""Runs in which replicas are rebuilt and all begin anew: fresh seeds every day, and that what is drawn happens."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from quorate.trusted.messages import Convicted, Notice, QuorumRegained, Retired, Seated, ShadowFailed, Undecided
from tests.sim.__main__ import RECOVERING_FROM, reproduce
from tests.sim.fates import KINDS, Kind, draw_fate
from tests.sim.recovery import RecoveringWorld
from tests.sim.test_simulator import BATCH, FRESH_RECOVERING, ROOT, fresh_seeds

EVENTS: set[type[Notice]] = {Convicted, QuorumRegained, Retired, Seated, ShadowFailed, Undecided}

SEEN = {
    "a database is listed",
    "a new replica fails",
    "a revival fails",
    "a revival waits for a keeper",
    "a seat is left empty",
    "a shadow follows several checkpoints",
    "a sync fails",
    "f crash between restarts",
    "the disk is full",
    "the keeper breaks",
    "the operator asks",
    "too few outlive a start",
    "writers wait for a checkpoint",
}

HASHES = """
from tests.sim.recovery import RecoveringWorld
for seed in (2, 3, 4):
    world = RecoveringWorld(seed)
    world.run()
    print(world.timeline.trace_hash())
"""


def batches() -> list[list[int]]:
    seeds = fresh_seeds()[:FRESH_RECOVERING]
    return [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]


def run(seed: int) -> RecoveringWorld:
    world = RecoveringWorld(seed)
    try:
        world.run()
    except Exception as broken:
        raise AssertionError(f"{broken}\nto see it again: {reproduce(RECOVERING_FROM + seed)}") from broken
    return world


def run_all(seeds: list[int]) -> None:
    for seed in seeds:
        run(seed)


@pytest.mark.farmed(job=run_all)
@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"from-{seeds[0]}")
def test_fresh_seeds_break_no_promise(seeds: list[int], outcome: Callable[[], None]) -> None:
    outcome()


def test_a_seed_gives_one_trace_whatever_the_hash_seed_is() -> None:
    found = set()
    for hash_seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            [sys.executable, "-c", HASHES], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_everything_happens() -> None:
    """What is drawn and never happens would keep every promise about it."""
    told_of: set[type[Notice]] = set()
    seen: set[str] = set()
    restarts = revivals = 0
    for seed in range(40):
        world = run(seed)
        told_of |= world.told_of
        seen |= world.seen
        restarts += world.restarts
        revivals += world.revivals
        if told_of >= EVENTS and seen >= SEEN and restarts and revivals:
            return
    assert told_of >= EVENTS
    assert seen >= SEEN
    assert restarts
    assert revivals


def test_any_seeds_in_a_row_hold_every_kind() -> None:
    assert {draw_fate(seed).kind for seed in range(1000, 1000 + len(KINDS))} == set(Kind)
