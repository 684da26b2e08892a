"""A cell that is started again on what it kept: its last checkpoint and its journal. Or it says why it cannot."""

import itertools
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cell.conftest import MakeCell
from tests.cell.replicas import State, agreed_state, kill_everything, service_pids
from tests.cell.support import Document, RunningCell, eventually, example
from tests.cell.workload import Counting, Model, Workload
from tests.domains.harness import short_directory

SANDBOX = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
REDIS = pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
CLIENTS = 4
REQUESTS = 100
SCRIPT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
HIDING = "return redis.call('INCR', 'hidden' .. ARGV[1])"
HEAD_BYTES = 512
WRITTEN_BYTES_MAX = 1024 * 1024
# How often a checkpoint is made where one is waited for.
SOON = "100ms"
EARLY_SECONDS = 0.5
LAST = b"value %d" % (REQUESTS - 1)


def durable(name: str = "kv", domain: str = "process", sync: str = "always", every: str = "1h") -> Document:
    """An example whose journal is kept, with as many checkpoints as it is told to make."""
    return example(name, domain) | {"journal": {"sync": sync}, "checkpoint": {"every": every}}


def journal_of(cell: RunningCell) -> list[Path]:
    """Its segments in order, those that were begun."""
    return [path for path in sorted((cell.state / "durable" / "journal").iterdir()) if written(path)[HEAD_BYTES:]]


def written(path: Path) -> bytes:
    """What of a segment is written: that begins at its beginning, and is far less than its 64 MiB."""
    with path.open("rb") as file:
        data = file.read(WRITTEN_BYTES_MAX)
    assert data.endswith(bytes(HEAD_BYTES))
    return data.rstrip(b"\0")


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Put other bytes there, and leave the rest as it is."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def store_of(cell: RunningCell) -> Path:
    """The state store's file."""
    return cell.state / "durable" / "checkpoint.sqlite3"


def refusal(cell: RunningCell) -> str:
    """What a cell says that does not start. Nothing of it may be left."""
    cell.launch()
    assert cell.wait() == 2
    cell.assert_nothing_left()
    return cell.log()


# What is kept.


@SANDBOX
@pytest.mark.parametrize("every", ["1h", "1s"])
def test_a_cell_that_was_stopped_goes_on_where_it_was(cells: MakeCell, every: str) -> None:
    """From its journal alone; from checkpoints, and what the journal holds after the last one."""
    document = durable("redis", "sandbox", every=every)
    document["cell"]["scripts"] = [redis.Redis().register_script(SCRIPT).sha]
    cell = cells(document).start()
    before = fill(cell)
    assert cell.stop() == 0
    cell.forget_clients()
    cell.start()
    assert agreed_state(cell) == before
    use(cell)
    cell.assert_agreed()
    assert cell.stop() == 0


@REDIS
def test_keys_that_a_script_does_not_name_are_in_the_checkpoint(cells: MakeCell) -> None:
    """Nothing else was written in their database: their number tells of them."""
    document = durable("redis", "process", every=SOON)
    document["cell"]["scripts"] = [redis.Redis().register_script(HIDING).sha]
    cell = cells(document).start()
    hide = cell.redis(db=3).register_script(HIDING)
    for number in range(20):
        assert hide(args=[number]) == 1
    slot = cell.status().slot
    eventually(lambda: cell.status().checkpoint.slot >= slot, "there is a checkpoint")
    kill_everything(cell)
    cell.start()
    assert cell.redis(db=3).dbsize() == 20
    hide = cell.redis(db=3).register_script(HIDING)
    hidden = itertools.count(20)

    def has_checkpoint() -> bool:
        for number in itertools.islice(hidden, 50):
            hide(args=[number])
        return cell.status().checkpoint.slot > slot + 100

    slot = cell.status().slot
    eventually(has_checkpoint, "there is one although it goes on")
    assert "keys came or went that no request named" in cell.log()
    cell.assert_agreed()
    assert cell.stop() == 0


def fill(cell: RunningCell) -> State:
    """Something of everything; what the replicas hold then."""
    client = cell.redis()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
    work.assert_right()
    client.set("mortal", "soon", px=600_000)
    client.set("doomed", "x", px=100)
    client.select(5)
    client.set("elsewhere", b"\0\r\n")
    client.select(0)
    client.script_load(SCRIPT)
    for number in range(3):
        client.xadd("stream", {"number": number})
    client.xgroup_create("stream", "group", "0")
    client.xreadgroup("group", "first", {"stream": ">"}, count=1)
    eventually(lambda: not client.exists("doomed"), "its deadline has passed")
    return agreed_state(cell)


def use(cell: RunningCell) -> None:
    """What was kept is as good as new."""
    client = cell.redis()
    assert 0 < client.pttl("mortal") <= 600_000
    assert client.evalsha(redis.Redis().register_script(SCRIPT).sha, 1, "counted", 5) == 5
    assert client.xpending("stream", "group")["pending"] == 1
    client.pexpire("mortal", 1)
    eventually(lambda: not client.exists("mortal"), "its deadline has passed")
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
    work.assert_right()
    agreed_state(cell)


