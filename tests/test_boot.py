"""Booting a replica: it is asked until it answers, and ended again when it does not in time."""

import asyncio

import pytest

from quorate import boot
from quorate.boot import recipe
from quorate.domains import interpreter
from quorate.domains.fake import FakeDomain
from quorate.trusted.errors import OperatorFault
from tests.cell.inside import config_of
from tests.cell.support import example
from tests.domains.harness import short_directory

PROBE = (b"PING\r\n", b"+PONG\r\n")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long here."""
    monkeypatch.setattr(boot, "BOOT_SECONDS_MAX", 1.0)
    monkeypatch.setattr(boot, "BOOT_REPLY_SECONDS_MAX", 0.1)


class Service:
    """Replies to each request with one piece of `answer`."""

    def __init__(self, *answer: bytes) -> None:
        self._answer = list(answer)
        self.asked = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            self.asked += 1
            if self._answer:
                writer.write(self._answer[0] if len(self._answer) == 1 else self._answer.pop(0))


def test_the_connection_over_which_it_answered_is_returned() -> None:
    async def scene() -> None:
        domain = FakeDomain(Service(b"+PONG\r\n"))
        with await boot.boot("a", domain, PROBE) as sock:
            await asyncio.get_running_loop().sock_sendall(sock, b"more")
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"+PONG\r\n"
        assert domain.running
        await domain.kill()

    asyncio.run(scene())


def test_it_is_asked_again_until_it_is_ready() -> None:
    """It refuses connections at first, and then says that it is loading."""

    async def scene() -> None:
        service = Service(b"-LOADING\r\n", b"-LOADING\r\n", b"+PONG\r\n")
        domain = FakeDomain(service, ready=False)
        booting = asyncio.ensure_future(boot.boot("a", domain, PROBE))
        await asyncio.sleep(0)
        domain.ready = True
        (await booting).close()
        assert service.asked == 3
        await domain.kill()

    asyncio.run(scene())


@pytest.mark.parametrize("answer", [b"", b"-ERR loading\r\n", b"+PO"])
def test_a_service_that_answers_anything_else_is_ended(answer: bytes) -> None:
    async def scene() -> None:
        domain = FakeDomain(Service(answer))
        with pytest.raises(OperatorFault, match="replica a did not become ready") as fault:
            await boot.boot("a", domain, PROBE)
        assert fault.value.hint == "see its output"
        assert not domain.running

    asyncio.run(scene())


def test_a_service_that_ends_is_quoted_at_once() -> None:
    async def scene() -> None:
        domain = FakeDomain(Service(), ready=False)
        booting = asyncio.ensure_future(boot.boot("a", domain, PROBE))
        await asyncio.sleep(0)
        domain.crash(3, "no such licence")
        with pytest.raises(OperatorFault) as fault:
            await booting
        assert str(fault.value) == "replica a did not become ready\nno such licence"

    asyncio.run(scene())


def test_a_domain_that_cannot_be_started_says_why() -> None:
    async def scene() -> None:
        with pytest.raises(OperatorFault, match="no such program"):
            await boot.boot("a", FakeDomain(Service(), "no such program"), PROBE)

    asyncio.run(scene())


def test_only_python_services_may_read_the_interpreter() -> None:
    with short_directory() as directory:
        document = example("kv")
        document["variant"][1] |= {"program": "cat", "memory": "50MB"}
        config = config_of(document, directory)
    python, other = (
        recipe(config.replicas[n], config.variants[name]) for n, name in enumerate(("dictionary", "sqlite"))
    )
    assert (python.readable, other.readable) == (interpreter.readable(), ())
    assert (other.replica, other.variant, other.memory_bytes_max) == ("b", "sqlite", 50_000_000)
