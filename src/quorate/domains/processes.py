"""What /proc tells about processes: who descends from whom, what they use, what they have mapped.

Reads only. A process may vanish between two reads, so "it is gone" is an answer here, never an error.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .port import Usage

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# A kernel may be built without these lists (CONFIG_PROC_CHILDREN).
LISTS_CHILDREN = Path("/proc/thread-self/children").exists()

# A replica may fork without end; nobody waits for the whole list.
DESCENDANTS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that matter here (proc(5))."""

    state: str
    parent: int
    session: int
    cpu_ns: int
    resident_bytes: int

    @property
    def ended(self) -> bool:
        """Whether only its entry in the process table is left."""
        return self.state in "ZX"


def stat(pid: int) -> Stat | None:
    """What the kernel says of `pid`, or None when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, parentheses and blanks included: the fields start after the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ns=(int(fields[11]) + int(fields[12])) * TICK_NS,
        resident_bytes=int(fields[21]) * PAGE_BYTES,
    )


def everybody() -> list[int]:
    """Every process that this one can see."""
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def children(pid: int) -> list[int]:
    """The children of all threads of `pid`."""
    if not LISTS_CHILDREN:
        return [other for other in everybody() if (status := stat(other)) and status.parent == pid]
    found: list[int] = []
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            found.extend(int(child) for child in (thread / "children").read_text("ascii").split())
    except OSError:
        return found
    return found


def descendants(pid: int) -> list[int]:
    """The children of `pid`, their children, and so on; parents before children."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < DESCENDANTS_MAX:
        born = children(waiting.pop())
        found.extend(born)
        waiting.extend(born)
    return found


def session(leader: int) -> list[int]:
    """The processes of the session that `leader` leads or led."""
    return [pid for pid in everybody() if (status := stat(pid)) and status.session == leader]


def usage(pids: Iterable[int]) -> Usage:
    """What these processes use together."""
    seen = [status for pid in pids if (status := stat(pid))]
    return Usage(sum(status.resident_bytes for status in seen), sum(status.cpu_ns for status in seen))


def runs(pid: int, program: os.stat_result) -> bool | None:
    """Whether `pid` executes the file `program`; None when we may not know (yet), or it is gone."""
    try:
        return os.path.samestat((PROC / str(pid) / "exe").stat(), program)
    except OSError:
        return None


def unmapped(pid: int, names: Iterable[str]) -> list[str]:
    """Which shared objects among `names` (file names, links resolved or not) `pid` has not mapped."""
    try:
        lines = (PROC / str(pid) / "maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return list(names)
    mapped = {Path(line.split(maxsplit=5)[5]).name for line in lines if line.count(" ") >= 5 and "/" in line}
    return [name for name in names if not any(other.startswith(Path(name).name) for other in mapped)]
