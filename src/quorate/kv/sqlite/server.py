"""The event loop: a unix socket, many connections, one thread. Knows sockets and the clock, not what commands do.

Everything that one read brings is executed in one transaction of the database and answered with one write. A client
that does not read its replies is not read from until it does.
"""

import itertools
import selectors
import signal
import socket
import time
from pathlib import Path
from sqlite3 import Connection

from . import reply
from .dispatch import execute
from .errors import ProtocolError
from .keyspace import Keyspace
from .request import RequestParser
from .schema import open_database
from .session import Script, Session

READ_BYTES_MAX = 256 * 1024
BACKLOG = 512
# A client with this many unread bytes of replies has to read before more of its requests are executed.
OUTPUT_BYTES_MAX = 8 * 1024 * 1024
# How often keys past their deadline are looked for while nobody asks for anything.
IDLE_SECONDS = 1.0


class Peer:
    """One connection: its socket, its unfinished request, its session and its unsent replies."""

    def __init__(self, connection: socket.socket, session: Session) -> None:
        self.connection = connection
        self.session = session
        self.parser = RequestParser()
        self.unsent = bytearray()
        self.events = selectors.EVENT_READ

    def flush(self) -> None:
        """Send as much as the socket takes; raises `OSError` when the client is gone."""
        session = self.session
        if session.output:
            self.unsent += b"".join(session.output)
            session.output.clear()
            session.output_bytes = 0
        if self.unsent:
            try:
                sent = self.connection.send(self.unsent)
            except BlockingIOError:
                return
            del self.unsent[:sent]


class Server:
    """The store behind one unix socket."""

    def __init__(self, path: Path) -> None:
        self._database: Connection = open_database()
        self._keys = Keyspace(self._database)
        self._scripts: dict[bytes, Script] = {}
        self._identities = itertools.count(1)
        self._selector = selectors.DefaultSelector()
        path.unlink(missing_ok=True)
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waker, self._woken = socket.socketpair()
        self._running = True

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while self._running:
            ready = self._selector.select(IDLE_SECONDS)
            self._keys.now = time.time_ns() // 1_000_000
            self._keys.purge_sometimes()
            for item, events in ready:
                if isinstance(item.data, Peer):
                    self._serve(item.data, events)
                elif item.fileobj is self._listener:
                    self._accept()
        self._path.unlink(missing_ok=True)

    def _stop(self, number: int, frame: object) -> None:
        self._running = False

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            # The client left again, or there are too many; the listener stays as it is.
            return
        connection.setblocking(False)
        peer = Peer(connection, Session(next(self._identities), self._keys, self._scripts))
        self._selector.register(connection, peer.events, peer)

    def _serve(self, peer: Peer, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = peer.connection.recv(READ_BYTES_MAX)
                if not data:
                    self._forget(peer)
                    return
                peer.parser.feed(data)
            else:
                peer.flush()
            self._turn(peer)
        except BlockingIOError:
            return
        except OSError:
            self._forget(peer)

    def _turn(self, peer: Peer) -> None:
        """Execute what is complete and send the replies, until one of the two has to wait."""
        session = peer.session
        while not session.closing and len(peer.unsent) < OUTPUT_BYTES_MAX and self._execute_ready(peer):
            peer.flush()
        peer.flush()
        if session.closing and not peer.unsent:
            self._forget(peer)
            return
        wanted = selectors.EVENT_WRITE if peer.unsent else selectors.EVENT_READ
        if wanted != peer.events:
            peer.events = wanted
            self._selector.modify(peer.connection, wanted, peer)

    def _execute_ready(self, peer: Peer) -> bool:
        """Execute complete requests in one transaction; returns whether there may be more."""
        session = peer.session
        request = self._next(peer)
        if request is None:
            return False
        self._database.execute("BEGIN")
        try:
            while request is not None:
                self._keys.now = time.time_ns() // 1_000_000
                execute(session, request)
                if session.closing or session.output_bytes >= OUTPUT_BYTES_MAX:
                    return True
                request = self._next(peer)
        finally:
            self._database.execute("COMMIT")
        return False

    def _next(self, peer: Peer) -> list[bytes] | None:
        try:
            return peer.parser.next()
        except ProtocolError as refusal:
            peer.session.emit(reply.error(b"ERR Protocol error: " + refusal.text))
            peer.session.closing = True
            return None

    def _forget(self, peer: Peer) -> None:
        peer.session.leave()
        self._selector.unregister(peer.connection)
        peer.connection.close()
