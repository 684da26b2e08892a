"""What was said to be durable is there after kill -9 of a real process, and between any two real system calls."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.repository.sources import ROOT
from tests.state.journal_child import opened, request_of
from tests.state.journal_desk import Desk
from tests.state.journal_disks import WatchedDisk, nothing

KILLS = 10
LINES_MAX = 120
WAIT_SECONDS_MAX = 60


@contextlib.contextmanager
def child(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A process that journals; it is gone afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.state.journal_child", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(WAIT_SECONDS_MAX, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def test_every_slot_that_was_said_to_be_synced_survives_kill_9(tmp_path: Path) -> None:
    chance = Random(2008)
    synced, checkpoint = 0, 0
    for seed in range(KILLS):
        with child("kill", tmp_path, seed) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, LINES_MAX))]
            process.kill()
            # What it still said before it died was promised too.
            lines += process.stdout.read().splitlines()
        for line in lines:
            what, slot = line.split()
            assert what in ("synced", "checkpoint")
            synced, checkpoint = (int(slot), checkpoint) if what == "synced" else (synced, int(slot))
        found = {
            entry.first + index: request
            for entry in opened(tmp_path).entries(checkpoint)
            for index, request in enumerate(entry.requests)
        }
        last = max(found, default=checkpoint)
        assert last >= synced
        assert found == {slot: request_of(slot) for slot in range(checkpoint + 1, last + 1)}
        # What was found is durable from now on.
        synced = last
    assert synced > LINES_MAX


def test_a_disk_without_room_is_noticed_in_time_and_when_it_has_some_again(tmp_path: Path) -> None:
    with child("full", tmp_path) as process:
        assert process.stdout is not None
        lines = [line.split() for line in process.stdout.read().splitlines()]
    assert [line[0] for line in lines] == ["full", "closed"]
    last = int(lines[1][1])
    requests = [request for entry in opened(tmp_path).entries(0) for request in entry.requests]
    assert requests == [request_of(slot) for slot in range(1, last + 1)]


class Witness:
    """Keeps a copy of the directory as it was before each system call, and what was promised by then."""

    def __init__(self, state: Path, copies: Path) -> None:
        self.disk = WatchedDisk()
        self.disk.on_step = self._copy
        self.seen: list[tuple[Path, int, int]] = []
        self.synced = 0
        self.checkpoint = 0
        self._state = state
        self._copies = copies

    def _copy(self) -> None:
        seen = (self._copies / f"{len(self.seen):04}", self.synced, self.checkpoint)
        shutil.copytree(self._state, seen[0])
        self.seen.append(seen)

    async def watch(self, slots: range) -> None:
        """One process writes `slots`, with a checkpoint of the last but one."""
        desk = Desk(self._state, disk=self.disk)
        desk.file.begin(self._hear, desk.failures.append, nothing)
        for slot in slots:
            await desk.fills_segments(1, first=slot)
            if slot == slots[-2]:
                self.checkpoint = slot
                desk.file.truncate(slot)
        await desk.file.close()
        assert desk.failures == []

    def _hear(self, slot: int) -> None:
        self.synced = slot


def test_a_kill_between_any_two_system_calls_loses_nothing_promised(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    witness = Witness(tmp_path / "state", tmp_path / "copies")
    for written in (range(1, 4), range(4, 4), range(4, 8)):
        asyncio.run(witness.watch(written))
    assert len(witness.seen) > 40
    for copy, synced, checkpoint in witness.seen:
        slots = Desk(copy).slots(checkpoint)
        assert slots == list(range(checkpoint + 1, checkpoint + 1 + len(slots)))
        assert max(slots, default=checkpoint) >= synced
