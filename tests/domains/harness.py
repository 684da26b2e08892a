"""What the tests of the domains share: short directories, an event loop of each kind, and a coordinator to be killed.

Knows the port; knows nothing of any domain's inside.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvloop

import quorate
from quorate.domains.interpreter import interpreter, readable
from quorate.domains.port import Domain, Recipe

WAIT_SECONDS_MAX = 30.0
POLL_SECONDS = 0.005
ORDINARY_USER = 61_150  # any that nobody is

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(main: Coroutine[Any, Any, T], loop: str = "uvloop") -> T:
    """Run one coroutine on a fresh loop of that kind."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(asyncio.wait_for(main, 2 * WAIT_SECONDS_MAX))


async def eventually(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of `condition()`; fails when there was none in time."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"never: {what}"
        await asyncio.sleep(POLL_SECONDS)
    return value


async def connected(domain: Domain) -> socket.socket:
    """A lane, as soon as there is one."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while True:
        try:
            return await domain.connect()
        except OSError:
            assert asyncio.get_running_loop().time() < deadline, "never ready"
            assert domain.pid is not None, f"ended: {await domain.ended()}"
            await asyncio.sleep(POLL_SECONDS)


async def asked(domain: Domain, request: bytes, ending: bytes) -> bytes:
    """What the service answers on a lane of its own, up to `ending` or the end of the stream."""
    loop = asyncio.get_running_loop()
    reply = b""
    with await connected(domain) as lane:
        if request:
            await loop.sock_sendall(lane, request)
        while not (ending and reply.endswith(ending)) and (piece := await loop.sock_recv(lane, 65_536)):
            reply += piece
    return reply


@contextlib.contextmanager
def short_directory(under: str | None = None) -> Iterator[Path]:
    """A directory that everybody may traverse, short enough for the path of a unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="quorate-", dir=under))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def redis(**changes: Any) -> Recipe:
    """A recipe for Debian's Redis without persistence."""
    persistence = ("--save", "", "--appendonly", "no")
    arguments = ("--port", "0", "--unixsocket", "{socket}", "--dir", "{directory}", *persistence)
    return Recipe(**{"replica": "a", "variant": "redis", "program": "redis-server", "args": arguments} | changes)


def python(code: str, *arguments: str, **changes: Any) -> Recipe:
    """A recipe that runs `code` with our own interpreter."""
    recipe: dict[str, Any] = {"replica": "a", "variant": "python", "program": interpreter(), "readable": readable()}
    return Recipe(**recipe | {"args": ("-c", code, *arguments)} | changes)


LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    with listener.accept()[0] as connection:
        connection.sendall(b"hello")
"""


def text_of(path: str | Path) -> str:
    """The text of a file of the host, such as one in /proc."""
    return Path(path).read_text(errors="replace")


def pid_of(domain: Domain) -> int:
    """The service's process; fails when nothing runs."""
    pid = domain.pid
    assert pid is not None
    return pid


def is_gone(pid: int) -> bool:
    """Whether a process has ended, whoever reaps it."""
    try:
        return text_of(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def traces() -> list[str]:
    """What domains of this process may leave behind on this machine."""
    return [str(path) for path in Path("/sys/fs/cgroup").rglob(f"quorate-{os.getpid()}-*")]


def as_ordinary_user(directory: Path, script: Path, *arguments: str) -> list[str]:
    """A command that runs a Python script as an ordinary user, who can read nothing but a copy of our package."""
    if os.geteuid() != 0:
        return [interpreter(), str(script), *arguments]
    import pyseccomp

    shutil.copytree(Path(quorate.__file__).parent, directory / "quorate", ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(str(pyseccomp.__file__), directory / "pyseccomp.py")
    shutil.copy(script, directory / script.name)
    user = str(ORDINARY_USER)
    drop = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"]
    path = f"PYTHONPATH={directory}"
    return [*drop, "env", "-i", path, "/usr/bin/python3", "-B", str(directory / script.name), *arguments]


def coordinator(command: list[str]) -> "subprocess.Popen[str]":
    """Start a process that plays the coordinator."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