@pytest.mark.parametrize("sync", ["always", "interval"])
def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(cells: MakeCell, sync: str) -> None:
    """Killed processes lose nothing that was written; only a machine that loses power could tell the two apart.

    What they leave is a checkpoint, and a journal that goes on behind it.
    """
    cell = cells(durable(sync=sync, every=SOON)).start()
    counting = [Counting(cell, f"counter{number}") for number in range(CLIENTS)]
    for one in counting:
        one.more(REQUESTS)
    eventually(lambda: cell.status().checkpoint.slot, "there is a checkpoint")
    for one in counting:
        one.more(REQUESTS)
    kill_everything(cell)
    for one in counting:
        one.end()
    cell.start()
    client = cell.redis()
    for one in counting:
        # One more may have been under way, and was executed or not.
        assert int(client.get(one.key)) - one.acknowledged in {0, 1}
    agreed_state(cell)
    assert cell.stop() == 0


def test_deadlines_that_pass_while_nobody_runs(cells: MakeCell) -> None:
    """They are as dead as if somebody had watched; what lives on dies in time."""
    cell = cells(durable()).start()
    client = cell.redis()
    client.set("late", "x", px=600_000)
    client.set("for ever", "x")
    client.set("early", "x", px=round(EARLY_SECONDS * 1_000))
    ends = time.monotonic() + EARLY_SECONDS
    kill_everything(cell)
    eventually(lambda: time.monotonic() > ends, "its deadline has passed")
    cell.start()
    client = cell.redis()
    eventually(lambda: client.keys("*") in ([b"for ever", b"late"], [b"late", b"for ever"]), "the early one has ended")
    assert client.incr("early") == 1
    assert 0 < client.pttl("late") <= 600_000
    agreed_state(cell)


def test_a_cell_without_a_journal_starts_empty(cells: MakeCell) -> None:
    cell = cells(durable(sync="off", every=SOON)).start()
    client = cell.redis()
    client.set("key", "value")
    eventually(lambda: cell.status().checkpoint.slot, "there is a checkpoint")
    assert cell.stop() == 0
    cell.forget_clients()
    cell.start()
    assert cell.redis().get("key") is None
    assert agreed_state(cell) == {}
    assert cell.stop() == 0


def test_what_was_written_without_syncing_is_void(cells: MakeCell) -> None:
    """A journal of sync `off` promised nothing: a cell that keeps one from now on starts without it."""
    cell = cells(durable(sync="off")).start()
    cell.redis().set("key", "value")
    kill_everything(cell)
    cell.write(durable(sync="always"))
    cell.start()
    client = cell.redis()
    assert client.get("key") is None
    client.set("key", "kept")
    kill_everything(cell)
    cell.start()
    assert cell.redis().get("key") == b"kept"


# What is refused.


@pytest.fixture(scope="module")
def left() -> Iterator[tuple[Path, Path]]:
    """What two cells left that were stopped: a journal alone, and the same with a checkpoint of all that it holds.

    Both are good: the second cell went on from a copy of the one, and a copy of the other is gone on from below.
    """
    with short_directory() as directory:
        (directory / "one").mkdir()
        with closing(RunningCell(directory / "one", durable())) as one:
            client = one.start().redis()
            for number in range(REQUESTS):
                client.set("key", f"value {number}")
            assert one.stop() == 0
        (directory / "other").mkdir()
        with closing(RunningCell(directory / "other", durable(every=SOON))) as other:
            copy(one.state, other.state)
            slot = other.start().status().slot
            assert slot >= REQUESTS
            assert other.redis().get("key") == LAST
            eventually(lambda: other.status().checkpoint.slot >= slot, "all is in the checkpoint")
            assert other.stop() == 0
        yield one.state, other.state


def copy(state: Path, to: Path) -> None:
    """Copy a state directory, but for the journal's room."""
    subprocess.run(["cp", "--archive", "--sparse=always", state, to], check=True)


def kept(cells: MakeCell, state: Path, document: Document) -> RunningCell:
    """A cell that is to go on with a copy of this state."""
    cell = cells(document)
    copy(state, cell.state)
    return cell


def test_what_was_kept_is_never_passed_over(cells: MakeCell, left: tuple[Path, Path]) -> None:
    """A cell without a journal would start empty, beside a state that was to be kept."""
    log = refusal(kept(cells, left[0], durable(sync="off")))
    assert "journal.sync is off: it would be left out" in log
    assert "hint: set journal.sync again, or move that directory away" in log


def test_the_state_of_another_service(cells: MakeCell, left: tuple[Path, Path]) -> None:
    document = durable()
    document["cell"]["name"] = "another"
    log = refusal(kept(cells, left[0], document))
    assert "belongs to the service 'kv', not 'another'" in log
    assert "hint: set cell.state to a directory of this cell's own" in log


def test_the_state_of_another_release(cells: MakeCell, left: tuple[Path, Path]) -> None:
    cell = kept(cells, left[1], durable())
    with closing(sqlite3.connect(store_of(cell))) as store, store:
        store.execute("PRAGMA user_version = 99")
    log = refusal(cell)
    assert "has format 99; this release reads format 3" in log
    assert "hint: run it with the release that wrote it" in log


