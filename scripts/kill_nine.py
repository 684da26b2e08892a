"""Kill every process of a cell at once, at random moments under load, and look at what it kept after each restart.

    .venv/bin/python scripts/kill_nine.py [--rounds 200] [--seed N]

Prints one JSON object; exit code 1 when an acknowledged write was lost, or any write was done twice or in part.
"""

import argparse
import json
import sys

from quorate.experiments import kill_nine
from quorate.experiments.versus import talk


def main() -> int:
    """Kill as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Kill a durable cell again and again, and check what it promised.")
    parser.add_argument("--rounds", type=int, default=200, help="how many kills (200)")
    parser.add_argument("--seed", type=int, default=1, help="of moments and writes (1)")
    given = parser.parse_args()
    result = kill_nine.run(given.rounds, given.seed, talk)
    print(json.dumps(result, indent=2))
    return 0 if kill_nine.is_right(result) else 1


if __name__ == "__main__":
    sys.exit(main())
