"""The port between the cell and the isolated places its replicas run in.

A domain is created from a `Recipe`, started, connected to, and killed. `start` returns when the service runs, not when
it is ready: readiness is a probe over a lane, made by the cell. No implementation downgrades quietly: what it cannot
do, it refuses with `OperatorFault`.
"""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to run one replica: a variant, made concrete for one seat.

    `program` and `args` may hold the placeholders `{socket}` (the path at which the service must listen, as the
    service sees it) and `{directory}` (a private, empty, writable directory, as the service sees it).
    `readable` names host directories and files that the service may read (its interpreter, its libraries), mounted at
    the same path, read-only, beside what every domain of its kind can read. `preload` names shared objects for
    LD_PRELOAD. `root` is a directory to use as the file system's root, or None.
    `memory_bytes_max` bounds the replica's memory; 0 means no bound.
    """

    replica: str
    variant: str
    program: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    root: Path | None = None
    readable: tuple[Path, ...] = ()
    memory_bytes_max: int = 0
    files_max: int = 4_096
    processes_max: int = 256


@dataclass(frozen=True, slots=True)
class Ended:
    """How a domain's service ended: `code` is its exit code, or -N for signal N; `console` the tail of its output."""

    code: int
    console: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a domain uses now; memory that its processes share is counted once for each."""

    resident_bytes: int
    cpu_ns: int


class Domain(Protocol):
    """One isolated place, holding one replica."""

    @property
    def kind(self) -> str:
        """The configuration's word for this kind of domain: `process`, `sandbox` …."""

    @property
    def pid(self) -> int | None:
        """The service's own process as the host sees it, or None while nothing runs."""

    @property
    def guarantees(self) -> dict[str, str]:
        """What is in force here, by name: `memory`, `processes`, `network`, `syscalls`: short texts for people."""

    async def start(self) -> None:
        """Run the service. Raises `OperatorFault` with the console output when it cannot be started."""

    async def connect(self) -> socket.socket:
        """A new connected non-blocking stream socket to the service: no proxy. Raises `OSError` while not ready."""

    async def hog(self) -> None:
        """Burn all CPU that this domain may use, until killed (drills only)."""

    async def kill(self) -> Ended:
        """End everything in the domain, without its cooperation; idempotent; leaves no process, mount or file."""

    async def ended(self) -> Ended:
        """Wait until the service ends by itself or is killed."""

    def usage(self) -> Usage:
        """What the domain uses now; zeros when nothing runs."""
