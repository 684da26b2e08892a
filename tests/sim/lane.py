"""A replica's lane, as the shell has it: sent all at once, or kept for a shadow until it is sealed."""

from functools import partial
from typing import TYPE_CHECKING

from quorate.trusted.messages import Cause

from .replica import Replica

if TYPE_CHECKING:
    from .domains import Line
    from .shell import SimulatedShell

# What a socket takes before its transport begins to buffer.
KERNEL_BYTES = 16 * 1024


class SimulatedLane:
    """A replica's lane. `kept` is what a shadow is to be sent once it is sealed; None: it is sent all at once."""

    def __init__(self, shell: "SimulatedShell", number: int, replica: Replica) -> None:
        self.number = number
        self.replica = replica
        self.kept: list[bytes] | None = None
        self.line: Line | None = None
        self.is_open = True
        self._shell = shell

    def write(self, data: bytes) -> None:
        """Send to the replica, or keep for it."""
        limits = self._shell.core.limits
        if self.kept is None:
            self.replica.send(data)
            if self.replica.unread > 2 * limits.lag_bytes_max + limits.inflight_bytes_max + KERNEL_BYTES:
                self._shell.timeline.after(0, partial(self._shell.lane_broke, self.number, Cause.MUTE))
            return
        self.kept.append(data)
        if sum(map(len, self.kept)) > limits.lag_bytes_max:
            self._shell.lane_broke(self.number, Cause.LAG)
