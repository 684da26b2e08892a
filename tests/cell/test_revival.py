"""Too few replicas are left, or a request was the end of them: all begin anew, and clients have at most to ask again.

What could not be decided is told as an error, and is done by nobody: neither by the new replicas, nor after a restart.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from quorate.domains import processes
from tests.cell.conftest import MakeCell
from tests.cell.replicas import Lane, agreed_state, all_gone, kill_everything, logged, service_pids
from tests.cell.support import Document, RunningCell, eventually, example, exchange, received, request
from tests.cell.test_recovery import patiently, recovering
from tests.cell.workload import Counting, Workload

SANDBOX = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
ROGUE = Path(__file__).parent / "services" / "rogue.py"
SECOND_NS = 1_000_000_000
CLIENTS = 4
REQUESTS = 50
POISON = "trigger"


def journaled(name: str = "kv", domain: str | None = "process", **limits: int) -> Document:
    """An example whose journal is kept."""
    return example(name, domain, **limits) | {"journal": {"sync": "always"}}


def soon() -> Document:
    """The same, where no decision is waited for longer than a second."""
    return journaled(silence_ns_max=SECOND_NS, decision_ns_max=SECOND_NS + 1)


def poisoned(fault: str) -> Document:
    """Three replicas that have one fault in common: what they do when a request names the trigger."""
    document = soon()
    for variant in document["variant"]:
        variant["args"] = [str(ROGUE), fault, "{socket}", "{directory}"]
    return document


@contextlib.contextmanager
def counting(cell: RunningCell) -> Iterator[list[Counting]]:
    """Clients that count, before, during and after what is done meanwhile, and must notice little of it."""
    clients = [Counting(cell, f"counter{number}") for number in range(CLIENTS)]
    try:
        for client in clients:
            client.more(REQUESTS)
        yield clients
        for client in clients:
            client.more(REQUESTS)
    finally:
        for client in clients:
            client.end()
    reader = cell.redis()
    for client in clients:
        assert client.wrong == []
        assert all(error.startswith("NOQUORUM") for error in client.errors)
        assert int(reader.get(client.key)) == client.acknowledged


def begun_anew(cell: RunningCell, times: int = 1) -> None:
    """Wait until all replicas were begun anew so many times, and vote."""
    eventually(lambda: len(logged(cell, "all replicas were begun anew")) >= times, "all were begun anew")
    status = cell.settled()
    assert (status.state, status.seats_empty) == ("serving", 0)


# Replicas that die.


@pytest.mark.parametrize("victims", ["ab", "abc"])
@pytest.mark.parametrize(("name", "domain"), [pytest.param("redis", "sandbox", marks=SANDBOX), ("kv", "process")])
def test_replicas_that_are_killed_at_once(cells: MakeCell, name: str, domain: str, victims: str) -> None:
    cell = cells(journaled(name, domain)).start()
    with counting(cell) as clients:
        pids = service_pids(cell)
        for victim in victims:
            os.kill(pids[victim], signal.SIGKILL)
        begun_anew(cell)
        all_gone(pids.values())
    # One step each was under way, or what the first one killed had left the others to decide.
    assert all(len(client.errors) <= 1 for client in clients)
    assert agreed_state(cell)
    assert cell.stop() == 0


def test_replicas_that_are_killed_while_a_cell_starts(cells: MakeCell) -> None:
    """After the journal was executed again, and before anybody is served: what the store holds is being read."""
    cell = cells(journaled() | {"checkpoint": {"every": "1h"}}).start()
    client = cell.redis()
    for number in range(1, REQUESTS + 1):
        assert client.incr("counter") == number
    assert cell.stop() == 0
    cell.forget_clients()
    cell.launch()
    eventually(lambda: len(logged(cell, "replica", stage="booting")) == 6, "it boots")
    # With nothing in the store the replicas need no keeper to begin with.
    (keeper,) = keepers_of(cell)
    os.kill(keeper, signal.SIGSTOP)
    eventually(lambda: len(logged(cell, "replica", stage="voting")) == 6, "they vote")
    for pid in processes.descendants(cell.pid):
        if any(b"/domains/%s/" % name in command_line(pid) for name in (b"a", b"b")):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(logged(cell, "convicted")) == 2, "they are lost")
    assert not (cell.home / "out").read_text()
    os.kill(keeper, signal.SIGCONT)
    line = eventually(cell._ready, "it serves")
    cell.port = int(line.split(" on 127.0.0.1:")[1].split()[0])
    begun_anew(cell)
    assert cell.redis().incr("counter") == REQUESTS + 1
    cell.recover("b")
    agreed_state(cell)
    assert cell.stop() == 0


def test_a_loss_while_nothing_is_under_way_costs_no_request(cells: MakeCell) -> None:
    """One replica was lost before, and stays away: with the next, all begin anew, and nobody is told any error."""
    cell = cells(journaled() | {"recovery": {"reactive": False}}).start()
    client = cell.redis(retry=None)
    client.set("key", "value")
    cell.inject("a", "crash")
    cell.convicted("a")
    cell.inject("c", "crash")
    begun_anew(cell)
    assert client.get("key") == b"value"
    agreed_state(cell)


def test_too_few_that_answer_are_not_waited_for_for_ever(cells: MakeCell) -> None:
    cell = cells(soon()).start()
    client = cell.redis(retry=None)
    assert client.incr("counter") == 1
    cell.settled()
    cell.inject("a", "mute")
    cell.inject("b", "mute")
    with pytest.raises(redis.ResponseError, match=r"^NOQUORUM"):
        client.incr("counter")
    assert client.incr("counter") == 2
    begun_anew(cell)
    assert cell.status().unanswered == 1
    assert set(agreed_state(cell)) == {(0, b"counter")}
    assert cell.convictions() == []


# Requests that are the end of replicas.


@pytest.mark.parametrize("fault", ["dies", "deaf", "differs"])
def test_a_poison_is_executed_once_and_never_again(cells: MakeCell, fault: str) -> None:
    """Not by the replicas that follow, and not when the journal is executed again after everything was killed."""
    cell = cells(poisoned(fault)).start()
    client = cell.redis(retry=None)
    with counting(cell) as clients:
        client.set("key", "before")
        with pytest.raises(redis.ResponseError, match=r"^NOQUORUM"):
            client.set("key", POISON)
        begun_anew(cell)
        assert client.get("key") == b"before"
        assert client.set("key", "after")
    assert all(len(client.errors) <= 1 for client in clients)
    held = agreed_state(cell)
    kill_everything(cell)
    cell.start()
    assert cell.redis().get("key") == b"after"
    assert agreed_state(cell) == held
    assert len(logged(cell, "all replicas begin anew")) == 1
    assert cell.stop() == 0


def test_a_poison_that_everything_was_killed_with_is_named_and_left_out(cells: MakeCell) -> None:
    """It is in the journal, and its tombstone is not: nobody had noticed that no replica answers."""
    document = poisoned("deaf")
    impatience = document["limits"]
    # At first it is as patient as any cell, so that nobody finds out before it is killed.
    cell = cells(document | {"limits": {}}).start()
    client = cell.redis(retry=None)
    for number in range(1, REQUESTS + 1):
        assert client.incr("counter") == number
    slot = cell.settled().slot
    cell.connect().sendall(request("SET", "key", POISON))
    eventually(lambda: cell.status().journal.synced_slot > slot, "it is on disk")
    kill_everything(cell)
    assert logged(cell, "all replicas begin anew") == []
    cell.write(document | {"limits": impatience})
    cell.launch()
    assert cell.wait() == 2
    assert "the replicas do not agree on what the journal holds, at slot " in cell.log()
    (poison,) = set(re.findall(r"--leave-out (\d+)", cell.log()))
    cell.start("--leave-out", poison)
    client = cell.redis(retry=None)
    assert client.get("counter") == b"%d" % REQUESTS
    assert client.get("key") is None
    assert client.incr("counter") == REQUESTS + 1
    agreed_state(cell)
    assert cell.stop() == 0
    cell.start()
    assert cell.redis().get("counter") == b"%d" % (REQUESTS + 1)
    assert cell.stop() == 0


def test_a_poison_that_was_decided_is_named_and_can_be_left_out(cells: MakeCell) -> None:
    """Each replica dies just after it replied: they try a few times, then look for it, and bury nothing."""
    document = poisoned("dies after")
    cell = cells(document).start()
    client = cell.redis(retry=None)
    for number in range(1, REQUESTS + 1):
        assert client.incr("counter") == number
    assert client.set("key", POISON)
    found = eventually(lambda: re.search(r"do not survive slot (\d+) of the journal", cell.log()), "it is found")
    slot = found[1]
    assert cell.status().tombstones == 0
    assert "the replicas may not survive what the journal holds" in cell.log()
    refused = cell.operate("recover", "b")
    assert refused.returncode == 2
    assert "the cell is lost" in refused.stderr
    kill_everything(cell)
    cell.launch()
    assert cell.wait() == 2
    assert f"--leave-out {slot}" in cell.log()
    cell.start("--leave-out", slot)
    client = cell.redis(retry=None)
    assert client.get("counter") == b"%d" % REQUESTS
    assert client.get("key") is None
    agreed_state(cell)
    assert cell.stop() == 0


def test_a_read_may_be_poison_too(cells: MakeCell) -> None:
    cell = cells(poisoned("dies")).start()
    client = cell.redis(retry=None)
    client.set("key", "value")
    with pytest.raises(redis.ResponseError, match=r"^NOQUORUM"):
        client.mget("key", POISON)
    begun_anew(cell)
    assert client.get("key") == b"value"
    agreed_state(cell)


# What no request did.


def test_what_somebody_altered_on_all_replicas_but_one_is_restored(cells: MakeCell) -> None:
    """Each of them holds something else: a scrub finds it, it is named once, and what was acknowledged comes back."""
    cell = cells(journaled() | {"checkpoint": {"every": "500ms"}}).start()
    client = cell.redis()
    for number in range(REQUESTS):
        client.set(f"key{number}", number)
    eventually(lambda: cell.status().checkpoint.slot > 0, "it is kept")
    pids = service_pids(cell)
    for name in "bc":
        lane = Lane(pids[name])
        with contextlib.closing(lane.socket):
            assert lane.ask(request("SET", "key7", f"altered on {name}")) == b"+OK\r\n"
    begun_anew(cell)
    (said,) = logged(cell, "all replicas begin anew")
    assert "database 0 key 'key7'" in said
    assert len(logged(cell, "no checkpoint: a key cannot be read")) == 1
    assert client.get("key7") == b"7"
    assert len(agreed_state(cell)) == REQUESTS
    status = cell.status()
    assert (status.revivals, status.checkpoint.unreadable) == (1, ())
    assert cell.convictions() == []


# What is there beside requests.


def test_who_waits_waits_on(cells: MakeCell) -> None:
    """A parked client, a subscriber and a transaction outlive all replicas."""
    cell = cells(journaled()).start()
    client, subscriber = cell.redis(), cell.redis().pubsub()
    waiting = cell.connect()
    assert exchange(waiting, b"PING\r\nBLPOP queue 0\r\n", b"\r\n") == b"+PONG\r\n"
    subscriber.subscribe("news")
    assert subscriber.get_message(timeout=60)["type"] == "subscribe"
    client.set("mortal", "x", px=1_000)
    with cell.redis().pipeline() as transaction:
        transaction.watch("mine")
        transaction.multi()
        transaction.incr("mine")
        for pid in service_pids(cell).values():
            os.kill(pid, signal.SIGKILL)
        begun_anew(cell)
        assert transaction.execute() == [1]
    assert client.publish("news", "begun anew") == 1
    assert subscriber.get_message(timeout=60)["data"] == b"begun anew"
    assert client.rpush("queue", "at last") == 1
    assert received(waiting, b"at last\r\n").startswith(b"*2\r\n$5\r\nqueue")
    eventually(lambda: not client.exists("mortal"), "its deadline has passed")
    agreed_state(cell)
    cell.assert_agreed()


def test_a_rebuild_that_was_under_way_is_given_up(cells: MakeCell, tmp_path: Path) -> None:
    """Who asked for it is told; all seats have new replicas anyway."""
    cell = cells(patiently(journaled(), tmp_path / "go")).start()
    cell.redis().set("key", "value")
    with recovering(cell, "b") as asked:
        eventually(lambda: cell.replica("b").shadow, "it is being rebuilt")
        pids = service_pids(cell)
        for name in "ac":
            os.kill(pids[name], signal.SIGKILL)
        _, talked = asked.communicate(timeout=60)
        (tmp_path / "go").touch()
    assert asked.returncode == 2
    assert "replica b was not rebuilt: all replicas begin anew" in talked
    begun_anew(cell)
    assert cell.redis().get("key") == b"value"
    agreed_state(cell)
    assert cell.stop() == 0


def test_a_cell_whose_keeper_dies_serves_on_and_gets_another(cells: MakeCell) -> None:
    """Its operator is told, and sees it; then all is read anew, and what could not be healed meanwhile is."""
    cell = cells(journaled()).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        cell.look()
        (keeper,) = keepers_of(cell)
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: logged(cell, "state is kept no more"), "the operator is told")
        cell.inject("b", "crash")
        work.more(REQUESTS)
        eventually(lambda: logged(cell, "state is kept again"), "there is another")
        assert cell.status().checkpoint.fault == ""
        cell.rebuilt("b")
        work.more(REQUESTS)
    work.assert_right()
    held = agreed_state(cell)
    assert cell.stop() == 0
    cell.forget_clients()
    cell.start()
    assert agreed_state(cell) == held


def test_a_cell_that_cannot_have_a_keeper_says_so(cells: MakeCell) -> None:
    """Its store cannot be opened: status and metrics tell of it until it can."""
    cell = cells(journaled()).start()
    cell.redis().set("key", "value")
    store, away = cell.state / "durable" / "checkpoint.sqlite3", cell.state / "away"
    (keeper,) = keepers_of(cell)
    store.rename(away)
    store.mkdir()
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: "cannot use the state store" in cell.status().checkpoint.fault, "status tells")
    shown = cell.operate("status")
    assert "state is kept no more, so that no replica can be rebuilt" in " ".join(shown.stdout.split())
    refused = cell.operate("recover", "b")
    assert refused.returncode == 2
    assert "replica b was not rebuilt: " in refused.stderr
    assert cell.redis().get("key") == b"value"
    store.rmdir()
    away.rename(store)
    eventually(lambda: logged(cell, "state is kept again"), "there is another")
    assert cell.status().checkpoint.fault == ""
    cell.recover("b")
    cell.assert_agreed()


def keepers_of(cell: RunningCell) -> list[int]:
    """The processes that keep its state."""
    return [pid for pid in processes.descendants(cell.pid) if b"quorate.state.keeper" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
