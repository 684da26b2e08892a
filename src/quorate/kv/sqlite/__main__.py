"""`python -m quorate.kv.sqlite --socket PATH`: run the store until SIGTERM."""

import argparse
from pathlib import Path

from .server import Server


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="quorate.kv.sqlite", description="A small Redis-protocol store on SQLite.")
    parser.add_argument("--socket", type=Path, required=True, help="the unix socket to listen on")
    Server(parser.parse_args().socket).run()


if __name__ == "__main__":
    main()
