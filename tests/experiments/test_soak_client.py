"""The soak's clients: what they ask, and how they tell one harm from another."""

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Callable

import pytest

from quorate.experiments import soak_client
from quorate.experiments.client import Connection, ErrorReply, Reply
from quorate.experiments.model import SharedCounter, Step
from quorate.experiments.soak_client import LIST_LENGTH_MAX, TROUBLES_TOLD_MAX, Client, Findings, Ledger
from quorate.kv.dictionary.dispatch import answer as execute
from quorate.kv.dictionary.keyspace import Keyspace
from quorate.kv.dictionary.request import RequestReader
from quorate.kv.dictionary.session import Session

REQUESTS = 3_000
NO_QUORUM = b"-NOQUORUM slot 1 was not decided: split\r\n"


def steps(ledger: Ledger, word: bytes, count: int = 1) -> Step:
    """The `count`-th next step that asks `word`."""
    chance = random.Random(1)
    found = 0
    while True:
        step = ledger.step(chance)
        found += step.arguments[0] == word
        if found == count:
            return step


@pytest.mark.parametrize(
    ("word", "count", "reply", "kind"),
    [
        (b"INCR", 5, 4, "lost"),
        (b"INCR", 5, 6, "duplicated"),
        (b"INCR", 5, b"what", "wrong"),
        (b"RPUSH", 5, 3, "lost"),
        (b"RPUSH", 5, 9, "duplicated"),
        (b"DEL", 1, 0, "wrong"),
    ],
)
def test_a_wrong_count_is_a_lost_or_a_duplicated_write(word: bytes, count: int, reply: Reply, kind: str) -> None:
    ledger = Ledger(b"me")
    step = steps(ledger, word, count)
    assert not step.accepts(reply)
    assert ledger.blame(step, reply) == kind


@pytest.mark.parametrize(
    ("change", "kind"), [(lambda told: told[:-1], "lost"), (lambda told: [*told, told[-1]], "duplicated")]
)
def test_a_list_tells_what_was_lost_and_what_was_done_twice(change: object, kind: str) -> None:
    ledger = Ledger(b"me")
    steps(ledger, b"RPUSH", 7)
    count, numbers = ledger.audit()
    right: list[Reply] = [b"%d" % number for number in range(1, 8)]
    assert numbers.accepts(right)
    assert callable(change)
    assert not numbers.accepts(change(right))
    assert ledger.blame(numbers, change(right)) == kind
    assert count.arguments == (b"GET", b"me:ledger:count")
    assert ledger.blame(count, b"1") == "lost"


def test_lists_stay_short() -> None:
    ledger, chance = Ledger(b"me"), random.Random(3)
    lengths = []
    for _ in range(2_000):
        step = ledger.step(chance)
        if step.arguments[0] == b"RPUSH":
            lengths.append(next(length for length in range(1, 100) if step.accepts(length)))
    assert max(lengths) == LIST_LENGTH_MAX
    assert lengths.count(1) > 1


def test_findings_of_several_processes_are_added() -> None:
    one, other = Findings(requests=3, lost=1), Findings(requests=4, failed=2)
    one.latencies.add(0.001)
    other.latencies.add(0.004)
    for number in range(2 * TROUBLES_TOLD_MAX):
        other.tell(f"failed: {ErrorReply(str(number))}")
    one.add(other.to_json())
    assert (one.requests, one.lost, one.failed) == (7, 1, 2)
    assert len(one.troubles) == TROUBLES_TOLD_MAX
    assert one.latencies.summary()["max"] == 4.0


# Errors: what was refused may have been done, or not.


def refused(ledger: Ledger, word: bytes) -> Step:
    step = steps(ledger, word)
    ledger.refused(step)
    return step


