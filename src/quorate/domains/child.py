"""One process started through the launcher: its console, its end.

Knows processes, pipes and the event loop; must not know what kind of domain it serves. Children are watched through
process descriptors (pidfd), which work alike under asyncio and uvloop, need no signal handler and no thread, and
cannot mistake a recycled process number for the child.
"""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from quorate.trusted.errors import OperatorFault, invariant

from .console import Console
from .launcher import Plan

LAUNCH_SECONDS_MAX = 20.0
KILL_SECONDS_MAX = 20.0
REPORT_BYTES_MAX = 4096
POLL_SECONDS = 0.002

LAUNCHER = Path(__file__).with_name("launcher.py")

T = TypeVar("T")


def plan(argv: list[str], env: dict[str, str], limits: dict[str, int], directory: str = "/") -> Plan:
    """A plan that runs `argv` in `directory` as the present user, outside any control group."""
    return Plan(
        parent=os.getpid(),
        report=-1,
        groups=[],
        stage=[],
        limits=limits,
        uid=None,
        directory=directory,
        env=env,
        argv=argv,
    )


async def until(condition: Callable[[], T | None], seconds: float) -> T | None:
    """The first value of `condition()` that is true, asked again and again for `seconds`; None when there was none."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := condition()):
        if loop.time() > deadline:
            return None
        await asyncio.sleep(POLL_SECONDS)
    return value


async def read_to_end(descriptor: int, size_max: int, seconds: float) -> bytes | None:
    """All of a pipe that another process fills and closes, up to `size_max` bytes; None when that took too long."""
    os.set_blocking(descriptor, False)
    data = bytearray()

    def ended() -> bool:
        while len(data) < size_max:
            try:
                piece = os.read(descriptor, size_max - len(data))
            except BlockingIOError:
                return False
            if not piece:
                return True
            data.extend(piece)
        return True

    return bytes(data) if await until(ended, seconds) else None


class Child:
    """One process of ours. `before_reaping` runs when it has ended, while its number cannot be recycled yet."""

    def __init__(self, what: Plan, inherited: Sequence[int] = (), before_reaping: Callable[[], None] | None = None):
        # PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process.
        invariant(threading.current_thread() is threading.main_thread(), "domains are started from the main thread")
        self._loop = asyncio.get_running_loop()
        self._before_reaping = before_reaping
        self.command = shlex.join(what["argv"])
        self._report, writing = os.pipe2(os.O_CLOEXEC)
        what["report"] = writing
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(what)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                pass_fds=(writing, *inherited),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._report)
            raise OperatorFault(f"cannot start {self.command}: {error}") from error
        finally:
            os.close(writing)
        self._watch()

    def _watch(self) -> None:
        assert self._process.stdout is not None
        self.console = Console(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()
        self._descriptor = os.pidfd_open(self._process.pid)
        self.end: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, self._ended)

    def _ended(self) -> None:
        self._loop.remove_reader(self._descriptor)
        if self._before_reaping is not None:
            self._before_reaping()
        code = self._process.wait()
        os.close(self._descriptor)
        self._descriptor = -1
        self.console.close()
        self.end.set_result(code)

    @property
    def pid(self) -> int:
        """Its number, which stays its own until `end` is done."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as we have noticed."""
        return not self.end.done()

    async def executed(self) -> None:
        """Wait until the launcher has become the program. Raises `OperatorFault` with its reason when it has not."""
        try:
            report = await read_to_end(self._report, REPORT_BYTES_MAX, LAUNCH_SECONDS_MAX)
        finally:
            os.close(self._report)
        if report is None:
            raise self.fault(f"was not launched within {LAUNCH_SECONDS_MAX:.0f} s")
        if report:
            await self.kill()  # it exits by itself, and may have
            raise self.fault(f"could not be launched: {report.decode('utf-8', 'replace')}")

    def fault(self, what: str, hint: str = "") -> OperatorFault:
        """An error about this child that carries its exit code, its whole command line and its console's tail."""
        code = f"exit code {self.end.result()}" if self.end.done() else "still running"
        console = self.console.text().rstrip() or "(empty)"
        return OperatorFault(f"{what} ({code})\ncommand: {self.command}\nconsole: {console}", hint)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._descriptor >= 0:
            signal.pidfd_send_signal(self._descriptor, number)

    async def kill(self) -> int:
        """End it without its cooperation; its exit code, or -N for signal N. Idempotent."""
        if self._descriptor >= 0:
            self.signal(signal.SIGKILL)
        async with asyncio.timeout(KILL_SECONDS_MAX):
            return await asyncio.shield(self.end)
