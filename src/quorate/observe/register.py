"""The register of this user's running cells, by which commands find them.

One JSON file a cell, in a directory that only its owner may enter. An entry counts while its process lives: pid and
start time together name a process, a pid alone may have been given to another one since. Knows no sockets.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..directories import runtime_directories
from ..trusted.errors import OperatorFault

ENTRY_BYTES_MAX = 65_536
# The place of the start time among the fields of /proc/<pid>/stat that follow the command's closing parenthesis.
_START_FIELD = 19


@dataclass(frozen=True, slots=True)
class Entry:
    """A running cell: its process, its control socket, its state directory. `started` is in clock ticks since boot."""

    name: str
    pid: int
    started: int
    control: Path
    state: Path


def own_entry(name: str, state: Path, environ: Mapping[str, str] | None = None) -> Entry:
    """The entry for a cell that this process runs. Raises `OperatorFault` when the register is not this user's."""
    directory = runtime_directories(os.environ if environ is None else environ)[0]
    _open(directory)
    pid = os.getpid()
    return Entry(name, pid, started(pid) or 0, directory / f"{name}-{pid}.sock", state)


def enter(entry: Entry) -> None:
    """Write the entry, so that commands find the cell. Its control socket should answer by now."""
    path = entry.control.with_suffix(".json")
    text = json.dumps(asdict(entry) | {"control": str(entry.control), "state": str(entry.state)})
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def leave(entry: Entry) -> None:
    """Take the entry back; does nothing when it is gone."""
    entry.control.with_suffix(".json").unlink(missing_ok=True)


def running(environ: Mapping[str, str] | None = None) -> list[Entry]:
    """All running cells of this user, by name and pid. Removes what cells that ended badly left behind."""
    found: list[Entry] = []
    for directory in runtime_directories(os.environ if environ is None else environ):
        if _fault(directory):
            continue
        for path in sorted(directory.glob("*.json")):
            entry = _read(path)
            if entry is None or started(entry.pid) != entry.started:
                _remove(path)
            else:
                found.append(entry)
    return sorted(found, key=lambda entry: (entry.name, entry.pid))


def find(cell: str | None, environ: Mapping[str, str] | None = None) -> Entry:
    """The running cell of this name, process or state directory, or the only one.

    Raises `OperatorFault` when there is none, or several.
    """
    cells = running(environ)
    matching = cells if cell is None else called(cell, cells)
    if len(matching) == 1:
        return matching[0]
    if matching and cell is None:
        raise OperatorFault(f"several cells are running: {_listed(cells)}", "choose one with --cell NAME")
    if matching:
        hint = "choose one by its process or its state directory: --cell PID, or --cell DIRECTORY"
        raise OperatorFault(f"several cells named {cell} are running: {_listed(matching)}", hint)
    if cell is None or not cells:
        raise OperatorFault("no cell is running", "start one: quorate run CONFIG")
    raise OperatorFault(f"no cell {cell} is running", f"running: {_listed(cells)}")


def called(cell: str, cells: list[Entry]) -> list[Entry]:
    """Those of `cells` that this is the name of, or the process, or the state directory, in this order."""
    found = [entry for entry in cells if entry.name == cell]
    found = found or [entry for entry in cells if str(entry.pid) == cell]
    return found or [entry for entry in cells if directory_of(str(entry.state)) == directory_of(cell)]


def directory_of(cell: str) -> Path:
    """The state directory that a cell is called by, without links."""
    return Path(os.path.realpath(os.path.expanduser(cell)))  # noqa: PTH111 - Path refuses users that nobody is


def _listed(cells: list[Entry]) -> str:
    return ", ".join(f"{entry.name} (process {entry.pid}, {entry.state})" for entry in cells)


def started(pid: int) -> int | None:
    """When the process `pid` started, in clock ticks since boot, or None when it does not run any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[_START_FIELD])
    except (OSError, IndexError, ValueError):
        return None


def _open(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    if fault := _fault(directory):
        raise OperatorFault(fault, "remove it, or set XDG_RUNTIME_DIR to a directory of your own")


def _fault(directory: Path) -> str:
    """Why `directory` cannot be trusted: in /tmp anybody may have made it. Empty when it can be."""
    try:
        status = directory.lstat()
    except OSError as error:
        return f"cannot use {directory}: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return f"{directory} is not a directory"
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        return f"{directory} is open to other users"
    return ""


def _read(path: Path) -> Entry | None:
    try:
        if path.stat().st_size > ENTRY_BYTES_MAX:
            return None
        data = json.loads(path.read_bytes())
        control, state = Path(str(data["control"])), Path(str(data["state"]))
        return Entry(str(data["name"]), int(data["pid"]), int(data["started"]), control, state)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove(path: Path) -> None:
    for stale in (path, path.with_suffix(".sock")):
        with suppress(OSError):
            stale.unlink(missing_ok=True)
