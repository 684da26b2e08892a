"""Programs that an experiment starts beside itself, and ends: each dies with the experiment, whatever happens to it.

Knows processes and files; knows neither cells nor Redis.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from ..trusted.errors import OperatorFault

POLL_SECONDS = 0.01
STOP_SECONDS_MAX = 20.0
CONSOLE_BYTES_SHOWN = 4_096

T = TypeVar("T")


def require_program(name: str, package: str) -> str:
    """Where the program `name` is, also where only servers are kept. Raises `OperatorFault` when it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise OperatorFault(f"there is no program {name}", f"apt-get install {package}")
    return found


def bound_to_us(command: Sequence[str]) -> list[str]:
    """`command`, told by the kernel to end when this process does, even if that is killed."""
    return ["setpriv", "--pdeathsig", "TERM", *command]


class Program:
    """A program that runs until it is stopped. What it says is kept in `directory`, in files called after `name`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        environ: Mapping[str, str] | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.output = directory / f"{name}.output"
        self.log = directory / f"{name}.log"
        with self.output.open("wb") as output, self.log.open("wb") as log:
            # A session of its own: an interrupt from the terminal reaches the experiment alone, which then stops it.
            self._process = subprocess.Popen(
                bound_to_us(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=environ,
                start_new_session=True,
                pass_fds=tuple(inherited),
            )

    @property
    def pid(self) -> int:
        """Its process number, its own until `stop`."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def until(self, condition: Callable[[], T | None], seconds: float, what: str) -> T:
        """The first value of `condition()` that is not None.

        Raises `OperatorFault`, naming `what` was waited for, when the program ends or `seconds` pass before.
        """
        give_up = time.monotonic() + seconds
        while (value := condition()) is None:
            if self._process.poll() is not None:
                raise self.fault(f"{self.name} ended with exit code {self._process.returncode} before {what}")
            if time.monotonic() > give_up:
                raise self.fault(f"{self.name}: {what} took longer than {seconds:g} s")
            time.sleep(POLL_SECONDS)
        return value

    def fault(self, what: str) -> OperatorFault:
        """An error about this program, with the end of what it said."""
        said = b"".join(path.read_bytes()[-CONSOLE_BYTES_SHOWN:] for path in (self.output, self.log))
        return OperatorFault(f"{what}\n{said.decode(errors='replace')}".rstrip())

    def stop(self) -> int:
        """End it, by force when SIGTERM does not; its exit code, or -N for signal N. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as an interrupt from the keyboard does, so that what it started is stopped and removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # asyncio takes SIGINT in its own way, which leaves no task behind.
        signal.raise_signal(signal.SIGINT)

    # A shell that starts us in the background has SIGINT ignored.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
