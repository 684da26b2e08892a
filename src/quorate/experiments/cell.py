"""A cell that an experiment runs as a user would: `quorate run` in a process of its own, asked over its control socket.

It has a name, a state directory and a port that nobody else has, so that it disturbs no other cell.
"""

import os
import re
import secrets
import sys
from pathlib import Path

from ..config import Config, load
from ..domains.probe import require_bubblewrap
from ..observe.control import ask
from ..observe.evidence import DissentRecord, read_dissents
from ..observe.register import Entry, find
from ..observe.snapshot import CellSnapshot
from .examples import example, private_copy
from .programs import Program

BOOT_SECONDS_MAX = 60.0
# What `quorate run` prints on stdout when it serves.
_SERVING = re.compile(r"^cell \S+ is serving \S+ on 127\.0\.0\.1:(\d+) with ", re.MULTILINE)


class PrivateCell:
    """The cell of one example, running between `__enter__` and `__exit__`; all its files are in `directory`.

    Raises `OperatorFault` where the machine lacks something that the example needs. It never runs something weaker.
    """

    def __init__(self, example_name: str, directory: Path) -> None:
        name = f"{Path(example_name).stem}-{secrets.token_hex(4)}"
        path = directory / f"{name}.toml"
        path.write_text(private_copy(example(example_name).read_text(), name, directory / f"{name}.state"))
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
        command = [sys.executable, "-m", "quorate", "run", str(self.config.path)]
        self._program = Program(self.config.cell.name, command, self._directory, self._environ)
        try:
            self.port = self._program.until(self._serving_port, BOOT_SECONDS_MAX, "it served")
            self._entry = find(self.config.cell.name, self._environ)
        except BaseException:
            self._program.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serving_port(self) -> int | None:
        line = _SERVING.search(self._program.output.read_text(errors="replace"))
        return int(line[1]) if line else None

    @property
    def pid(self) -> int:
        """The coordinator's process."""
        return self._program.pid

    def status(self) -> CellSnapshot:
        """The cell at this moment."""
        return CellSnapshot.from_json(ask(self._entry.control, {"do": "status"})["status"])

    def inject(self, replica: str, fault: str) -> None:
        """Begin a drill."""
        ask(self._entry.control, {"do": "inject", "replica": replica, "fault": fault})

    def dissents(self, limit: int) -> list[DissentRecord]:
        """The newest dissents that were kept as evidence, newest first."""
        return read_dissents(self.config.cell.state, limit)

    def stop(self) -> int:
        """Let it drain and end; its exit code. Idempotent."""
        return self._program.stop()
