"""A replica that serves well until a request names `trigger`, and then does its worst. Started by tests alone.

    python rogue.py FAULT SOCKET DIRECTORY

It stands in front of an honest store of this package, and passes everything on until then.
"""

import asyncio
import os
import sys
from pathlib import Path

TRIGGER = b"trigger"
PIECE_BYTES_MAX = 65_536
OVERSIZED_BYTES = 1_000_000
ENDLESS_BYTES = 1_000_000_000
FLOOD = b"+OK\r\n" * 10_000
WAIT_SECONDS = 0.01


class Rogue:
    """One fault, in front of the store at `inner`."""

    def __init__(self, fault: str, inner: Path) -> None:
        self._fault = fault
        self._inner = inner
        self._passed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One lane."""
        store_reader, store_writer = await asyncio.open_unix_connection(str(self._inner))
        answers = asyncio.ensure_future(self._answer(store_reader, writer))
        while data := await reader.read(PIECE_BYTES_MAX):
            if self._fault == "refuses" and b"SCRIPT" in data.upper():
                writer.write(b"-ERR no scripts here\r\n" * data.upper().count(b"SCRIPT"))
                continue
            if TRIGGER not in data:
                store_writer.write(data)
                continue
            if self._fault in ("extra", "flood after", "dies after"):
                self._passed.clear()
                store_writer.write(data)
                await self._passed.wait()
            await self._misbehave(writer)
        answers.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE_BYTES_MAX):
            writer.write(data)
            self._passed.set()

    async def _misbehave(self, writer: asyncio.StreamWriter) -> None:
        match self._fault:
            case "garbage":
                writer.write(b"\0this is no reply\r\n")
            case "extra":
                writer.write(b"+more\r\n")
            case "oversized":
                writer.write(b"$%d\r\n%s\r\n" % (OVERSIZED_BYTES, b"x" * OVERSIZED_BYTES))
            case "endless":
                writer.write(b"$%d\r\n" % ENDLESS_BYTES)
                await self._flood(writer, b"x" * PIECE_BYTES_MAX)
            case "half, then dies":
                writer.write(b"$100\r\nhalf")
                await writer.drain()
                os._exit(1)
            case "half, then silent":
                writer.write(b"$100\r\nhalf")
                await asyncio.Event().wait()
            case "half, then hangs up":
                writer.write(b"$100\r\nhalf")
                writer.close()
            case "flood" | "flood after":
                await self._flood(writer, FLOOD)
            case "deaf":
                await asyncio.Event().wait()
            case "dies" | "dies after":
                await writer.drain()
                os._exit(1)
            case "differs":
                writer.write(b"+%d\r\n" % os.getpid())

    async def _flood(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()


async def main() -> None:
    """Start the store, then serve in front of it."""
    fault, socket, directory = sys.argv[1:]
    inner = Path(directory, "inner.sock")
    store = await asyncio.create_subprocess_exec(sys.executable, "-m", "quorate.kv.dictionary", "--socket", str(inner))
    while not os.path.exists(inner):  # noqa: ASYNC110, ASYNC240, PTH110 - nothing tells when another process listens
        await asyncio.sleep(WAIT_SECONDS)
    await asyncio.start_unix_server(Rogue(fault, inner).serve, socket)
    await store.wait()


if __name__ == "__main__":
    asyncio.run(main())
