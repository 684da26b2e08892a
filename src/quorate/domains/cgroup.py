"""Control groups: the kernel's bounds on a whole domain's memory and number of processes, and its fair share of CPU.

Knows both versions of the interface, /sys/fs/cgroup and /proc/self, nothing of domains. Whether a controller can be
used is found out by using it: a group is made, a process is moved in, and the group is removed.
"""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .processes import PROC

CONTROLLERS = ("memory", "pids", "cpu")
PREFIX = "quorate"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory in which groups for one controller can be made, and the version of its interface."""

    version: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted hierarchy: the part of it called `root` is seen at `point`."""

    version: int
    controllers: tuple[str, ...]
    root: str
    point: Path


def mounts(mountinfo: str) -> Iterator[Mount]:
    """The hierarchies in the text of /proc/self/mountinfo (proc(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(maxsplit=2)
        if kind in ("cgroup", "cgroup2"):
            version = 2 if kind == "cgroup2" else 1
            yield Mount(version, tuple(options.split(",")), fields[3], Path(fields[4]))


def memberships(text: str) -> dict[str, str]:
    """The text of /proc/self/cgroup as controller → group; version 2's is under the empty name."""
    found = {}
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), group))
    return found


def own_directory(mount: Mount, group: str) -> Path:
    """Where our own `group` is seen: a container's mount may show only a part of the hierarchy."""
    relative = os.path.relpath(group, mount.root)
    return mount.point if relative.startswith("..") else mount.point / relative


def candidates(controller: str, mountinfo: str, membership: str) -> Iterator[Place]:
    """Where groups for `controller` might be made, the best first.

    In version 2 only a group without processes hands controllers on to its children, so our own group's ancestors are
    asked too: a user's session manager delegates one of them to the user.
    """
    groups = memberships(membership)
    for mount in mounts(mountinfo):
        if mount.version == 1 and controller in mount.controllers:
            yield Place(1, own_directory(mount, groups.get(controller, "/")))
        if mount.version == 2:
            directory = own_directory(mount, groups.get("", "/"))
            while True:
                yield Place(2, directory)
                if directory == mount.point or directory == directory.parent:
                    break
                directory = directory.parent


def usable(place: Place, controller: str) -> bool:
    """Whether a process of ours can be moved into a group made there: tried, not guessed."""
    if place.version == 2 and not _hands_on(place.directory, controller):
        return False
    group = place.directory / f"{PREFIX}-{os.getpid()}-probe-{secrets.token_hex(4)}"
    try:
        group.mkdir()
    except OSError:
        return False
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (group / "cgroup.procs").write_text(str(process.pid), "ascii")
        return True
    except OSError:
        return False
    finally:
        process.communicate()
        with suppress(OSError):
            group.rmdir()


def _hands_on(directory: Path, controller: str) -> bool:
    """Whether a version 2 group gives `controller` to its children, or can be made to."""
    control = directory / "cgroup.subtree_control"
    try:
        if controller in control.read_text("ascii").split():
            return True
        control.write_text(f"+{controller}", "ascii")
        return controller in control.read_text("ascii").split()
    except OSError:
        return False


@cache
def places() -> dict[str, Place]:
    """For each controller that this process may use, where its groups are made; found once."""
    mountinfo = (PROC / "self" / "mountinfo").read_text("utf-8", "replace")
    try:
        membership = (PROC / "self" / "cgroup").read_text("utf-8", "replace")
    except FileNotFoundError:  # a kernel without control groups
        return {}
    found = {}
    for controller in CONTROLLERS:
        for place in candidates(controller, mountinfo, membership):
            if usable(place, controller):
                found[controller] = place
                break
    return found


class Group:
    """The control group of one domain, in every hierarchy where one is usable; `directories` by controller."""

    def __init__(self, where: dict[str, Place], memory_bytes_max: int, processes_max: int) -> None:
        """Make and bound it. `memory_bytes_max` 0 is no bound. Raises `OSError`, leaving nothing behind."""
        name = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(6)}"
        self._where = where
        self.directories = {controller: place.directory / name for controller, place in where.items()}
        try:
            for directory in set(self.directories.values()):
                remove_stale(directory.parent)
                directory.mkdir()
            self._bound(memory_bytes_max, processes_max)
        except OSError:
            self.remove()
            raise

    def _bound(self, memory_bytes_max: int, processes_max: int) -> None:
        if "pids" in self._where:
            (self.directories["pids"] / "pids.max").write_text(str(processes_max), "ascii")
        if memory_bytes_max and "memory" in self._where:
            directory = self.directories["memory"]
            for name, value in _memory_settings(self._where["memory"].version, memory_bytes_max):
                # Swap accounting may be off; the bound on memory itself is never optional.
                if name in ("memory.limit_in_bytes", "memory.max") or (directory / name).exists():
                    (directory / name).write_text(value, "ascii")

    @property
    def entrances(self) -> list[str]:
        """The files that a process writes itself into."""
        return sorted({str(directory / "cgroup.procs") for directory in self.directories.values()})

    def remove(self) -> bool:
        """Remove the group; False while the kernel still holds it, because its last process has only just ended."""
        for directory in set(self.directories.values()):
            with suppress(OSError):
                directory.rmdir()
        return not any(directory.exists() for directory in self.directories.values())


def _memory_settings(version: int, memory_bytes_max: int) -> list[tuple[str, str]]:
    if version == 1:
        return [
            ("memory.limit_in_bytes", str(memory_bytes_max)),
            ("memory.memsw.limit_in_bytes", str(memory_bytes_max)),
        ]
    return [("memory.max", str(memory_bytes_max)), ("memory.swap.max", "0"), ("memory.oom.group", "1")]


def remove_stale(directory: Path) -> None:
    """Remove the empty groups of coordinators that were killed before they could."""
    for group in directory.glob(f"{PREFIX}-*-*"):
        owner = group.name.split("-")[1]
        if owner.isdecimal() and not (PROC / owner).exists():
            with suppress(OSError):
                group.rmdir()
