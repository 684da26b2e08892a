"""`make sim`: many seeds, or one with its trace; a seed that fails prints the one command that reproduces it."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.sim.recovery import RecoveringWorld
from tests.sim.world import World

# Seeds from here on stand for runs in which replicas are rebuilt, and all begin anew: above any that a day begins with.
RECOVERING_FROM = 1_000_000_000
# How many ordinary runs there are for one of these.
RECOVERING_SHARE = 5
FAILED_SEEDS = Path(__file__).with_name("seeds.txt")


def failed_seeds() -> list[int]:
    """All seeds that ever failed."""
    lines = FAILED_SEEDS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def world_of(seed: int, show: Callable[[str], None] | None = None) -> World:
    """The run that a seed stands for."""
    return World(seed, show) if seed < RECOVERING_FROM else RecoveringWorld(seed - RECOVERING_FROM, show)


def both_kinds(count: int) -> list[int]:
    """So many ordinary seeds, and their share of the others."""
    return [*range(count), *range(RECOVERING_FROM, RECOVERING_FROM + count // RECOVERING_SHARE)]


def reproduce(seed: int) -> str:
    """The command that shows this seed again."""
    return f"make sim SEED={seed}"


def run_many(seeds: Sequence[int], stops: bool = False) -> int:
    """Run these seeds, until the first failure if `stops`; returns how many failed. Prints the simulator's speed."""
    failed = 0
    requests = 0
    started = time.perf_counter()
    for seed in seeds:
        world = world_of(seed)
        try:
            world.run()
        except Exception as broken:  # noqa: BLE001 - whatever the core raises is a finding
            failed += 1
            print(f"seed {seed}: {type(broken).__name__}: {broken}\n    {reproduce(seed)}", flush=True)  # noqa: T201
        requests += world.ledger.ordered_slots
        if failed and stops:
            break
    taken = time.perf_counter() - started
    print(f"{len(seeds)} seeds, {failed} failed; {requests / taken:,.0f} simulated requests per second")  # noqa: T201
    return failed


def run_one(seed: int) -> int:
    """Run one seed with its trace on stdout; returns 1 if it failed."""
    world = world_of(seed, print)
    try:
        world.run()
    except Exception:  # noqa: BLE001 - whatever the core raises is a finding
        traceback.print_exc()
        return 1
    print(f"seed {seed}: every promise held; trace {world.timeline.trace_hash()}")  # noqa: T201
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, help="the first of them; without it, both kinds from the beginning")
    parser.add_argument("--seed", type=int, help="run this one, and show its trace")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    options = parser.parse_args()
    if options.seed is not None:
        return run_one(options.seed)
    first = options.first
    seeds = both_kinds(options.seeds) if first is None else range(first, first + options.seeds)
    return min(run_many(seeds, options.stop), 1)


if __name__ == "__main__":
    sys.exit(main())
