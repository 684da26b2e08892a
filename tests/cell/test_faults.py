"""One replica does its worst under load: no client ever sees a wrong reply or an error, and the guilty one is named.

Here nobody rebuilds a replica that was convicted, so that one sees what becomes of it; tests/cell/test_recovery.py is
about its successor.
"""

import re
import subprocess
from pathlib import Path

import pytest
import redis

from quorate.trusted.errors import OperatorFault
from tests.cell.conftest import MakeCell
from tests.cell.support import Document, RunningCell, eventually, example, exchange, received, request, unhealed
from tests.cell.workload import Workload

NEEDS = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")

SECOND_NS = 1_000_000_000
ONCE = Path(__file__).parent / "services" / "once.py"
CLIENTS = 6
WRONG = {"wrong reply to a write", "wrong reply to a read, asked twice", "too many wrong replies to reads"}
BEFORE = 100
AFTER = 400


def impatient(name: str, domain: str | None = None) -> Document:
    """An example whose cell waits shorter than usual before it judges silence."""
    return example(name, domain, silence_ns_max=2 * SECOND_NS, decision_ns_max=2 * SECOND_NS + 1)


def under_load(cell: RunningCell, fault: str) -> None:
    """Work before the fault, while it begins, and after it."""
    with Workload(cell, CLIENTS) as work:
        work.more(BEFORE)
        cell.inject("b", fault)
        work.more(AFTER)
    work.assert_right()


@NEEDS
@pytest.mark.parametrize(
    ("fault", "causes"),
    [
        ("corrupt", WRONG),
        ("collude", WRONG),
        ("mute", {"silence"}),
        ("crash", {"its lane broke"}),
        ("flood", {"a reply that nobody asked for", *WRONG}),  # under load it is taken for the next reply
    ],
)
def test_a_faulty_replica_is_masked_and_convicted(cells: MakeCell, fault: str, causes: set[str]) -> None:
    cell = cells(unhealed(impatient("redis"))).start()
    under_load(cell, fault)
    convicted = cell.convicted("b")
    assert convicted.cause in causes
    assert (cell.replica("b").role, cell.replica("b").pid) == ("convicted", None)
    with Workload(cell, CLIENTS) as work:
        work.more(BEFORE)
    work.assert_right()
    status = cell.settled()
    assert (status.state, status.seats_empty, status.split, status.unanswered) == ("serving", 1, 0, 0)
    assert [replica.role for replica in status.replicas] == ["voting", "convicted", "voting"]
    assert [replica.dissents for replica in status.replicas if replica.name != "b"] == [0, 0]
    assert [(c.replica, c.variant, c.cause) for c in cell.convictions()] == [("b", "mimalloc", convicted.cause)]
    assert cell.stop() == 0


@NEEDS
@pytest.mark.parametrize("fault", ["slow", "hog"])
def test_a_replica_that_is_merely_slow_keeps_its_vote(cells: MakeCell, fault: str) -> None:
    cell = cells(example("redis")).start()
    under_load(cell, fault)
    cell.assert_agreed()
    assert cell.convictions() == []
    assert cell.stop() == 0


