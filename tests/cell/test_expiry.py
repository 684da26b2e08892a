"""Many clients at keys that live for milliseconds: three servers, of which one hears of everything late, never differ.

QUORATE_EXPIRY_SECONDS=60 python -m pytest tests/cell/test_expiry.py     runs as long as the promise says
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.cell.conftest import MakeCell
from tests.cell.support import RunningCell, eventually, example

pytestmark = [
    pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"),
    pytest.mark.timeout(240),
]

SECONDS = float(os.environ.get("QUORATE_EXPIRY_SECONDS", "5"))
CLIENTS = 50
KEYS = 40
LIFE_MS_MAX = 50

State = dict[bytes, tuple[bytes | None, int]]


async def step(client: Any, chance: random.Random) -> None:
    """One request, of those whose answer depends on whether a key has expired."""
    key, life = f"key:{chance.randrange(KEYS)}", chance.randrange(1, LIFE_MS_MAX + 1)
    match chance.randrange(10):
        case 0 | 1:
            await client.set(key, chance.randrange(1_000), px=life)
        case 2:
            await client.set(key, chance.randrange(1_000), px=life, nx=True)
        case 3:
            await client.setnx(key, chance.randrange(1_000))
        case 4:
            await client.pexpire(key, life)
        case 5 | 6:
            await client.incr(key)
        case 7:
            assert -2 <= await client.pttl(key) <= LIFE_MS_MAX
        case 8:
            async with client.pipeline(transaction=True) as transaction:
                await transaction.incr(key).pexpire(key, life).get(key).execute()
        case _:
            await client.get(key)


async def work(cell: RunningCell) -> int:
    """All clients at once, for `SECONDS`; how many requests they made."""
    requests = 0

    async def one(number: int) -> None:
        nonlocal requests
        chance = random.Random(number)
        deadline = time.monotonic() + SECONDS
        async with redis.asyncio.Redis(port=cell.port, socket_timeout=60) as client:
            while time.monotonic() < deadline:
                await step(client, chance)
                requests += 1

    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(one(number))
    return requests


def state_of(path: Path) -> State:
    """Every key of one replica, asked directly: its value, and when it expires."""
    with redis.Redis(unix_socket_path=str(path)) as server:
        return {key: (server.get(key), server.pexpiretime(key)) for key in server.scan_iter()}


def states(cell: RunningCell) -> list[State]:
    """The state of each replica, while nobody changes it."""
    cell.settled()
    return [state_of(path) for path in sorted((cell.state / "domains").glob("*/lane.sock"))]


def lives(state: State) -> Iterator[bytes]:
    """The keys that never expire."""
    return (key for key, (_, deadline) in state.items() if deadline < 0)


def test_no_clock_of_a_replica_decides_anything(cells: MakeCell) -> None:
    cell = cells(example("redis", "process")).start()
    cell.inject("b", "slow")
    requests = asyncio.run(work(cell))
    assert requests > CLIENTS
    cell.redis().set("long", "x", ex=1_000)
    found = eventually(lambda: only_lasting(states(cell)), "all short lives have ended, in every replica")
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert found[0][b"long"][0] == b"x"
    status = cell.assert_agreed()
    assert status.requests >= requests
    assert cell.stop() == 0


def only_lasting(found: list[State]) -> list[State] | None:
    """`found`, once no replica holds a key that expires, but the long one."""
    return found if all(set(state) - set(lives(state)) == {b"long"} for state in found) else None
