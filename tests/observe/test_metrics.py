"""Metrics say what the snapshot says, over an endpoint that nobody can exhaust."""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quorate.observe import metrics
from quorate.observe.metrics import Latencies, MetricsServer
from quorate.observe.snapshot import (
    CellSnapshot,
    CheckpointSnapshot,
    JournalSnapshot,
    ReplicaSnapshot,
    ShadowSnapshot,
)
from quorate.trusted.errors import BrokenInvariant, OperatorFault

CELL = CellSnapshot(
    "x",
    "redis",
    "127.0.0.1:1",
    1,
    "serving",
    99,
    slot=7,
    requests=8,
    agreed=5,
    split=1,
    unanswered=2,
    exposure_seconds=60.0,
    revivals=2,
    tombstones=4,
    checkpoint=CheckpointSnapshot(6, 1.5, unreadable_keys=3),
    journal=JournalSnapshot("always", 5),
    replicas=(
        ReplicaSnapshot("a", "v", "sandbox", "voting", slot=7, cpu_seconds=1.5, age_seconds=60.0),
        ReplicaSnapshot(
            "b",
            "w",
            "sandbox",
            "convicted",
            slot=3,
            dissents=4,
            backlog=4,
            convictions=2,
            rebuilds=1,
            rebuilds_failed=5,
            postponed="too few would be left",
            last_rebuild_seconds=9.0,
            last_recovery_seconds=0.75,
            shadow=ShadowSnapshot("x", "restoring", 0.5),
            retiring=1,
        ),
    ),
)
LATENCIES = Latencies((0.001, 0.01), (3, 2, 1), 0.5)


def serve(conversation: Callable[[int], Any], cell: Callable[[], CellSnapshot] = lambda: CELL) -> Any:
    """Run a blocking conversation with a server; return what it returns."""

    async def main() -> Any:
        server = MetricsServer("127.0.0.1", 0, cell, lambda: LATENCIES)
        await server.start()
        try:
            return await asyncio.to_thread(conversation, server.port)
        finally:
            await server.stop()

    return asyncio.run(main())


