"""Promise 7: queues and buffers stay within their limits, plus what one read may bring.

Checks whenever the core takes in what a client sent that there was room for it: of slots and bytes under way by its own
account, of changed keys, of what waits for the disk. Checks after each turn what is under way, what seats, shadows and
clients are owed or sent, and that what was put out is gone; what one read brings is what the largest of this run did.
Who owes more than a replica may is to owe no more than was under way when that began. Cannot see what the shell keeps,
on lanes and at the gate, for that is the simulator's own here; nor Python's own overhead for each object, nor the
protocol's tables (which have tests of their own).
"""

from typing import TYPE_CHECKING

from tests.sim.invariants.base import Invariant
from tests.sim.ledger import Slot
from tests.sim.shell import HIGH_WATER_BYTES

if TYPE_CHECKING:
    from quorate.trusted.verdicts import Decision
    from tests.sim.world import World


class Bounds(Invariant):
    """Nothing grows beyond its name in `limits`."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._slots = self._bytes = 0
        # What came from clients that were just read is bounded by what is under way before; the cell's own is not.
        self._admitted: dict[int, int] = {}
        self._admitted_bytes = 0
        self._read_slots = self._read_bytes = 0
        self._heaviest_slots = self._heaviest_bytes = 0
        # What each seat that is beyond may come to owe.
        self._most_owed: dict[int, int] = {}

    def admitted(self) -> None:
        core, limits = self.world.core, self.world.core.limits
        self._read_slots = self._read_bytes = 0
        self._check("slots under way when more was read", self._slots, limits.inflight_slots_max - 1)
        self._check("bytes under way when more was read", self._bytes, limits.inflight_bytes_max - 1)
        self._check("changed keys when more was read", core.changes.size, limits.changes_bytes_max)
        if self.world.shell.is_stalled:
            raise self.broken("more was read although too much waits to become durable")

    def ordered(self, slots: list[Slot]) -> None:
        size = sum(len(slot.request) for slot in slots)
        self._slots += len(slots)
        self._bytes += size
        if not self.world.is_admitting:
            return
        self._read_slots += len(slots)
        self._read_bytes += size
        self._heaviest_slots = max(self._heaviest_slots, self._read_slots)
        self._heaviest_bytes = max(self._heaviest_bytes, self._read_bytes)
        for slot in slots:
            self._admitted[slot.number] = len(slot.request)
        self._admitted_bytes += size

    def decided(self, decision: "Decision", slots: list[Slot]) -> None:
        self._slots -= len(slots)
        self._bytes -= sum(len(slot.request) for slot in slots)
        for slot in slots:
            self._admitted_bytes -= self._admitted.pop(slot.number, 0)

    def delivered(self, seat: int) -> None:
        """Who is beyond stops others from being read: what they have sent already is decided, and nothing more."""
        core, shell = self.world.core, self.world.shell
        for voter in core.vote.seats:
            if voter.owed_bytes <= core.limits.lag_bytes_max:
                self._most_owed.pop(voter.index, None)
                continue
            sent = max(len(other.buffer) for other in core.vote.seats if other is not voter)
            to_come = sent + shell.lane_read_max + self._bytes
            most = self._most_owed.setdefault(voter.index, voter.owed_bytes + to_come)
            self._check(f"bytes owed by seat {voter.index}", voter.owed_bytes, most)

    def turned(self) -> None:
        core = self.world.core
        limits = core.limits
        self._check("slots under way", len(self._admitted), limits.inflight_slots_max + self._heaviest_slots)
        self._check("bytes under way", self._admitted_bytes, limits.inflight_bytes_max + self._heaviest_bytes)
        if core.order.inflight_slots != self._slots or core.order.inflight_bytes < self._bytes:
            counted = f"{core.order.inflight_slots} slots of {core.order.inflight_bytes} bytes"
            raise self.broken(f"{counted} are counted, {self._slots} of {self._bytes} are under way")
        self._check_seats()
        self._check_clients()
        if core.is_batch_due(self.world.timeline.now) and not self.world.shell.is_in_turn:
            raise self.broken("a batch that is due was not sent at the end of its turn")

    def _check_seats(self) -> None:
        core, shell = self.world.core, self.world.shell
        limits = core.limits
        read = limits.reply_bytes_max + shell.lane_read_max
        slots = limits.lag_slots_max + limits.inflight_slots_max + self.world.widest_read + 2 * limits.clients_max
        for seat in (*core.vote.seats, *core.vote.shadows):
            self._check(f"buffer of seat {seat.index}", len(seat.buffer), read)
            self._check(f"slots owed by seat {seat.index}", seat.owed_slots, slots)
        for shadow in core.vote.shadows:
            # Nobody waits for a shadow: one that is beyond is gone.
            self._check(f"bytes owed by the shadow of seat {shadow.index}", shadow.owed_bytes, limits.lag_bytes_max)
            self._check(f"slots owed by the shadow of seat {shadow.index}", shadow.owed_slots, limits.lag_slots_max)

    def _check_clients(self) -> None:
        shell, limits = self.world.shell, self.world.core.limits
        # It is looked at once it is stalled, and closed before more is sent.
        output = max(limits.client_output_bytes_max, HIGH_WATER_BYTES) + 2 * shell.sent_max
        for connection in shell.connections.values():
            if connection.client.inbox:
                inbox = sum(map(len, connection.client.inbox))
                self._check("a client's inbox", inbox, limits.client_inbox_bytes_max + shell.client_read_max)
            self._check("a client's output", len(connection.untaken), output)

    def _check(self, what: str, size: int, most: int) -> None:
        if size > most:
            raise self.broken(f"{what}: {size}, at most {most}")
