"""Evidence is kept, bounded, readable while it is written, and survives kill -9."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.observe import evidence
from quorate.observe.evidence import EVIDENCE_FILE, EvidenceStore, read_convictions, read_dissents, read_undecided
from quorate.trusted.messages import Cause, Dissented, Undecided

Open = Callable[..., EvidenceStore]

WRITER = """
import sys
from pathlib import Path
from quorate.observe.evidence import EvidenceStore
from quorate.trusted.messages import Cause, Dissented
store = EvidenceStore(Path(sys.argv[1]), "redis/7.0", False, 100_000, 64)
store.start()
for slot in range(1, 1_000_000):
    store.record_dissent(Dissented(slot, 0, b"GET", b"1", b"2", False, slot), "a", "v")
    store.record_conviction("a", "v", Cause.MUTE, slot, slot)
    if slot % 50 == 0:
        store.flush()
        print(slot, flush=True)
"""


def dissent(
    slot: int, request: bytes = b"GET k", agreed: bytes = b"$1\r\n1\r\n", wrong: bytes = b"$-1\r\n"
) -> Dissented:
    return Dissented(slot, 1, request, agreed, wrong, is_write=slot % 2 == 0, now=slot * 10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Open]:
    stores: list[EvidenceStore] = []

    def make(is_hashed: bool = False, entries_max: int = 100, payload_bytes_max: int = 64) -> EvidenceStore:
        stores.append(EvidenceStore(tmp_path, "redis/7.0", is_hashed, entries_max, payload_bytes_max))
        stores[-1].start()
        return stores[-1]

    yield make
    for made in stores:
        made.close()


def test_dissents_and_convictions_are_read_back_newest_first(store: Open, tmp_path: Path) -> None:
    kept = store()
    for slot in (1, 2):
        kept.record_dissent(dissent(slot), "b", "mimalloc")
    kept.record_conviction("b", "mimalloc", Cause.WRONG_WRITE, 2, 21)
    assert kept.flush()
    newest, oldest = read_dissents(tmp_path, 10)
    assert (newest.slot, newest.time_ns, newest.replica, newest.variant) == (2, 20, "b", "mimalloc")
    assert (newest.is_write, newest.is_hashed, newest.dialect) == (True, False, "redis/7.0")
    assert (newest.request.data, newest.agreed.data, newest.dissenting.data) == (b"GET k", b"$1\r\n1\r\n", b"$-1\r\n")
    assert (oldest.slot, oldest.is_write) == (1, False)
    assert read_dissents(tmp_path, 1) == [newest]
    (conviction,) = read_convictions(tmp_path, 10)
    assert (conviction.replica, conviction.cause, conviction.slot) == ("b", Cause.WRONG_WRITE.value, 2)


def test_what_was_not_decided_is_read_back_newest_first(store: Open, tmp_path: Path) -> None:
    kept = store(payload_bytes_max=4)
    kept.record_undecided(Undecided(3, b"GET key", is_write=False, is_split=True, now=30))
    kept.record_undecided(Undecided(5, b"INCR key", is_write=True, is_split=False, now=50, count=4))
    kept.flush()
    newest, oldest = read_undecided(tmp_path, 10)
    assert (newest.slot, newest.count, newest.time_ns, newest.dialect) == (5, 4, 50, "redis/7.0")
    assert (newest.is_write, newest.is_split, newest.is_hashed) == (True, False, False)
    assert (newest.request.data, newest.request.size) == (b"INCR", 8)
    assert (oldest.slot, oldest.count, oldest.is_write, oldest.is_split) == (3, 1, False, True)
    assert read_undecided(tmp_path, 1) == [newest]
    assert (read_dissents(tmp_path, 9), read_convictions(tmp_path, 9)) == ([], [])


def test_long_payloads_are_cut_and_their_size_is_kept(store: Open, tmp_path: Path) -> None:
    kept = store(payload_bytes_max=4)
    kept.record_dissent(dissent(1, request=b"x" * 1_000, agreed=b"1234", wrong=b""), "b", "v")
    kept.flush()
    (record,) = read_dissents(tmp_path, 1)
    assert (record.request.data, record.request.size) == (b"xxxx", 1_000)
    assert (record.agreed.data, record.agreed.size) == (b"1234", 4)
    assert (record.dissenting.data, record.dissenting.size) == (b"", 0)


def test_payloads_can_be_hashed_and_leave_no_byte_on_disk(store: Open, tmp_path: Path) -> None:
    kept = store(is_hashed=True)
    kept.record_dissent(dissent(1, request=b"very secret" * 100), "b", "v")
    kept.record_undecided(Undecided(2, b"very secret", is_write=False, is_split=True, now=2))
    kept.close()
    (record,) = read_dissents(tmp_path, 1)
    assert record.is_hashed
    assert (record.request.data, record.request.size) == (hashlib.sha256(b"very secret" * 100).digest(), 1_100)
    (undecided,) = read_undecided(tmp_path, 1)
    assert undecided.is_hashed
    assert undecided.request.data == hashlib.sha256(b"very secret").digest()
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_only_the_newest_are_kept(store: Open, tmp_path: Path) -> None:
    kept = store(entries_max=5)
    for slot in range(1, 1_001):
        kept.record_dissent(dissent(slot), "b", "v")
        kept.record_conviction("b", "v", Cause.FLOOD, slot, slot)
        kept.record_undecided(Undecided(slot, b"x", False, True, slot))
    kept.flush()
    assert [record.slot for record in read_dissents(tmp_path, 99)] == [1000, 999, 998, 997, 996]
    assert [record.slot for record in read_convictions(tmp_path, 99)] == [1000, 999, 998, 997, 996]
    assert [record.slot for record in read_undecided(tmp_path, 99)] == [1000, 999, 998, 997, 996]
    assert kept.dropped == 0


@pytest.mark.parametrize(("bound", "value"), [("QUEUE_ENTRIES_MAX", 10), ("QUEUE_BYTES_MAX", 300)])
def test_a_flood_is_dropped_and_counted(
    store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(evidence, bound, value)
    gate, connect = threading.Event(), evidence._open

    def wait_and_open(path: Path) -> sqlite3.Connection:
        gate.wait(30)
        return connect(path)

    monkeypatch.setattr(evidence, "_open", wait_and_open)
    kept = store()
    for slot in range(1, 101):
        kept.record_dissent(dissent(slot, request=b"x" * 17), "b", "v")
    gate.set()
    kept.flush()
    assert kept.dropped == 90
    assert len(read_dissents(tmp_path, 1_000)) == 10
    kept.record_dissent(dissent(101), "b", "v")
    kept.flush()
    assert read_dissents(tmp_path, 1)[0].slot == 101


def test_a_payload_larger_than_the_queue_is_kept_when_nothing_else_waits(
    store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "QUEUE_BYTES_MAX", 10)
    kept = store()
    kept.record_dissent(dissent(1, request=b"x" * 64), "b", "v")
    kept.flush()
    assert len(read_dissents(tmp_path, 1)) == 1


def test_a_disk_that_refuses_costs_evidence_and_nothing_else(store: Open, tmp_path: Path) -> None:
    kept = store()
    (tmp_path / EVIDENCE_FILE).mkdir()
    kept.record_dissent(dissent(1), "b", "v")
    assert kept.flush()
    assert kept.dropped == 1
    (tmp_path / EVIDENCE_FILE).rmdir()
    kept.record_dissent(dissent(2), "b", "v")
    assert kept.flush()
    assert [record.slot for record in read_dissents(tmp_path, 9)] == [2]


@pytest.mark.parametrize("damage", ["garbage", "version"])
def test_an_unreadable_store_is_put_aside(store: Open, tmp_path: Path, damage: str) -> None:
    path = tmp_path / EVIDENCE_FILE
    if damage == "garbage":
        path.write_bytes(b"this is no database" * 1_000)
    else:
        sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close()
    with pytest.raises(sqlite3.DatabaseError):
        read_dissents(tmp_path, 1)
    kept = store()
    kept.record_dissent(dissent(1), "b", "v")
    kept.flush()
    assert kept.dropped == 0
    assert len(read_dissents(tmp_path, 1)) == 1
    assert path.with_suffix(".aside").exists()


def test_a_new_store_continues_the_old_one(store: Open, tmp_path: Path) -> None:
    for slot in (1, 2):
        kept = store()
        kept.record_dissent(dissent(slot), "b", "v")
        kept.close()
    assert [record.slot for record in read_dissents(tmp_path, 9)] == [2, 1]


def test_no_store_yet_is_no_evidence(tmp_path: Path) -> None:
    assert read_dissents(tmp_path, 9) == []
    assert read_convictions(tmp_path, 9) == []
    assert read_undecided(tmp_path, 9) == []


def test_the_store_is_its_owner_s_alone(store: Open, tmp_path: Path) -> None:
    kept = store()
    kept.record_dissent(dissent(1), "b", "v")
    kept.flush()
    assert (tmp_path / EVIDENCE_FILE).stat().st_mode & 0o077 == 0


def test_evidence_survives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        reported = int([writer.stdout.readline() for _ in range(3)][-1])
        writer.send_signal(signal.SIGKILL)
    slots = sorted(record.slot for record in read_dissents(tmp_path, 1_000_000))
    assert slots == list(range(1, len(slots) + 1))
    assert len(slots) >= reported == 150
    assert len(read_convictions(tmp_path, 1_000_000)) in (len(slots), len(slots) - 1)
    again = EvidenceStore(tmp_path, "redis/7.0", False, 100_000, 64)
    again.start()
    again.record_dissent(dissent(len(slots) + 1), "b", "v")
    again.close()
    assert again.dropped == 0
    assert read_dissents(tmp_path, 1)[0].slot == len(slots) + 1
