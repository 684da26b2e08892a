"""The coordinator's end of its keeper: commands are written once per turn of the loop, events become calls and futures.

Nothing here waits for the disk or for a replica. Whatever happens to the keeper, no waiter hangs: when it ends, all get
the `StateFault` that says why, and so does everybody who asks for something later. What a broken keeper is told to
keep is dropped. Knows the event loop and processes; must not know what rows mean.
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from ..domains.child import Child, plan
from ..trusted.errors import invariant
from . import wire
from .anchor import EMPTY, NO_ANCHOR, Anchor, Base
from .faults import FeedFault, StateFault
from .outbox import Outbox
from .rows import Checkpoint

RECEIVE_BYTES = 262_144
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
# What the keeper may need of our environment.
INHERITED = ("PATH", "PYTHONPATH", "QUORATE_PURE", "LANG", "LC_ALL")


@dataclass(frozen=True, slots=True)
class LoadedState:
    """What a cell starts from: the checkpoint's slot and extras, all deadlines (database, key, ms), and `sizes`.

    Those are of all keys that are large: (database, key, bytes).
    """

    slot: int
    extras: bytes
    deadlines: list[tuple[int, bytes, int]]
    sizes: list[tuple[int, bytes, int]]


class Feeding:
    """One feed as the coordinator sees it.

    `rows_done` of `rows_total` are restored, and asked for again. `slot` is the checkpoint that the replica was last
    proved to be (0: none yet), and `lag` how many changed keys are not proved on it yet. `fault` says why it is over.
    """

    def __init__(self) -> None:
        self.rows_done = 0
        self.rows_total = 0
        self.slot = 0
        self.lag = 0
        self.fault: FeedFault | StateFault | None = None
        self.waiter: asyncio.Future[int] | None = None

    def reached(self, slot: int) -> None:
        """The replica was proved to be this checkpoint."""
        self.slot = slot
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(slot)

    def ended(self, fault: FeedFault | StateFault) -> bool:
        """It is over; whether somebody waits and will hear of it."""
        self.fault = fault
        if self.waiter is None or self.waiter.done():
            return False
        self.waiter.set_exception(fault)
        return True

    async def wait(self) -> int:
        """Until a slot is reached. Raises the fault when the feed ends before."""
        if self.fault is not None:
            raise self.fault
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            return await self.waiter
        finally:
            self.waiter = None


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class Keeper:
    """A running keeper. Made by `start`; `on_` members may be set at any time.

    `checkpoint` is the last commit that is known to be done. `extras` is what the store held beside rows when it was
    opened, and `base` its last commit then, as a journal names it. `feeds` has those that were not dropped or sealed.
    """

    def __init__(self, sock: socket.socket, child: Child) -> None:
        self.on_committed: Callable[[Checkpoint], None] = _ignore
        # There was no commit, because of the number of keys in these databases.
        self.on_miscounted: Callable[[list[int]], None] = _ignore
        self.on_broken: Callable[[StateFault], None] = _ignore
        # A feed has failed while nobody waited for it.
        self.on_feed_failed: Callable[[int, FeedFault], None] = _ignore
        self.checkpoint = Checkpoint(0, {}, 0)
        self.extras = b""
        self.base = EMPTY
        self.feeds: dict[int, Feeding] = {}
        self.fault: StateFault | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._child = child
        self._outbox = Outbox(sock)
        self._decoder = wire.Decoder()
        self._is_scheduled = False
        self._is_blocked = False
        self._is_stopping = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._pages: deque[asyncio.Future[Any]] = deque()
        self._loads: deque[asyncio.Future[Any]] = deque()
        self._deadlines: list[tuple[int, bytes, int]] = []
        self._sizes: list[tuple[int, bytes, int]] = []
        self._loop.add_reader(sock.fileno(), self._readable)
        child.end.add_done_callback(self._ended)

    @classmethod
    async def start(cls, path: Path, protocol: str, service: str) -> "Keeper":
        """A keeper of the store at `path`, which is open when this returns.

        `protocol` and `service` are what the store must belong to. Raises `OperatorFault` when it cannot be opened.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        ours.setblocking(False)
        try:
            with theirs:
                child = _launch(theirs.fileno(), path, protocol, service)
        except BaseException:
            ours.close()
            raise
        keeper = cls(ours, child)
        try:
            await child.executed()
            async with asyncio.timeout(START_SECONDS_MAX):
                await asyncio.shield(keeper._opened)
        except BaseException as error:
            await keeper._kill()
            if isinstance(error, TimeoutError):
                message = f"the state store {path} was not opened within {START_SECONDS_MAX:.0f} s"
                raise StateFault(message, "see whether another process uses it, and whether its disk is slow") from None
            raise
        return keeper

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.pid

    @property
    def backlog_bytes(self) -> int:
        """What the keeper was told and has not taken yet."""
        return self._outbox.size

    # Changes.

    def put(self, database: int, key: bytes, record: bytes) -> None:
        """`key` has this record from the next commit on."""
        self._write(wire.encode_put(database, key, record))

    def delete(self, database: int, key: bytes) -> None:
        """`key` is absent from the next commit on."""
        self._write(wire.encode(wire.Delete(database, key)))

    def clear(self, database: int) -> None:
        """The database is empty from the next commit on, but for what is put after this."""
        self._write(wire.encode(wire.Clear(database)))

    def commit(
        self, slot: int, extras: bytes, counts: dict[int, int], is_durable: bool, anchor: Anchor = NO_ANCHOR
    ) -> None:
        """All that was put and deleted so far becomes the checkpoint of `slot`; `on_committed` says when it is.

        But not where it has another number of keys than `counts` says of a database: then `on_miscounted` does.
        `anchor` is how the journal stands, if there is one beside.
        """
        self._write(wire.encode(wire.Commit(slot, is_durable, extras, counts, anchor)))

    # Feeds.

    async def feed(self, sock: socket.socket, number: int) -> int:
        """Make the replica behind `sock`, which becomes the keeper's, what the store is, and have it follow.

        `number` names the feed. Returns the slot of the checkpoint that the replica was proved to be. Raises
        `FeedFault`, or `StateFault` when the keeper breaks.
        """
        invariant(number not in self.feeds, "each feed has a number of its own")
        if self.fault is not None:
            sock.close()
            raise self.fault
        feeding = self.feeds[number] = Feeding()
        self._outbox.append_with(wire.encode(wire.Feed(number)), sock)
        self._schedule()
        return await self._reached(number, feeding)

    async def seal(self, number: int) -> int:
        """Wait until the replica is proved to be exactly the last commit, and end the feed; that commit's slot.

        No commit may be made until this returns. Raises as `feed`.
        """
        feeding = self.feeds.get(number)
        if feeding is None:
            raise FeedFault("there is no such feed", is_replicas=False)
        self._write(wire.encode(wire.Seal(number)))
        slot = await self._reached(number, feeding)
        del self.feeds[number]
        return slot

    async def _reached(self, number: int, feeding: Feeding) -> int:
        try:
            return await feeding.wait()
        except BaseException:
            self.drop(number)
            raise

    def drop(self, number: int) -> None:
        """End a feed, if there is such a one; who waits for it gets a `FeedFault`."""
        feeding = self.feeds.pop(number, None)
        if feeding is not None:
            self._write(wire.encode(wire.Drop(number)))
            feeding.ended(FeedFault("the feed was dropped", is_replicas=False))

    # Questions.

    async def page(self, after: tuple[int, bytes] | None, keys_max: int) -> list[tuple[int, bytes, int]]:
        """Up to `keys_max` committed keys (database, key, kind) after the given one, or from the first on."""
        items: list[tuple[int, bytes, int]] = await self._ask(self._pages, wire.AskPage(after, keys_max))
        return items

    async def load(self) -> LoadedState:
        """What to start from. Reads, and so checks, the whole store."""
        loaded: LoadedState = await self._ask(self._loads, wire.Load())
        return loaded

    async def _ask(self, waiters: deque[asyncio.Future[Any]], command: wire.Command) -> Any:
        if self.fault is not None:
            raise self.fault
        waiter = self._loop.create_future()
        waiters.append(waiter)
        self._write(wire.encode(command))
        return await waiter

    # Writing.

    def _write(self, frame: bytes) -> None:
        if self.fault is None:
            self._outbox.append(frame)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what there is; what does not go is written when there is room, and `_is_scheduled` stays until then."""
        if self.fault is not None:
            return
        is_sent = self._outbox.send()
        if is_sent == self._is_blocked:
            self._is_blocked = not is_sent
            if is_sent:
                self._loop.remove_writer(self._socket.fileno())
            else:
                self._loop.add_writer(self._socket.fileno(), self._flush)
        self._is_scheduled = not is_sent

    # Reading.

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            if not self._hear():
                self._loop.remove_reader(self._socket.fileno())  # its process ends, and that is noticed

    def _hear(self) -> bool:
        """Take some of what has come; False at the end. Raises `BlockingIOError` when there is nothing."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except ConnectionError:
            return False
        try:
            for message in self._decoder.feed(data):
                self._happened(message)
        except wire.WireFault as fault:
            self._break(StateFault(f"the keeper of the state store talks nonsense: {fault}"))
            self._child.signal(signal.SIGKILL)
            return False
        return bool(data)

    def _happened(self, message: wire.Message) -> None:
        match message:
            case wire.Opened(checkpoint, extras, seal, anchor):
                self.checkpoint = checkpoint
                self.extras = extras
                self.base = Base(checkpoint.slot, seal, anchor)
                if not self._opened.done():
                    self._opened.set_result(None)
            case wire.Committed(checkpoint):
                self.checkpoint = checkpoint
                self.on_committed(checkpoint)
            case wire.Miscounted(_, databases):
                self.on_miscounted(databases)
            case wire.Paged(items):
                _resolve(self._pages, items)
            case wire.Found(deadlines, sizes):
                self._deadlines += deadlines
                self._sizes += sizes
            case wire.Loaded(slot, extras):
                _resolve(self._loads, LoadedState(slot, extras, self._deadlines, self._sizes))
                self._deadlines, self._sizes = [], []
            case wire.Broke(reason, hint):
                self._break(StateFault(reason, hint))
            case wire.Progressed() | wire.Fed() | wire.Lagged() | wire.Sealed() | wire.Failed():
                feeding = self.feeds.get(message.feed)
                if feeding is not None:  # else it was dropped meanwhile
                    self._happened_to_feed(feeding, message)
            case _:
                raise wire.WireFault(f"{type(message).__name__} is nothing that a keeper says")

    def _happened_to_feed(self, feeding: Feeding, message: wire.FeedEvent) -> None:
        match message:
            case wire.Progressed(_, done, total):
                feeding.rows_done = done
                feeding.rows_total = total
            case wire.Lagged(_, pending):
                feeding.lag = pending
            case wire.Fed(_, slot) | wire.Sealed(_, slot):
                feeding.reached(slot)
            case wire.Failed(number, is_replicas, reason):
                fault = FeedFault(reason, is_replicas)
                if not feeding.ended(fault):
                    self.on_feed_failed(number, fault)
            case _:
                assert_never(message)

    # The end.

    def _ended(self, _: asyncio.Future[int]) -> None:
        """The process has ended: hear its last words, then break unless it was to end."""
        with suppress(BlockingIOError):
            while self.fault is None and self._hear():
                pass
        if self._is_stopping:
            self._break(StateFault("the keeper was stopped"))
        else:
            fault = self._child.fault("the keeper of the state store ended")
            self._break(StateFault(str(fault), "see its output"))
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def _break(self, fault: StateFault) -> None:
        """From now on all is refused. Once."""
        if self.fault is not None:
            return
        self.fault = fault
        self._outbox.close()
        for feeding in self.feeds.values():
            feeding.ended(fault)
        for waiter in (self._opened, *self._pages, *self._loads):
            if not waiter.done():
                waiter.set_exception(fault)
                waiter.exception()  # so that nobody is missed who has stopped waiting
        if not self._is_stopping:
            self.on_broken(fault)

    def give_up(self) -> None:
        """It says nothing any more: end it, as one that broke."""
        self._break(StateFault("the keeper of the state store does not answer"))
        self._child.signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End the keeper; what is not committed is forgotten. Idempotent."""
        self._is_stopping = True
        self._write(wire.encode(wire.Stop()))
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await asyncio.shield(self._child.end)
        await self._kill()

    async def _kill(self) -> None:
        self._is_stopping = True
        await self._child.kill()


def _launch(descriptor: int, path: Path, protocol: str, service: str) -> Child:
    module = ["-P", "-m", "quorate.state.keeper", str(descriptor), str(path.absolute()), protocol, service]
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return Child(plan([sys.executable, *module], environment, {"CORE": 0}), (descriptor,))


def _resolve(waiters: deque[asyncio.Future[Any]], result: object) -> None:
    """Answer who asked first; he may have stopped waiting."""
    waiter = waiters.popleft()
    if not waiter.done():
        waiter.set_result(result)
