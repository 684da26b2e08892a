"""The control socket: one line in, one line out, within bounds."""

import asyncio
import json
import socket
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quorate.observe import control
from quorate.observe.control import ControlServer, Message, Tell, ask, watch
from quorate.trusted.errors import OperatorFault


async def echo(request: Message) -> Message:
    return {"echo": request.get("text")}


async def refuse(request: Message) -> Message:
    raise OperatorFault("drills are off", "set cell.drills")


async def break_down(request: Message) -> Message:
    raise KeyError("oops")


async def answer_badly(request: Message) -> Message:
    return {"bytes": b"no JSON"}


async def hang(request: Message) -> Message:
    await asyncio.Event().wait()
    return {}


async def climb(request: Message, tell: Tell) -> Message:
    for step in range(int(request["steps"])):
        tell({"step": step})
        await asyncio.sleep(0)
    return {"at": "top"}


async def fall(request: Message, tell: Tell) -> Message:
    tell({"step": 0})
    if request.get("badly"):
        raise KeyError("oops")
    raise OperatorFault("the shadow never booted", "see its output")


HANDLERS = {"echo": echo, "refuse": refuse, "break": break_down, "bad": answer_badly, "hang": hang}
WATCHED = {"climb": climb, "fall": fall}


def serve(path: Path, conversation: Callable[[], Awaitable[Any]] | Callable[[], Any]) -> Any:
    """Run a blocking conversation with a server on `path`; return what it returns."""

    async def main() -> Any:
        server = ControlServer(path, HANDLERS, WATCHED)
        await server.start()
        try:
            return await asyncio.to_thread(conversation)
        finally:
            await server.stop()

    return asyncio.run(main())


