"""Control groups of both versions, found in what /proc tells, bounded, and removed."""

import os
from pathlib import Path

import pytest

from quorate.domains import cgroup
from quorate.domains.cgroup import Group, Mount, Place

MOUNTINFO = """\
24 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
35 24 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
36 24 0:31 /box /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
37 24 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""
MEMBERSHIP = "9:cpu,cpuacct:/box/inner\n4:memory:/process/one\n0::/user.slice/session.scope\n"
ROOT = Path("/sys/fs/cgroup")


def test_mounts_and_memberships_are_read() -> None:
    assert list(cgroup.mounts(MOUNTINFO)) == [
        Mount(1, ("rw", "memory"), "/", ROOT / "memory"),
        Mount(1, ("rw", "cpu", "cpuacct"), "/box", ROOT / "cpu,cpuacct"),
        Mount(2, ("rw", "nsdelegate"), "/", ROOT / "unified"),
    ]
    assert cgroup.memberships(MEMBERSHIP) == {
        "cpu": "/box/inner",
        "cpuacct": "/box/inner",
        "memory": "/process/one",
        "": "/user.slice/session.scope",
    }


def test_candidates_are_our_own_group_and_in_version_2_its_ancestors() -> None:
    def found(controller: str) -> list[tuple[int, str]]:
        places = cgroup.candidates(controller, MOUNTINFO, MEMBERSHIP)
        return [(place.version, str(place.directory.relative_to(ROOT))) for place in places]

    unified = [(2, "unified/user.slice/session.scope"), (2, "unified/user.slice"), (2, "unified")]
    assert found("memory") == [(1, "memory/process/one"), *unified]
    assert found("cpu") == [(1, "cpu,cpuacct/inner"), *unified]
    assert found("pids") == unified


def test_a_group_outside_what_the_mount_shows_is_its_top() -> None:
    assert cgroup.own_directory(Mount(2, (), "/inner", ROOT), "/") == ROOT


def test_a_place_without_the_controller_or_the_right_is_not_usable(tmp_path: Path) -> None:
    assert not cgroup.usable(Place(1, tmp_path / "missing"), "memory")
    assert not cgroup.usable(Place(2, tmp_path), "memory")
    (tmp_path / "cgroup.subtree_control").write_text("cpu")
    (tmp_path / "cgroup.subtree_control").chmod(0o444)
    if os.geteuid() != 0:
        assert not cgroup.usable(Place(2, tmp_path), "memory")


def test_version_2_is_bounded_by_its_own_names(tmp_path: Path) -> None:
    for name in ("memory.swap.max", "memory.oom.group"):
        assert (name in dict(cgroup._memory_settings(2, 5))) is True
    group = Group({"memory": Place(2, tmp_path), "pids": Place(2, tmp_path)}, 1 << 20, 9)
    directory = group.directories["memory"]
    assert group.entrances == [f"{directory}/cgroup.procs"]
    assert ((directory / "memory.max").read_text(), (directory / "pids.max").read_text()) == (str(1 << 20), "9")


def test_a_group_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        Group({"pids": Place(1, tmp_path), "memory": Place(1, tmp_path / "missing")}, 0, 9)
    assert list(tmp_path.iterdir()) == []


def test_groups_of_dead_coordinators_are_removed_when_empty(tmp_path: Path) -> None:
    for name in ("quorate-999999999-a", f"quorate-{os.getpid()}-b", "quorate-other", "mine"):
        (tmp_path / name).mkdir()
    cgroup.remove_stale(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {f"quorate-{os.getpid()}-b", "quorate-other", "mine"}