@NEEDS
@pytest.mark.parametrize("fault", ["corrupt", "crash", "flood", "slow", "hog"])
def test_redis_benchmark_notices_no_fault(cells: MakeCell, fault: str) -> None:
    cell = cells(example("redis")).start()
    arguments = ["-p", str(cell.port), "-n", "300", "-c", "20", "-P", "16", "--csv"]
    with subprocess.Popen(["redis-benchmark", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as load:
        try:
            cell.inject("c", fault)
            output, _ = load.communicate(timeout=100)
        finally:
            load.kill()
    assert load.returncode == 0
    assert not re.search("error|warning", output.decode(), re.IGNORECASE), output
    status = cell.settled()
    assert (status.split, status.unanswered, status.state) == (0, 0, "serving")
    assert [replica.dissents for replica in status.replicas[:2]] == [0, 0]


def unread(document: Document) -> Document:
    """No slot is the cell's own before something happens."""
    return document | {"checkpoint": {"every": "1h"}}


def test_the_evidence_of_a_wrong_write(cells: MakeCell) -> None:
    cell = cells(unread(example("kv", "process"))).start()
    client = cell.connect()
    cell.inject("b", "corrupt")
    asked = request("SET", "key", "value")
    assert exchange(client, asked, b"\r\n") == b"+OK\r\n"
    convicted = cell.convicted("b")
    (dissent,) = cell.dissents()
    assert (dissent.slot, dissent.replica, dissent.variant, dissent.is_write) == (1, "b", "sqlite", True)
    assert (dissent.request.data, dissent.agreed.data) == (asked, b"+OK\r\n")
    assert dissent.dissenting.data not in {b"", b"+OK\r\n"}
    assert (convicted.cause, convicted.slot) == ("wrong reply to a write", 1)
    assert cell.convictions() == [convicted]
    assert cell.replica("b").dissents == 1


def test_a_wrong_read_is_asked_again_before_it_convicts(cells: MakeCell) -> None:
    cell = cells(unread(example("kv", "process"))).start()
    client = cell.connect()
    assert exchange(client, request("SET", "key", "value"), b"\r\n") == b"+OK\r\n"
    cell.settled()
    cell.inject("c", "corrupt")
    assert exchange(client, request("GET", "key"), b"value\r\n") == b"$5\r\nvalue\r\n"
    assert cell.convicted("c").cause == "wrong reply to a read, asked twice"
    assert [(d.slot, d.is_write, d.agreed.data) for d in cell.dissents()] == [
        (3, False, b"$5\r\nvalue\r\n"),
        (2, False, b"$5\r\nvalue\r\n"),
    ]


def test_commands_show_the_guilty_one(cells: MakeCell) -> None:
    cell = cells(unhealed(example("kv", "process"))).start()
    assert cell.operate("inject", "b", "corrupt").returncode == 0
    cell.redis().set("key", "value")
    cell.convicted("b")
    shown = cell.operate("status").stdout
    assert "convicted" in shown
    assert "1 of 3 seats have no voting replica" in shown
    assert "wrong reply to a write" in cell.operate("evidence").stdout


def test_a_drill_that_ends_leaves_the_replica_its_vote(cells: MakeCell) -> None:
    cell = cells(example("kv", "process")).start()
    client = cell.redis()
    cell.inject("b", "slow")
    assert client.incr("counter") == 1
    cell.inject("b", "slow", on=False)
    assert client.incr("counter") == 2
    cell.assert_agreed()


def test_no_drill_where_none_is_allowed(cells: MakeCell) -> None:
    document = example("kv", "process")
    document["cell"]["drills"] = False
    cell = cells(document).start()
    with pytest.raises(OperatorFault, match="allows no drills"):
        cell.inject("b", "crash")
    with pytest.raises(OperatorFault, match="allows no drills"):
        cell.inject("nobody", "crash")
    cell.assert_agreed()


def test_drills_that_make_no_sense_are_refused(cells: MakeCell) -> None:
    cell = cells(unhealed(example("kv", "process"))).start()
    with pytest.raises(OperatorFault, match="no replica 'nobody'"):
        cell.inject("nobody", "mute")
    with pytest.raises(OperatorFault, match="no fault 'sneeze'"):
        cell.inject("b", "sneeze")
    cell.inject("a", "collude")
    with pytest.raises(OperatorFault, match="more colluders than f"):
        cell.inject("b", "collude")
    cell.inject("c", "crash")
    cell.convicted("c")
    with pytest.raises(OperatorFault, match="it has no vote to spoil"):
        cell.inject("c", "mute")


def refused(cell: RunningCell) -> tuple[str, int]:
    """Count up until an error comes; every reply before must be right. Returns the error, and how far that came."""
    client = cell.redis(retry=None, socket_timeout=60)
    for expected in range(1, 1_000):
        try:
            assert client.incr("counter") == expected
        except redis.ResponseError as error:
            return str(error), expected - 1
    pytest.fail("no error came")


@pytest.mark.parametrize("second", ["corrupt", "mute"])
def test_beyond_f_faults_the_answer_is_an_error_and_never_wrong(cells: MakeCell, second: str) -> None:
    """What could not be decided is told so, and executed by nobody: then all begin anew, and all is as it was."""
    cell = cells(unhealed(impatient("kv", "process"))).start()
    client = cell.redis()
    client.set("key", "value")
    cell.inject("a", "corrupt")
    client.set("key", "value")
    cell.convicted("a")
    cell.inject("c", second)
    error, counted = refused(cell)
    assert error.startswith("NOQUORUM")
    assert client.get("key") == b"value"
    assert int(client.get("counter") or 0) == counted
    status = cell.status()
    assert status.unanswered + status.split > 0
    assert (status.state, status.seats_empty) == ("serving", 0)
    told = cell.operate("evidence").stdout
    assert "Not decided" in told
    assert f"since the cell started: {status.split} split, {status.unanswered} unanswered" in told
    assert "INCR" in told, "which request it was"
    assert cell.stop() == 0


def bereft(document: Document) -> Document:
    """Replicas that are lost have no successors: the services start once, and never again."""
    for variant in document["variant"]:
        store = variant["args"][1]
        variant["args"] = [str(ONCE), store, "{socket}", "{directory}"]
    return unhealed(document)


def test_without_a_quorum_the_cell_says_so_at_once(cells: MakeCell) -> None:
    cell = cells(bereft(example("kv", "process"))).start()
    with Workload(cell, CLIENTS) as work:
        work.more(BEFORE)
        cell.inject("a", "crash")
        cell.convicted("a")
        cell.inject("b", "crash")
        eventually(lambda: len(work.failed) == CLIENTS, "every client is told")
    assert work.wrong == []
    assert all("NOQUORUM" in failure for failure in work.failed)
    eventually(lambda: cell.status().state == "quorum lost", "nobody can be begun anew")
    assert cell.status().seats_empty == 3
    assert "fewer than f+1 replicas vote" in cell.log()
    assert "this service starts once" in cell.log()
    with pytest.raises(redis.ResponseError, match=r"^NOQUORUM"):
        cell.redis().get("key")
    refused = cell.operate("recover")
    assert refused.returncode == 2
    assert "it is tried again" in refused.stderr
    assert cell.stop() == 0


def test_who_waits_for_others_is_told_that_the_quorum_is_lost(cells: MakeCell) -> None:
    cell = cells(bereft(example("kv", "process"))).start()
    waiting = [cell.connect() for _ in range(3)]
    for connection in waiting:
        # That it is answered before shows that the cell has read what comes with it.
        exchange(connection, b"PING\r\nBLPOP list other 0\r\nGET key\r\n", b"+PONG\r\n")
    exchange(cell.connect(), b"RPUSH other x\r\n", b":1\r\n")
    assert received(waiting[0], b"$-1\r\n") == b"*2\r\n$5\r\nother\r\n$1\r\nx\r\n$-1\r\n"
    cell.inject("a", "crash")
    cell.convicted("a")
    cell.inject("b", "crash")
    lost = b"-NOQUORUM fewer than f+1 replicas vote\r\n"
    for connection in waiting[1:]:
        assert received(connection, lost * 2) == lost * 2
    assert cell.stop() == 0


def test_a_cell_that_is_to_halt_without_a_quorum_halts(cells: MakeCell) -> None:
    document = bereft(example("kv", "process"))
    document["cell"]["on_quorum_lost"] = "halt"
    cell = cells(document).start()
    cell.inject("a", "crash")
    cell.convicted("a")
    cell.inject("b", "crash")
    assert cell.wait() == 1
    cell.assert_nothing_left()


def test_two_faults_of_five(cells: MakeCell) -> None:
    """Where f is 2, two replicas that tell the same lie together are outvoted by three."""
    document = impatient("kv", "process")
    document["cell"]["f"] = 2
    document["replica"] += [{"name": name, "domain": "process", "variants": ["dictionary"]} for name in ("d", "e")]
    cell = cells(document).start()
    with Workload(cell, CLIENTS) as work:
        work.more(BEFORE)
        cell.inject("d", "collude")
        cell.inject("e", "collude")
        work.more(BEFORE)
    work.assert_right()
    assert {cell.convicted(name).replica for name in "de"} == {"d", "e"}
    for name in "de":
        cell.rebuilt(name)
    assert [replica.role for replica in cell.status().replicas] == ["voting"] * 5
    assert {c.replica for c in cell.convictions()} == {"d", "e"}
    assert cell.stop() == 0
