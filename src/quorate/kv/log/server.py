"""Connections on one unix socket, served in one loop of readiness events. Knows bytes and bounds; knows no command.

One read's requests are all run before one write. A client that does not read its replies is not read from either, so
that what a connection may make the store hold is bounded.
"""

import socket
from collections import deque
from itertools import count
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from .commands import TABLE
from .framing import Framing, Request
from .keyspace import Index
from .replies import failure
from .session import Session

READ_BYTES_MAX = 64 << 10
# With this many reply bytes unsent, a connection's further requests wait.
UNSENT_BYTES_MAX = 1 << 20
BACKLOG = 1024


class Connection:
    """One client."""

    def __init__(self, stream: socket.socket, session: Session) -> None:
        self.stream = stream
        self.session = session
        self._framing = Framing()
        self._waiting: deque[Request] = deque()
        self._unsent = memoryview(b"")
        self._has_ended = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be read or written."""
        return self._has_ended or (self.session.is_closing and not self._unsent)

    @property
    def events(self) -> int:
        """What to wait for: room to write while replies are unsent, else bytes to read."""
        return EVENT_WRITE if self._unsent else EVENT_READ

    def turn(self) -> None:
        """The socket is ready for what was waited for: read, run, write, as far as it goes."""
        try:
            if self._unsent:
                self._send()
            else:
                self._receive()
            while not self._unsent and (self._waiting or self.session.outgoing) and not self._has_ended:
                self._run()
                self._send()
        except OSError:
            self._has_ended = True

    def close(self) -> None:
        """Forget the client."""
        self.session.forget()
        self.stream.close()

    def _receive(self) -> None:
        try:
            data = self.stream.recv(READ_BYTES_MAX)
        except BlockingIOError:
            return
        if not data:
            self._has_ended = True
            return
        self._waiting.extend(self._framing.feed(data))
        self._run()
        self._send()

    def _run(self) -> None:
        session = self.session
        while self._waiting and session.outgoing_bytes < UNSENT_BYTES_MAX and not session.is_closing:
            session.serve(self._waiting.popleft())
        if session.is_closing:
            self._waiting.clear()
        elif not self._waiting and self._framing.fault is not None:
            session.emit(failure(self._framing.fault))
            session.is_closing = True

    def _send(self) -> None:
        session = self.session
        if session.outgoing:
            self._unsent = memoryview(b"".join((self._unsent, *session.outgoing)))
            session.outgoing.clear()
            session.outgoing_bytes = 0
        try:
            while self._unsent:
                self._unsent = self._unsent[self.stream.send(self._unsent) :]
        except BlockingIOError:
            pass


class Server:
    """The listening socket, its connections, and the index that they share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index = Index()
        self._identities = count(1)
        self._selector = DefaultSelector()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._selector.register(self._listener, EVENT_READ)

    def serve(self) -> None:
        """Serve until the process is told to end."""
        while True:
            # An idle store goes on tidying its log.
            for ready, _ in self._selector.select(0 if self._index.log.has_work else None):
                connection = ready.data
                if connection is None:
                    self._accept()
                else:
                    self._turn(connection)
            self._index.log.tidy()

    def close(self) -> None:
        """Stop listening and leave no socket file."""
        self._listener.close()
        self._selector.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.setblocking(False)
            connection = Connection(stream, Session(self._index, TABLE, next(self._identities)))
            self._selector.register(stream, EVENT_READ, connection)

    def _turn(self, connection: Connection) -> None:
        events = connection.events
        connection.turn()
        if connection.is_over:
            self._selector.unregister(connection.stream)
            connection.close()
        elif connection.events != events:
            self._selector.modify(connection.stream, connection.events, connection)
