"""A small coordinator for the tests: starts one domain, prints one JSON object about it, and waits to be told to end.

    python keeper.py KIND DIRECTORY RECIPE

RECIPE is a JSON object. What comes over a first lane is part of the report.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from quorate.domains import make, processes
from quorate.domains.port import Domain, Recipe


async def answer(domain: Domain) -> str:
    loop = asyncio.get_running_loop()
    while domain.pid is not None:
        try:
            lane = await domain.connect()
        except OSError:
            await asyncio.sleep(0.01)
            continue
        with lane:
            reply = b""
            while piece := await loop.sock_recv(lane, 65_536):
                reply += piece
        return reply.decode()
    return f"the service ended: {await domain.ended()}"


def say(report: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


async def main() -> None:
    kind, directory, recipe = sys.argv[1:]
    fields = json.loads(recipe)
    fields["readable"] = tuple(map(Path, fields.get("readable", ())))
    domain = make.make(kind, Recipe(**fields), Path(directory), 700)
    await domain.start()
    said = await answer(domain)
    await domain.hog()
    mine = processes.descendants(os.getpid())
    report = {"pid": domain.pid, "answer": said, "processes": mine, "guarantees": domain.guarantees}
    say(report)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    ended = await domain.kill()
    say({"code": ended.code, "console": ended.console, "left": processes.descendants(os.getpid())})


asyncio.run(main())