def ask(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def scrape(port: int) -> dict[tuple[str, ...], float]:
    head, _, body = ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body)}".encode() in head
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_the_exposition_says_what_the_snapshot_says() -> None:
    found = serve(scrape)
    expected = {
        ("quorate_requests_total",): 8,
        ("quorate_ballots_total", "agreed"): 5,
        ("quorate_ballots_total", "split"): 1,
        ("quorate_ballots_total", "unanswered"): 2,
        ("quorate_slot",): 7,
        ("quorate_serving",): 1,
        ("quorate_request_duration_seconds_bucket", "0.001"): 3,
        ("quorate_request_duration_seconds_bucket", "0.01"): 5,
        ("quorate_request_duration_seconds_bucket", "+Inf"): 6,
        ("quorate_request_duration_seconds_count",): 6,
        ("quorate_request_duration_seconds_sum",): 0.5,
        ("quorate_dissents_total", "a"): 0,
        ("quorate_dissents_total", "b"): 4,
        ("quorate_backlog_slots", "b"): 4,
        ("quorate_replica_up", "a"): 1,
        ("quorate_replica_up", "b"): 0,
        ("quorate_replica_cpu_seconds_total", "a"): 1.5,
        ("quorate_exposure_seconds",): 60,
        ("quorate_checkpoint_slot",): 6,
        ("quorate_checkpoint_age_seconds",): 1.5,
        ("quorate_state_kept",): 1,
        ("quorate_checkpoint_blocked",): 0,
        ("quorate_unreadable_keys",): 3,
        ("quorate_revivals_total",): 2,
        ("quorate_tombstones",): 4,
        ("quorate_journal_synced_slot",): 5,
        ("quorate_journal_kept",): 1,
        ("quorate_journal_full",): 0,
        ("quorate_shadow_role", "a", "restoring"): 0,
        ("quorate_shadow_role", "b", "restoring"): 1,
        ("quorate_shadow_role", "b", "verified"): 0,
        ("quorate_shadow_share", "b"): 0.5,
        ("quorate_replicas_retiring", "a"): 0,
        ("quorate_replicas_retiring", "b"): 1,
        ("quorate_convictions_total", "b"): 2,
        ("quorate_rebuilds_total", "a"): 0,
        ("quorate_rebuilds_total", "b"): 1,
        ("quorate_rebuilds_failed_total", "a"): 0,
        ("quorate_rebuilds_failed_total", "b"): 5,
        ("quorate_restart_postponed", "a"): 0,
        ("quorate_restart_postponed", "b"): 1,
        ("quorate_replica_age_seconds", "a"): 60,
        ("quorate_last_rebuild_seconds", "b"): 9,
        ("quorate_last_recovery_seconds", "b"): 0.75,
        ("quorate_replica_role", "a", "voting"): 1,
        ("quorate_replica_role", "a", "convicted"): 0,
        ("quorate_replica_role", "b", "convicted"): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    untold: set[tuple[str, ...]] = {("quorate_replica_age_seconds", "b"), ("quorate_last_recovery_seconds", "a")}
    untold |= {("quorate_shadow_share", "a"), ("quorate_replica_role", "a", "catching_up")}
    assert untold & found.keys() == set(), "what there is nothing to tell of is not told"


def test_a_journal_of_a_cell_that_is_only_read_looks_like_no_lag() -> None:
    """Its newest slot on disk stays behind while clients read: the help says why."""
    text = serve(lambda port: ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).decode()
    (said,) = re.findall(r"^# HELP quorate_journal_synced_slot (.*?)\r?$", text, re.MULTILINE)
    assert said == "The slot of the newest write on disk; only writes count."


def test_what_is_kept_no_more_shows() -> None:
    lost = replace(
        CELL,
        checkpoint=CheckpointSnapshot(6, 1.5, "its disk is full", ("database 0 key 'long': too long",)),
        journal=JournalSnapshot("off", 0, "its disk failed", is_full=True),
    )
    found = serve(scrape, lambda: lost)
    shown = ("state_kept", "checkpoint_blocked", "journal_kept", "journal_full")
    assert [found[f"quorate_{name}",] for name in shown] == [0, 1, 0, 1]


def test_without_a_checkpoint_it_has_no_age() -> None:
    found = serve(scrape, lambda: CellSnapshot("x", "redis", "127.0.0.1:1", 1, "serving", 99))
    assert found["quorate_checkpoint_slot",] == 0
    assert ("quorate_checkpoint_age_seconds",) not in found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
        (b"\xff\x00\r\n\r\n", b"405"),
        (b"GET /metrics?x=y HTTP/1.1\r\n\r\n", b"200"),
        (b"GET /" + b"x" * metrics.HEADER_BYTES_MAX, b"431"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"200"),
    ],
)
def test_other_requests_are_answered_and_ended(sent: bytes, status: bytes) -> None:
    reply = serve(lambda port: ask(port, sent))
    assert reply.split(b" ")[1] == status


def test_head_has_no_body() -> None:
    assert serve(lambda port: ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


def test_a_silent_client_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CONNECTION_SECONDS_MAX", 0.05)

    def wait(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            try:
                return connection.recv(99)
            except ConnectionResetError:
                return b""

    assert serve(wait) == b""


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CONNECTIONS_MAX", 2)

    def crowd(port: int) -> bytes:
        first = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(2)]
        for connection in first:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.recv(9)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as late:
            refused = late.recv(99)
        for connection in first:
            connection.close()
        return refused

    assert serve(crowd) == b""


def test_the_text_is_not_made_for_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "TEXT_SECONDS_MAX", 3_600.0)
    made = []

    def count() -> CellSnapshot:
        made.append(1)
        return CELL

    serve(lambda port: [scrape(port) for _ in range(20)], cell=count)
    assert len(made) == 1


def test_a_port_in_use_is_an_operator_fault() -> None:
    async def main(port: int) -> None:
        with pytest.raises(OperatorFault, match="cannot serve metrics") as caught:
            await MetricsServer("127.0.0.1", port, lambda: CELL, lambda: LATENCIES).start()
        assert caught.value.hint

    with socket.create_server(("127.0.0.1", 0)) as holder:
        asyncio.run(main(holder.getsockname()[1]))


def test_a_histogram_has_one_count_more_than_bounds() -> None:
    with pytest.raises(BrokenInvariant):
        Latencies((0.1,), (1,), 0.0)


def test_the_documentation_names_every_metric() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    collected = metrics.CellCollector(lambda: CELL, lambda: LATENCIES).collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in collected}
    assert names == set(re.findall(r"^\| `(quorate_\w+?)(?:\{[\w,]+\})?` \|", documentation, re.MULTILINE))
