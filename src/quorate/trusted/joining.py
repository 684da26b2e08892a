"""How shadows join: at a checkpoint, all together (docs/adr/0010-joining-at-a-checkpoint.md).

A shadow whose state is almost the cell's waits for the next checkpoint. From the slot after it on, all that goes to the
lanes is kept for it. Once it is *sealed*, proved to hold exactly the checkpoint's state, it is sent what was kept.
Until the last of them is sealed or given up, the state store stands still. A checkpoint that failed is tried again, and
each further one begins all who wait anew. Where much is kept, clients are slowed, for a while, rather than the shadow
thrown away. Knows lanes and seats by number; what is kept, and where, is the shell's.
"""

from .distribute import Distribute
from .errors import invariant
from .order import Order
from .protocol import Protocol
from .seat import Seat
from .sweep import Sweep
from .vote import Vote


class Begun:
    """A shadow that is kept for since the last checkpoint; `setup` is what its lane is sent first."""

    __slots__ = ("seat", "setup")

    def __init__(self, seat: int, setup: bytes) -> None:
        self.seat = seat
        self.setup = setup


class Joining:
    """Shadows by lane: those that are `waiting` for a checkpoint, and of these the ones that have `begun` at one."""

    def __init__(self, protocol: Protocol, vote: Vote, sweep: Sweep, distribute: Distribute) -> None:
        self.waiting: dict[int, int] = {}
        self.begun: dict[int, Begun] = {}
        self._protocol = protocol
        self._vote = vote
        self._sweep = sweep
        self._distribute = distribute
        # When to look again at whom clients wait for (ns; 0: they do not).
        self._slows_until = 0

    def wait(self, lane: int, seat: int) -> None:
        """This shadow for `seat` joins at the next checkpoint."""
        self.waiting[lane] = seat
        self._sweep.is_sealing = True
        self._sweep.want(is_urgent=True)

    def begin(self, now: int) -> None:
        """What may become a checkpoint was just ordered: all who wait begin after it."""
        if not self.waiting:
            return
        self._distribute.begin()
        setup, frames = self._protocol.setup()
        for lane, seat in self.waiting.items():
            self.begun[lane] = Begun(seat, setup)
            self._vote.shadow_begins(lane, seat, frames, now)

    def seal(self, lane: int, now: int) -> bytes:
        """This shadow holds the checkpoint's state: what its lane is sent, before what was kept."""
        invariant(self._sweep.is_sealed() and lane in self.begun, "a shadow is sealed at a checkpoint")
        del self.waiting[lane]
        begun = self.begun.pop(lane)
        shadow = self._vote.shadow_of(begun.seat)
        if shadow is not None:
            self._vote.released(shadow, now)
        self._unseal()
        return begun.setup

    def leave(self, lane: int, seat: int) -> None:
        """This shadow for `seat` was given up: nobody waits for it any more."""
        self._slows_until = min(self._slows_until, 1)
        self.waiting.pop(lane, None)
        self.begun.pop(lane, None)
        self._vote.shadow_removed(seat)
        self._unseal()

    def clear(self) -> None:
        """All shadows were given up."""
        self.waiting.clear()
        self.begun.clear()
        self._slows_until = 0

    # Clients.

    def slows(self, order: Order, now: int) -> bool:
        """Whether clients wait for a checkpoint, or for a shadow: with what is under way, it owes half of what it may.

        For a shadow they are let in so slowly that it owes all that it may after `lag_ns_max` at the earliest: beyond,
        it is thrown away as ever. That time begins when it first owes so much, and not a second time.
        """
        if self._sweep.is_wanted and self._sweep.needs_calm(now):
            return True
        if not self._vote.shadows:
            return False
        due = max([self._due(shadow, order, now) for shadow in self._vote.shadows])
        self._slows_until = due if now < due else 0
        return now < due

    def _due(self, shadow: Seat, order: Order, now: int) -> int:
        limits = self._vote.limits
        slots = 2 * (shadow.owed_slots + order.inflight_slots) - limits.lag_slots_max
        size = 2 * (shadow.owed_bytes + order.inflight_bytes) - limits.lag_bytes_max
        if slots <= 0 and size <= 0:
            return 0
        shadow.slows_since = shadow.slows_since or now
        wait_ns = limits.lag_ns_max
        wait_ns = max(wait_ns * slots // limits.lag_slots_max, wait_ns * size // limits.lag_bytes_max)
        return shadow.slows_since + min(wait_ns, limits.lag_ns_max)

    def next_deadline(self) -> int:
        """When the sweep goes on, or clients may (ns), or 0: at no time."""
        due = self._sweep.next_deadline()
        return min(due, self._slows_until) if due and self._slows_until else due or self._slows_until

    def woken(self, now: int) -> None:
        """Time passed: who still has to wait is asked again."""
        if now >= self._slows_until:
            self._slows_until = 0

    def _unseal(self) -> None:
        """Nobody needs the store to stand still any more; it may have to again, for those who came too late."""
        if not self.begun:
            self._sweep.unseal(will_seal=bool(self.waiting))