@pytest.mark.parametrize("is_done", [True, False])
def test_a_count_that_was_refused_may_be_there_or_not(is_done: bool) -> None:
    ledger, chance = Ledger(b"me"), random.Random(1)
    refused(ledger, b"INCR")
    look = ledger.step(chance)
    assert look.arguments == (b"GET", b"me:ledger:count")
    assert not look.accepts(b"2")
    assert look.accepts(b"1" if is_done else None)
    assert not look.accepts(None if is_done else b"1"), "from now on it is known"
    assert steps(ledger, b"INCR").accepts(1 + is_done)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_number_that_was_refused_may_be_there_or_not(is_done: bool) -> None:
    ledger, chance = Ledger(b"me"), random.Random(1)
    there: list[Reply] = [b"%d" % number for number in range(1, 6)]
    steps(ledger, b"RPUSH", 5)
    refused(ledger, b"RPUSH")
    look = ledger.step(chance)
    assert look.arguments[0] == b"LRANGE"
    assert not look.accepts(there[:-1])
    assert ledger.blame(look, there[:-1]) == "lost"
    assert look.accepts([*there, b"6"] if is_done else there)
    assert steps(ledger, b"RPUSH").accepts(6 + is_done)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_list_whose_end_was_refused_may_be_there_or_not(is_done: bool) -> None:
    ledger, chance = Ledger(b"me"), random.Random(1)
    refused(ledger, b"DEL")
    there: list[Reply] = [] if is_done else [b"%d" % number for number in range(1, LIST_LENGTH_MAX + 1)]
    assert ledger.step(chance).accepts(there)
    following = ledger.step(chance)
    assert (following.arguments[0] == b"DEL") is not is_done


def test_a_refused_look_puts_nothing_in_doubt() -> None:
    ledger = Ledger(b"me")
    steps(ledger, b"INCR")
    for look in ledger.audit():
        ledger.refused(look)
    count, numbers = ledger.audit()
    assert not count.accepts(None)
    assert count.accepts(b"1")
    assert numbers.accepts([])


# What a server answers: given a request and how to execute it, its reply, or None for the end of the connection.
Answer = Callable[[list[bytes], Callable[[], bytes]], bytes | None]


async def found_by_clients(answer: Answer) -> Findings:
    """What two clients found at a server that answers so."""
    findings, shared, keyspace, ending = Findings(), SharedCounter(), Keyspace(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session, cutting = Session(keyspace, {}, 1), RequestReader()
        requests: list[list[bytes]] = []
        while data := await reader.read(65_536):
            cutting.feed(data, requests)
            replies = [answer(request, functools.partial(execute, session, request)) for request in requests]
            requests.clear()
            writer.write(b"".join(reply for reply in replies if reply is not None))
            if None in replies:
                break
            if findings.requests > REQUESTS:
                ending.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = [await Connection.open(port) for _ in range(2)]
    clients = [Client(f"client{place}", shared, findings, each, place) for place, each in enumerate(connections)]
    await asyncio.gather(*(client.work(ending) for client in clients))
    server.close()
    await server.wait_closed()
    findings.lost += shared.missing()
    return findings


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients do not pause to think."""
    monkeypatch.setattr(soak_client, "THINK_SECONDS_MAX", 0.0)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("seed", [2, 37])  # with these, what ends a transaction is refused too
def test_errors_are_failures_and_nothing_worse_whatever_became_of_the_requests(seed: int) -> None:
    chance = random.Random(seed)
    fates: Counter[int] = Counter()

    def answer(request: list[bytes], run: Callable[[], bytes]) -> bytes:
        fate = chance.randrange(40)
        fates[fate] += 1
        reply = run() if fate else b""
        return reply if fate > 1 else NO_QUORUM

    findings = asyncio.run(found_by_clients(answer))
    assert findings.failed > REQUESTS // 80
    assert findings.failed <= fates[0] + fates[1]
    assert (findings.wrong, findings.lost, findings.duplicated) == (0, 0, 0), findings.troubles


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("word", [b"INCR", b"RPUSH"])
def test_beside_errors_what_is_done_twice_is_still_found(word: bytes) -> None:
    chance = random.Random(3)

    def answer(request: list[bytes], run: Callable[[], bytes]) -> bytes:
        if chance.randrange(20) == 0:
            return NO_QUORUM
        if request[0] == word and b"ledger" in request[1] and chance.randrange(20) == 0:
            run()
        return run()

    findings = asyncio.run(found_by_clients(answer))
    assert findings.failed > 0
    assert findings.duplicated > 0


@pytest.mark.usefixtures("hurry")
def test_a_number_on_its_way_when_a_connection_ended_is_not_lost() -> None:
    seen: list[bytes] = []

    def answer(request: list[bytes], run: Callable[[], bytes]) -> bytes | None:
        reply = run()
        if request[1:] == [SharedCounter.KEY]:
            seen.append(reply)
            return None if len(seen) == 10 else reply
        return reply

    findings = asyncio.run(found_by_clients(answer))
    assert len(seen) > 20, "the other client goes on"
    assert findings.failed == 1
    assert (findings.wrong, findings.lost, findings.duplicated) == (0, 0, 0), findings.troubles
