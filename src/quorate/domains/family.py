"""How to end a process with all that it has started, where no PID namespace does it.

Signals go through process descriptors, so that a recycled number is never hit between two looks.
"""

import os
import signal
from contextlib import suppress

from . import processes

# A process that forks as fast as it is stopped gets no more chances than this.
FREEZE_PASSES_MAX = 100


def end_family(pid: int) -> None:
    """Kill `pid`, a session's leader that has not been reaped, with its descendants and its session.

    All are stopped before any is killed: a child whose parent dies first would be nobody's descendant any more.
    """
    held: dict[int, int] = {}
    try:
        for _ in range(FREEZE_PASSES_MAX):
            found = {pid, *processes.descendants(pid), *processes.session(pid)}
            if found <= held.keys():
                break
            for member in found - held.keys():
                with suppress(ProcessLookupError):
                    held[member] = os.pidfd_open(member)
                    signal.pidfd_send_signal(held[member], signal.SIGSTOP)
        for descriptor in held.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        for descriptor in held.values():
            os.close(descriptor)
