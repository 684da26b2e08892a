"""The control socket of a running cell: one JSON object a line in, one out, for the owner of the cell alone.

What takes long is *watched*: before its reply come lines `{"progress": {…}}`, at least one every few seconds, so that
who waits knows that the cell lives. Whoever goes away while watching ends nothing but the watching.

The socket lies in a directory that only its owner may enter. Every wait, line and connection has a bound, so that a
forgotten client costs the cell nothing. Knows no commands: the cell passes in its handlers.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from ..trusted.errors import OperatorFault

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]
Tell = Callable[[Message], None]
WatchedHandler = Callable[[Message, Tell], Awaitable[Message]]

REQUEST_BYTES_MAX = 65_536
REPLY_BYTES_MAX = 16_777_216
CONNECTIONS_MAX = 16
CONNECTION_SECONDS_MAX = 60.0
WATCH_SECONDS_MAX = 3_600.0
HEARTBEAT_SECONDS = 2.0
# Progress beyond this waits for nobody: it is left out.
UNREAD_BYTES_MAX = 65_536

_log = structlog.get_logger()


class ControlServer:
    """Serves `handlers`, by the word in a request's `do`, on a UNIX socket at `path`; `watched` ones tell progress."""

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], watched: Mapping[str, WatchedHandler] | None = None
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._watched = watched or {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket that a cell of the same path left behind is replaced."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._path))
        # Nobody can connect before listen(), so that the mode is right from the first connection on.
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=REQUEST_BYTES_MAX)

    async def stop(self) -> None:
        """Stop listening, end every connection and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            async with asyncio.timeout(CONNECTION_SECONDS_MAX) as limit:
                await self._converse(reader, writer, limit)
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: asyncio.Timeout
    ) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                writer.write(_encode(_failure(f"a request is longer than {REQUEST_BYTES_MAX} bytes")))
                await writer.drain()
                return
            answer = await self._answer(line, writer, limit)
            if writer.transport.is_closing():
                return
            writer.write(_encode(answer))
            await writer.drain()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, limit: asyncio.Timeout) -> Message:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _failure("a request is one JSON object on one line")
        word = request.get("do") if isinstance(request, dict) else None
        if not isinstance(word, str) or not (word in self._handlers or word in self._watched):
            return _failure(f"unknown request {word!r}", f"known: {', '.join([*self._handlers, *self._watched])}")
        try:
            if word in self._handlers:
                return {"ok": True} | await self._handlers[word](request)
            return {"ok": True} | await _watch(self._watched[word], request, writer, limit)
        except OperatorFault as fault:
            return _failure(str(fault), fault.hint)
        except Exception as error:  # noqa: BLE001 - the cell votes on, whatever a command did
            _log.exception("control request failed", do=word)
            return _failure(f"{word} failed: {type(error).__name__}: {error}")


async def _watch(
    handler: WatchedHandler, request: Message, writer: asyncio.StreamWriter, limit: asyncio.Timeout
) -> Message:
    """The handler's reply, its progress told meanwhile. The handler is cancelled when nobody is there any more."""
    now = asyncio.get_running_loop().time
    limit.reschedule(now() + WATCH_SECONDS_MAX)

    def tell(progress: Message) -> None:
        # What is told comes from whatever is watched, which nobody may harm by going away.
        with suppress(OSError, RuntimeError):
            if not writer.transport.is_closing() and writer.transport.get_write_buffer_size() < UNREAD_BYTES_MAX:
                writer.write(_encode({"progress": progress}))

    work = asyncio.ensure_future(handler(request, tell))
    try:
        while not (await asyncio.wait((work,), timeout=HEARTBEAT_SECONDS))[0]:
            tell({})
            if writer.transport.is_closing():
                raise OperatorFault("whoever asked has gone")
        limit.reschedule(now() + CONNECTION_SECONDS_MAX)
        return work.result()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def ask(path: Path, message: Message, timeout: float = 10.0) -> Message:
    """Send one request to the cell whose control socket is at `path` and return its reply.

    `timeout` is in seconds, for the whole exchange. Raises `OperatorFault` when the cell does not answer in time,
    answers what is no reply, or refuses (`ok` is false); the refusal's own words and hint travel along.
    """
    return _exchange(path, message, None, timeout)


def watch(path: Path, message: Message, tell: Tell, timeout: float = 30.0) -> Message:
    """Send one request that takes long and return its reply; what is told of its progress before is given to `tell`.

    `timeout` is in seconds, for each line: a cell that lives tells something. Raises `OperatorFault` as `ask` does.
    """
    return _exchange(path, message, tell, timeout)


def _exchange(path: Path, message: Message, tell: Tell | None, timeout: float) -> Message:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        pending = bytearray()
        deadline = time.monotonic() + timeout
        with _attributed(path, timeout):
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(_encode(message))
        while True:
            with _attributed(path, timeout):
                reply = json.loads(_line(connection, pending, deadline))
            if tell is None or not _is_progress(reply):
                return _accepted(reply)
            if reply["progress"]:
                tell(reply["progress"])
            deadline = time.monotonic() + timeout


@contextmanager
def _attributed(path: Path, timeout: float) -> Iterator[None]:
    """What goes wrong here goes wrong between us and the cell."""
    try:
        yield
    except TimeoutError:
        raise OperatorFault(f"the cell did not answer within {timeout:g} s", "see its log") from None
    except OSError as error:
        raise OperatorFault(f"the cell cannot be reached at {path}: {error.strerror}", "see its log") from None
    except ValueError:
        raise OperatorFault(
            "the cell answered what is no reply", "do cell and command have the same release?"
        ) from None


def _line(connection: socket.socket, pending: bytearray, deadline: float) -> bytes:
    """The next line, or what came of it. What follows it stays in `pending`."""
    while (end := pending.find(b"\n")) < 0 and len(pending) <= REPLY_BYTES_MAX:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        received = connection.recv(65_536)
        if not received:
            break
        pending += received
    line = bytes(pending[: end + 1] if end >= 0 else pending)
    del pending[: len(line)]
    return line


def _is_progress(reply: object) -> bool:
    return isinstance(reply, dict) and isinstance(reply.get("progress"), dict) and "ok" not in reply


def _accepted(reply: object) -> Message:
    if not isinstance(reply, dict) or reply.get("ok") is not True:
        refused = reply if isinstance(reply, dict) else {}
        raise OperatorFault(str(refused.get("error", "the cell refused")), str(refused.get("hint", "")))
    return reply


def _failure(message: str, hint: str = "") -> Message:
    return {"ok": False, "error": message, "hint": hint}


def _encode(message: Message) -> bytes:
    with suppress(TypeError, ValueError):
        return json.dumps(message).encode() + b"\n"
    return json.dumps(_failure("the reply cannot be written as JSON")).encode() + b"\n"