def test_the_journal_of_another_release(cells: MakeCell, left: tuple[Path, Path]) -> None:
    cell = kept(cells, left[0], durable())
    segment = journal_of(cell)[0]
    overwrite(segment, written(segment).index(b"\x02", 8), b"\x63")
    log = refusal(cell)
    assert "has format 99; this release reads format 2" in log
    assert "hint: run it with the release that wrote it" in log


def test_a_journal_that_is_corrupt_in_the_middle_is_refused(cells: MakeCell, left: tuple[Path, Path]) -> None:
    cell = kept(cells, left[0], durable())
    segment = journal_of(cell)[0]
    data = written(segment)
    assert data.count(b"value 50") == 1
    overwrite(segment, data.index(b"value 50"), b"value 51")
    corrupt = written(segment)
    log = refusal(cell)
    assert "error: the journal is corrupt" in log
    assert "hint: " in log
    assert written(segment) == corrupt, "nothing is mended that somebody may still want to look at"


def test_a_torn_tail_is_cut_off(cells: MakeCell) -> None:
    """What was being written when everything ended was acknowledged to nobody."""
    cell = cells(durable()).start()
    client = cell.redis()
    client.set("first", "value")
    client.set("second", "value")
    kill_everything(cell)
    segment = journal_of(cell)[-1]
    data = written(segment)
    torn = data.rindex(b"second")
    overwrite(segment, torn, bytes(len(data) - torn))
    cell.start()
    assert cell.redis().get("first") == b"value"
    assert cell.redis().get("second") is None
    cell.redis().set("second", "again")
    kill_everything(cell)
    cell.start()
    assert cell.redis().get("second") == b"again"
    assert cell.stop() == 0


def damage_row(path: Path) -> None:
    """One record says something else than its digest."""
    with sqlite3.connect(path) as store:
        assert store.execute("UPDATE row SET record = CAST(record || 'x' AS BLOB)").rowcount == 1
    store.close()


def damage_file(path: Path) -> None:
    """The file's first page is no database's."""
    data = path.read_bytes()
    path.write_bytes(b"\xff" * HEAD_BYTES + data[HEAD_BYTES:])


@pytest.mark.parametrize("damage", [damage_row, damage_file])
def test_a_damaged_state_store_is_refused(cells: MakeCell, left: tuple[Path, Path], damage: Any) -> None:
    cell = kept(cells, left[1], durable())
    damage(store_of(cell))
    log = refusal(cell)
    assert f"the state store {store_of(cell)} is damaged" in log
    assert "hint: restore the state directory from a copy; without one, move the store's files alone away" in log
    for path in store_of(cell).parent.glob(store_of(cell).name + "*"):
        path.unlink()
    cell.start()
    assert cell.redis().get("key") == LAST  # the journal held all from the beginning


def test_a_store_that_went_without_its_journal_s_beginning(cells: MakeCell, left: tuple[Path, Path]) -> None:
    """The store is moved away, and the journal was cut off behind it: that is a loss, and is said."""
    cell = kept(cells, left[1], durable(every=SOON)).start()
    assert cell.redis().get("key") == LAST
    model = Model("client", 1)
    with redis.Redis(port=cell.port, decode_responses=True) as client:
        for _ in range(REQUESTS):
            reply, expected = model.step(client)
            assert reply == expected
    slot = cell.status().slot
    eventually(lambda: cell.status().checkpoint.slot >= slot, "all is in the checkpoint")
    assert cell.stop() == 0
    for path in store_of(cell).parent.glob(store_of(cell).name + "*"):
        path.unlink()
    log = refusal(cell)
    assert "what was written between is lost" in log
    assert "hint: there is no checkpoint before it" in log
    shutil.rmtree(store_of(cell).parent)
    cell.start()
    assert cell.redis().dbsize() == 0


def test_a_journal_that_is_gone_is_said(cells: MakeCell, left: tuple[Path, Path]) -> None:
    """The cell starts from its last checkpoint: so does one whose journal the operator moved away."""
    cell = kept(cells, left[1], durable(every=SOON)).start()
    eventually(lambda: cell.status().checkpoint.slot >= 1, "there is a checkpoint")
    assert cell.redis().get("key") == LAST
    assert cell.stop() == 0
    assert "there is no journal" not in cell.log()
    shutil.rmtree(journal_of(cell)[0].parent)
    cell.start()
    assert "there is no journal: what was written after the last checkpoint is lost" in cell.log()
    assert cell.redis().get("key") == LAST


def test_a_second_cell_may_not_use_what_the_first_keeps(cells: MakeCell) -> None:
    first = cells(durable()).start()
    first.redis().set("key", "value")
    document = durable()
    document["cell"]["state"] = str(first.state)
    second = cells(document).launch()
    assert second.wait() == 2
    assert "a second cell on one state directory" in second.log()
    kill_everything(first)
    second.start()
    assert second.redis().get("key") == b"value"
    assert service_pids(second).keys() == {"a", "b", "c"}
    assert second.stop() == 0
