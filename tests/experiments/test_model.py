"""The model is right about a real server, and would notice a wrong reply."""

import asyncio
from pathlib import Path

import pytest

from quorate.experiments.client import Connection, Reply
from quorate.experiments.model import Model, SharedCounter, between, exactly, in_any_order
from quorate.experiments.servers import redis


def test_the_same_seed_draws_the_same_requests() -> None:
    def drawn(seed: int) -> list[tuple[bytes, ...]]:
        model = Model("x", SharedCounter(), seed)
        return [step.arguments for _ in range(50) for step in model.draw(8)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("requests_max", [1, 2, 4, 5, 8])
def test_no_more_is_drawn_than_was_asked_for(requests_max: int) -> None:
    model = Model("x", SharedCounter(), 7)
    assert {len(model.draw(requests_max)) for _ in range(300)} == {n for n in (1, 2, 4, 5) if n <= requests_max}


def test_every_command_is_drawn_at_times() -> None:
    model = Model("x", SharedCounter(), 3)
    commands = {step.arguments[0].decode() for _ in range(500) for step in model.draw(8)}
    assert commands >= {"SET", "GET", "DEL", "APPEND", "INCR", "INCRBY", "HSET", "HGET", "HGETALL", "LPUSH", "RPOP"}
    assert commands >= {"LRANGE", "SADD", "SREM", "SMEMBERS", "ZADD", "ZRANGE", "TTL", "PERSIST", "MULTI", "EXEC"}


@pytest.mark.parametrize(
    ("accepts", "right", "wrong"),
    [
        (exactly(b"OK"), b"OK", b"OL"),
        (exactly(None), None, b""),
        (in_any_order([b"a", b"b"]), [b"b", b"a"], [b"a", b"a"]),
        (in_any_order([b"a", b"1", b"b", b"2"], 2), [b"b", b"2", b"a", b"1"], [b"a", b"2", b"b", b"1"]),
        (in_any_order([]), [], None),
        (between(1, 3), 3, 4),
        (between(1, 3), 1, b"1"),
    ],
)
def test_right_replies_are_accepted_and_wrong_ones_are_not(accepts: object, right: Reply, wrong: Reply) -> None:
    assert callable(accepts)
    assert accepts(right)
    assert not accepts(wrong)


def test_the_shared_counter_gives_each_number_once_and_leaves_none_out() -> None:
    shared = SharedCounter()
    assert shared.accepts(2)
    assert shared.missing() == 1
    assert shared.accepts(1)
    assert shared.missing() == 0
    assert not shared.accepts(2)
    assert not shared.accepts(b"3")


def test_a_refusal_explains_one_number_that_nobody_got() -> None:
    shared = SharedCounter()
    shared.refused()
    assert shared.missing() == 0
    assert shared.accepts(4)
    assert shared.missing() == 2


def test_what_a_refused_request_named_is_not_relied_on_any_more() -> None:
    model = Model("x", SharedCounter(), 7)
    named: set[bytes] = set()
    for _ in range(300):
        steps = model.draw(5)
        asked = {step.arguments[1] for step in steps if len(step.arguments) > 1}
        assert not asked & named
        # The one key that is always set before it is looked at, and the one that all share.
        named |= asked - {b"x:deadline", SharedCounter.KEY}
        model.refused(steps)


@pytest.mark.needs("redis-server")
def test_a_real_server_is_always_right(tmp_path: Path) -> None:
    async def converse(port: int) -> None:
        connection = await Connection.open(port)
        model = Model("x", SharedCounter(), 5)
        for _ in range(2_000):
            for step in model.draw(8):
                connection.send([step.arguments])
                reply = await connection.reply()
                assert step.accepts(reply), f"{step.arguments!r} was answered {reply!r}"
                await asyncio.sleep(step.pause)
        await connection.close()

    with redis(tmp_path, "redis") as port:
        asyncio.run(converse(port))
