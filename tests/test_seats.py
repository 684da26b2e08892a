"""A seat, and who sits in it."""

import asyncio
from pathlib import Path

from quorate.config import Replica, Variant
from quorate.domains.fake import FakeDomain
from quorate.drills import Mute
from quorate.lives import Life
from quorate.seats import Seat
from quorate.trusted.messages import Role


async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves nothing."""


def test_who_takes_a_seat_begins_anew() -> None:
    """Nothing that was held against the one before is; what is told of the seat stays."""
    one, other = (Variant(name=name, program="/bin/true", root=Path("/")) for name in ("one", "other"))
    first, second = FakeDomain(nobody), FakeDomain(nobody)
    seat = Seat(1, Replica(name="b", variants=("one", "other")), one, first, Life(rebuilds=3))
    seat.role, seat.cause, seat.last_slot = Role.CONVICTED, "silence", 7
    seat.faults.add("mute")
    seat.drill = Mute()
    assert seat.take(other, second, Role.VOTING) is first
    assert (seat.variant, seat.domain) == (other, second)
    assert all((seat.role is Role.VOTING, not seat.cause, not seat.faults, seat.drill is None))
    assert (seat.index, seat.replica.name, seat.life.rebuilds) == (1, "b", 3)