def talk(path: Path, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_request_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    assert serve(path, lambda: ask(path, {"do": "echo", "text": "ü\n"})) == {"ok": True, "echo": "ü\n"}
    assert not path.exists()


def test_the_socket_is_its_owner_s_alone_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.touch()
    mode = serve(path, lambda: path.stat().st_mode)
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_refusal_travels_with_its_hint(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(OperatorFault, match="drills are off") as caught:
        serve(path, lambda: ask(path, {"do": "refuse"}))
    assert caught.value.hint == "set cell.drills"


@pytest.mark.parametrize(
    ("word", "said"), [("break", "break failed: KeyError"), ("bad", "cannot be written"), ("x", "unknown")]
)
def test_failures_are_said(tmp_path: Path, word: str, said: str) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(OperatorFault, match=said):
        serve(path, lambda: ask(path, {"do": word}))


def test_several_requests_share_a_connection(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    lines = serve(path, lambda: talk(path, b'{"do":"echo","text":1}\n{"do":"echo","text":2}\n')).splitlines()
    assert [json.loads(line)["echo"] for line in lines] == [1, 2]


@pytest.mark.parametrize(
    "sent", [b"\n", b"[]\n", b"{\n", b"\xff\n", b'{"do": []}\n', b'{"do": null}\n', b"[" * 60_000 + b"\n"]
)
def test_what_is_no_request_is_refused(tmp_path: Path, sent: bytes) -> None:
    path = tmp_path / "c.sock"
    assert json.loads(serve(path, lambda: talk(path, sent)))["ok"] is False


def test_half_a_request_gets_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    assert serve(path, lambda: talk(path, b'{"do":')) == b""


def test_an_endless_request_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    reply = serve(path, lambda: talk(path, b"x" * (control.REQUEST_BYTES_MAX + 1)))
    assert "longer than" in json.loads(reply)["error"]


def test_connections_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    def crowd() -> list[bytes]:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(control.CONNECTIONS_MAX)]
        for connection in idle:
            connection.connect(str(path))
            connection.sendall(b'{"do":"echo"}\n')
            connection.recv(99)
        with socket.socket(socket.AF_UNIX) as late:
            late.settimeout(30)
            late.connect(str(path))
            refused = late.recv(99)
        for connection in idle:
            connection.close()
        return [refused]

    assert serve(path, crowd) == [b""]


def test_an_idle_connection_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CONNECTION_SECONDS_MAX", 0.05)
    path = tmp_path / "c.sock"

    def wait() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            return connection.recv(99)

    assert serve(path, wait) == b""


def test_a_cell_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(OperatorFault, match="did not answer within"):
        serve(path, lambda: ask(path, {"do": "hang"}, timeout=0.1))


def test_an_absent_cell_is_an_operator_fault(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="cannot be reached"):
        ask(tmp_path / "absent.sock", {"do": "echo"})


@pytest.mark.parametrize("reply", [b"nonsense\n", b"", b"[]\n", b'{"ok": 1}\n'])
def test_nonsense_from_a_cell_is_an_operator_fault(tmp_path: Path, reply: bytes) -> None:
    path = tmp_path / "c.sock"

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(reply)
            writer.close()

        async with await asyncio.start_unix_server(answer, path):
            with pytest.raises(OperatorFault):
                await asyncio.to_thread(ask, path, {"do": "echo"})

    asyncio.run(main())


# What takes long.


def test_progress_comes_before_the_reply(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    told: list[Message] = []
    assert serve(path, lambda: watch(path, {"do": "climb", "steps": 3}, told.append)) == {"ok": True, "at": "top"}
    assert told == [{"step": step} for step in range(3)]


def test_what_can_be_watched_need_not_be(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    told: list[Message] = []
    assert serve(path, lambda: watch(path, {"do": "echo", "text": 1}, told.append)) == {"ok": True, "echo": 1}
    assert told == []
    assert serve(path, lambda: ask(path, {"do": "climb", "steps": 0})) == {"ok": True, "at": "top"}


@pytest.mark.parametrize(("is_bad", "said"), [(False, "the shadow never booted"), (True, "fall failed: KeyError")])
def test_a_failure_after_progress_is_said(tmp_path: Path, is_bad: bool, said: str) -> None:
    path = tmp_path / "c.sock"
    told: list[Message] = []
    with pytest.raises(OperatorFault, match=said):
        serve(path, lambda: watch(path, {"do": "fall", "badly": is_bad}, told.append))
    assert told == [{"step": 0}]


class Slow:
    """A watched request that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.was_cancelled = threading.Event(), asyncio.Event(), threading.Event()

    async def __call__(self, request: Message, tell: Tell) -> Message:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return {}


def serve_slow(path: Path, slow: Slow, conversation: Callable[[Callable[[], Any]], Any]) -> Any:
    """Run a conversation with a server of `slow`; the conversation is given what lets it go."""

    async def main() -> Any:
        server = ControlServer(path, {}, {"slow": slow})
        await server.start()
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.to_thread(conversation, lambda: loop.call_soon_threadsafe(slow.go.set))
        finally:
            await server.stop()

    return asyncio.run(main())


def test_silence_is_filled_with_heartbeats_and_outlasts_other_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(control, "CONNECTION_SECONDS_MAX", 1.0)
    path = tmp_path / "c.sock"

    def converse(let_go: Callable[[], Any]) -> list[Message]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            connection.sendall(b'{"do":"slow"}\n')
            lines = connection.makefile("rb")
            beats = [json.loads(lines.readline()) for _ in range(60)]  # longer than any other connection may last
            let_go()
            return beats + [json.loads(line) for line in lines]

    *beats, last = serve_slow(path, Slow(), converse)
    assert beats == [{"progress": {}}] * len(beats)
    assert last == {"ok": True}


def test_heartbeats_are_not_told_and_keep_the_asker_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HEARTBEAT_SECONDS", 0.01)
    path, slow = tmp_path / "c.sock", Slow()
    told: list[Message] = []

    def converse(let_go: Callable[[], Any]) -> Message:
        threading.Timer(1.5, let_go).start()
        return watch(path, {"do": "slow"}, told.append, timeout=1.0)

    assert serve_slow(path, slow, converse) == {"ok": True}
    assert told == []


def test_a_cell_without_heartbeat_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(OperatorFault, match="did not answer within"):
        serve_slow(path, Slow(), lambda let_go: watch(path, {"do": "slow"}, print, timeout=0.1))


def test_who_goes_away_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HEARTBEAT_SECONDS", 0.01)
    path, slow = tmp_path / "c.sock", Slow()

    def converse(let_go: Callable[[], Any]) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"do":"slow"}\n')
            slow.begun.wait(30)
        return slow.was_cancelled.wait(30)

    assert serve_slow(path, slow, converse)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_watched_never_notices_that_the_watcher_goes_away(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """It tells on, whatever has become of the connection, before the server looks after it."""
    path = tmp_path / "c.sock"
    harm: list[BaseException] = []
    is_over = threading.Event()

    async def go_on(tell: Tell) -> None:
        try:
            while not is_over.is_set():
                tell({"step": 1})
                await asyncio.sleep(0)
            for _ in range(1_000):
                tell({"step": 2})
                await asyncio.sleep(0)
        except BaseException as error:
            harm.append(error)
            raise

    work: list[asyncio.Task[None]] = []

    async def rebuild(request: Message, tell: Tell) -> Message:
        work.append(asyncio.ensure_future(go_on(tell)))
        await asyncio.shield(work[0])
        return {}

    def come_and_go() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"do":"rebuild"}\n')
            connection.recv(1)
        is_over.set()

    async def main() -> None:
        server = ControlServer(path, {}, {"rebuild": rebuild})
        await server.start()
        await asyncio.to_thread(come_and_go)
        await asyncio.wait(work)
        await server.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    assert harm == []


def test_progress_that_nobody_reads_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    steps = 20_000

    async def rush(request: Message, tell: Tell) -> Message:
        for step in range(steps):
            tell({"step": step, "text": "x" * 100})
        return {"at": "top"}

    async def main() -> list[bytes]:
        server = ControlServer(path, {}, {"rush": rush})
        await server.start()
        try:
            # On the same loop, which is the handler's alone as long as that tells.
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b'{"do":"rush"}\n')
            writer.write_eof()
            lines = (await reader.read()).splitlines()
            writer.close()
            return lines
        finally:
            await server.stop()

    lines = asyncio.run(main())
    assert len(lines) < steps
    assert json.loads(lines[-1]) == {"ok": True, "at": "top"}


def test_nonsense_instead_of_progress_is_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b'{"progress": {"step": 1}}\n{"progress": 3}\n')
            writer.close()

        told: list[Message] = []
        async with await asyncio.start_unix_server(answer, path):
            with pytest.raises(OperatorFault, match="the cell refused"):
                await asyncio.to_thread(watch, path, {"do": "climb"}, told.append)
        assert told == [{"step": 1}]

    asyncio.run(main())
