"""The process domain: a replica as an ordinary process of the host, for development. It isolates NOTHING.

A replica in it can do whatever its user can: read files, open connections, kill the coordinator. It exists because it
needs nothing of the machine, and starts fastest; every `guarantees` entry says so.
"""

import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path

from quorate.trusted.errors import OperatorFault, invariant

from . import hog, lane, processes
from .child import Child, plan
from .family import end_family
from .port import Ended, Recipe, Usage
from .preload import require_mapped
from .recipe import PATH, arguments, environment

NOTHING = "NOT ISOLATED: the replica can do whatever its host user can (process domains are for development)"


class ProcessDomain:
    """Runs `recipe` in `directory`, which it makes, private to our user, and removes with all that is in it."""

    kind = "process"

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        if recipe.root is not None:
            raise OperatorFault(
                f"replica {recipe.replica}: a process domain has no root of its own", "use a sandbox, or drop root"
            )
        self.directory = directory.absolute()
        self._recipe = recipe
        self._service: Child | None = None
        self._hogs: list[Child] = []
        self._hogs_end: asyncio.TimerHandle | None = None
        self._made = False

    @property
    def pid(self) -> int | None:
        """The service's own process, or None while nothing runs."""
        return self._service.pid if self._service is not None and self._service.alive else None

    @property
    def guarantees(self) -> dict[str, str]:
        """What is in force here, by name: nothing that would hold back a hostile replica."""
        names = ("user", "memory", "processes", "cpu", "files", "network", "syscalls")
        return dict.fromkeys(names, NOTHING)

    async def start(self) -> None:
        """Run the service. Raises `OperatorFault` with the console output when it cannot be started."""
        invariant(self._service is None, "a domain is started once")
        self._check_length()
        try:
            self._make_directory()
            await self._start_service()
        except OperatorFault as fault:
            await self.kill()
            raise OperatorFault(f"replica {self._recipe.replica}: {fault}", fault.hint) from fault
        except BaseException:
            await self.kill()
            raise

    def _check_length(self) -> None:
        path = os.fsencode(self.directory / lane.SOCKET_NAME)
        if len(path) > lane.SOCKET_PATH_BYTES_MAX:
            raise OperatorFault(
                f"replica {self._recipe.replica}: the path of its socket is longer than {lane.SOCKET_PATH_BYTES_MAX} "
                f"bytes: {os.fsdecode(path)}",
                "choose a state directory with a shorter path",
            )

    def _make_directory(self) -> None:
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir(0o700)
        except OSError as error:
            raise OperatorFault(f"its directory cannot be made: {error}", "choose another state directory") from error
        self._made = True

    async def _start_service(self) -> None:
        recipe, directory = self._recipe, str(self.directory)
        limits = {"NOFILE": recipe.files_max, "CORE": 0}
        what = plan(arguments(recipe, directory), environment(recipe, directory), limits, directory)
        self._service = Child(what, before_reaping=self._leave)
        await self._service.executed()
        await require_mapped(self._service, self._service.pid, recipe.preload)

    def _leave(self) -> None:
        """The service has ended, but holds its number: what it left behind can still be told apart by its session."""
        assert self._service is not None
        end_family(self._service.pid)
        self._end_hogs()

    async def connect(self) -> socket.socket:
        """A new connected non-blocking stream socket to the service. Raises `OSError` while there is none."""
        if self.pid is None:
            raise ConnectionRefusedError("nothing runs in this domain")
        directory = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return lane.connect(directory, (lane.SOCKET_NAME,), lane.Peer(os.geteuid()))
        finally:
            os.close(directory)

    async def hog(self) -> None:
        """Burn all CPU there is (drills only): nothing bounds a process domain."""
        invariant(self._service is not None, "only a started domain can be burdened")
        if self._hogs:
            return
        loop = asyncio.get_running_loop()
        for _ in range(hog.cpus()):
            self._hogs.append(Child(plan(list(hog.BURNER), {"PATH": PATH}, {"CORE": 0, "CPU": hog.HOG_SECONDS_MAX})))
            await self._hogs[-1].executed()
        self._hogs_end = loop.call_later(hog.HOG_SECONDS_MAX, self._end_hogs)

    def _end_hogs(self) -> None:
        if self._hogs_end is not None:
            self._hogs_end.cancel()
        for burner in self._hogs:
            burner.signal(signal.SIGKILL)

    async def kill(self) -> Ended:
        """End the service, its descendants and its session; idempotent; removes the directory.

        What has left the session *and* outlived its parent is no longer found.
        """
        self._end_hogs()
        for burner in self._hogs:
            await burner.kill()
        if self._service is not None:
            if self._service.alive:
                end_family(self._service.pid)
            await self._service.kill()
        if self._made:
            shutil.rmtree(self.directory)
            self._made = False
        return self._result()

    async def ended(self) -> Ended:
        """Wait until the service ends by itself or is killed."""
        invariant(self._service is not None, "only a started domain can end")
        assert self._service is not None
        await asyncio.shield(self._service.end)
        return self._result()

    def _result(self) -> Ended:
        if self._service is None:
            return Ended(0, "")
        return Ended(self._service.end.result(), self._service.console.text())

    def usage(self) -> Usage:
        """What the domain uses now; zeros when nothing runs."""
        children = [child for child in (self._service, *self._hogs) if child is not None and child.alive]
        return processes.usage(pid for child in children for pid in (child.pid, *processes.descendants(child.pid)))
