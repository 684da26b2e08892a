"""The parts of assembling a cell that need no whole cell. Whole cells are held by tests/cell."""

import asyncio
import errno
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from unittest.mock import AsyncMock, patch

import pytest
import uvloop

from quorate import assemble, boot
from quorate.config import Config
from quorate.domains.port import Ended
from quorate.facts import JournalLost
from quorate.trusted.errors import BrokenInvariant, OperatorFault
from quorate.trusted.journal_record import JournalFault
from quorate.trusted.messages import Convicted, Notice
from tests.cell.inside import Replica, config_of, document, play, staged
from tests.cell.support import example
from tests.domains.harness import short_directory


def make_cell(config: Config, notices: list[Notice]) -> assemble.Cell:
    """A cell that reports to nobody else; needs a running loop."""
    return assemble.Cell(config, notices.extend, lambda replica, stage: None)


def test_binding_a_port_in_use_is_the_operators_fault() -> None:
    with assemble.bind("127.0.0.1", 0) as taken, pytest.raises(OperatorFault, match="Address already in use") as fault:
        assemble.bind("127.0.0.1", taken.getsockname()[1])
    assert "cell.listen" in fault.value.hint


def test_binding_an_address_of_nobody_is_the_operators_fault() -> None:
    with pytest.raises(OperatorFault, match=r"cannot listen on 192\.0\.2\.1:0"):
        assemble.bind("192.0.2.1", 0)
    with pytest.raises(OperatorFault, match="cannot listen on no such host:0"):
        assemble.bind("no such host", 0)


def silent(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    return None if request[0] == b"SCRIPT" else reply


def refusing(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    return b"-ERR no\r\n" if request[0] == b"SELECT" else reply


def test_a_cell_whose_replicas_refuse_their_lanes_setup_does_not_start() -> None:
    async def scene(directory: Path) -> None:
        with pytest.raises(OperatorFault) as caught:
            async with staged(document(), directory, one=refusing, two=refusing):
                pytest.fail("it must not start")
        assert str(caught.value) == "replica a: it refused its lane's setup; replica b: it refused its lane's setup"
        assert "docs/configuration.md" in caught.value.hint

    play(scene)


def test_f_plus_one_that_take_it_are_enough_and_who_says_nothing_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assemble, "SET_UP_SECONDS_MAX", 0.2)

    async def scene(directory: Path) -> None:
        for part in (refusing, silent):
            async with staged(document(), directory, one=part) as stage:
                assert await stage.ask("SET", "key", "value") == b"OK"
                await stage.until(lambda: stage.told(Convicted), "it is found out")
                assert {notice.seat for notice in stage.told(Convicted)} == {0}

    play(scene)


def test_where_there_can_be_no_directory_the_operator_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OperatorFault, match=f"cannot make the directory {path}: ") as caught:
            assemble.private_directory(path)
        assert "cell.state" in caught.value.hint


def test_a_private_directory_is_closed_to_others(tmp_path: Path) -> None:
    assemble.private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assemble.private_directory(tmp_path / "a" / "b")


def test_replicas_that_never_become_ready_fail_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run, and listen to nobody: their output is quoted, and nothing of the others is left."""
    monkeypatch.setattr(boot, "BOOT_SECONDS_MAX", 2.0)
    document = example("kv", "process")
    for variant in document["variant"][1:]:
        variant |= {"program": "sh", "args": ["-c", "echo still thinking; sleep 1000"]}
    notices: list[Notice] = []

    async def start(config: Config) -> None:
        cell = make_cell(config, notices)
        with assemble.bind("127.0.0.1", 0) as listener, pytest.raises(OperatorFault) as fault:
            await cell.start(listener)
        assert str(fault.value) == "replica b did not become ready\nstill thinking"
        assert all(seat.domain.pid is None for seat in cell.seats)
        assert not (config.cell.state / "domains").exists()
        await cell.stop()

    with short_directory() as directory:
        asyncio.run(start(config_of(document, directory)))
    assert notices == []


def test_descriptors_that_the_kernel_does_not_give_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a process without a limit may have no more than the kernel's own."""

    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    async def start(config: Config) -> None:
        with socket.socket() as listener, pytest.raises(OperatorFault, match="this process may have 1024"):
            await make_cell(config, []).start(listener)

    with short_directory() as directory:
        asyncio.run(start(config_of(example("kv", "process"), directory)))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_bug_of_our_own_answers_nobody_and_ends_the_cell(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BrokenInvariant("a bug")

    async def serve() -> bytes:
        with short_directory() as directory:
            cell = make_cell(config_of(example("kv", "process"), directory), [])
            listener = assemble.bind("127.0.0.1", 0)
            await cell.start(listener)
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            monkeypatch.setattr(cell.core, "client_sent", fail)
            writer.write(b"PING\r\n")
            try:
                said = await reader.read()
            except ConnectionResetError:
                said = b""
            await asyncio.wait_for(cell.stopping.wait(), 30)
            await cell.stop()
            writer.close()
            assert cell.is_broken
            assert not any(seat.domain.pid for seat in cell.seats)
            return said

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(serve()) == b""


@pytest.mark.parametrize("step", ["shell.drain", "_end_tasks", "keeping.stop", "journaling.close"])
def test_whatever_fails_at_the_end_all_the_rest_of_it_is_done(step: str) -> None:
    """And then it is raised."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            cell = stage.cell
            part, _, name = step.rpartition(".")
            owner, failing = getattr(cell, part) if part else cell, AsyncMock(side_effect=OSError("no"))
            with patch.object(owner, name, failing), pytest.raises(OSError, match="no"):
                await cell.stop()
            assert not any(replica.domain.running for replica in stage.replicas)
            assert not (directory / "state" / "domains").exists()
            assert cell.keeping.has_keeper is (step == "keeping.stop")

    play(scene)


def test_who_was_replaced_and_has_not_ended_is_ended_with_the_cell() -> None:
    """Its end is under way, and waits for something, when the cell is stopped."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await stage.ask("SET", "key", "value")
            seat, old = stage.cell.seats[1], stage.replicas[1].domain
            kill = old.kill
            begun = asyncio.Event()

            async def hanging() -> Ended:
                begun.set()
                await asyncio.Event().wait()
                return await kill()

            with patch.object(old, "kill", hanging):
                await stage.cell.recover(["b"], None, lambda *_: None)
                await begun.wait()
            assert seat.retiring == [old]
            await stage.stop()
            assert not old.running
            assert not any(replica.domain.running for replica in stage.replicas)

    play(scene)


def test_a_journal_that_cannot_be_ended_is_told_and_nothing_is_left_running() -> None:
    """The disk has no room for its last record."""
    full = OSError(errno.ENOSPC, "No space left on device")

    async def scene(directory: Path) -> None:
        async with staged(document() | {"journal": {"sync": "always"}}, directory) as stage:
            assert await stage.ask("SET", "key", "value") == b"OK"
            file = stage.cell.journaling.file
            with patch.object(file, "_write", side_effect=full), pytest.raises(JournalFault, match="No space left"):
                await stage.stop()
            assert len(stage.told(JournalLost)) == 1
            assert stage.cell.is_broken
            assert not any(replica.domain.running for replica in stage.replicas)
            assert not (directory / "state" / "domains").exists()

    play(scene)
