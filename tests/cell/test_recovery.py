"""A replica that was lost is rebuilt and votes again, and all are rejuvenated as they are told to: nobody notices."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cell.conftest import MakeCell
from tests.cell.replicas import agreed_state, logged, service_pids, variants_of
from tests.cell.support import POLL_SECONDS, Document, RunningCell, eventually, example, exchange, received
from tests.cell.workload import Workload

REDIS = pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
SANDBOX = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
SERVICES = Path(__file__).parent / "services"
SECOND_NS = 1_000_000_000
KIB = 1024
CLIENTS = 4
REQUESTS = 100
FAULTS = ("corrupt", "collude", "crash", "flood", "mute")


def cell_of(name: str, domain: str | None = None, **limits: int) -> Document:
    """An example that tries again sooner than usual."""
    return example(name, domain, **{"rebuild_retry_ns_max": SECOND_NS // 10} | limits)


def impatient(name: str, domain: str | None = None) -> Document:
    """The same, where silence is judged sooner than usual."""
    return cell_of(name, domain, silence_ns_max=SECOND_NS, decision_ns_max=SECOND_NS + 1)


class Watch:
    """Looks at a cell again and again while it lasts, first before and last after: how many replicas vote."""

    def __init__(self, cell: RunningCell) -> None:
        self.voters: list[int] = []
        self._cell = cell
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._is_over.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        self.voters.append(sum(replica.role == "voting" for replica in self._cell.status().replicas))


# After a fault.


@SANDBOX
@pytest.mark.parametrize("fault", FAULTS)
def test_a_convicted_replica_is_rebuilt_and_votes(cells: MakeCell, fault: str) -> None:
    cell = cells(impatient("redis")).start()
    before = service_pids(cell)
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        cell.inject("b", fault)
        cell.convicted("b")
        rebuilt = cell.rebuilt("b")
        work.more(REQUESTS)
    work.assert_right()
    assert agreed_state(cell)
    status = cell.settled()
    assert (status.state, status.seats_empty, status.split, status.unanswered) == ("serving", 0, 0, 0)
    assert len({"mimalloc", *variants_of(cell)}) == 4, "it became what no other is, and what it was not"
    assert (rebuilt.convictions, rebuilt.cause) == (1, "")
    assert rebuilt.pid != before["b"]
    assert 0 < (rebuilt.last_recovery_seconds or 0) < 60
    assert [c.replica for c in cell.convictions()] == ["b"]
    assert logged(cell, "rebuilt", replica="b")
    assert cell.stop() == 0


def test_one_fault_after_another_is_healed(cells: MakeCell) -> None:
    """More faults than a cell without recovery could bear, in every seat."""
    cell = cells(impatient("kv", "process")).start()
    with Workload(cell, CLIENTS) as work:
        for number, fault in enumerate(FAULTS):
            name = "abc"[number % 3]
            work.more(REQUESTS // 2)
            cell.inject(name, fault)
            cell.rebuilt(name, 1 + number // 3)
    work.assert_right()
    assert agreed_state(cell)
    assert sorted(c.replica for c in cell.convictions()) == ["a", "a", "b", "b", "c"]
    assert cell.stop() == 0


def test_a_replica_that_fell_too_far_behind_is_replaced(cells: MakeCell) -> None:
    """Nobody accuses it: it is retired, and its successor votes."""
    tight = {"lag_slots_max": 2_000, "inflight_slots_max": 1_000, "client_pending_max": 500}
    cell = cells(example("kv", "process", throttle_ns_max=SECOND_NS // 4, **tight)).start()
    paused = service_pids(cell)["c"]
    os.kill(paused, signal.SIGSTOP)
    with Workload(cell, CLIENTS) as work:
        assert cell.rebuilt("c").pid != paused
    work.assert_right()
    assert agreed_state(cell)
    assert cell.convictions() == []
    assert cell.stop() == 0


def test_a_replica_that_lies_about_its_state_is_convicted(cells: MakeCell) -> None:
    """No client asked anything of it: a rebuild of another one reads the state, and finds it out."""
    cell = cells(cell_of("kv", "process") | {"checkpoint": {"every": "1h"}}).start()
    client = cell.redis()
    client.set("key", "value")
    client.sadd("set", *range(10))
    cell.settled()
    cell.inject("c", "corrupt")
    cell.recover("a")
    assert cell.convicted("c").cause in {"wrong reply to a read, asked twice", "too many wrong replies to reads"}
    assert any(b"TYPE" in dissent.request.data for dissent in cell.dissents())
    cell.rebuilt("c")
    assert set(agreed_state(cell)) == {(0, b"key"), (0, b"set")}
    assert client.smembers("set") == {b"%d" % number for number in range(10)}


# As the operator asks.


@SANDBOX
def test_shadows_cost_no_vote_and_a_restart_one(cells: MakeCell) -> None:
    cell = cells(cell_of("redis")).start()
    before = service_pids(cell)
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        with Watch(cell) as watch:
            said = cell.operate("recover", "b", "--strategy", "shadow")
            assert said.returncode == 0, said.stderr
            assert "replica b (glibc) votes again" in said.stdout
            cell.recover(None, "shadow-all")
        assert set(watch.voters) == {3}
        with Watch(cell) as watch:
            cell.recover("c", "restart")
        assert set(watch.voters) == {2, 3}
        work.more(REQUESTS)
    work.assert_right()
    assert agreed_state(cell)
    after = service_pids(cell)
    assert all(before[name] != after[name] for name in "abc")
    assert [replica.rebuilds for replica in cell.status().replicas] == [1, 2, 2]
    cell.assert_agreed()
    assert cell.convictions() == []
    assert cell.stop() == 0


@pytest.mark.parametrize("strategy", ["restart", "shadow", "shadow-all"])
def test_replicas_are_rejuvenated_on_a_schedule(cells: MakeCell, strategy: str) -> None:
    """Each as often as it is to be: one of them has a period of its own."""
    document = cell_of("kv", "process") | {"recovery": {"strategy": strategy, "every": "1s"}}
    document["replica"][2]["every"] = "1h"
    cell = cells(document).start()
    with Workload(cell, CLIENTS) as work:
        cell.rebuilt("a", 2)
        cell.rebuilt("b", 1)
    work.assert_right()
    assert cell.replica("c").rebuilds == 0
    assert (cell.status().exposure_seconds or 0) > 1
    cell.assert_agreed()
    assert logged(cell, "rebuild began", why="scheduled")
    assert cell.stop() == 0


def test_each_replica_is_rejuvenated_by_its_own_strategy(cells: MakeCell) -> None:
    """One is left out of every plan, which is no reason to leave it as it is when it was convicted."""
    document = impatient("kv", "process") | {"recovery": {"strategy": "shadow-all", "every": "1s"}}
    document["replica"][1]["strategy"] = "none"
    document["replica"][2]["strategy"] = "shadow"
    cell = cells(document).start()
    with Workload(cell, CLIENTS) as work:
        cell.rebuilt("a", 2)
        cell.rebuilt("c", 2)
        assert cell.replica("b").rebuilds == 0
        cell.inject("b", "corrupt")
        cell.rebuilt("b", 1)
    work.assert_right()
    assert not logged(cell, "rebuild began", replica="b", why="scheduled")
    assert logged(cell, "rebuild began", replica="b", why="convicted")
    assert cell.stop() == 0


def test_who_is_rebuilt_with_others_is_told_with_its_own_time(cells: MakeCell) -> None:
    cell = cells(cell_of("kv", "process")).start()
    began_at = time.monotonic()
    said = cell.operate("recover", "--all", "--strategy", "shadow")
    taken = time.monotonic() - began_at
    told = re.findall(r"^replica (\w) \(\w+\) votes again, after ([0-9.]+) s$", said.stdout, re.MULTILINE)
    assert [name for name, _ in told] == ["a", "b", "c"]
    assert sum(float(seconds) for _, seconds in told) <= taken
    assert cell.stop() == 0


def test_a_rebuild_may_change_what_a_replica_is(cells: MakeCell) -> None:
    """Each becomes another program, which is given the state that the one before it had."""
    document = cell_of("kv", "process")
    names = ["dictionary", "sqlite", "log"]
    for index, replica in enumerate(document["replica"]):
        replica["variants"] = names[index:] + names[:index]
    cell = cells(document).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        for fault, name in (("crash", "a"), ("corrupt", "b"), ("crash", "c")):
            cell.inject(name, fault)
            cell.rebuilt(name)
            work.more(REQUESTS)
    work.assert_right()
    assert all(variant != first for variant, first in zip(variants_of(cell), names, strict=True))
    assert agreed_state(cell)
    assert cell.stop() == 0


# What goes wrong.


def test_a_variant_that_never_boots_is_passed_over(cells: MakeCell) -> None:
    document = cell_of("kv", "process")
    broken = {"name": "broken", "program": "sh", "args": ["-c", "echo no such licence; exit 3"]}
    document["variant"].append(broken)
    document["replica"][1]["variants"] = ["sqlite", "broken", "dictionary"]
    cell = cells(document).start()
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        cell.inject("b", "crash")
        rebuilt = cell.rebuilt("b")
        work.more(REQUESTS)
    work.assert_right()
    assert rebuilt.variant == "dictionary"
    (told,) = logged(cell, "rebuild failed")
    assert "variant=broken" in told
    assert "no such licence" in told
    assert agreed_state(cell)
    assert cell.stop() == 0


def patiently(document: Document, file: Path) -> Document:
    """Replica b's next ones wait for a file before they start."""
    store = document["variant"][1]["args"][1]
    document["variant"][1]["args"] = [str(SERVICES / "patient.py"), store, str(file), "{socket}", "{directory}"]
    return document


