"""One turn of the loop: one time for what comes in it, and one sending at its end.

This is the half of the shell that every request passes and that needs no socket: it is told how to read the clock, how
to have something called at the end of the turn, and what sends. It decides only when to send, never what.
"""

from collections.abc import Callable

from .coordinator import Coordinator


class Turn:
    """The turn under way. `clock` tells the time (ns); `call_soon` has `send` called after what is there already.

    `is_scheduled` says that this turn ends with sending: `send` sets it back. `is_busy` says that several clients were
    written to at once lately, `is_draining` that clients are read no more.
    """

    def __init__(
        self,
        core: Coordinator,
        clock: Callable[[], int],
        call_soon: Callable[[Callable[[], None]], object],
        send: Callable[[], None],
    ) -> None:
        self.core = core
        self.clock = clock
        self.is_scheduled = False
        self.is_busy = False
        self.is_draining = False
        self._call_soon = call_soon
        self._send = send
        self._at = 0

    def now(self) -> int:
        """The time (ns): read once in a turn that ends with sending, however much comes in it."""
        return self._at if self.is_scheduled else self.clock()

    def read_at(self) -> int:
        """The time (ns) at which a client's bytes are read, and from now on that of this turn.

        Other work of the loop may have taken long since the turn was scheduled; what has expired meanwhile is gone.
        """
        self._at = self.clock()
        return self._at

    def schedule(self) -> None:
        """See to it that what the core puts out in this turn is sent at its end."""
        if not self.is_scheduled:
            self.is_scheduled = True
            self._at = self.clock()
            self._call_soon(self._send)

    def send_soon(self, idle_slots: int) -> None:
        """Send at the end of this turn; at once where one client alone is at work and nothing could gather."""
        if self.is_scheduled:
            return
        if self.is_busy or self.core.order.inflight_slots > idle_slots:
            self.schedule()
        else:
            self._send()

    def answered(self, lane: int, data: bytes, now: int) -> bool:
        """A replica's bytes came; whether to stop reading from it until others have caught up."""
        self.core.replica_answered(lane, data, now)
        return self.core.lane_is_full(lane)

    def send_if_any(self, now: int, is_any_paused: bool) -> None:
        """Send, unless there is nothing to be sent or told and no paused lane to look at."""
        if not self.is_scheduled and (is_any_paused or self.core.has_output(now)):
            self.send_soon(0)
