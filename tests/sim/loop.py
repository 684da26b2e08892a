"""An event loop of simulated time: what Ring 1 waits for happens along the timeline, and in one order.

`asyncio`'s own tasks, futures and timeouts run on it unchanged, so that the product's own code is what runs. Its only
sockets are the lines to simulated domains. All that was begun ends with the process, at once.
"""

import asyncio
from asyncio import base_events, events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVarTuple

from tests.sim.timeline import SECOND_NS, START_NS, Timeline

# Who asks again and again without waiting must not stop time.
TURNS_AT_ONE_TIME_MAX = 1_000
TURN_NS = 1_000
STEPS_TO_END_MAX = 10_000

_Arguments = TypeVarTuple("_Arguments")


class Clock:
    """Stands for the module `time` where only time that passed counts."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def monotonic(self) -> float:
        """Seconds since one second before the beginning: none is ever zero."""
        return 1.0 + (self._timeline.now - START_NS) / SECOND_NS


class SimulatedLoop(base_events.BaseEventLoop):
    """The loop of one process."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self.is_over = False
        self._timeline = timeline
        self._clock = Clock(timeline)
        self._tasks: list[asyncio.Task[Any]] = []
        self._todo: deque[asyncio.Handle] = deque()
        self._is_due = False
        self._turns = 0
        self._turned_at = 0
        self._fault: BaseException | None = None
        # Done as soon as the process ends, for what would take time.
        self.ending: asyncio.Future[None] = self.create_future()

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Work that goes on beside all else. What it raises that nobody expects ends the run."""
        task = self.create_task(work)
        task.add_done_callback(self._done)
        self._tasks = [other for other in self._tasks if not other.done()]
        self._tasks.append(task)
        return task

    def end(self) -> None:
        """The process is no more: nothing that was begun goes on."""
        self.ending.set_result(None)
        for task in self._tasks:
            task.cancel()
        for _ in range(STEPS_TO_END_MAX):
            if not self._todo:
                break
            self._run_all()
        assert all(task.done() for task in self._tasks), "what was begun ends with its process"
        self.is_over = True
        self.close()

    # What asyncio asks of its loop.

    def time(self) -> float:
        """Seconds."""
        return self._clock.monotonic()

    def call_soon(
        self, callback: Callable[[*_Arguments], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Call this at the present time, but not at once."""
        handle = asyncio.Handle(callback, args, self, context)
        self._todo.append(handle)
        if not self._is_due:
            self._is_due = True
            self._timeline.after(self._pause(), self._turn)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*_Arguments], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call this then."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timeline.after(round((when - self.time()) * SECOND_NS), lambda: self._ring(handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays on the timeline, and does nothing then."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Something failed that should not. Tasks whose end nobody waited for are not meant."""
        if "future" not in context and "task" not in context:
            self._fault = self._fault or context.get("exception")

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send on a line of `domains.py`."""
        sock.sent(data)

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        """Receive on such a line."""
        data: bytes = await sock.received(nbytes)
        return data

    # How it goes on.

    def _pause(self) -> int:
        now = self._timeline.now
        self._turns = self._turns + 1 if now == self._turned_at else 0
        self._turned_at = now
        return TURN_NS if self._turns > TURNS_AT_ONE_TIME_MAX else 0

    def _ring(self, handle: asyncio.TimerHandle) -> None:
        if not (self.is_over or handle.cancelled()):
            self._todo.append(handle)
            self._turn()

    def _turn(self) -> None:
        self._is_due = False
        if not self.is_over:
            self._run_all()

    def _run_all(self) -> None:
        """What waits now; what that brings about comes in the next turn."""
        events._set_running_loop(self)
        try:
            for _ in range(len(self._todo)):
                handle = self._todo.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(None)
        if self._fault is not None and not self.is_over:
            fault, self._fault = self._fault, None
            raise fault

    def _done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._fault = self._fault or task.exception()
