"""What was said to be durable is there after a crash between any two system calls, of the process or of the power.

A run is many lives of one journal: each writes, checkpoints, truncates and closes by chance. Before every system call
the disk is looked at as a crash would leave it, and opened; then a next life begins from one of those crashes.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from quorate.state import journal_file, journal_space
from quorate.state.anchor import EMPTY
from quorate.state.journal_disk import Disk
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import BODY_AT
from quorate.trusted.span import Span
from tests.state.journal_disks import InlinePool, LatePool, PowerDisk, nothing

STATE = Path("state")
BODY_BYTES = 5120  # the largest turn here fits, as it does in real segments
LIVES = 25
ACTIONS = 14


def opened(disk: Disk) -> JournalFile:
    file = JournalFile.open(STATE, "redis", "", "always", EMPTY, BODY_AT + BODY_BYTES, disk)
    file.reserve_bytes = 0
    return file


class Crash:
    """The disk at one moment, and what had been promised by then."""

    def __init__(self, disk: PowerDisk, acknowledged: int, checkpoint: int) -> None:
        self.disk = disk
        self.acknowledged = acknowledged
        self.checkpoint = checkpoint

    def verify(self, history: dict[int, bytes]) -> int:
        """Open the journal: it holds a beginning of `history` that has all that was promised. Returns its last slot."""
        file = opened(self.disk.after_kill())
        found = {
            entry.first + offset: request
            for entry in file.entries(self.checkpoint)
            for offset, request in enumerate(entry.requests)
        }
        last = max(found, default=0)
        assert found == {slot: request for slot, request in history.items() if self.checkpoint < slot <= last}
        promised = [slot for slot in history if self.checkpoint < slot <= self.acknowledged]
        assert max(promised, default=0) <= last
        return max(last, file.recovered.last_slot)


class Life:
    """One process's use of the journal, up to its crash."""

    def __init__(self, disk: PowerDisk, chance: Random, history: dict[int, bytes], checkpoint: int) -> None:
        self.chance = chance
        self.history = history
        self.checkpoint = checkpoint
        self.crashes: list[Crash] = []
        self.disk = disk
        disk.on_step = self._look
        # What an earlier life wrote and this one read is promised too, once it was opened.
        self.acknowledged = 0
        self.file = opened(disk)
        self.acknowledged = self.file.recovered.last_slot
        self.slot = max(self.acknowledged, checkpoint)

    def _look(self) -> None:
        for disk in (self.disk.after_kill(), self.disk.after_power_loss(self.chance)):
            self.crashes.append(Crash(disk, self.acknowledged, self.checkpoint))

    def _synced(self, slot: int) -> None:
        self.acknowledged = slot

    async def run(self) -> None:
        failures: list[str] = []
        self.file.begin(self._synced, failures.append, nothing)
        actions: list[Callable[[], None]] = [self._append] * 6 + [self._truncate]
        for _ in range(self.chance.randrange(ACTIONS)):
            self.chance.choice(actions)()
            for _ in range(self.chance.choice([0, 0, 1, 5])):
                await asyncio.sleep(0)
        if self.chance.random() < 0.3:
            await self.file.close()
            self.acknowledged = max(self.acknowledged, self.slot if self.history.get(self.slot) else 0)
        self._look()
        assert failures == []

    def _append(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self.slot += self.chance.randrange(1, 3)
            request = b"SET %d " % self.slot + bytes(self.chance.choice([0, 10, 500, 1500]))
            self.history[self.slot] = request
            span = Span(None, [request], 0, is_write=True)
            span.first = self.slot
            self.file.journal.append(span, [(0, 1, b"k")])
        self.file.write()

    def _truncate(self) -> None:
        """A checkpoint of any slot, even of one that is not durable here: its state is."""
        self.checkpoint = self.chance.randrange(self.checkpoint, max(self.checkpoint, self.slot) + 1)
        self.file.truncate(self.checkpoint)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_promised_is_lost_and_nothing_else_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "ThreadPoolExecutor", LatePool)
    monkeypatch.setattr(journal_space, "ThreadPoolExecutor", InlinePool)
    chance = Random(seed)
    disk, history, checkpoint = PowerDisk(), dict[int, bytes](), 0
    looked_at = 0
    for _ in range(LIVES):
        life = Life(disk, chance, history, checkpoint)
        asyncio.run(life.run())
        lasts = [crash.verify(life.history) for crash in life.crashes]
        looked_at += len(lasts)
        chosen = chance.randrange(len(lasts))
        crash = life.crashes[chosen]
        disk, checkpoint = crash.disk, crash.checkpoint
        history = {slot: request for slot, request in life.history.items() if slot <= lasts[chosen]}
    assert looked_at > LIVES * 10
