"""The control socket of a running cell: one JSON object a line in, one out, for the owner of the cell alone.

The socket lies in a directory that only its owner may enter. Every wait, line and connection has a bound, so that a
forgotten client costs the cell nothing. Knows no commands: the cell passes in its handlers.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from ..trusted.errors import OperatorFault

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

REQUEST_BYTES_MAX = 65_536
REPLY_BYTES_MAX = 16_777_216
CONNECTIONS_MAX = 16
CONNECTION_SECONDS_MAX = 60.0

_log = structlog.get_logger()


class ControlServer:
    """Serves `handlers`, by the word in a request's `do`, on a UNIX socket at `path`."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
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
            async with asyncio.timeout(CONNECTION_SECONDS_MAX):
                await self._converse(reader, writer)
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                writer.write(_encode(_failure(f"a request is longer than {REQUEST_BYTES_MAX} bytes")))
                await writer.drain()
                return
            writer.write(_encode(await self._answer(line)))
            await writer.drain()

    async def _answer(self, line: bytes) -> Message:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _failure("a request is one JSON object on one line")
        word = request.get("do") if isinstance(request, dict) else None
        handler = self._handlers.get(word) if isinstance(word, str) else None
        if handler is None:
            return _failure(f"unknown request {word!r}", f"known: {', '.join(self._handlers)}")
        try:
            return {"ok": True} | await handler(request)
        except OperatorFault as fault:
            return _failure(str(fault), fault.hint)
        except Exception as error:  # noqa: BLE001 - the cell votes on, whatever a command did
            _log.exception("control request failed", do=word)
            return _failure(f"{word} failed: {type(error).__name__}: {error}")


def ask(path: Path, message: Message, timeout: float = 10.0) -> Message:
    """Send one request to the cell whose control socket is at `path` and return its reply.

    `timeout` is in seconds, for the whole exchange. Raises `OperatorFault` when the cell does not answer in time,
    answers what is no reply, or refuses (`ok` is false); the refusal's own words and hint travel along.
    """
    try:
        reply = json.loads(_exchange(path, _encode(message), timeout))
    except TimeoutError:
        raise OperatorFault(f"the cell did not answer within {timeout:g} s", "see its log") from None
    except OSError as error:
        raise OperatorFault(f"the cell cannot be reached at {path}: {error.strerror}", "see its log") from None
    except ValueError:
        raise OperatorFault(
            "the cell answered what is no reply", "do cell and command have the same release?"
        ) from None
    if not isinstance(reply, dict) or reply.get("ok") is not True:
        refused = reply if isinstance(reply, dict) else {}
        raise OperatorFault(str(refused.get("error", "the cell refused")), str(refused.get("hint", "")))
    return reply


def _exchange(path: Path, request: bytes, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    reply = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(request)
        while not reply.endswith(b"\n") and len(reply) <= REPLY_BYTES_MAX:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            received = connection.recv(65_536)
            if not received:
                break
            reply += received
    return bytes(reply)


def _failure(message: str, hint: str = "") -> Message:
    return {"ok": False, "error": message, "hint": hint}


def _encode(message: Message) -> bytes:
    with suppress(TypeError, ValueError):
        return json.dumps(message).encode() + b"\n"
    return json.dumps(_failure("the reply cannot be written as JSON")).encode() + b"\n"
