"""A disk that is really full under a durable cell: reads are served, nothing acknowledged is lost, and it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.cell.conftest import MakeCell
from tests.cell.replicas import agreed_state, kill_everything, logged
from tests.cell.small_disk import MIB, SmallDisk
from tests.cell.support import Document, RunningCell, eventually, example

pytestmark = [pytest.mark.needs("unshare", "nsenter", "mount"), pytest.mark.timeout(300)]

# The journal has files of 64 MiB: what is left has room for one of them, and a checkpoint; the whole disk for all three
# that it comes to want, and two checkpoints.
DISK_BYTES = 256 * MIB
LEFT_BYTES = 96 * MIB
NEARLY_NOTHING = 256 * 1024
VALUE_BYTES = 256 * 1024
VALUES_MAX = 1_000


def durable(every: str) -> Document:
    """A cell that keeps its journal, and makes its checkpoints so often."""
    return example("kv", "process") | {"journal": {"sync": "always"}, "checkpoint": {"every": every}}


@contextmanager
def on_small_disk(cell: RunningCell) -> Iterator[SmallDisk]:
    """The cell's state directory is a disk of its own."""
    with SmallDisk(cell.state, DISK_BYTES) as disk:
        cell.prefix = disk.prefix
        try:
            yield disk
        finally:
            cell.close()


def write_until_refused(cell: RunningCell) -> dict[str, str]:
    """What was acknowledged, when the first write was refused."""
    client, held = cell.redis(retry=None), dict[str, str]()
    for number in range(VALUES_MAX):
        key, value = f"key{number % 32}", f"{number} " * (VALUE_BYTES // len(f"{number} "))
        try:
            client.set(key, value)
        except redis.ResponseError:
            return held
        held[key] = value
    raise AssertionError("the disk is never full")


def assert_reads_alone(cell: RunningCell, held: dict[str, str]) -> None:
    """What is held is read; what would change it is refused; the operator can see why."""
    client = cell.redis(retry=None, decode_responses=True)
    assert {key: client.get(key) for key in held} == held
    for refused in ("SET key0 x", "DEL key0", "INCR n"):
        with pytest.raises(redis.ResponseError, match="MISCONF quorate: the disk has no room for the journal"):
            client.execute_command(*refused.split())
    assert client.get("key0") == held["key0"]
    status = cell.status()
    assert (status.state, status.journal.is_full) == ("serving", True)
    eventually(lambda: "the disk has no room for the journal: writes are refused" in cell.log(), "the log says so")


def written_again(cell: RunningCell) -> bool:
    """Whether a write is taken."""
    try:
        return bool(cell.redis(retry=None).set("again", "x"))
    except redis.ResponseError:
        return False


def test_nothing_is_lost_and_reads_are_served_until_there_is_room(cells: MakeCell) -> None:
    """Through `kill -9` of everything and a start without any room."""
    cell = cells(durable("1h"))
    with on_small_disk(cell) as disk:
        disk.fill(LEFT_BYTES)
        cell.start()
        cell.redis().set("mortal", "x", px=1_000)
        held = write_until_refused(cell)
        assert_reads_alone(cell, held)
        eventually(lambda: not cell.redis().exists("mortal"), "what expires is deleted all the same")
        disk.fill(NEARLY_NOTHING)
        kill_everything(cell)
        cell.start()
        assert_reads_alone(cell, held)
        assert not cell.redis().exists("mortal")
        disk.empty()
        eventually(lambda: written_again(cell), "writes are taken again")
        eventually(lambda: not cell.status().checkpoint.fault, "state is kept again")
        cell.recover("b")
        client = cell.redis(decode_responses=True)
        assert {key: client.get(key) for key in held} == held
        before = agreed_state(cell)
        kill_everything(cell)
        cell.start()
        assert agreed_state(cell) == before
        cell.assert_agreed()
        assert cell.stop() == 0


def test_a_checkpoint_that_finds_no_room_is_made_when_there_is(cells: MakeCell) -> None:
    """The cell writes on, for the journal has room; what it keeps is read anew, and rebuilds replicas again."""
    cell = cells(durable("500ms"))
    with on_small_disk(cell) as disk:
        cell.start()
        client = cell.redis(decode_responses=True)
        client.set("first", "x")
        eventually(lambda: cell.status().checkpoint.slot, "there is a checkpoint")
        disk.fill(NEARLY_NOTHING)
        held = {f"key{number}": str(number) * 10_000 for number in range(400)}
        client.mset(held)
        eventually(lambda: cell.status().checkpoint.fault, "the operator is told")
        (line,) = logged(cell, "state is kept no more")[:1]
        assert "cannot be written or read" in line
        client.delete("first")
        client.set("key0", "changed")
        held["key0"] = "changed"
        disk.empty()
        eventually(lambda: logged(cell, "state is kept again"), "state is kept again")
        cell.recover("b")
        assert dict(zip(held, client.mget(*held), strict=True)) == held
        assert client.exists("first") == 0
        before = agreed_state(cell)
        kill_everything(cell)
        cell.start()
        assert agreed_state(cell) == before
        assert cell.stop() == 0
