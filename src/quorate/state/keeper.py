"""The keeper: the process that holds the cell's state store, and feeds shadows from it.

    python -m quorate.state.keeper DESCRIPTOR PATH PROTOCOL SERVICE

It serves the coordinator behind the socket DESCRIPTOR, so that no work on state stands in the event loop, and ends with
it. Like the `quorate` command it takes the compiled build where there is one.
"""

import gc
import os
import socket
import sys
from pathlib import Path

from quorate import compiled

# Voting comes first: what the keeper does can wait.
NICENESS = 10
# Nothing here makes cycles, and marks of changed keys are many objects: look for garbage seldom.
GARBAGE_ALLOCATIONS = 100_000


def main() -> int:
    """Serve until told to stop; the exit code."""
    descriptor, path, protocol, service = sys.argv[1:]
    os.nice(NICENESS)
    compiled.prefer()
    # After `prefer`: these are compiled, or import what is.
    from quorate.state import dialects, loop, store_file, wire
    from quorate.state.faults import StateFault
    from quorate.state.store import StateStore

    gc.freeze()
    gc.set_threshold(GARBAGE_ALLOCATIONS, 20, 100)
    sock = socket.socket(fileno=int(descriptor))
    try:
        store_file.claim(Path(path))
        store = StateStore(Path(path), protocol, service)
    except StateFault as fault:
        sock.sendall(wire.encode(wire.Broke(str(fault), fault.hint)))
        return 1
    try:
        loop.KeeperLoop(sock, store, dialects.make(protocol)).run()
    except (StateFault, wire.WireFault):
        return 1
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
