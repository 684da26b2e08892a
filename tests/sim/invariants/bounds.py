"""Promise 7: queues and buffers stay within their limits, plus what one read may bring.

Checks after each turn what is under way, what is kept for lanes and clients, and that what was put out is gone.
Cannot see Python's own overhead for each object, nor the protocol's tables (they have tests of their own).
"""

from tests.sim.invariants.base import Invariant

READ_BYTES_MAX = 256 * 1024


class Bounds(Invariant):
    """Nothing grows beyond its name in `limits`."""

    def turned(self) -> None:
        core = self.world.core
        limits = core.limits
        # One read may bring many requests at once; each client may have a step of a plan beside them.
        widest = self.world.widest_read + 2 * limits.clients_max
        self._check("slots under way", core.order.inflight_slots, limits.inflight_slots_max + widest)
        self._check("bytes under way", core.order.inflight_bytes, limits.inflight_bytes_max + READ_BYTES_MAX)
        if core.order.inflight_slots < 0 or core.order.inflight_bytes < 0:
            raise self.broken("less than nothing is under way")
        for seat in core.vote.seats:
            kept = limits.lag_bytes_max + limits.reply_bytes_max + limits.inflight_bytes_max + READ_BYTES_MAX
            self._check(f"bytes owed by seat {seat.index}", seat.owed_bytes, kept)
            slots = limits.lag_slots_max + limits.inflight_slots_max + widest
            self._check(f"slots owed by seat {seat.index}", seat.owed_slots, slots)
            self._check(f"buffer of seat {seat.index}", len(seat.buffer), 2 * limits.reply_bytes_max + READ_BYTES_MAX)
        for connection in self.world.shell.connections.values():
            inbox = sum(map(len, connection.client.inbox))
            self._check("a client's inbox", inbox, limits.client_inbox_bytes_max + READ_BYTES_MAX)
            output = limits.client_output_bytes_max + limits.reply_bytes_max + READ_BYTES_MAX
            self._check("a client's output", len(connection.untaken), output)
        if core.is_batch_due(self.world.timeline.now):
            raise self.broken("a batch that is due was not sent at the end of its turn")

    def _check(self, what: str, size: int, most: int) -> None:
        if size > most:
            raise self.broken(f"{what}: {size}, at most {most}")
