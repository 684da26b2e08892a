"""A plain client of the Redis protocol (RESP2), for load whose every reply is looked at. Knows no cell.

It reads replies by itself, with nothing of the coordinator's own, so that both cannot share one mistake.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

REPLY_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that the server replied."""

    message: str


Reply = bytes | int | None | ErrorReply | list["Reply"]


def encode(arguments: Iterable[bytes]) -> bytes:
    """A request as it travels."""
    words = list(arguments)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """The next reply. Raises `ValueError` at bytes that are none, `EOFError` when the connection ends."""
    line = await reader.readuntil(b"\r\n")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        return ErrorReply(rest.decode(errors="replace"))
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return (await reader.readexactly(int(rest) + 2))[:-2] if int(rest) >= 0 else None
    if kind == b"*":
        return [await read_reply(reader) for _ in range(int(rest))] if int(rest) >= 0 else None
    raise ValueError(f"{line!r} begins no reply")


class Connection:
    """One connection. Requests may be sent before the replies to earlier ones were read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to `port` of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=REPLY_BYTES_MAX))

    def send(self, requests: Iterable[tuple[bytes, ...]]) -> None:
        """Send requests in one piece."""
        self._writer.write(b"".join(map(encode, requests)))

    async def reply(self) -> Reply:
        """The reply to the oldest request that has none. Raises as `read_reply` does."""
        return await read_reply(self._reader)

    async def close(self) -> None:
        """End it; that the other side ended it before is no error."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
