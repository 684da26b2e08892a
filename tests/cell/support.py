"""What the tests of whole cells share: a cell as its operator runs it, asked as its clients and its operator ask it.

A cell is `python -m quorate run CONFIG`, a process of its own, with state, register and port that no other cell has.
It is started from a copy of an example, changed as the test needs. Nothing here looks inside the cell.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import redis

import quorate
from quorate.domains import processes
from quorate.observe.control import ask, watch
from quorate.observe.evidence import ConvictionRecord, DissentRecord, read_convictions, read_dissents
from quorate.observe.register import Entry, running, started
from quorate.observe.snapshot import CellSnapshot, ReplicaSnapshot
from tests.repository.sources import ROOT

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = 60.0
POLL_SECONDS = 0.01
LOG_TAIL_CHARACTERS = 6_000
SOURCE = str(Path(quorate.__file__).parents[1])

Document = dict[str, Any]
T = TypeVar("T")


def eventually(condition: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS_MAX) -> T:
    """The first true value of `condition()`; fails when there was none in `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never within {seconds:.0f} s: {what}"
        time.sleep(POLL_SECONDS)
    return value


def example(name: str, domain: str | None = None, **limits: int) -> Document:
    """An example's configuration, with a port of the kernel's choice, all its replicas in `domain`, other limits."""
    document: Document = tomllib.loads((ROOT / "examples" / f"{name}.toml").read_text())
    document["cell"]["listen"] = "127.0.0.1:0"
    for replica in document["replica"]:
        replica["domain"] = domain or replica["domain"]
    for variant in document["variant"]:
        if variant["program"] == "{python}":
            variant["env"] = {"PYTHONPATH": SOURCE}
    document.setdefault("limits", {}).update(limits)
    return document


def unhealed(document: Document) -> Document:
    """The same, but nobody rebuilds a replica that lost its vote."""
    return document | {"recovery": {"reactive": False}}


def as_toml(document: Document) -> str:
    """A configuration as text. What TOML and JSON write alike is all that a configuration holds."""
    lines: list[str] = []
    for section, content in document.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(f"[[{section}]]" if isinstance(content, list) else f"[{section}]")
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value)


class RunningCell:
    """One cell's process, and everything that a client or its operator may ask of it."""

    def __init__(self, home: Path, document: Document, **environ: str) -> None:
        self.home = home
        self.state = home / "state"
        self.write(document)
        self.environ = environment(home) | environ
        # What its process is started behind, if anything.
        self.prefix: list[str] = []
        self.port = 0
        self.pid = 0
        self.seen: dict[int, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._open = contextlib.ExitStack()

    def write(self, document: Document) -> None:
        """Make this its configuration."""
        document["cell"].setdefault("state", str(self.state))
        (self.home / "cell.toml").write_text(as_toml(document))

    # Its life.

    def launch(self, *options: str) -> "RunningCell":
        """Start the process, and wait for nothing."""
        command = [*self.prefix, sys.executable, "-m", "quorate", "run", str(self.home / "cell.toml"), *options]
        with (self.home / "out").open("wb") as out, (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self.environ, start_new_session=True
            )
        self.pid = self._process.pid
        return self

    def start(self, *options: str) -> "RunningCell":
        """Start it, and wait until it says that it serves."""
        self.launch(*options)
        line = eventually(self._ready, "ready", READY_SECONDS_MAX)
        self.port = int(line.split(" on 127.0.0.1:")[1].split()[0])
        self.look()
        return self

    def _ready(self) -> str | None:
        line = (self.home / "out").read_text()
        assert line or self.code is None, f"the cell ended with {self.code}:\n{self.log()}"
        return line if line.endswith("\n") else None

    @property
    def code(self) -> int | None:
        """The process's exit code, or None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def look(self) -> None:
        """Note the processes that it has by now, so that none is forgotten when it has ended."""
        for pid in processes.descendants(self.pid):
            self.seen[pid] = started(pid) or 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code. Fails when it leaves anything behind."""
        self.send_signal(number)
        code = self.wait()
        self.assert_nothing_left()
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the coordinator alone."""
        assert self._process is not None
        self.look()
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS_MAX)

    def assert_nothing_left(self) -> None:
        """No process, socket, directory of a domain or control group of it is there any more."""
        eventually(lambda: not self.processes_left(), "none of its processes", STOP_SECONDS_MAX)
        assert not (self.state / "domains").exists()
        register = self.home / "run" / "quorate"
        assert not register.exists() or list(register.iterdir()) == []
        assert groups_of(self.pid) == []

    def processes_left(self) -> list[int]:
        """Which of its processes still run."""
        return [pid for pid, since in self.seen.items() if started(pid) == since]

    def close(self) -> None:
        """End everything, whatever state it is in."""
        self._open.close()
        if self._process is not None and self.code is None:
            self.look()
            self._process.kill()
            self._process.wait()
        for pid in self.processes_left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def log(self) -> str:
        """The end of what it said on stderr."""
        return (self.home / "log").read_text()[-LOG_TAIL_CHARACTERS:]

    # Its operator.

    def entry(self) -> Entry:
        """Where the register says that it is. This machine's user may have other cells."""
        return next(entry for entry in running(self.environ) if entry.pid == self.pid)

    def status(self) -> CellSnapshot:
        """What it says of itself."""
        return CellSnapshot.from_json(ask(self.entry().control, {"do": "status"})["status"])

    def replica(self, name: str) -> ReplicaSnapshot:
        """What it says of one replica."""
        return next(replica for replica in self.status().replicas if replica.name == name)

    def inject(self, replica: str, fault: str, on: bool = True) -> None:
        """Begin or end a drill."""
        self.look()
        ask(self.entry().control, {"do": "inject", "replica": replica, "fault": fault, "on": on})

    def dissents(self) -> list[DissentRecord]:
        """The evidence of dissents, newest first."""
        return read_dissents(self.state, 10_000)

    def convictions(self) -> list[ConvictionRecord]:
        """The evidence of convictions, newest first."""
        return read_convictions(self.state, 10_000)

    def convicted(self, name: str) -> ConvictionRecord:
        """Wait until a conviction of this replica is in the evidence; the newest. It may have a successor by then."""
        found = eventually(lambda: [c for c in self.convictions() if c.replica == name], f"{name} is convicted")
        return found[0]

    def rebuilt(self, name: str, times: int = 1) -> ReplicaSnapshot:
        """Wait until this replica votes, and was rebuilt so many times."""

        def found() -> ReplicaSnapshot | None:
            replica = self.replica(name)
            return replica if replica.role == "voting" and replica.rebuilds >= times else None

        return eventually(found, f"{name} was rebuilt and votes")

    def recover(self, name: str | None, strategy: str | None = None) -> None:
        """Have this replica rebuilt, or all, as `quorate recover` asks for it; returns when they vote, or fails."""
        wanted = {"do": "recover", "replica": name, "all": name is None, "strategy": strategy}
        recovered = watch(self.entry().control, wanted, lambda progress: None)["recovered"]
        assert {replica["role"] for replica in recovered} == {"voting"}
        assert name is None or [replica["name"] for replica in recovered] == [name]

    def settled(self) -> CellSnapshot:
        """Wait until every voting replica has answered every slot."""

        def found() -> CellSnapshot | None:
            status = self.status()
            voting = [replica for replica in status.replicas if replica.role == "voting"]
            return status if all(r.slot == status.slot and not r.backlog for r in voting) else None

        return eventually(found, "every replica has answered every slot")

    def assert_agreed(self, replicas: int = 3) -> CellSnapshot:
        """No reply differed, no slot stayed without answer, and everybody votes."""
        status = self.settled()
        assert [replica.dissents for replica in status.replicas] == [0] * replicas, self.dissents()[:3]
        assert (status.split, status.unanswered, status.seats_empty, status.state) == (0, 0, 0, "serving")
        return status

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of ours beside it."""
        return command(self.environ, *arguments)

    def operate(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of ours on this cell, whatever other cells run on this machine."""
        return self.command(name, "--cell", str(self.pid), *arguments)

    # Its clients.

    def redis(self, **options: Any) -> Any:
        """An ordinary client with its default settings, closed with the cell."""
        client = redis.Redis(port=self.port, **options)
        self._open.callback(client.close)
        return client

    def connect(self, seconds: float = WAIT_SECONDS_MAX) -> socket.socket:
        """A raw connection, closed with the cell. Waiting longer than `seconds` for its bytes fails."""
        return self._open.enter_context(socket.create_connection(("127.0.0.1", self.port), seconds))

    def forget_clients(self) -> None:
        """Close every client that was made here."""
        self._open.close()

    def resident_bytes(self) -> int:
        """The coordinator's memory."""
        status = processes.stat(self.pid)
        assert status is not None
        return status.resident_bytes


def environment(home: Path) -> dict[str, str]:
    """The environment of all that belongs to the cell in `home`: a register of its own, and this package's sources.

    What Python compiles is kept wherever that is allowed: a cell is five processes, and there are hundreds of cells.
    """
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    left_out = {"XDG_STATE_HOME", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"XDG_RUNTIME_DIR": str(home / "run"), "PYTHONPATH": SOURCE, "NO_COLOR": "1"}


def command(environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one `quorate` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS_MAX,
        check=False,
    )


def groups_of(pid: int) -> list[str]:
    """The control groups that the coordinator `pid` made."""
    return [str(path) for path in Path("/sys/fs/cgroup").rglob(f"quorate-{pid}-*")]


def request(*arguments: bytes | str | int) -> bytes:
    """One request as bytes."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def until_closed(connection: socket.socket) -> bytes:
    """Everything that comes until the other side ends the connection."""
    return b"".join(_pieces(connection))


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            yield piece


def received(connection: socket.socket, ending: bytes) -> bytes:
    """What comes up to `ending`. Fails when the connection ends before."""
    data = b""
    while not data.endswith(ending):
        piece = connection.recv(65_536)
        assert piece, f"closed after {data!r}"
        data += piece
    return data


def exchange(connection: socket.socket, data: bytes, ending: bytes) -> bytes:
    """Send, and receive up to `ending`."""
    connection.sendall(data)
    return received(connection, ending)
