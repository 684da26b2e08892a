"""Booting one replica: a domain is started, and its service asked over a lane until it answers.

Knows nothing of votes and seats. What was started and did not become ready is ended again.
"""

import asyncio
import socket

from .config import Replica, Variant
from .domains import interpreter
from .domains.port import Domain, Recipe
from .trusted.errors import OperatorFault

BOOT_SECONDS_MAX = 30.0
BOOT_POLL_SECONDS = 0.005
BOOT_REPLY_SECONDS_MAX = 2.0


async def boot(name: str, domain: Domain, probe: tuple[bytes, bytes]) -> socket.socket:
    """Start the domain of replica `name`; return a connection over which its service has answered `probe`.

    Raises `OperatorFault`, with the service's output, when it does not in time.
    """
    await domain.start()
    loop = asyncio.get_running_loop()
    give_up = loop.time() + BOOT_SECONDS_MAX
    end = asyncio.ensure_future(domain.ended())
    sock = None
    try:
        while sock is None and loop.time() < give_up and not end.done():
            sock = await _try_lane(domain, probe)
            if sock is None:
                await asyncio.sleep(BOOT_POLL_SECONDS)
        end.cancel()
        # Not `await end`: whoever cancels us at this very moment must be heard.
        await asyncio.wait((end,))
    except BaseException:
        end.cancel()
        if sock is not None:
            sock.close()
        raise
    if sock is not None:
        return sock
    console = (await domain.kill()).console
    raise OperatorFault(f"replica {name} did not become ready\n{console}".rstrip(), "see its output")


async def _try_lane(domain: Domain, probe: tuple[bytes, bytes]) -> socket.socket | None:
    request, expected = probe
    loop = asyncio.get_running_loop()
    try:
        sock = await domain.connect()
    except OSError:
        return None
    try:
        async with asyncio.timeout(BOOT_REPLY_SECONDS_MAX):
            await loop.sock_sendall(sock, request)
            reply = b""
            while len(reply) < len(expected):
                data = await loop.sock_recv(sock, len(expected) - len(reply))
                if not data:
                    break
                reply += data
        if reply == expected:
            return sock
    except (OSError, TimeoutError):
        pass
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None


def recipe(replica: Replica, variant: Variant) -> Recipe:
    """The variant, made concrete for one seat. A service written in Python may read this interpreter and package."""
    is_python = variant.program == interpreter.interpreter()
    return Recipe(
        replica=replica.name,
        variant=variant.name,
        program=variant.program,
        args=variant.args,
        env=variant.env,
        preload=variant.preload,
        root=variant.root,
        readable=interpreter.readable() if is_python else (),
        memory_bytes_max=variant.memory,
    )
