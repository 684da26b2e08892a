"""The one event loop: reads requests, writes replies once per read. The only module that knows sockets."""

import os
import selectors
import socket
from collections import deque
from pathlib import Path

from .dispatch import answer
from .errors import ProtocolFault, formatted
from .keyspace import Keyspace
from .reply import error
from .request import RequestReader
from .session import Session

READ_BYTES = 256 * 1024
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
BACKLOG = 512

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Connection:
    """One client: requests not yet run, replies not yet sent. While too many replies wait, nothing is read or run."""

    __slots__ = ("_fault", "_output", "_reader", "_requests", "session", "socket")

    def __init__(self, accepted: socket.socket, session: Session) -> None:
        self.socket = accepted
        self.session = session
        self._reader = RequestReader()
        self._requests: deque[list[bytes]] = deque()
        self._output = memoryview(b"")
        self._fault: bytes | None = None

    def read(self) -> int:
        """Take what the client sent and answer it; returns the events to wait for next, 0 to close."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return READ
        except OSError:
            return 0
        if not data:
            return 0
        requests: list[list[bytes]] = []
        try:
            self._reader.feed(data, requests)
        except ProtocolFault as fault:
            self._fault = error(formatted(b"Protocol error: " + fault.text).text)
        self._requests.extend(requests)
        return self.write()

    def write(self) -> int:
        """Send replies, running requests as there is room; returns the events to wait for next, 0 to close."""
        while not self._output and self._has_work():
            self._output = memoryview(self._answers())
            try:
                sent = self.socket.send(self._output) if self._output else 0
            except BlockingIOError:
                return WRITE
            except OSError:
                return 0
            self._output = self._output[sent:]
        if self._output:
            return self._write_rest()
        return 0 if self.session.is_closing else READ

    def _write_rest(self) -> int:
        try:
            self._output = self._output[self.socket.send(self._output) :]
        except BlockingIOError:
            return WRITE
        except OSError:
            return 0
        return WRITE if self._output or self._has_work() else 0 if self.session.is_closing else READ

    def _has_work(self) -> bool:
        return not self.session.is_closing and (bool(self._requests) or self._fault is not None)

    def _answers(self) -> bytes:
        session, requests = self.session, self._requests
        replies: list[bytes] = []
        size = 0
        while requests and size < OUTPUT_BYTES_MAX and not session.is_closing:
            replies.append(answer(session, requests.popleft()))
            size += len(replies[-1])
        if self._fault is not None and not requests and not session.is_closing:
            session.is_closing = True
            replies.append(b"" if session.is_silent else self._fault)
        return b"".join(replies)


class Server:
    """Listens on a unix socket and serves until the process ends."""

    def __init__(self, path: Path) -> None:
        self._keyspace = Keyspace()
        self._scripts: dict[bytes, bytes] = {}
        self._accepted = 0
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        self._listener.bind(os.fspath(path))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._selector.register(self._listener, READ)

    def serve(self) -> None:
        """Serve forever."""
        while True:
            for key, events in self._selector.select():
                connection = key.data
                if connection is None:
                    self._accept()
                    continue
                wanted = connection.read() if events & READ else connection.write()
                if wanted != key.events:
                    self._follow(connection, wanted)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            # The client left already, or this process may open no more files: the backlog waits.
            return
        accepted.setblocking(False)
        self._accepted += 1
        session = Session(self._keyspace, self._scripts, self._accepted)
        self._selector.register(accepted, READ, Connection(accepted, session))

    def _follow(self, connection: Connection, wanted: int) -> None:
        if wanted:
            self._selector.modify(connection.socket, wanted, connection)
            return
        self._selector.unregister(connection.socket)
        connection.session.close()
        connection.socket.close()
