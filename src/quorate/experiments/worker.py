"""A module of ours that runs as a process of its own, so that its work does not share an interpreter with the rest.

It works until its stdin ends, or until it is done by itself, and then prints one JSON object. It dies with us.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..trusted.errors import OperatorFault
from .programs import STOP_SECONDS_MAX, bound_to_us


class Worker:
    """The process that runs `module`. What it says is kept in `directory`, in files called after `name`."""

    def __init__(self, name: str, module: str, arguments: list[str], directory: Path) -> None:
        self.name = name
        # A file and no pipe: it is to end by itself, however much it prints and whenever we look.
        self._output = directory / f"{name}.output"
        self._log = directory / f"{name}.log"
        command = [sys.executable, "-m", f"{__package__}.{module}", *arguments]
        with self._output.open("wb") as output, self._log.open("wb") as log:
            # A session of its own: an interrupt from the terminal reaches the experiment alone.
            self._process = subprocess.Popen(
                bound_to_us(command), stdin=subprocess.PIPE, stdout=output, stderr=log, start_new_session=True
            )

    @property
    def is_done(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    def ask_to_end(self) -> None:
        """Let it come to its end; `result` waits for it. Idempotent."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def result(self, seconds_max: float) -> dict[str, Any]:
        """What it printed. Raises `OperatorFault` when it does not end in time, fails, or prints something else."""
        try:
            code = self._process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise self._fault(f"{self.name} took longer than {seconds_max:g} s") from None
        try:
            found = json.loads(self._output.read_bytes())
        except ValueError:
            raise self._fault(f"{self.name} ended with exit code {code}, and without a result") from None
        assert isinstance(found, dict)
        return found

    def _fault(self, what: str) -> OperatorFault:
        said = self._log.read_text(errors="replace")[-4_096:]
        return OperatorFault(f"{what}\n{said}".rstrip())

    def stop(self) -> None:
        """End it now. Idempotent."""
        self.ask_to_end()
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def when_asked_to_end(then: Callable[[], object]) -> None:
    """Inside a worker: call `then`, in another thread, when our stdin has ended."""

    def wait() -> None:
        while sys.stdin.buffer.read(4_096):
            pass
        then()

    threading.Thread(target=wait, daemon=True).start()


def print_result(result: dict[str, Any]) -> None:
    """Inside a worker: print what `Worker.result` reads."""
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()
