"""The clients of the demonstration: they ask at random, know every right answer, and count what was wrong.

Knows ports and replies; knows no cell, so that any server of the protocol could be asked alike.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator

from .client import Connection, ErrorReply, Reply
from .model import Model, SharedCounter, Step

CLIENTS = 8
# One request at a time, and several in one piece.
PIECES = (1, 1, 5, 1, 8)
REPLY_SECONDS_MAX = 20.0
TROUBLES_TOLD_MAX = 5

BROKEN = (OSError, EOFError, ValueError, TimeoutError)


class Crew:
    """The clients together: what they asked, and what was wrong with the replies."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.requests = 0
        self.wrong_replies = 0
        self.failed_requests = 0
        self.shared = SharedCounter()
        self._progress = progress
        self._left = 0
        self._clients: list[Client] = []

    async def come(self, port: int) -> None:
        """Connect all clients to `port`."""
        for number in range(CLIENTS):
            model = Model(f"client{number}", self.shared, seed=number)
            self._clients.append(Client(self, model, await Connection.open(port)))

    async def work(self, requests: int) -> None:
        """Ask `requests` more, all clients at once; fewer only when every client has lost its connection."""
        self._left = requests
        await asyncio.gather(*(client.work() for client in self._clients))

    async def leave(self) -> None:
        """End all connections."""
        await asyncio.gather(*(client.connection.close() for client in self._clients))

    def take(self, requests_max: int) -> int:
        """How many requests, up to `requests_max`, a client may ask now."""
        taken = min(requests_max, self._left)
        self._left -= taken
        return taken

    def give_back(self, requests: int) -> None:
        """Requests that a client took and did not ask."""
        self._left += requests

    def judge(self, step: Step, reply: Reply) -> None:
        """Count a reply that is wrong, and an error where there should be none."""
        if step.accepts(reply):
            return
        if isinstance(reply, ErrorReply):
            self.failed_requests += 1
        else:
            self.wrong_replies += 1
        self._tell(f"{b' '.join(step.arguments)!r} was answered {reply!r}")

    def lost(self, requests: int, error: BaseException) -> None:
        """So many requests of a client got no reply."""
        self.failed_requests += requests
        self._tell(f"{requests} requests got no reply: {type(error).__name__} {error}")

    def _tell(self, trouble: str) -> None:
        if self.wrong_replies + self.failed_requests <= TROUBLES_TOLD_MAX:
            self._progress(trouble)

    def report(self, note: str) -> str:
        """How it went so far, in words."""
        if not self.wrong_replies and not self.failed_requests:
            return f"{self.requests} requests, every reply right; {note}"
        return f"{self.requests} requests, {self.wrong_replies} wrong replies, {self.failed_requests} failed"


class Client:
    """One connection with its model: sends requests in pieces of random length, and looks at every reply."""

    def __init__(self, crew: Crew, model: Model, connection: Connection) -> None:
        self.connection = connection
        self._crew = crew
        self._model = model
        self._sizes = itertools.cycle(PIECES)
        self._is_broken = False

    async def work(self) -> None:
        """Ask until the crew has asked enough, or the connection is lost."""
        while not self._is_broken and (taken := self._crew.take(next(self._sizes))):
            steps = self._model.draw(taken)
            while len(steps) < taken and not steps[-1].pause:
                steps += self._model.draw(taken - len(steps))
            self._crew.give_back(taken - len(steps))
            await self._ask(steps)

    async def _ask(self, steps: list[Step]) -> None:
        """Send `steps`, in one piece as far as none of them asks for a pause, and judge their replies."""
        answered = 0
        self._crew.requests += len(steps)
        try:
            async with asyncio.timeout(REPLY_SECONDS_MAX):
                for piece in _pieces(steps):
                    self.connection.send(step.arguments for step in piece)
                    for step in piece:
                        self._crew.judge(step, await self.connection.reply())
                        answered += 1
                    await asyncio.sleep(piece[-1].pause)
        except BROKEN as error:
            self._is_broken = True
            self._crew.lost(len(steps) - answered, error)


def _pieces(steps: list[Step]) -> Iterator[list[Step]]:
    piece: list[Step] = []
    for step in steps:
        piece.append(step)
        if step.pause:
            yield piece
            piece = []
    if piece:
        yield piece
