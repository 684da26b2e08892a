"""A process that fills a state store until its disk is full, on a disk of its own. Says on stdout what it held.

python -m tests.state.full_disk_child DIRECTORY CACHE_KIB
"""

import sys
from pathlib import Path

from quorate.state import store_file
from quorate.state.faults import StateFault
from quorate.state.store import StateStore
from tests.state.support import PROTOCOL, SERVICE, string

# More than wait in memory before they are written.
ROWS = 5_000
BALLAST_BYTES = 1024 * 1024


def main() -> None:
    """One checkpoint that fits, one that does not, and again, when there is room."""
    directory, cache_kib = Path(sys.argv[1]), int(sys.argv[2])
    path, ballast = directory / "store", directory / "ballast"
    # Of what waits for the commit so much is in memory: beyond that it is written before.
    store_file.WRITER_CACHE_KIB = cache_kib
    ballast.write_bytes(bytes(BALLAST_BYTES))
    store = StateStore(path, PROTOCOL, SERVICE)
    fill(store, 100, b"first")
    first = store.commit(1, b"extras", is_durable=True)
    try:
        fill(store, ROWS, b"second")
        print("put", flush=True)  # noqa: T201 - the test reads it
        store.commit(2, b"", is_durable=True)
    except StateFault as fault:
        print(fault, fault.hint, sep="\n", flush=True)  # noqa: T201 - the test reads it
    store.close()
    store = StateStore(path, PROTOCOL, SERVICE)
    assert store.checkpoint == first
    assert store.page(None, ROWS) == [(0, b"%04d" % row, string(b"first" * 200)) for row in range(100)]
    ballast.unlink()
    fill(store, 200, b"third")
    assert store.commit(3, b"", is_durable=True).counts == {0: 200}
    store.close()
    print("kept", flush=True)  # noqa: T201 - the test reads it


def fill(store: StateStore, rows: int, value: bytes) -> None:
    """Rows of about a KiB."""
    for row in range(rows):
        store.put(0, b"%04d" % row, string(value * 200))


if __name__ == "__main__":
    main()
