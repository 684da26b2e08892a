"""The demonstration, for real: every reply right while a replica lies, the liar convicted, nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.domains import processes
from quorate.experiments import demo
from quorate.observe.evidence import DissentRecord, Payload
from quorate.observe.register import started
from quorate.trusted.errors import OperatorFault

WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the demonstration keeps its files: a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def check(result: dict[str, int], told: list[str], place: Path) -> None:
    assert {**result, "dissents": 0} == {
        "requests": 600,
        "wrong_replies": 0,
        "failed_requests": 0,
        "dissents": 0,
        "convictions": 1,
    }
    assert result["dissents"] >= 1
    story = "\n".join(told)
    for words in (
        "begins to lie",
        "outvoted: slot ",
        "b said",
        "convicted: replica b",
        "rebuilt: replica b votes again",
    ):
        assert words in story
    assert "still serving: 3 of 3" in story
    assert list(place.iterdir()) == []
    assert list(processes.descendants(os.getpid())) == []


@pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_redis_with_a_liar(place: Path) -> None:
    told: list[str] = []
    result = demo.run(600, told.append)
    check(result, told, place)
    assert "a (jemalloc), b (mimalloc), c (tcmalloc)" in told[0]


@pytest.mark.needs("bwrap")
def test_our_own_stores_where_there_is_no_redis(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which

    def lacking(name: str, path: str | None = None) -> str | None:
        return None if name == "redis-server" else found(name, path=path)

    monkeypatch.setattr(shutil, "which", lacking)
    told: list[str] = []
    result = demo.run(600, told.append)
    check(result, told[1:], place)
    assert "there is no program redis-server" in told[0]
    assert "examples/kv.toml runs instead" in told[0]
    assert "a (dictionary), b (sqlite), c (log)" in told[1]


def test_without_bubblewrap_nothing_weaker_runs(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr("quorate.domains.probe.shutil.which", lambda name: None)
    monkeypatch.setattr(demo, "choose_example", lambda progress: "kv.toml")
    with pytest.raises(OperatorFault, match="need bubblewrap") as raised:
        demo.run(600, lambda text: None)
    assert "bubblewrap" in raised.value.hint
    assert list(place.iterdir()) == []


@pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_a_demonstration_that_is_ended_early_leaves_nothing(place: Path) -> None:
    command = [sys.executable, "-m", "quorate", "demo", "--requests", "1000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "all vote" in line:
                break
        ours = list(processes.descendants(process.pid))
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 130
    assert ours
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while left := [pid for pid in ours if started(pid) is not None]:
        assert time.monotonic() < give_up, f"still there: {left}"
        time.sleep(0.01)
    assert list(place.iterdir()) == []


@pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_the_command_prints_one_object(place: Path) -> None:
    command = [sys.executable, "-m", "quorate", "demo", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=True)
    result = json.loads(run.stdout)
    assert list(result) == ["requests", "wrong_replies", "failed_requests", "dissents", "convictions"]
    assert result["requests"] >= 500
    assert (result["wrong_replies"], result["failed_requests"], result["convictions"]) == (0, 0, 1)
    assert list(place.iterdir()) == []


def test_evidence_is_told_in_words() -> None:
    request, agreed, said = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"$-1\r\n", b"*2\r\n:1\r\n$1\r\nx\r\n"
    payloads = (Payload(data, len(data)) for data in (request, agreed, said))
    record = DissentRecord(7, 0, "b", "sqlite", "redis 7.0", False, False, *payloads)
    assert demo.describe(record) == "slot 7, the read `GET k`: the others agreed on `nothing`, b said `1 x`"
