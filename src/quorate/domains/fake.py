"""The fake domain: the port with nothing behind it, for tests. What it does is what every domain promises to.

The service is an async function in this very process, called once for each connection with its reader and writer.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from quorate.trusted.errors import OperatorFault, invariant

from .port import Ended, Usage

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

KILLED = -9


class FakeDomain:
    """Serves `handler`. `launch_fault` makes `start` fail; while `ready` is False, `connect` is refused."""

    kind = "fake"

    def __init__(self, handler: Handler, launch_fault: str = "", ready: bool = True) -> None:
        self._handler = handler
        self._launch_fault = launch_fault
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[socket.socket] = set()
        self._end: asyncio.Future[Ended] | None = None
        self.ready = ready
        self.hogging = False

    @property
    def pid(self) -> int | None:
        """None: there is no process of its own, and nobody should be led to kill this one."""
        return None

    @property
    def guarantees(self) -> dict[str, str]:
        """What is in force here: nothing."""
        return {"everything": "none: this domain exists for tests"}

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._end is not None and not self._end.done()

    async def start(self) -> None:
        """Run the service. Raises `OperatorFault` when `launch_fault` says so, and is as before then."""
        invariant(self._end is None, "a domain is started once")
        if self._launch_fault:
            raise OperatorFault(self._launch_fault)
        self._end = asyncio.get_running_loop().create_future()

    async def connect(self) -> socket.socket:
        """A new connected non-blocking stream socket to the service. Raises `OSError` while not ready."""
        if not (self.running and self.ready):
            raise ConnectionRefusedError("nothing listens in this fake domain")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._waiting.add(theirs)
        task = asyncio.get_running_loop().create_task(self._serve(theirs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ours

    async def _serve(self, connection: socket.socket) -> None:
        self._waiting.discard(connection)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            await self._handler(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    async def hog(self) -> None:
        """Note that it was asked to burn CPU."""
        invariant(self.running, "only a started domain can be burdened")
        self.hogging = True

    def crash(self, code: int, console: str = "") -> None:
        """End as if the service had ended by itself, all connections closed."""
        if self._end is not None and not self._end.done():
            self._end.set_result(Ended(code, console))
        for task in self._tasks:
            task.cancel()
        while self._waiting:  # a task that is cancelled before its first step never runs
            self._waiting.pop().close()
        self.hogging = False

    async def kill(self) -> Ended:
        """End everything in the domain; idempotent."""
        self.crash(KILLED)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._end.result() if self._end is not None else Ended(0, "")

    async def ended(self) -> Ended:
        """Wait until the service ends by itself or is killed."""
        invariant(self._end is not None, "only a started domain can end")
        assert self._end is not None
        return await asyncio.shield(self._end)

    def usage(self) -> Usage:
        """Zeros: it has nothing of its own."""
        return Usage(0, 0)
