"""The sandbox domain: a replica in a bubblewrap box, with nothing of the host but its kernel and read-only programs.

Knows the port and how the parts below it fit together. No boundary against a hole in the host's kernel.
"""

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

from quorate.trusted.errors import OperatorFault, invariant

from . import bubblewrap, cgroup, lane, probe, processes
from .box import Box, Contents
from .bubblewrap import Link, Mount
from .child import KILL_SECONDS_MAX, until
from .hog import burners
from .launcher import STAGE
from .port import Ended, Recipe, Usage
from .preload import require_mapped
from .recipe import arguments, environment

LANE = (*bubblewrap.PRIVATE.strip("/").split("/"), lane.SOCKET_NAME)


class SandboxDomain:
    """Runs `recipe` in a bubblewrap sandbox. `directory` stays unused: nothing of a sandbox lies on the host's disk.

    `uid` is the host user to run as, of its own for each domain, when the coordinator is root; None otherwise: then the
    service is the coordinator's own user to the host, and an ordinary user without capabilities in its namespace.
    """

    kind = "sandbox"

    def __init__(self, recipe: Recipe, directory: Path, uid: int | None) -> None:
        if (os.geteuid() == 0) != (uid is not None) or uid == 0:
            raise OperatorFault(f"replica {recipe.replica}: root gives every sandbox an unprivileged user, others none")
        self.directory = directory
        self._recipe = recipe
        self._uid = uid
        self._places = cgroup.places()
        self._group: cgroup.Group | None = None
        self._service: Box | None = None
        self._hog: Box | None = None
        self._killing = asyncio.Lock()
        self._process = -1
        self._peer = lane.Peer(-1)

    @property
    def pid(self) -> int | None:
        """The service's own process as the host sees it, or None while nothing runs."""
        return self._service.pid if self._service is not None and self._service.alive else None

    @property
    def guarantees(self) -> dict[str, str]:
        """What is in force here, by name: short texts for people."""
        cpu = "a fair share (cgroup)" if "cpu" in self._places else "not bounded: no cgroup is writable"
        return {
            "user": f"host user {self._uid}" if self._uid else "the coordinator's own host user, without capabilities",
            "memory": self._memory_guarantee(),
            "processes": self._processes_guarantee(),
            "cpu": cpu,
            "files": "read-only; bounded tmpfs at /tmp, /dev/shm, /run/quorate; no host file is writable",
            "network": "none: loopback of its own, no route; its lane is a unix socket in its own tmpfs",
            "syscalls": "seccomp filter, no capabilities, no new privileges, no new namespaces",
        }

    def _memory_guarantee(self) -> str:
        most = self._recipe.memory_bytes_max
        if not most:
            return "not bounded: the recipe sets no bound"
        if place := self._places.get("memory"):
            return f"{most} bytes in all (cgroup v{place.version})"
        return f"{most} bytes of data for each process (rlimit): no memory cgroup is writable"

    def _processes_guarantee(self) -> str:
        most = self._recipe.processes_max
        if place := self._places.get("pids"):
            return f"{most} in all (cgroup v{place.version})"
        if self._uid or probe.counts_processes_by_namespace():
            return f"{most} in all (rlimit): no pids cgroup is writable"
        return "not bounded: no pids cgroup is writable, and this kernel counts a user's processes on the whole host"

    async def start(self) -> None:
        """Run the service. Raises `OperatorFault` with the console output when it cannot be started."""
        invariant(self._service is None, "a domain is started once")
        program = probe.require_bubblewrap()
        try:
            self._group = self._make_group()
            argv = arguments(self._recipe, bubblewrap.PRIVATE)
            self._service = Box(self._contents(program, self._recipe, argv))
            await self._service.start()
            await self._settle(self._service)
        except OperatorFault as fault:
            await self.kill()
            hint = fault.hint or probe.user_namespaces_hint()
            raise OperatorFault(f"replica {self._recipe.replica}: {fault}", hint) from fault
        except BaseException:
            await self.kill()
            raise

    def _make_group(self) -> cgroup.Group:
        try:
            return cgroup.Group(self._places, self._recipe.memory_bytes_max, self._recipe.processes_max)
        except OSError as error:
            raise OperatorFault(f"its control group cannot be made: {error}", "see `quorate doctor`") from error

    def _contents(self, program: str, recipe: Recipe, argv: list[str]) -> Contents:
        mounts = self._mounts(recipe)
        stage: list[str] = []
        if self._uid is not None:
            stage, mounts = staged(mounts)
        assert self._group is not None
        limits = {"NOFILE": recipe.files_max, "CORE": 0, "MSGQUEUE": 0}
        if recipe.memory_bytes_max and "memory" not in self._places:
            limits["DATA"] = recipe.memory_bytes_max
        by_limit = "pids" not in self._places
        if by_limit and self._uid is not None:
            limits["NPROC"] = recipe.processes_max
        inner = by_limit and self._uid is None and probe.counts_processes_by_namespace()
        return Contents(
            bubblewrap=program,
            itself=Path(program).stat(),
            options=bubblewrap.options(mounts, environment(recipe, bubblewrap.PRIVATE)),
            argv=argv,
            limits=limits,
            processes_max=recipe.processes_max if inner else None,
            entrances=self._group.entrances,
            stage=stage,
            uid=self._uid,
        )

    def _mounts(self, recipe: Recipe) -> list[Mount | Link]:
        try:
            root = bubblewrap.system_mounts() if recipe.root is None else bubblewrap.entries(recipe.root)
            return [*root, *bubblewrap.readable_mounts(recipe)]
        except OSError as error:
            raise OperatorFault(f"its root cannot be read: {error}", "give it a root that exists") from error

    async def _settle(self, service: Box) -> None:
        """Hold on to the service's process, by descriptor, so that no lane ever reaches another one."""
        child, pid = service.child, service.pid
        assert child is not None
        assert pid is not None
        child.end.add_done_callback(lambda _: self._end_hog())
        try:
            self._process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._peer = lane.Peer(os.geteuid() if self._uid is None else self._uid, lane.namespace(pid, "pid"))
        except OSError as error:
            raise child.fault(f"the service ended at once: {error}") from error
        await require_mapped(child, pid, self._recipe.preload)

    def _end_hog(self) -> None:
        if self._hog is not None:
            self._hog.terminate()

    async def connect(self) -> socket.socket:
        """A new connected non-blocking stream socket to the service. Raises `OSError` while there is none."""
        if self._process < 0:
            raise ConnectionRefusedError("nothing runs in this sandbox")
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._process)
        try:
            return lane.connect(root, LANE, self._peer)
        finally:
            os.close(root)

    async def hog(self) -> None:
        """Burn all CPU that this domain may use: in a second box of the same user, group and limits (drills only)."""
        invariant(self._service is not None, "only a started domain can be burdened")
        if self._hog is not None:
            return
        recipe = replace(self._recipe, root=None, readable=(), preload=(), env={})
        self._hog = Box(self._contents(probe.require_bubblewrap(), recipe, burners()))
        try:
            await self._hog.start()
        except BaseException:
            await self._hog.kill()
            self._hog = None
            raise

    async def kill(self) -> Ended:
        """End everything in the domain, without its cooperation; leaves no process, group or mount.

        Idempotent, also while that goes on: a conviction and a revival may want the same.
        """
        async with self._killing:
            return await self._kill()

    async def _kill(self) -> Ended:
        for box in (self._hog, self._service):
            if box is not None:
                await box.kill()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1
        if self._group is not None:
            if not await until(self._group.remove, KILL_SECONDS_MAX):
                raise OperatorFault(f"a control group cannot be removed: {self._group.directories}")
            self._group = None
        return self._result()

    async def ended(self) -> Ended:
        """Wait until the service ends by itself or is killed."""
        invariant(self._service is not None, "only a started domain can end")
        assert self._service is not None
        await self._service.end()
        return self._result()

    def _result(self) -> Ended:
        return self._service.result() if self._service is not None else Ended(0, "")

    def usage(self) -> Usage:
        """What the domain uses now; zeros when nothing runs."""
        boxes = [box for box in (self._service, self._hog) if box is not None]
        return processes.usage(pid for box in boxes for pid in box.processes())


def staged(mounts: list[Mount | Link]) -> tuple[list[str], list[Mount | Link]]:
    """Let root open what an unprivileged user may not be able to reach, such as an interpreter in root's own home.

    Returns the host paths for the launcher to bind at /tmp/0, /tmp/1 …, and the mounts with those as their sources.
    """
    paths = [mount.source for mount in mounts if isinstance(mount, Mount)]
    where = {path: f"{STAGE}/{index}" for index, path in enumerate(paths)}
    return paths, [
        replace(mount, source=where[mount.source]) if isinstance(mount, Mount) else mount for mount in mounts
    ]
