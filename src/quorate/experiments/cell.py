"""A cell that an experiment runs as a user would: `quorate run` in a process of its own, asked over its control socket.

It has a name, a state directory and a port that nobody else has, so that it disturbs no other cell.
"""

import os
import random
import re
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from ..config import Config, load
from ..domains import processes
from ..domains.probe import require_bubblewrap
from ..observe.control import Message, ask, watch
from ..observe.evidence import DissentRecord, read_dissents
from ..observe.register import Entry, find
from ..observe.snapshot import CellSnapshot
from ..trusted.errors import OperatorFault
from .examples import example, private_copy
from .programs import POLL_SECONDS, Program

BOOT_SECONDS_MAX = 60.0
KILL_SECONDS_MAX = 20.0
# What `quorate run` prints on stdout when it serves.
_SERVING = re.compile(r"^cell \S+ is serving \S+ on 127\.0\.0\.1:(\d+) with ", re.MULTILINE)


class PrivateCell:
    """The cell of one example, running between `__enter__` and `__exit__`; all its files are in `directory`.

    `text` is the example's text, changed as the experiment needs it; entered again, it is the same cell started anew.
    Raises `OperatorFault` where the machine lacks something that the example needs. It never runs something weaker.
    """

    def __init__(self, example_name: str, directory: Path, text: str | None = None) -> None:
        name = f"{Path(example_name).stem}-{secrets.token_hex(4)}"
        path = directory / f"{name}.toml"
        text = example(example_name).read_text() if text is None else text
        path.write_text(private_copy(text, name, directory / f"{name}.state"))
        self.config: Config = load(path)
        if any(replica.domain == "sandbox" for replica in self.config.replicas):
            require_bubblewrap()
        self._directory = directory
        # Registered where only we look, it leaves `quorate status` to the cells of the user's own.
        self._environ = os.environ | {"XDG_RUNTIME_DIR": str(directory)}
        self._program: Program
        self._entry: Entry
        self.port = 0

    def __enter__(self) -> "PrivateCell":
        self.launch()
        try:
            self._program.until(self.served, BOOT_SECONDS_MAX, "it served")
        except BaseException:
            self._program.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def setting(self) -> dict[str, str]:
        """What every figure about this cell depends on: its `journal`'s sync, and its replicas' `domain`s."""
        domains = {replica.domain for replica in self.config.replicas}
        return {"journal": self.config.journal.sync, "domain": ", ".join(sorted(domains))}

    def launch(self) -> None:
        """Start its process, and wait for nothing: `served` says when it can be asked."""
        command = [sys.executable, "-m", "quorate", "run", str(self.config.path)]
        self._program = Program(self.config.cell.name, command, self._directory, self._environ)

    def served(self) -> int | None:
        """Its port, when it serves by now."""
        line = _SERVING.search(self._program.output.read_text(errors="replace"))
        if line is None:
            return None
        self._entry = find(self.config.cell.name, self._environ)
        self.port = int(line[1])
        return self.port

    def require_running(self) -> None:
        """Raise `OperatorFault`, with the end of what it said, when its process has ended."""
        if not self._program.is_running:
            raise self._program.fault(f"{self._program.name} ended by itself")

    @property
    def pid(self) -> int:
        """The coordinator's process."""
        return self._program.pid

    def status(self) -> CellSnapshot:
        """The cell at this moment."""
        return CellSnapshot.from_json(self._ask({"do": "status"})["status"])

    def inject(self, replica: str, fault: str, is_on: bool = True) -> None:
        """Begin or end a drill."""
        self._ask({"do": "inject", "replica": replica, "fault": fault, "on": is_on})

    def recover(self, replica: str | None, strategy: str) -> None:
        """Have one replica rebuilt, or all; returns when they vote. Raises `OperatorFault` when that is refused."""
        wanted = {"replica": replica} if replica is not None else {"all": True}
        try:
            watch(self._entry.control, {"do": "recover", "strategy": strategy} | wanted, lambda progress: None)
        except OperatorFault:
            self.require_running()
            raise

    def _ask(self, message: Message) -> Message:
        try:
            return ask(self._entry.control, message)
        except OperatorFault:
            # A cell that is gone refuses nothing: what it said last is the better answer.
            self.require_running()
            raise

    def dissents(self, limit: int) -> list[DissentRecord]:
        """The newest dissents that were kept as evidence, newest first."""
        return read_dissents(self.config.cell.state, limit)

    def stop(self) -> int:
        """Let it drain and end; its exit code. Idempotent."""
        return self._program.stop()

    def kill(self) -> None:
        """End its coordinator and everything that descends from it at one moment, by SIGKILL, in any order."""
        with suppress(ProcessLookupError):
            # Stopped, it starts nothing more while its descendants are counted; and it does nothing either.
            os.kill(self.pid, signal.SIGSTOP)
        doomed = [self.pid, *processes.descendants(self.pid)]
        random.shuffle(doomed)
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._program.stop()
        give_up = time.monotonic() + KILL_SECONDS_MAX
        while left := [pid for pid in doomed if not _has_ended(pid)]:
            if time.monotonic() > give_up:
                raise OperatorFault(f"processes {left} outlived SIGKILL for {KILL_SECONDS_MAX:g} s")
            time.sleep(POLL_SECONDS)


def _has_ended(pid: int) -> bool:
    status = processes.stat(pid)
    return status is None or status.ended
