"""What every domain promises by the port, held by each kind on each event loop, with real programs in it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.domains import processes
from quorate.domains.box import Box
from quorate.domains.console import CONSOLE_BYTES_MAX
from quorate.domains.make import make
from quorate.domains.port import Domain, Recipe, Usage
from quorate.trusted.errors import BrokenInvariant, OperatorFault
from tests.domains.harness import (
    LISTENER,
    LOOPS,
    asked,
    connected,
    eventually,
    is_gone,
    pid_of,
    python,
    redis,
    run,
    text_of,
    traces,
)
from tests.domains.harness import short_directory as make_short_directory

pytestmark = pytest.mark.needs("bwrap", "libseccomp.so.2")

KINDS = ("process", "sandbox")
EXIT = "import sys; print('last words'); sys.exit(7)"
SIGNAL = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
NOWHERE = "no-such-program"
FLOOD = """
import threading
def flood():
    while True:
        print("x" * 99)
threading.Thread(target=flood, daemon=True).start()
"""
FAMILY = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "1000"])
    os.wait()
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with make_short_directory() as short:
        yield short


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(LOOPS))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_one(kind: str, recipe: Recipe, directory: Path) -> Domain:
    return make(kind, recipe, directory / "domain", 500)


def listening(*before: str, **changes: object) -> Recipe:
    return python("\n".join([*before, LISTENER]), "{socket}", **changes)


@pytest.mark.needs("redis-server")
def test_a_real_redis_answers_over_its_lane(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, redis(), directory)
        assert domain.pid is None
        await domain.start()
        assert await asked(domain, b"PING\r\n", b"\r\n") == b"+PONG\r\n"
        assert text_of(f"/proc/{pid_of(domain)}/comm").startswith("redis-server")
        assert domain.usage().resident_bytes > 1 << 20
        assert (await domain.kill()).code == -signal.SIGKILL
        assert domain.pid is None
        assert domain.usage() == Usage(0, 0)

    run(main(), loop)


def test_whoever_ends_it_while_another_does_waits_for_the_same_end(
    kind: str, loop: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a convicted replica is being ended, and all begin anew: the kernel may take its time."""
    asked_before: set[int] = set()

    def is_dead_at_last(box: Box) -> bool:
        if box._init in asked_before:
            return is_dead(box)
        asked_before.add(box._init)
        return False

    is_dead = Box._init_is_dead
    monkeypatch.setattr(Box, "_init_is_dead", is_dead_at_last)

    async def main() -> None:
        domain = make_one(kind, listening(), directory)
        await domain.start()
        await domain.hog()
        first, second = await asyncio.gather(domain.kill(), domain.kill())
        assert first == second
        assert processes.descendants(os.getpid()) == []

    run(main(), loop)


