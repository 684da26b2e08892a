"""The keeper's one loop: the coordinator's socket first, then a slice of each feed, again and again.

One thread, nothing that waits but the disk: a slow shadow never holds up the store, and a long bulk is cut into slices.
A replica can end its own feed, never the keeper. When the store fails, or the coordinator says what makes no sense, the
keeper says why and ends: it never goes on with what it cannot vouch for.
"""

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator

from ..trusted.changes import LARGE_BYTES
from ..trusted.limits import MIB
from . import wire
from .dialects import StateDialect
from .faults import FeedFault, StateFault
from .feed import Feed, Phase
from .lane import FeedLane
from .marks import Marks
from .store import StateStore

RECEIVE_BYTES = 1 * MIB
DESCRIPTORS_MAX = 16
FOUND_KEYS_MAX = 1_024
FOUND_BYTES_MAX = 1 * MIB
OUTGOING_BYTES_MAX = 4 * MIB
IDLE_SECONDS = 1.0
LAST_WORDS_SECONDS_MAX = 5.0

_LENGTH_OF_DESCRIPTORS = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)


class Stopped(Exception):
    """The coordinator told us to stop, or is gone."""


class KeeperLoop:
    """Serves the coordinator behind `sock` with this store."""

    def __init__(self, sock: socket.socket, store: StateStore, dialect: StateDialect) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._store = store
        self._dialect = dialect
        self._decoder = wire.Decoder()
        self._buffer = bytearray(RECEIVE_BYTES)
        self._descriptors: deque[int] = deque()
        self._outgoing = bytearray()
        self._feeds: dict[int, Feed] = {}
        self._changed = Marks()
        self._loading: Iterator[wire.Event] | None = None
        self._selector = selectors.DefaultSelector()
        self._registered: dict[int, int] = {}
        self._turned_at = time.monotonic()

    def run(self) -> None:
        """Serve until told to stop or the coordinator is gone. Raises `StateFault` after having said so."""
        base = self._store.base
        self._say(wire.Opened(self._store.checkpoint, self._store.extras, base.seal, base.anchor))
        try:
            while True:
                self._turn()
        except Stopped:
            pass
        except (StateFault, wire.WireFault) as fault:
            self._say_last(wire.Broke(str(fault), getattr(fault, "hint", "")))
            raise
        finally:
            for feed in self._feeds.values():
                feed.close()
            self._selector.close()

    # One turn.

    def _turn(self) -> None:
        ready = self._select()
        now = time.monotonic()
        elapsed = now - self._turned_at
        self._turned_at = now
        if ready.get(self._socket.fileno(), 0) & selectors.EVENT_READ:
            self._receive()
        for feed in list(self._feeds.values()):
            self._attend(feed, ready.get(feed.lane.fileno(), 0), elapsed)
        self._load_on()
        self._send()

    def _select(self) -> dict[int, int]:
        """What is ready, by descriptor: waits only when there is nothing to do."""
        self._watch(self._socket.fileno(), True, bool(self._outgoing))
        timeout = IDLE_SECONDS
        for feed in self._feeds.values():
            self._watch(feed.lane.fileno(), True, feed.lane.wants_to_write)
            if feed.has_work:
                timeout = 0.0
        if self._loading is not None and len(self._outgoing) < OUTGOING_BYTES_MAX:
            timeout = 0.0
        return {key.fd: events for key, events in self._selector.select(timeout)}

    def _watch(self, descriptor: int, reads: bool, writes: bool) -> None:
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
        before = self._registered.get(descriptor, 0)
        if events == before:
            return
        if not before:
            self._selector.register(descriptor, events)
        elif events:
            self._selector.modify(descriptor, events)
        else:
            self._selector.unregister(descriptor)
        self._registered[descriptor] = events

    # Feeds.

    def _attend(self, feed: Feed, events: int, elapsed: float) -> None:
        """A slice for this feed."""
        try:
            if events & selectors.EVENT_READ:
                feed.lane.read()
                feed.settle()
            if feed.has_work:
                feed.work()
            if feed.lane.wants_to_write:
                feed.lane.write()
            feed.passed(elapsed)
        except FeedFault as fault:
            self._fail(feed, fault)
            return
        if feed.phase is Phase.SEALED:
            self._end(feed)

    def _fail(self, feed: Feed, fault: FeedFault) -> None:
        self._say(wire.Failed(feed.number, fault.is_replicas, fault.reason))
        self._end(feed)

    def _end(self, feed: Feed) -> None:
        self._watch(feed.lane.fileno(), False, False)
        self._feeds.pop(feed.number)
        feed.close()

    # The coordinator.

    def _receive(self) -> None:
        try:
            size, ancillary, flags, _ = self._socket.recvmsg_into([self._buffer], _LENGTH_OF_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            raise Stopped from None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors += memoryview(data[: len(data) - len(data) % 4]).cast("i").tolist()
        if not size:
            raise Stopped
        if flags & socket.MSG_CTRUNC:
            raise wire.WireFault("more sockets came at once than are taken")
        with memoryview(self._buffer) as view:
            messages = self._decoder.feed(bytes(view[:size]))
        for message in messages:
            self._obey(message)

    def _obey(self, message: wire.Message) -> None:
        match message:
            case wire.Put(database, key, record):
                self._store.put(database, key, record)
                self._changed.add(database, key)
            case wire.Delete(database, key):
                self._store.delete(database, key)
                self._changed.add(database, key)
            case wire.Clear(database):
                self._store.clear(database)
                self._changed.clear(database)
            case wire.Commit():
                self._commit(message)
            case wire.AskPage(after, keys_max):
                rows = self._store.page(after, keys_max)
                self._say(wire.Paged([(row[0], row[1], self._dialect.kind(row[2])) for row in rows]))
            case wire.Load():
                self._loading = self._load()
            case wire.Stop():
                raise Stopped
            case _:
                self._obey_about_feed(message)

    def _obey_about_feed(self, message: wire.Message) -> None:
        match message:
            case wire.Feed(number):
                self._feed(number)
            case wire.Seal(number):
                if number in self._feeds:  # else it has failed, and the coordinator will hear of it
                    self._feeds[number].seal()
            case wire.Drop(number):
                if number in self._feeds:
                    self._end(self._feeds[number])
            case _:
                raise wire.WireFault(f"{type(message).__name__} is nothing that a keeper is told")

    def _commit(self, commit: wire.Commit) -> None:
        wrong = self._store.miscounted(commit.counts)
        if wrong:
            # Whoever began at this checkpoint would lack what was acknowledged: the last one stays what it is.
            self._say(wire.Miscounted(commit.slot, wrong))
            return
        checkpoint = self._store.commit(commit.slot, commit.extras, commit.is_durable, commit.anchor)
        changed, self._changed = self._changed, Marks()
        self._say(wire.Committed(checkpoint))
        for feed in list(self._feeds.values()):
            try:
                feed.committed(changed)
            except FeedFault as fault:
                self._fail(feed, fault)

    def _feed(self, number: int) -> None:
        if not self._descriptors or number in self._feeds:
            raise wire.WireFault(f"feed {number} came without a socket, or twice")
        lane = FeedLane(socket.socket(fileno=self._descriptors.popleft()))
        self._feeds[number] = Feed(number, lane, self._store, self._dialect, self._say)

    def _load(self) -> Iterator[wire.Event]:
        """All keys with a deadline, and all that are large, some at a time."""
        snapshot = self._store.snapshot()
        try:
            for _ in snapshot.check_index():
                yield wire.Found([], [])  # a sign of life
            deadlines: list[tuple[int, bytes, int]] = []
            sizes: list[tuple[int, bytes, int]] = []
            named = 0
            for count, (database, key, record) in enumerate(snapshot.rows(), 1):
                deadline = self._dialect.deadline(record)
                if deadline >= 0:
                    deadlines.append((database, key, deadline))
                    named += len(key)
                if len(record) >= LARGE_BYTES:
                    sizes.append((database, key, len(record)))
                    named += len(key)
                if count % FOUND_KEYS_MAX == 0 or named > FOUND_BYTES_MAX:
                    yield wire.Found(deadlines, sizes)
                    deadlines, sizes, named = [], [], 0
            yield wire.Found(deadlines, sizes)
            yield wire.Loaded(snapshot.slot, snapshot.extras)
        finally:
            snapshot.close()

    def _load_on(self) -> None:
        if self._loading is None or len(self._outgoing) >= OUTGOING_BYTES_MAX:
            return
        event = next(self._loading, None)
        if event is None:
            self._loading = None
        else:
            self._say(event)

    def _say(self, event: wire.Event) -> None:
        self._outgoing += wire.encode(event)

    def _send(self) -> None:
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                raise Stopped from None
            del self._outgoing[:sent]

    def _say_last(self, event: wire.Event) -> None:
        """Say this before the end, to a coordinator that may not listen any more."""
        self._say(event)
        self._socket.settimeout(LAST_WORDS_SECONDS_MAX)
        with contextlib.suppress(OSError):
            self._socket.sendall(self._outgoing)
