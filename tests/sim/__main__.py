"""`make sim`: many seeds, or one with its trace; a seed that fails prints the one command that reproduces it."""

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.sim.world import World

FAILED_SEEDS = Path(__file__).with_name("seeds.txt")


def failed_seeds() -> list[int]:
    """All seeds that ever failed."""
    lines = FAILED_SEEDS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def reproduce(seed: int) -> str:
    """The command that shows this seed again."""
    return f"make sim SEED={seed}"


def run_many(seeds: Sequence[int], stops: bool = False) -> int:
    """Run these seeds, until the first failure if `stops`; returns how many failed. Prints the simulator's speed."""
    failed = 0
    requests = 0
    started = time.perf_counter()
    for seed in seeds:
        world = World(seed)
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
    world = World(seed, print)
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
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one, and show its trace")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    options = parser.parse_args()
    if options.seed is not None:
        return run_one(options.seed)
    return min(run_many(range(options.first, options.first + options.seeds), options.stop), 1)


if __name__ == "__main__":
    sys.exit(main())
