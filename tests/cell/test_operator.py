"""What an operator does to a cell, and what a cell says when it cannot run: clear errors, and nothing left behind."""

import re
import shutil
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.cell.conftest import MakeCell
from tests.cell.replicas import logged
from tests.cell.support import (
    Document,
    as_toml,
    command,
    environment,
    eventually,
    example,
    exchange,
    groups_of,
    request,
    until_closed,
)
from tests.cell.workload import Workload

KIB = 1024
CLIENTS = 6
REQUESTS = 100
REDIS = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
SANDBOX = pytest.mark.needs("bwrap")


def replaced(document: Document, program: str, *arguments: str) -> Document:
    """The second replica runs another program."""
    document["variant"][1] |= {"name": "other", "program": program, "args": list(arguments)}
    document["replica"][1]["variants"] = ["other"]
    return document


# What cannot run.


def test_a_port_in_use(cells: MakeCell) -> None:
    document = example("kv", "process")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        document["cell"]["listen"] = f"127.0.0.1:{holder.getsockname()[1]}"
        cell = cells(document).launch()
        assert cell.wait() == 2
    assert f"error: cannot listen on {document['cell']['listen']}: Address already in use" in cell.log()
    assert "hint: stop what uses the port, or set cell.listen to another" in cell.log()
    cell.assert_nothing_left()


def test_a_second_cell_on_one_state_directory(cells: MakeCell) -> None:
    first = cells(example("kv", "process")).start()
    document = example("kv", "process")
    document["cell"]["state"] = str(first.state)
    second = cells(document).launch()
    assert second.wait() == 2
    assert f"a second cell on one state directory: {first.state} belongs to process {first.pid}" in second.log()
    assert first.redis().set("key", "value")
    first.assert_agreed()
    assert first.stop() == 0


def test_two_cells_side_by_side(cells: MakeCell) -> None:
    """Each has its own register here, as two users have."""
    one, other = cells(example("kv", "process")).start(), cells(example("kv", "process")).start()
    one.redis().set("key", "one")
    assert other.redis().get("key") is None
    assert one.stop() == 0
    other.assert_agreed()
    assert other.stop() == 0