def test_kill_leaves_no_process_directory_or_group(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, listening(FAMILY), directory)
        await domain.start()
        assert await asked(domain, b"", b"") == b"hello"
        await domain.hog()
        mine = await eventually(lambda: family(domain), "a whole family")
        first, second = await domain.kill(), await domain.kill()
        assert first == second
        assert [pid for pid in mine if not is_gone(pid)] == []
        assert processes.descendants(os.getpid()) == []

    def family(domain: Domain) -> list[int] | None:
        mine = processes.descendants(os.getpid())
        return mine if len(mine) >= 3 and any(name_of(pid) == "sleep" for pid in mine) else None

    run(main(), loop)
    assert list(directory.iterdir()) == []
    assert traces() == []


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_a_service_that_ends_says_how(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        for code, expected in ((EXIT, 7), (SIGNAL, -signal.SIGABRT)):
            domain = make_one(kind, python(f"import time; time.sleep(0.5); {code}"), directory)
            await domain.start()
            ended = await domain.ended()
            assert ended.code == expected
            assert domain.pid is None
            with pytest.raises((FileNotFoundError, ConnectionRefusedError, ProcessLookupError)):
                await domain.connect()
            assert await domain.kill() == ended
        assert traces() == []

    run(main(), loop)


def test_a_program_that_is_missing_is_refused_with_all_there_is_to_know(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, redis(program=NOWHERE, replica="alpha"), directory)
        with pytest.raises(OperatorFault) as refused:
            await domain.start()
        text = str(refused.value)
        assert "replica alpha" in text
        assert "exit code" in text
        assert "no-such-program --port 0" in text
        assert "No such file" in text
        assert await domain.kill() is not None

    run(main(), loop)
    assert processes.descendants(os.getpid()) == []
    assert list(directory.iterdir()) == []
    assert traces() == []


def test_a_flooding_console_blocks_and_fills_nothing(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, listening(FLOOD), directory)
        await domain.start()
        for _ in range(5):
            assert await asked(domain, b"", b"") == b"hello"
        ended = await domain.kill()
        assert 0 < len(ended.console) <= CONSOLE_BYTES_MAX
        assert set(ended.console) <= {"x", "\n"}

    run(main(), loop)


def test_a_console_cannot_steer_the_operators_terminal(directory: Path) -> None:
    async def main() -> None:
        domain = make_one("process", python(r"import sys; sys.stdout.buffer.write(b'\x1b[2J\xff\x9b1m ok')"), directory)
        await domain.start()
        assert (await domain.ended()).console == "\ufffd[2J\ufffd\ufffd1m ok"
        await domain.kill()

    run(main())


def test_the_environment_is_the_recipes_and_nothing_else(kind: str, directory: Path) -> None:
    show = "import os, sys\nsys.argv[1:] and None\nMINE = repr(sorted(os.environ.items())).encode()"
    recipe = listening(show, env={"COLOUR": "blue"})
    recipe = replace(recipe, args=(recipe.args[0], recipe.args[1].replace('b"hello"', "MINE"), *recipe.args[2:]))

    async def main() -> dict[str, str]:
        domain = make_one(kind, recipe, directory)
        await domain.start()
        try:
            return dict(eval(await asked(domain, b"", b"")))
        finally:
            await domain.kill()

    found = run(main())
    assert found.keys() - {"PWD", "LC_CTYPE"} == {"PATH", "LC_ALL", "TZ", "HOME", "COLOUR"}
    assert (found["LC_ALL"], found["COLOUR"]) == ("C", "blue")


def test_preload_in_the_environment_is_refused(kind: str, directory: Path) -> None:
    domain = make_one(kind, redis(env={"LD_PRELOAD": "/usr/lib/evil.so"}), directory)
    with pytest.raises(OperatorFault, match="LD_PRELOAD"):
        run(domain.start())


@pytest.mark.needs("redis-server")
def test_a_preload_that_does_not_load_is_refused(kind: str, directory: Path) -> None:
    missing = f"{directory}/libmissing.so"
    domain = make_one(kind, redis(preload=(missing,)), directory)
    with pytest.raises(OperatorFault, match="did not preload"):
        run(domain.start())
    assert traces() == []


def test_hog_burns_every_cpu_until_killed(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, listening(), directory)
        await domain.start()
        await domain.hog()
        await domain.hog()  # once is enough
        before = domain.usage().cpu_ns
        await eventually(lambda: domain.usage().cpu_ns - before > 300_000_000, "0.3 s of CPU")
        burning = processes.descendants(os.getpid())
        assert len(burning) >= len(os.sched_getaffinity(0)) + 1  # and the service
        assert await asked(domain, b"", b"") == b"hello"
        await domain.kill()
        assert [pid for pid in burning if not is_gone(pid)] == []

    run(main(), loop)


def test_a_hog_ends_when_its_service_does(kind: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, listening(), directory)
        await domain.start()
        await domain.hog()
        os.kill(pid_of(domain), signal.SIGKILL)
        assert (await domain.ended()).code == -signal.SIGKILL
        await eventually(lambda: not [pid for pid in processes.descendants(os.getpid()) if not is_gone(pid)], "silence")
        await domain.kill()

    run(main())


def test_a_link_planted_at_the_socket_is_not_followed(kind: str, directory: Path) -> None:
    """The link's target would answer: it is the service's own listener under another name."""
    code = LISTENER.replace("bind(sys.argv[1])", "bind(sys.argv[1] + '.real')").replace(
        "while True", "import os; os.symlink('lane.sock.real', sys.argv[1])\nprint('planted', flush=True)\nwhile True"
    )

    async def main() -> None:
        domain = make_one(kind, python(code, "{socket}"), directory)
        await domain.start()
        refused = await eventually_refused(domain)
        assert "is not a socket" in str(refused)
        await domain.kill()

    run(main())


async def eventually_refused(domain: Domain) -> OSError:
    """The first refusal that is not about a socket that is not there yet."""
    while True:
        try:
            (await domain.connect()).close()
            pytest.fail("the link was followed")
        except FileNotFoundError:
            await asyncio.sleep(0.01)
        except OSError as error:
            return error


def test_a_lane_is_refused_rather_than_awaited_when_nobody_accepts(kind: str, directory: Path) -> None:
    code = LISTENER.split("listener.listen()")[0] + "listener.listen(0)\nimport time; time.sleep(1000)"

    async def main() -> None:
        domain = make_one(kind, python(code, "{socket}"), directory)
        await domain.start()
        lanes = [await connected(domain)]

        async def fill() -> None:
            for _ in range(10):
                lanes.append(await domain.connect())  # noqa: PERF401 - those before the refusal must be closed

        with pytest.raises(BlockingIOError):
            await fill()
        for lane in lanes:
            lane.close()
        await domain.kill()

    run(main())


def test_a_domain_is_started_once(kind: str, directory: Path) -> None:
    async def main() -> None:
        domain = make_one(kind, listening(), directory)
        assert (await domain.kill()).code == 0
        await domain.start()
        with pytest.raises(BrokenInvariant):
            await domain.start()
        await domain.kill()

    run(main())


def test_a_cancelled_start_leaves_nothing(kind: str, loop: str, directory: Path) -> None:
    async def main() -> None:
        for turns in range(1, 30, 4):
            domain = make_one(kind, listening(), directory)
            starting = asyncio.create_task(domain.start())
            for _ in range(turns):
                await asyncio.sleep(0.001)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await domain.kill()
            assert processes.descendants(os.getpid()) == []

    run(main(), loop)
    assert list(directory.iterdir()) == []
    assert traces() == []


def test_unknown_kinds_are_refused(directory: Path) -> None:
    for kind in ("microvm", "container", "castle"):
        with pytest.raises(OperatorFault, match=kind) as refused:
            make_one(kind, redis(), directory)
        assert "sandbox" in refused.value.hint


def test_a_process_domain_says_loudly_that_it_isolates_nothing(directory: Path) -> None:
    assert all("NOT ISOLATED" in text for text in make_one("process", redis(), directory).guarantees.values())


def test_a_process_domain_refuses_what_it_cannot_do(directory: Path) -> None:
    with pytest.raises(OperatorFault, match="root"):
        make_one("process", redis(root=directory), directory)
    with pytest.raises(OperatorFault, match="longer than"):
        run(make("process", redis(), directory / ("x" * 200), 0).start())
    (directory / "domain").mkdir()
    with pytest.raises(OperatorFault, match="cannot be made"):
        run(make_one("process", redis(), directory).start())
    assert (directory / "domain").is_dir()
