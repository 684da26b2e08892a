"""One running bubblewrap: the process the coordinator started, the init of its PID namespace, and the program in it.

Knows processes and descriptors; what the sandbox is made of arrives as options. Everything in the box ends with its
init: the kernel kills a PID namespace with its first process.
"""

import asyncio
import json
import os
import resource
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from quorate.trusted.errors import OperatorFault

from . import processes, syscalls
from .child import KILL_SECONDS_MAX, LAUNCH_SECONDS_MAX, Child, plan, read_to_end, until
from .family import end_family
from .port import Ended

INFORMATION_BYTES_MAX = 65_536
SIGNALLED = 128
LEAVE_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Contents:
    """What runs in a box, and what bounds it; `processes_max` None where something else bounds the processes."""

    bubblewrap: str
    itself: os.stat_result  # of that program
    options: list[str]
    argv: list[str]
    limits: dict[str, int]
    processes_max: int | None
    entrances: list[str] = field(default_factory=list)
    stage: list[str] = field(default_factory=list)
    uid: int | None = None


class Box:
    """Runs `contents`. Started once; `kill` ends everything in it."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._init = -1
        self._init_descriptor = -1
        self._killing = asyncio.Lock()
        self.child: Child | None = None
        self.pid: int | None = None

    async def start(self) -> None:
        """Return when the program has been executed. Raises `OperatorFault`; the caller kills the box then."""
        information, writing = os.pipe2(os.O_CLOEXEC)
        waiting, release = os.pipe2(os.O_CLOEXEC)
        try:
            child = self._spawn(writing, waiting)
            os.close(writing)
            writing = -1
            await child.executed()
            await self._find_init(child, information)
            self._bound_init()
            os.write(release, b"1")
            await self._find_program(child)
        finally:
            for descriptor in (information, writing, waiting, release):
                if descriptor >= 0:
                    os.close(descriptor)

    def _spawn(self, information: int, waiting: int) -> Child:
        """Options go through a file: the service could read its init's command line, and host paths in it."""
        contents = self._contents
        rules = _file(syscalls.program())
        options = _file(
            "\0".join(
                [*contents.options, "--info-fd", str(information), "--block-fd", str(waiting), "--seccomp", str(rules)]
            ).encode()
        )
        what = plan([contents.bubblewrap, "--args", str(options), "--", *contents.argv], {}, contents.limits)
        what["groups"], what["stage"], what["uid"] = contents.entrances, contents.stage, contents.uid
        try:
            self.child = Child(what, (information, waiting, rules, options), self._end_init)
        finally:
            os.close(rules)
            os.close(options)
        self.child.command = f"{self.child.command}\noptions: {' '.join(contents.options)}"
        return self.child

    async def _find_init(self, child: Child, information: int) -> None:
        """Learn the init's number from bubblewrap; the init then waits for `--block-fd`, so the number is still its."""
        text = await read_to_end(information, INFORMATION_BYTES_MAX, LAUNCH_SECONDS_MAX)
        if not text:
            with suppress(TimeoutError):
                await child.kill()
            raise child.fault("bubblewrap did not make a sandbox")
        try:
            self._init = int(json.loads(text)["child-pid"])
            self._init_descriptor = os.pidfd_open(self._init)
        except (ValueError, KeyError, OSError) as error:
            raise child.fault(f"bubblewrap ended while it made a sandbox ({error})") from error

    def _bound_init(self) -> None:
        """Bound the number of processes where no user of its own does it (setrlimit(2), user_namespaces(7)).

        Before the user namespace existed this limit would have counted everything that our user runs on the host.
        """
        most = self._contents.processes_max
        if most is not None:
            hard = resource.prlimit(self._init, resource.RLIMIT_NPROC)[1]
            bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(self._init, resource.RLIMIT_NPROC, (bounded, bounded))

    async def _find_program(self, child: Child) -> None:
        """The init's only child is ours once it executes something that is not bubblewrap any more."""
        itself = self._contents.itself

        def found() -> int | None:
            for pid in processes.children(self._init):
                if processes.runs(pid, itself) is False:
                    return pid
            return -1 if not child.alive else None

        pid = await until(found, LAUNCH_SECONDS_MAX)
        if pid is None or pid < 0:
            raise child.fault("the program did not start in its sandbox")
        self.pid = pid

    def _end_init(self) -> None:
        if self._init_descriptor >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_descriptor, signal.SIGKILL)

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as we have noticed."""
        return self.child is not None and self.child.alive

    async def end(self) -> None:
        """Wait until the program has ended."""
        assert self.child is not None
        await asyncio.shield(self.child.end)

    def result(self) -> Ended:
        """How it ended. bubblewrap passes a signal N that ended the program on as 128 + N, like a shell."""
        if self.child is None or not self.child.end.done():
            return Ended(0, "")
        code = self.child.end.result()
        return Ended(
            SIGNALLED - code if SIGNALLED < code < SIGNALLED + signal.NSIG else code, self.child.console.text()
        )

    def processes(self) -> Sequence[int]:
        """Every process in the box but bubblewrap's own."""
        return processes.descendants(self._init) if self._init_descriptor >= 0 else ()

    def terminate(self) -> None:
        """Have everything in the box killed, without waiting for it.

        The outer bubblewrap is left to see its init end, and to reap it; nobody else may be there to do that.
        """
        if self._init_descriptor >= 0:
            self._end_init()
        elif self.child is not None and self.child.alive:
            # Its init may exist already, and not yet be tied to the life of its parent.
            end_family(self.child.pid)

    async def kill(self) -> None:
        """End everything in the box; idempotent, also while that goes on.

        Raises `OperatorFault` when the kernel does not let go of it.
        """
        async with self._killing:
            await self._kill()

    async def _kill(self) -> None:
        self.terminate()
        if self.child is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS_MAX):
                    await self.end()
            with suppress(TimeoutError):
                await self.child.kill()
        if self._init_descriptor >= 0:
            # An init is dead only after every process of its namespace is (zap_pid_ns_processes in the kernel).
            if not await until(self._init_is_dead, KILL_SECONDS_MAX):
                raise OperatorFault(f"the kernel does not end process {self._init}", "look at the kernel's log")
            os.close(self._init_descriptor)
            self._init_descriptor = -1
        self.pid = None

    def _init_is_dead(self) -> bool:
        poll = select.poll()
        poll.register(self._init_descriptor, select.POLLIN)
        return bool(poll.poll(0))


def _file(data: bytes) -> int:
    """A descriptor from which `data` can be read."""
    descriptor = os.memfd_create("quorate", os.MFD_CLOEXEC)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