def recovering(cell: RunningCell, *arguments: str) -> "subprocess.Popen[str]":
    """`quorate recover`, at work."""
    command = [sys.executable, "-m", "quorate", "recover", "--cell", str(cell.pid), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=cell.environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def test_a_rebuild_asked_for_while_one_runs(cells: MakeCell, tmp_path: Path) -> None:
    cell = cells(patiently(cell_of("kv", "process"), tmp_path / "go")).start()
    with recovering(cell, "b") as first:
        eventually(lambda: cell.replica("b").shadow, "it is being rebuilt")
        second = cell.operate("recover", "b")
        assert second.returncode == 2
        assert "error: replica b: it is being rebuilt already" in second.stderr
        assert "hint: see quorate status" in second.stderr
        assert cell.replica("b").role == "voting"
        (tmp_path / "go").touch()
        said, talked = first.communicate(timeout=60)
    assert first.returncode == 0
    assert "replica b (sqlite) votes again" in said
    assert "replica b: booting" in talked
    cell.assert_agreed()


def test_a_cell_ends_while_a_rebuild_runs(cells: MakeCell, tmp_path: Path) -> None:
    cell = cells(patiently(cell_of("kv", "process"), tmp_path / "never")).start()
    with recovering(cell, "b") as asked:
        eventually(lambda: cell.replica("b").shadow, "it is being rebuilt")
        assert cell.stop() == 0
        _, talked = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert "error: " in talked
    (line,) = logged(cell, "rebuild failed")
    assert "the cell ends" in line


def test_a_state_that_cannot_be_read_is_said(cells: MakeCell) -> None:
    """Its parts may be read and written, but no reply may be as long as the whole of it."""
    cell = cells(cell_of("kv", "process", reply_bytes_max=64 * KIB)).start()
    client = cell.redis()
    client.rpush("long", *("x" * KIB for _ in range(100)))
    refused = cell.operate("recover", "b")
    assert refused.returncode == 2
    reason = "its state is over the limit of one reply"
    assert f"the state of database 0 key 'long' cannot be read: {reason}" in refused.stderr
    eventually(lambda: logged(cell, "no checkpoint: a key cannot be read"), "the operator is told")
    assert client.llen("long") == 100
    client.delete("long")
    client.set("short", "value")
    cell.recover("b")
    assert set(agreed_state(cell)) == {(0, b"short")}
    cell.assert_agreed()


# What clients have with a cell outlives its replicas.


def write_everything(client: Any) -> None:
    """Values of every type, a deadline, a stream with a group, of which one entry is pending."""
    client.set("text", b"\0\r\n\xff")
    client.set("mortal", "soon", px=600_000)
    client.rpush("list", *range(50))
    client.sadd("set", *range(50))
    client.hset("hash", mapping={f"field{number}": number for number in range(50)})
    client.zadd("ranks", {f"member{number}": number / 3 for number in range(50)})
    for number in range(5):
        client.xadd("stream", {"number": number})
    client.xgroup_create("stream", "group", "0")
    ((_, entries),) = client.xreadgroup("group", "first", {"stream": ">"}, count=2)
    assert len(entries) == 2
    client.setbit("bits", 1_000, 1)
    client.pfadd("estimate", *range(100))


@REDIS
def test_every_replica_may_be_exchanged_and_nothing_is_missing(cells: MakeCell) -> None:
    document = cell_of("redis", "process")
    client_script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    other = redis.Redis().register_script(client_script)
    document["cell"]["scripts"] = [other.sha]
    cell = cells(document).start()
    client = cell.redis()
    write_everything(client)
    assert client.script_load(client_script) == other.sha
    assert client.evalsha(other.sha, 1, "counted", 5) == 5
    before = agreed_state(cell)
    for name in "abc":
        cell.recover(name)
    assert agreed_state(cell) == before
    assert client.evalsha(other.sha, 1, "counted", 5) == 10
    assert 0 < client.pttl("mortal") <= 600_000
    assert client.xpending("stream", "group")["pending"] == 2
    ((_, entries),) = client.xreadgroup("group", "second", {"stream": ">"}, count=10)
    assert [fields[b"number"] for _, fields in entries] == [b"2", b"3", b"4"]
    client.pexpire("mortal", 1)
    eventually(lambda: not client.exists("mortal"), "its deadline has passed")
    agreed_state(cell)
    cell.assert_agreed()
    assert cell.stop() == 0


@REDIS
def test_what_clients_wait_for_outlives_a_rebuild(cells: MakeCell) -> None:
    """A parked client, a subscriber, a transaction that is being queued, and watched keys: changed, and unchanged."""
    cell = cells(cell_of("redis", "process")).start()
    client = cell.redis()
    waiting, subscriber = cell.connect(), cell.redis().pubsub()
    assert exchange(waiting, b"PING\r\nBLPOP queue 0\r\n", b"\r\n") == b"+PONG\r\n"
    subscriber.subscribe("news")
    assert subscriber.get_message(timeout=60)["type"] == "subscribe"
    with cell.redis().pipeline() as unchanged, cell.redis().pipeline() as changed:
        unchanged.watch("mine")
        changed.watch("yours")
        unchanged.multi()
        unchanged.incr("mine")
        changed.multi()
        changed.incr("yours")
        cell.recover(None, "shadow-all")
        client.incr("yours")
        assert unchanged.execute() == [1]
        with pytest.raises(redis.WatchError):
            changed.execute()
    assert client.publish("news", "rebuilt") == 1
    assert subscriber.get_message(timeout=60)["data"] == b"rebuilt"
    assert client.rpush("queue", "at last") == 1
    assert received(waiting, b"at last\r\n") == b"*2\r\n$5\r\nqueue\r\n$7\r\nat last\r\n"
    agreed_state(cell)
    cell.assert_agreed()


def upset(client: Any, chance: Any, model: dict[int, dict[bytes, bytes]]) -> None:
    """One more change to whole databases, and what was left of them by the one before."""
    one, other = chance.sample((0, 1, 5), 2)
    client.select(one)
    for number in range(3):
        key, value = b"key%d" % chance.randrange(20), b"%d" % number
        client.set(key, value)
        model[one][key] = value
    found = {key: client.get(key) for key in client.keys("*")}
    assert found == model[one]
    match chance.randrange(4):
        case 0:
            client.swapdb(one, other)
            model[one], model[other] = model[other], model[one]
        case 1:
            client.flushdb()
            model[one] = {}
        case 2 if chance.random() < 0.2:
            client.flushall()
            model.update({0: {}, 1: {}, 5: {}})


@REDIS
def test_databases_that_are_emptied_and_swapped_during_rebuilds(cells: MakeCell) -> None:
    cell = cells(cell_of("redis", "process") | {"checkpoint": {"every": 50}}).start()
    client, chance = cell.redis(single_connection_client=True), random.Random(5)
    model: dict[int, dict[bytes, bytes]] = {0: {}, 1: {}, 5: {}}
    for arguments in (("b",), ("--all", "--strategy", "shadow-all"), ("c", "--strategy", "restart")):
        with recovering(cell, *arguments) as asked:
            while asked.poll() is None:
                upset(client, chance, model)
            assert asked.returncode == 0, asked.communicate()
    held = agreed_state(cell)
    assert set(held) == {(database, key) for database in model for key in model[database]}
    cell.assert_agreed()
    assert cell.stop() == 0