def test_commands_choose_between_several_cells(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    document = example("kv", "process")
    document["cell"]["name"] = "another"
    other = cells(document)
    other.environ["XDG_RUNTIME_DIR"] = cell.environ["XDG_RUNTIME_DIR"]
    other.start()
    refused = cell.command("status")
    assert refused.returncode == 2
    assert "several cells are running: another" in refused.stderr
    for chosen in ("another", str(other.pid), str(other.state)):
        assert '"name": "another"' in cell.command("status", "--json", "--cell", chosen).stdout


@REDIS
def test_replicas_that_lack_databases_are_refused(cells: MakeCell) -> None:
    """A lane is switched among databases without a reply: what one lacks would land in another."""
    document = example("redis", "process")
    for variant in document["variant"]:
        variant["args"][variant["args"].index("--databases") + 1] = "4"
    cell = cells(document).launch()
    assert cell.wait() == 2
    assert "error: replica a: it refused its lane's setup; replica b: " in cell.log()
    assert "hint: docs/configuration.md" in cell.log()
    cell.assert_nothing_left()


@SANDBOX
def test_a_missing_bubblewrap_is_said_and_never_made_up_for(cells: MakeCell) -> None:
    cell = cells(example("kv"))
    programs = cell.home / "programs"
    programs.mkdir()
    (programs / "cat").symlink_to(shutil.which("cat") or "")
    cell.environ["PATH"] = str(programs)
    cell.launch()
    assert cell.wait() == 2
    assert "sandbox domains need bubblewrap" in cell.log()
    assert "apt" in cell.log()
    cell.assert_nothing_left()


@pytest.mark.parametrize("domain", ["process", pytest.param("sandbox", marks=SANDBOX)])
def test_a_service_that_ends_at_once_is_quoted(cells: MakeCell, domain: str) -> None:
    """One of them leaves a seat empty, which is said, and tried again; more than f are the end of the start."""
    document = replaced(example("kv", domain), "sh", "-c", "echo no such licence; exit 3")
    cell = cells(document).start()
    (empty,) = logged(cell, "a seat has no replica for now")
    assert "replica=b" in empty
    assert "no such licence" in empty
    assert cell.redis().set("key", "value")
    assert cell.status().seats_empty == 1
    eventually(lambda: len(logged(cell, "rebuild failed", replica="b")) >= 3, "it is tried again")
    assert cell.stop() == 0
    document["replica"][2]["variants"] = ["other"]
    cell.write(document)
    cell.launch()
    assert cell.wait() == 2
    assert "error: replica b" in cell.log()
    assert "no such licence" in cell.log()
    assert "convicted" not in cell.log()
    cell.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_cell_that_never_becomes_ready(cells: MakeCell, number: int) -> None:
    document = replaced(example("kv", "process"), "sleep", "1000")
    document["replica"][2]["variants"] = ["other"]
    cell = cells(document).launch()
    eventually(lambda: cell.log().count("stage=booting") == 3, "one boots, and two never will")
    assert cell.stop(number) == 0
    assert "convicted" not in cell.log()


def test_a_configuration_with_every_mistake_at_once(tmp_path: Path) -> None:
    document = example("kv")
    document["cell"] |= {"f": 2, "colour": "red"}
    document["variant"][0]["program"] = "no-such-program"
    document["replica"][1]["name"] = "a"
    path = tmp_path / "cell.toml"
    path.write_text(as_toml(document))
    for verb in ("check", "run"):
        result = command(environment(tmp_path), verb, str(path))
        assert result.returncode == 2
        for key in ("cell.colour", "variant[1].program", "replica.name", "f = 2"):
            assert key in result.stderr


# How it ends.


@REDIS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cell_that_is_stopped_leaves_nothing(cells: MakeCell, number: int) -> None:
    cell = cells(example("redis")).start()
    assert len(cell.seen) >= 6, "each sandbox has a process outside and one inside"
    with Workload(cell, CLIENTS) as work:
        work.more(REQUESTS)
        assert cell.stop(number) == 0
        eventually(lambda: len(work.failed) == CLIENTS, "every client has noticed")
    assert work.wrong == []
    assert [failure for failure in work.failed if not failure.startswith("ConnectionError")] == []
    assert cell.convictions() == []


def test_signals_that_come_again_until_the_very_end_change_nothing(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    while cell.code is None:
        cell.send_signal(signal.SIGTERM)
    assert cell.code == 0
    cell.assert_nothing_left()


@pytest.mark.parametrize("sync", ["off", "always"])
def test_what_has_a_slot_is_answered_before_the_end(cells: MakeCell, sync: str) -> None:
    """Two replicas are slow, so that the signal comes while a thousand slots are undecided."""
    cell = cells(example("kv", "process") | {"journal": {"sync": sync}}).start()
    cell.inject("a", "slow")
    cell.inject("b", "slow")
    clients = [cell.connect() for _ in range(4)]
    for client in clients:
        client.sendall(request("INCR", "counter") * 250)
    eventually(lambda: cell.status().requests >= 1_000, "all are ordered")
    cell.send_signal(signal.SIGTERM)
    answers = [until_closed(client) for client in clients]
    assert cell.wait() == 0
    counted = [int(line[1:]) for answer in answers for line in answer.split(b"\r\n")[:-1]]
    assert sorted(counted) == list(range(1, 1_001))
    cell.assert_nothing_left()


def test_answers_that_were_not_read_yet_are_not_lost_at_the_end(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    value, count = b"x" * 512 * KIB, 40
    client = cell.connect()
    assert exchange(client, request("SET", "large", value), b"\r\n") == b"+OK\r\n"
    client.sendall(request("GET", "large") * count)
    eventually(lambda: cell.status().agreed == count + 1, "all are decided")
    cell.send_signal(signal.SIGTERM)
    client.sendall(request("SET", "late", "x"))
    # What comes before the signal is heeded is answered as well.
    assert until_closed(client).removesuffix(b"+OK\r\n") == (b"$%d\r\n%s\r\n" % (len(value), value)) * count
    assert cell.wait() == 0


def test_a_client_that_does_not_read_cannot_keep_a_cell_from_ending(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    client = cell.connect()
    exchange(client, request("SET", "large", b"x" * 512 * KIB), b"\r\n")
    client.sendall(request("GET", "large") * 60)
    waiting, subscribed = cell.connect(), cell.connect()
    exchange(waiting, b"PING\r\nBLPOP nothing 0\r\n", b"+PONG\r\n")
    exchange(subscribed, b"SUBSCRIBE news\r\nPING\r\n", b"pong\r\n$0\r\n\r\n")
    assert cell.stop() == 0
    assert until_closed(waiting) == until_closed(subscribed) == b""


def test_a_client_that_asks_on_and_on_cannot_keep_a_cell_from_ending(cells: MakeCell) -> None:
    """Every answer it gets is right and whole, to the last before the end."""
    cell = cells(example("kv", "process")).start()
    client = cell.connect()
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(until_closed(client)))
    reader.start()

    def ask() -> None:
        try:
            while True:
                client.sendall(request("INCR", "counter") * 100)
        except OSError:
            return

    writer = threading.Thread(target=ask)
    writer.start()
    eventually(lambda: cell.status().agreed > 1_000, "it is busy")
    assert cell.stop() == 0
    writer.join()
    reader.join()
    assert answers[0].endswith(b"\r\n")
    counted = [int(line[1:]) for line in answers[0].split(b"\r\n")[:-1]]
    assert counted == list(range(1, len(counted) + 1))


@pytest.mark.parametrize(
    ("name", "domain"),
    [pytest.param("redis", "sandbox", marks=REDIS), ("kv", "process")],
)
def test_a_coordinator_that_is_killed_takes_its_replicas_with_it(cells: MakeCell, name: str, domain: str) -> None:
    document = example(name, domain)
    document["cell"]["name"] = "mortal"
    cell = cells(document).start()
    killed = cell.pid
    cell.redis().set("key", "value")
    cell.send_signal(signal.SIGKILL)
    assert cell.wait() == -signal.SIGKILL
    eventually(lambda: not cell.processes_left(), "its replicas have ended")
    # This machine's user may have other cells.
    assert re.search("no cell (mortal )?is running", cell.command("status", "--cell", "mortal").stderr)
    cell.forget_clients()
    cell.start()
    assert cell.pid != killed
    assert cell.redis().get("key") is None
    cell.assert_agreed()
    assert cell.stop() == 0
    assert groups_of(killed) == []


def test_its_first_line_says_where_it_serves_and_is_all_of_stdout(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    expected = f"cell kv is serving redis on 127.0.0.1:{cell.port} with a (dictionary), b (sqlite), c (log)\n"
    cell.redis().ping()
    assert cell.stop() == 0
    assert (cell.home / "out").read_text() == expected


def test_metrics_and_json_logs(cells: MakeCell) -> None:
    document = example("kv", "process")
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    document |= {"metrics": {"listen": listen}, "log": {"format": "json"}}
    cell = cells(document).start()
    cell.redis().set("key", "value")
    host, port = listen.split(":")
    with socket.create_connection((host, int(port)), 60) as scrape:
        scrape.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = until_closed(scrape).decode()
    assert 'quorate_ballots_total{outcome="agreed"} 1.0' in text
    assert 'quorate_replica_up{replica="c"} 1.0' in text
    assert all(line.startswith("{") for line in cell.log().splitlines())
    assert cell.stop() == 0
