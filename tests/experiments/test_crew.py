"""The crew counts what it asks and what is wrong with the replies: a server that lies, fails, or goes away."""

import asyncio
from collections.abc import Callable

import pytest

from quorate.experiments.client import Connection, Reply, encode, read_reply
from quorate.experiments.crew import Crew

Answer = Callable[[Reply], bytes | None]


async def at_work(answer: Answer, requests: int) -> tuple[Crew, list[str]]:
    """A crew that asked `requests` of a server which gives `answer`, or ends the connection for None."""
    told: list[str] = []
    crew = Crew(told.append)
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            while (data := answer(await read_reply(reader))) is not None:
                writer.write(data)
        except (EOFError, OSError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await crew.come(server.sockets[0].getsockname()[1])
    await crew.work(requests)
    await crew.leave()
    server.close()
    await asyncio.gather(*(task for task in serving if task is not None))
    return crew, told


def test_wrong_replies_are_counted_and_not_all_are_told() -> None:
    crew, told = asyncio.run(at_work(lambda request: b"+surely wrong\r\n", 200))
    assert (crew.requests, crew.wrong_replies, crew.failed_requests) == (200, 200, 0)
    assert len(told) == 5
    assert crew.report("all is well") == "200 requests, 200 wrong replies, 0 failed"


def test_errors_are_failed_requests() -> None:
    crew, told = asyncio.run(at_work(lambda request: b"-ERR no\r\n", 100))
    assert (crew.requests, crew.wrong_replies, crew.failed_requests) == (100, 0, 100)
    assert "ERR no" in told[0]


@pytest.mark.parametrize("answer", [None, b"?\r\n"])
def test_requests_without_a_reply_have_failed_and_the_client_stops(answer: bytes | None) -> None:
    crew, told = asyncio.run(at_work(lambda request: answer, 1_000))
    assert crew.failed_requests == crew.requests
    assert 8 <= crew.requests < 1_000
    assert "got no reply" in told[0]


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.experiments.crew.REPLY_SECONDS_MAX", 0.05)
    crew, _ = asyncio.run(at_work(lambda request: b"", 1_000))
    assert crew.failed_requests == crew.requests > 0


def test_a_request_is_what_the_client_sends() -> None:
    async def converse() -> list[Reply]:
        seen: list[Reply] = []
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await read_reply(reader))
            seen.append(await read_reply(reader))
            writer.close()
            done.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        connection = await Connection.open(server.sockets[0].getsockname()[1])
        connection.send([(b"GET", b"a"), (b"PING",)])
        await done.wait()
        await connection.close()
        server.close()
        return seen

    assert asyncio.run(converse()) == [[b"GET", b"a"], [b"PING"]]
    assert encode([b"PING"]) == b"*1\r\n$4\r\nPING\r\n"
