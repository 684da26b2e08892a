"""Runs the store: `python -m quorate.kv.dictionary --socket PATH`."""

import argparse
import signal
from pathlib import Path

from .server import Server


def main() -> None:
    """Serve on the socket that the command line names; ends on SIGTERM."""
    parser = argparse.ArgumentParser(prog="quorate.kv.dictionary", description="A Redis-protocol store in memory.")
    parser.add_argument("--socket", required=True, type=Path, help="path of the unix socket to listen on")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        Server(parser.parse_args().socket).serve()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
