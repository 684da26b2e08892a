"""The state store on a disk that is really full: the last checkpoint stays whole, and the next is made when it may."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cell.small_disk import MIB, SmallDisk
from tests.cell.support import environment
from tests.repository.sources import ROOT

pytestmark = pytest.mark.needs("unshare", "nsenter", "mount")

CHILD = "tests.state.full_disk_child"


@pytest.mark.parametrize(("cache_kib", "fails_at"), [(64, "a flush"), (65_536, "the commit")])
def test_the_last_checkpoint_is_whole_whenever_room_runs_out(tmp_path: Path, cache_kib: int, fails_at: str) -> None:
    """In the middle of what is put, where that does not fit into memory; else in the middle of the commit."""
    with SmallDisk(tmp_path / "disk", 4 * MIB) as disk:
        told = subprocess.run(
            [*disk.prefix, sys.executable, "-m", CHILD, str(tmp_path / "disk"), str(cache_kib)],
            cwd=ROOT,
            env=environment(tmp_path) | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert ("put" in lines) == (fails_at == "the commit")
    assert lines[-1] == "kept"
    fault, hint = lines[-3:-1]
    assert "cannot be written or read: " in fault
    assert hint == "make room on its disk, and see that the disk is sound and the file ours to write"
