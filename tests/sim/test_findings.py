"""What the simulator found, as tests that outlive its seeds.

Others: tests/cell/test_slow_lane.py (seed 115), tests/trusted/test_turn.py (seed 30007 and its like),
tests/test_rebuild.py (seed 1000000006), tests/test_recovery.py (seeds 1000001000, 1000020095 and 1000050286),
tests/test_keeping.py (seed 1000050605).
"""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from quorate.config import Config, Variant
from quorate.domains.port import Domain, Ended
from quorate.keeping import StateKeeping
from quorate.rebuild import Rebuilder, Shadow
from quorate.seats import Seat
from quorate.state.faults import StateFault
from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.journal_writer import Journal
from quorate.trusted.limits import Limits
from quorate.trusted.messages import Role
from quorate.trusted.protocol import Protocol
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.shell import Lane, Shell
from tests.trusted.support import Booth


@pytest.mark.parametrize("silent", [(1, 2), (2,)])
def test_what_was_sent_for_closed_slots_is_taken_at_once(silent: tuple[int, ...]) -> None:
    """Seed 20778164: replies to slots that were closed undecided lay unread until their replica sent again."""
    booth = Booth()
    booth.asks(b"GET a", b"GET b", b"GET c")
    replies = {0: b"1", 1: b"2"}
    for seat, reply in replies.items():
        if seat not in silent:
            booth.hears(seat, *[b"+" + reply] * 3)
    booth.passes(booth.limits.decision_ns_max / 1_000_000_000)
    assert booth.said() == [None, None, None]
    for seat in replies:
        voter = booth.vote.seats[seat]
        assert (len(voter.owed), bytes(voter.buffer)) == (3 if seat in silent else 0, b"")
    assert booth.is_content()


class Wire:
    """The transport of a lane that keeps what it is given."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        """Bytes for the replica."""
        self.sent += data

    def is_closing(self) -> bool:
        """It is open."""
        return False

    def abort(self) -> None:
        """Nothing is kept."""


class Disk:
    """A journal's file that has room, and keeps what it is given."""

    is_short = is_full = is_spent = False

    def __init__(self, journal: Journal) -> None:
        self.written = b""
        self._journal = journal

    def write(self) -> None:
        """All that was appended."""
        self.written += b"".join(record.data for record in self._journal.take())

    def may_release(self, slot: int) -> bool:
        """Nothing waits."""
        return True


def test_what_is_read_when_there_is_room_again_is_written_before_it_is_sent() -> None:
    """Seed 1000000136: when a stall ended, requests went to the lanes, and were answered, that nobody had written."""

    async def flush() -> tuple[bytes, bytes]:
        limits = Limits()
        core = Coordinator(1, RedisProtocol(limits, Settings(), b"chance"), limits)
        shell = Shell(core, lambda _: None)
        wire = Wire()
        for seat in range(3):
            core.replica_joined(seat, 1)
            lane = shell.lanes[seat] = Lane(shell, seat)
            lane.transport = cast(asyncio.Transport, wire if seat == 0 else Wire())
        journal = Journal(b"k" * 16)
        core.recording.begin(journal)
        disk = Disk(journal)
        shell.journal_file = disk
        for number, key in ((1, b"early"), (2, b"late")):
            client = Client(number, "")
            core.client_connected(client, 2)
            core.client_sent(client, encode_request([b"SET", key, b"1"]), 2)
            core.stalled(True, 2)
        for _ in range(2):
            shell._flush()
        shell.halt()
        return wire.sent, disk.written

    sent, written = asyncio.run(flush())
    assert b"early" in sent
    assert [key for key in (b"early", b"late") if key in sent and key not in written] == []


class SlowDomain:
    """Takes until it is let to end."""

    def __init__(self) -> None:
        self.is_ending = asyncio.Event()
        self.may_end = asyncio.Event()
        self.is_ended = False

    async def kill(self) -> Ended:
        """Nothing is left of it, in the end."""
        self.is_ending.set()
        await self.may_end.wait()
        self.is_ended = True
        return Ended(-9, "")


class NoKeeping:
    """Nothing is kept."""

    def keeper(self) -> None:
        """There is none."""
        raise StateFault("no state is kept")


def test_a_shadow_that_is_being_ended_when_all_begin_anew_is_ended_wholly() -> None:
    """Seed 1000000008: whoever gave up the rebuild stopped the end of its domain too, and nobody else knew of that."""

    async def scene() -> tuple[bool, Role]:
        domain = SlowDomain()
        nothing = cast(Config, None), cast(Protocol, None), cast(Shell, None)
        rebuilder = Rebuilder(*nothing, cast(StateKeeping, NoKeeping()), Path())
        shadow = Shadow(cast(Seat, None), cast(Variant, None), cast(Domain, domain), lambda *_: None)
        giving_up = asyncio.ensure_future(rebuilder._abandon(shadow))
        await domain.is_ending.wait()
        giving_up.cancel()
        domain.may_end.set()
        await asyncio.wait((giving_up,))
        assert giving_up.cancelled()
        return domain.is_ended, shadow.role

    assert asyncio.run(scene()) == (True, Role.RETIRING)
