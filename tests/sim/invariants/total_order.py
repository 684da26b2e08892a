"""Promise 2: one order, without gaps, and the lanes carry exactly it.

Checks that slots are 1, 2, 3 …, that the bytes on the lanes are the ordered requests in that order, each in the
protocol version and database it was asked in, and that slots are decided in order. Every voter is sent the same bytes
by the shell's doing, which the simulator copies: the real shell's loop over lanes is seen by the tests of the cell.
"""

from collections import deque
from typing import TYPE_CHECKING

from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.verdicts import Decision
from tests.sim.invariants.base import Invariant
from tests.sim.ledger import Slot
from tests.sim.machine import Machine

if TYPE_CHECKING:
    from tests.sim.world import World

SKIP = [b"CLIENT", b"REPLY", b"SKIP"]


class TotalOrder(Invariant):
    """What was ordered is what is sent."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._next = self._next_decided = world.first_slot
        self._awaited: deque[tuple[int, bytes, int]] = deque()
        self._lane = Machine(None)
        self._mode = [0, 0]

    def began_anew(self) -> None:
        self._awaited.clear()
        self._mode = [0, 0]

    def ordered(self, slots: list[Slot]) -> None:
        for slot in slots:
            if slot.number != self._next:
                raise self.broken(f"slot {slot.number} was given out after {self._next - 1}")
            self._next += 1
            self._awaited.append((slot.number, slot.request, slot.mode))

    def sent(self, data: bytes) -> None:
        requests = deque(self._lane.cut(data))
        while requests:
            if requests[0] == SKIP:
                requests.popleft()
                self._switch(requests.popleft())
                continue
            if not self._awaited:
                raise self.broken(f"{requests[0]!r} was sent without a slot")
            number, raw, mode = self._awaited.popleft()
            if mode != self._mode[0] << 16 | self._mode[1]:
                raise self.broken(f"slot {number} was sent in version and database {self._mode}, not {mode:#x}")
            self._match(number, raw, requests)
        if self._awaited:
            raise self.broken(f"slot {self._awaited[0][0]} was not sent in the turn of its order")

    def _switch(self, request: list[bytes]) -> None:
        kinds = (b"HELLO", b"SELECT")
        if request[0] not in kinds or len(request) != 2:
            raise self.broken(f"the lane's mode was switched by {request!r}")
        self._mode[kinds.index(request[0])] = int(request[1])

    def _match(self, number: int, raw: bytes, requests: deque[list[bytes]]) -> None:
        sent = b""
        while len(sent) < len(raw) and requests:
            sent += encode_request(requests.popleft())
        if sent != raw:
            raise self.broken(f"slot {number} is {raw!r}, the lanes were sent {sent!r}")

    def decided(self, decision: Decision, slots: list[Slot]) -> None:
        for slot in slots:
            if slot.number != self._next_decided:
                raise self.broken(f"slot {slot.number} was decided after {self._next_decided - 1}")
            self._next_decided += 1
