"""Rejuvenate a cell a thousand times under load and faults, and print one JSON object of what the clients saw.

    .venv/bin/python scripts/soak.py [--rejuvenations 1000] [--seconds N] [--config FILE] [--seed N]

Exit code 1 when any client saw a wrong, lost, duplicated or failed request, or the rejuvenations were not completed.
"""

import argparse
import json
import sys
from pathlib import Path

from quorate.experiments import soak
from quorate.experiments.versus import talk


def main() -> int:
    """Soak as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Rejuvenate a cell again and again under load and faults.")
    parser.add_argument("--rejuvenations", type=int, default=1_000, help="how many asked rebuilds (1000)")
    parser.add_argument("--seconds", type=float, default=None, help="end after so many seconds, complete or not")
    parser.add_argument(
        "--config", type=Path, default=None, help="another cell than sandboxed Redis; drills must be on"
    )
    parser.add_argument("--seed", type=int, default=1, help="of faults, rebuilds and clients (1)")
    given = parser.parse_args()
    seconds = given.rejuvenations * soak.SECONDS_EACH_MAX if given.seconds is None else given.seconds
    result = soak.run(soak.Plan(given.rejuvenations, seconds, given.seed), soak.configuration(given.config), talk)
    print(json.dumps(result, indent=2))
    return 0 if soak.is_right(result) else 1


if __name__ == "__main__":
    sys.exit(main())
