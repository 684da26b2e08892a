"""`python -m quorate.kv.log --socket PATH`: serve until SIGTERM. Knows only how to start and how to end."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from .server import Server


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Serve on the unix socket that the command line names, replacing a stale one."""
    parser = argparse.ArgumentParser(prog="python -m quorate.kv.log", description=__doc__)
    parser.add_argument("--socket", required=True, type=Path, help="path of the unix socket to listen on")
    path: Path = parser.parse_args().socket
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    server = Server(path)
    try:
        server.serve()
    finally:
        server.close()


if __name__ == "__main__":
    main()
