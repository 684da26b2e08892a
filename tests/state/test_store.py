import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from quorate.state import snapshot as snapshot_module
from quorate.state import store as store_module
from quorate.state import store_file
from quorate.state.anchor import NO_ANCHOR, Anchor, Base
from quorate.state.faults import StateFault
from quorate.state.rows import DIGEST_MODULUS, RowDigest
from quorate.state.store import StateStore
from tests.state.support import PROTOCOL, SERVICE

KEY = b"k" * 32
CHILD = """
import sys
from pathlib import Path
from quorate.state.store import StateStore
store = StateStore(Path(sys.argv[1]), "redis", "test")
slot = store.checkpoint.slot
while True:
    slot += 1
    for index in range(400):
        store.put(index % 3, b"%d" % index, b"%d" % slot * 50)
    store.delete(3, b"%d" % (slot - 1))
    store.put(3, b"%d" % slot, b"last")
    store.commit(slot, b"%d" % slot, slot % 2 == 0)
    print(slot, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def opened(path: Path, key: bytes | None = None) -> StateStore:
    return StateStore(path, PROTOCOL, SERVICE, key)


def contents(store: StateStore) -> dict[tuple[int, bytes], bytes]:
    snapshot = store.snapshot()
    try:
        return {(database, key): record for database, key, record in snapshot.rows()}
    finally:
        snapshot.close()


def recomputed(store: StateStore, key: bytes) -> int:
    digest = RowDigest(key)
    rows = contents(store).items()
    parts = [digest.of(database, name, record) for (database, name), record in rows]
    return sum(int.from_bytes(part, "little") for part in parts) % DIGEST_MODULUS


def test_a_commit_outlives_the_store_and_nothing_else_does(path: Path) -> None:
    store = opened(path)
    assert (store.checkpoint.slot, store.checkpoint.counts, store.extras) == (0, {}, b"")
    store.put(0, b"a", b"1")
    store.put(2, b"\x00\xff", b"2")
    done = store.commit(7, b"extras", is_durable=True)
    store.put(0, b"b", b"3")
    store.delete(0, b"a")
    store.close()
    again = opened(path)
    assert again.checkpoint == done
    assert (done.slot, done.counts, again.extras) == (7, {0: 1, 2: 1}, b"extras")
    assert contents(again) == {(0, b"a"): b"1", (2, b"\x00\xff"): b"2"}
    again.close()


def test_readers_see_what_is_committed(path: Path) -> None:
    store = opened(path)
    store.put(0, b"a", b"1")
    store.commit(1, b"", is_durable=False)
    snapshot = store.snapshot()
    store.put(0, b"a", b"2")
    assert store.read(0, b"a") == b"1"
    store.commit(2, b"", is_durable=False)
    assert (store.read(0, b"a"), store.read(0, b"b"), store.read(1, b"a")) == (b"2", None, None)
    assert (snapshot.slot, snapshot.counts, snapshot.rows_total) == (1, {0: 1}, 1)
    assert list(snapshot.rows()) == [(0, b"a", b"1")]
    snapshot.close()
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_digest_follows_each_change_and_knows_no_order(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WAITING_ROWS_MAX", 7)
    monkeypatch.setattr(store_module, "LOOK_UP_KEYS_MAX", 3)
    chance = random.Random(seed)
    store = opened(tmp_path / "one", KEY)
    model: dict[tuple[int, bytes], bytes] = {}
    for slot in range(1, 12):
        for _ in range(chance.randrange(40)):
            database, key, record = chance.randrange(3), b"%d" % chance.randrange(20), b"%d" % chance.randrange(3)
            if chance.random() < 0.04:
                store.clear(database)
                model = {name: old for name, old in model.items() if name[0] != database}
            elif chance.random() < 0.3:
                store.delete(database, key)
                model.pop((database, key), None)
            else:
                store.put(database, key, record)
                model[(database, key)] = record
        done = store.commit(slot, b"", is_durable=False)
        assert contents(store) == model
        assert done.digest == recomputed(store, KEY)
        assert done.counts == {n: sum(1 for name in model if name[0] == n) for n in {name[0] for name in model}}
    other = opened(tmp_path / "other", KEY)
    rows = list(model.items())
    chance.shuffle(rows)
    for (database, key), record in rows:
        other.put(database, key, record)
    assert other.commit(1, b"", is_durable=False).digest == store.checkpoint.digest
    third = opened(tmp_path / "third")
    for (database, key), record in rows:
        third.put(database, key, record)
    assert third.commit(1, b"", is_durable=False).digest != store.checkpoint.digest
    for each in (store, other, third):
        each.close()


def test_rows_that_differ_in_where_the_key_ends_have_other_digests() -> None:
    digest = RowDigest(KEY)
    assert len({digest.of(0, b"ab", b"c"), digest.of(0, b"a", b"bc"), digest.of(1, b"ab", b"c")}) == 3


def test_what_is_put_as_it_was_is_not_written(path: Path) -> None:
    store = opened(path)
    store.put(0, b"a", b"1")
    first = store.commit(1, b"", is_durable=False)
    before = store._connection.total_changes
    store.put(0, b"a", b"1")
    store.delete(0, b"b")
    store._flush()
    assert store._connection.total_changes == before
    assert store.commit(2, b"", is_durable=False).digest == first.digest
    store.close()


def test_a_cleared_database_holds_what_is_put_after(path: Path) -> None:
    store = opened(path)
    for key in (b"a", b"b"):
        store.put(0, key, b"1")
        store.put(1, key, b"1")
    store.commit(1, b"", is_durable=False)
    store.put(0, b"c", b"2")
    store.clear(0)
    store.put(0, b"d", b"2")
    assert store.commit(2, b"", is_durable=False).counts == {0: 1, 1: 2}
    assert contents(store) == {(0, b"d"): b"2", (1, b"a"): b"1", (1, b"b"): b"1"}
    store.close()


def test_other_numbers_of_rows_than_were_counted_are_found_before_they_are_committed(path: Path) -> None:
    """Of what was counted alone; and what was put and cleared meanwhile is there with the next commit."""
    store = opened(path)
    for database in (0, 1, 3):
        store.put(database, b"a", b"1")
    first = store.commit(1, b"first", is_durable=True)
    assert store.miscounted({0: 1, 1: 1, 2: 0}) == []
    store.put(0, b"b", b"2")
    store.clear(1)
    store.put(2, b"c", b"2")
    assert store.miscounted({0: 1, 1: 1, 2: 0}) == [0, 1, 2]
    assert store.checkpoint == first
    copy = opened(path)
    assert (copy.checkpoint, copy.extras) == (first, b"first")
    copy.close()
    store.delete(0, b"a")
    assert store.miscounted({0: 1, 1: 0, 2: 1}) == []
    done = store.commit(2, b"", is_durable=True)
    assert done.counts == {0: 1, 2: 1, 3: 1}
    assert contents(store) == {(0, b"b"): b"2", (2, b"c"): b"2", (3, b"a"): b"1"}
    store.close()


def test_pages_go_through_all_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(path)
    rows = [(database, b"%03d" % index, b"r") for database in (0, 5) for index in range(10)]
    for row in rows:
        store.put(*row)
    assert store.page(None, 5) == []
    store.commit(1, b"", is_durable=False)
    assert store.page(None, 4) == rows[:4]
    assert store.page((0, b"007"), 4) == rows[8:12]
    assert store.page((5, b"009"), 4) == []
    monkeypatch.setattr(store_module, "PAGE_BYTES_MAX", 8)
    assert store.page(None, 100) == rows[:2]
    store.close()


def test_a_checkpoint_keeps_how_the_journal_stood(path: Path) -> None:
    """Journals name it by its seal, which is another for each checkpoint; stores without any are alike."""
    store = opened(path)
    empty = store.base
    assert (empty.slot, empty.anchor, empty.name) == (0, NO_ANCHOR, bytes(16))
    anchor = Anchor(b"w" * 16, b"p" * 16, 5, 2**63, 2**64 - 1)
    found: set[bytes] = set()
    for slot, given in ((1, anchor), (1, anchor._replace(synced=6)), (2, anchor), (2, NO_ANCHOR), (2, anchor)):
        store.commit(slot, b"", is_durable=False, anchor=given)
        base = store.base
        assert (base.slot, base.anchor, base.name) == (slot, given, base.seal)
        found.add(base.name)
    assert len(found) == 4
    store.close()
    again = opened(path)
    assert again.base == Base(2, store.base.seal, anchor)
    again.close()


# Damage.


def damage(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def filled(path: Path) -> StateStore:
    store = opened(path)
    store.put(0, b"sound", b"1")
    store.put(3, b"line\nbreak\xff" + b"x" * 100, b"2")
    store.commit(1, b"", is_durable=True)
    return store


def test_a_damaged_row_is_named_wherever_it_is_read(path: Path) -> None:
    store = filled(path)
    damage(path, "UPDATE row SET record = x'33' WHERE database = 3")
    key = b"line\nbreak\xff" + b"x" * 100
    snapshot = store.snapshot()
    for reading in (lambda: list(snapshot.rows()), lambda: store.read(3, key), lambda: store.page(None, 9)):
        with pytest.raises(StateFault, match=r"damaged: database 3 key 'line\\nbreak\\xffx+'… \(111 bytes\)") as caught:
            reading()
        assert "move the store's files alone away" in caught.value.hint
    snapshot.close()
    assert store.read(0, b"sound") == b"1"
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM row WHERE database = 3",
        "INSERT INTO row SELECT 9, key, record, digest FROM row WHERE database = 3",
        "UPDATE row SET database = 4 WHERE database = 3",
        "UPDATE row SET database = -1 WHERE database = 3",
        "UPDATE row SET database = -1, digest = x'' WHERE database = 3",
        "UPDATE row SET database = 65536 WHERE database = 3",
    ],
)
def test_rows_lost_or_moved_are_noticed(path: Path, statement: str) -> None:
    store = filled(path)
    damage(path, statement)
    snapshot = store.snapshot()
    with pytest.raises(StateFault, match=r"damaged: database ([349]|-1|65536) "):
        list(snapshot.rows())
    snapshot.close()
    store.close()


def mixed(path: Path, directory: Path) -> None:
    """A store whose file is older than its log: the table has all rows, and the index leads to none of them."""
    old, log = directory / "old", directory / "log"

    def write(text: bytes) -> StateStore:
        store = opened(path)
        for index in range(40):
            store.put(0, b"%d" % index, text * 100)
        store.commit(store.checkpoint.slot + 1, b"", is_durable=True)
        return store

    opened(path).close()
    shutil.copy(path, old)
    write(b"first").close()
    store = write(b"second")
    shutil.copy(store_file.log_of(path), log)
    store.close()
    shutil.copy(old, path)
    shutil.copy(log, store_file.log_of(path))


def test_a_file_beside_the_log_of_another_moment_is_noticed(path: Path, tmp_path: Path) -> None:
    """A scan of the table finds nothing wrong with it."""
    mixed(path, tmp_path)
    store = opened(path)
    assert len(contents(store)) == 40
    with closing(store.snapshot()) as snapshot, pytest.raises(StateFault, match="its index does not lead to 40 of its"):
        list(snapshot.check_index())
    store.close()


def test_a_database_is_not_cleared_by_an_index_that_leads_elsewhere(path: Path, tmp_path: Path) -> None:
    """Else all its rows would be there a second time, and no count would show it."""
    mixed(path, tmp_path)
    store = opened(path)
    with pytest.raises(StateFault, match="its index leads to 0 rows of database 0, and it has others"):
        store.clear(0)
    store.close()


def test_an_index_that_leads_to_too_much_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(path)
    monkeypatch.setattr(snapshot_module, "_INDEX_ROWS", "SELECT count(*) + 1 FROM row")
    with closing(store.snapshot()) as snapshot, pytest.raises(StateFault, match=r"its index leads to \d+ rows, not to"):
        list(snapshot.check_index())
    store.close()


def test_the_index_is_looked_at_in_slices(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "SLICE_ROWS", 7)
    store = opened(path)
    for index in range(40):
        store.put(index % 3, b"%d" % index, b"x")
    store.commit(1, b"", is_durable=True)
    store.delete(0, b"3")
    store.commit(2, b"", is_durable=True)
    with closing(store.snapshot()) as snapshot:
        assert len(list(snapshot.check_index())) == 6
    store.close()


def test_a_damaged_page_is_noticed(path: Path) -> None:
    store = opened(path)
    for index in range(2_000):
        store.put(0, b"%d" % index, b"r" * 100)
    store.commit(1, b"", is_durable=True)
    store.close()
    with path.open("r+b") as file:
        file.seek(store_file.PAGE_BYTES * 8)
        file.write(b"\xa5" * store_file.PAGE_BYTES * 4)
    with pytest.raises(StateFault, match="damaged"):
        contents(opened(path))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version = 9", "has format 9; this release reads format 3"),
        ("PRAGMA application_id = 9", "is no state store"),
        ("UPDATE meta SET value = 'http' WHERE name = 'protocol'", "belongs to the protocol 'http', not 'redis'"),
        ("UPDATE meta SET value = 'other' WHERE name = 'service'", "belongs to the service 'other', not 'test'"),
        ("DELETE FROM meta WHERE name = 'slot'", "its slot is missing"),
        ("UPDATE meta SET value = 'x' WHERE name = 'slot'", "of a wrong type"),
        ("UPDATE meta SET value = value - 1 WHERE name = 'slot'", "not what was written"),
        ("UPDATE meta SET value = value + 512 WHERE name = 'slot'", "not what was written"),
        ("UPDATE meta SET value = x'2a310d0a' WHERE name = 'extras'", "not what was written"),
        ("UPDATE meta SET value = randomblob(32) WHERE name = 'digest_key'", "not what was written"),
        ("UPDATE meta SET value = randomblob(16) WHERE name = 'seal'", "not what was written"),
        ("DELETE FROM meta WHERE name = 'seal'", "its seal is missing"),
        ("DELETE FROM meta WHERE name = 'anchor'", "its anchor is missing"),
        ("UPDATE meta SET value = 7 WHERE name = 'anchor'", "of a wrong type"),
        ("UPDATE meta SET value = randomblob(56) WHERE name = 'anchor'", "not what was written"),
        ("UPDATE meta SET value = value || x'00' WHERE name = 'anchor'", "of a wrong type"),
        ("UPDATE meta SET value = x'' WHERE name = 'anchor'", "not what was written"),
        ("UPDATE total SET count = count + 1 WHERE database = 3", "not what was written"),
        ("UPDATE total SET count = -1 WHERE database = 3", "not what was written"),
        ("DELETE FROM total WHERE database = 3", "not what was written"),
    ],
)
def test_a_store_that_is_not_ours_is_refused_and_left_alone(path: Path, statement: str, message: str) -> None:
    filled(path).close()
    damage(path, statement)
    before = path.read_bytes()
    with pytest.raises(StateFault, match=message) as caught:
        opened(path)
    assert caught.value.hint
    assert path.read_bytes() == before


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text", tmp_path / "foreign"
    text.write_text("this is no database\n" * 100)
    damage(foreign, "CREATE TABLE mine (x)")
    for path, message in ((text, "damaged"), (foreign, "is no state store")):
        before = path.read_bytes()
        with pytest.raises(StateFault, match=message):
            opened(path)
        assert path.read_bytes() == before
    with pytest.raises(StateFault, match="cannot use the state store") as caught:
        opened(tmp_path / "missing" / "state")
    assert "cell.state" in caught.value.hint


def test_a_store_that_was_only_begun_is_made(path: Path) -> None:
    path.touch()
    opened(path).close()
    assert opened(path).checkpoint.slot == 0


def test_only_we_may_read_it(path: Path) -> None:
    opened(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


# Crashes.


@pytest.mark.parametrize("round_number", range(6))
def test_killed_at_any_moment_it_holds_the_last_commit_whole(path: Path, round_number: int) -> None:
    last = 0
    for part in range(2):
        wanted = last + 1 + (round_number * 7 + part * 3) % 9
        with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            while last < wanted:
                last = int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
            said = [int(line) for line in child.stdout.read().splitlines()]
        last = max([last, *said])
        store = opened(path)
        slot = store.checkpoint.slot
        assert slot in (last, last + 1)
        assert store.extras == b"%d" % slot
        expected = {(index % 3, b"%d" % index): b"%d" % slot * 50 for index in range(400)}
        assert contents(store) == {**expected, (3, b"%d" % slot): b"last"}
        store.close()
        last = slot


def test_what_is_to_be_durable_is_synchronised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synchronised: list[Path] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synchronised.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store = opened(path)

    def mode() -> int:
        return int(store._connection.execute("PRAGMA synchronous").fetchone()[0])

    synchronised.clear()
    full, off = 2, 0
    store.commit(1, b"", is_durable=True)
    assert (mode(), synchronised) == (full, [])  # SQLite itself did
    store.commit(2, b"", is_durable=False)
    assert (mode(), synchronised) == (off, [])
    store.commit(3, b"", is_durable=True)
    assert (mode(), synchronised) == (full, [path, store_file.log_of(path), path.parent])
    store.close()


def test_who_looks_into_the_file_leaves_the_log_where_it_is(path: Path) -> None:
    """Else a process that is killed later would lose what it committed since."""
    store = opened(path)
    for slot, is_durable in enumerate((True, False, True), 1):
        store.put(0, b"key", b"%d" % slot)
        store.commit(slot, b"", is_durable)
        store.snapshot().close()
    look = "import sqlite3, sys; f = sqlite3.connect(sys.argv[1]); print(*f.execute('SELECT key FROM row')); f.close()"
    found = subprocess.run([sys.executable, "-c", look, str(path)], check=True, capture_output=True, text=True)
    assert found.stdout == "(b'key',)\n"
    assert store_file.log_of(path).exists()
    store.close()


def test_a_disk_that_does_not_synchronise_is_a_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    store = opened(path)
    store.commit(1, b"", is_durable=False)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StateFault, match="cannot be synchronised") as caught:
        store.commit(2, b"", is_durable=True)
    assert "disk is sound" in caught.value.hint
    store.close()
