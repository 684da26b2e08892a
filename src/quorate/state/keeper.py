"""The keeper: the process that holds the cell's state store, and feeds shadows from it.

    python -m quorate.state.keeper DESCRIPTOR PATH PROTOCOL SERVICE

It serves the coordinator behind the socket DESCRIPTOR, so that no work on state stands in the event loop, and ends with
it. Like the `quorate` command it takes the compiled build where there is one.
"""

import fcntl
import gc
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from quorate import compiled

# Voting comes first: what the keeper does can wait.
NICENESS = 10
# Nothing here makes cycles, and marks of changed keys are many objects: look for garbage seldom.
GARBAGE_ALLOCATIONS = 100_000


def wait_for_others(path: Path) -> None:
    """Wait until no other keeper has the store at `path`, and keep others waiting as long as this process lives.

    One that was killed in the middle of a commit, on a slow disk, may end only when that is done. Who opened the store
    before would not see that commit, and go on from the one before it.
    """
    # What cannot be opened is the store's to complain about.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        # Never closed: SQLite's own locks would go with it.
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def main() -> int:
    """Serve until told to stop; the exit code."""
    descriptor, path, protocol, service = sys.argv[1:]
    os.nice(NICENESS)
    compiled.prefer()
    # After `prefer`: these are compiled, or import what is.
    from quorate.state import dialects, loop, wire
    from quorate.state.faults import StateFault
    from quorate.state.store import StateStore

    gc.freeze()
    gc.set_threshold(GARBAGE_ALLOCATIONS, 20, 100)
    sock = socket.socket(fileno=int(descriptor))
    wait_for_others(Path(path))
    try:
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
