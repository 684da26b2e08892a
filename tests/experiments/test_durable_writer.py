"""The writer that is to catch a cell breaking its promise: before a store that keeps them, and stores that do not."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import cast

import pytest

from quorate.experiments.client import Connection, ErrorReply, Reply
from quorate.experiments.durable_writer import (
    LIST_LENGTH_MAX,
    LONG_BYTES_MAX,
    LONG_BYTES_MIN,
    LONG_EVERY,
    Harm,
    Writer,
    string_of,
)

Request = tuple[bytes, ...]


class Store:
    """A server in a few Python values; after `writes_max` writes it is gone, and answers nothing more."""

    def __init__(self, writes_max: int) -> None:
        self.values: dict[bytes, bytes] = {}
        self.lists: dict[bytes, list[bytes]] = {}
        self.writes_left = writes_max
        self.answers_left = writes_max
        self._replies: deque[Reply] = deque()
        self._queued: list[Request] | None = None

    def connection(self) -> Connection:
        return cast(Connection, self)

    def send(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._replies.append(self._take(request))

    async def reply(self) -> Reply:
        if not self._replies or self._replies[0] == ErrorReply("gone"):
            raise EOFError
        return self._replies.popleft()

    def _take(self, request: Request) -> Reply:
        if request[0] == b"MULTI":
            self._queued = []
            return b"OK"
        if request[0] == b"EXEC":
            queued, self._queued = self._queued or [], None
            return self._write(lambda: [self._do(one) for one in queued])
        if self._queued is not None:
            self._queued.append(request)
            return b"QUEUED"
        if request[0] in (b"INCR", b"RPUSH", b"SET"):
            return self._write(lambda: self._do(request))
        return self._do(request)

    def _write(self, do: Callable[[], Reply]) -> Reply:
        if not self.writes_left:
            return ErrorReply("gone")
        self.writes_left -= 1
        told = do()
        if not self.answers_left:
            return ErrorReply("gone")
        self.answers_left -= 1
        return told

    def _do(self, request: Request) -> Reply:
        word, key, *rest = request
        match word:
            case b"INCR":
                self.values[key] = b"%d" % (int(self.values.get(key, b"0")) + 1)
                return int(self.values[key])
            case b"SET":
                self.values[key] = rest[0]
                return b"OK"
            case b"RPUSH":
                self.lists.setdefault(key, []).append(rest[0])
                return len(self.lists[key])
            case b"GET":
                return self.values.get(key)
            case b"MGET":
                return [self.values.get(one) for one in (key, *rest)]
            case _:
                return list(self.lists.get(key, []))

    def come_back(self) -> None:
        """Answer again, with what is there, and without an end."""
        self._replies.clear()
        self._queued = None
        self.writes_left = self.answers_left = 10**6


def written(writes_max: int, in_doubt: int, seed: int = 1) -> tuple[Store, Writer, Harm]:
    """A store that ended after so many writes, the last ones of which it did and did not answer."""
    store, harm = Store(writes_max), Harm()
    store.answers_left = writes_max - in_doubt
    writer = Writer("w", harm, seed)
    with pytest.raises(EOFError):
        asyncio.run(writer.write(store.connection()))
    store.come_back()
    return store, writer, harm


def looked(store: Store, writer: Writer, harm: Harm) -> tuple[int, int, int, int]:
    asyncio.run(writer.audit(store.connection()))
    return harm.lost, harm.duplicated, harm.torn, harm.wrong


@pytest.mark.parametrize("in_doubt", [0, 1, 2])
@pytest.mark.parametrize("writes", range(3, 40, 3))
def test_a_store_that_keeps_its_promise_is_believed(writes: int, in_doubt: int) -> None:
    store, writer, harm = written(writes, in_doubt, seed=writes)
    assert looked(store, writer, harm) == (0, 0, 0, 0), harm.troubles
    assert writer.acknowledged == writes - in_doubt
    # What was in doubt is known now, and counting goes on from there.
    store.writes_left = store.answers_left = 50
    with pytest.raises(EOFError):
        asyncio.run(writer.write(store.connection()))
    store.come_back()
    assert looked(store, writer, harm) == (0, 0, 0, 0), harm.troubles


def test_a_long_list_begins_anew_and_is_still_looked_at() -> None:
    store, writer, harm = written(6 * LIST_LENGTH_MAX, 0)
    assert len(store.lists) == 2
    assert looked(store, writer, harm) == (0, 0, 0, 0), harm.troubles
    store.lists[b"w:list:0"].pop()
    assert looked(store, writer, harm) == (1, 0, 0, 0)


def test_now_and_then_a_string_is_long() -> None:
    assert string_of(LONG_EVERY + 1) == b"%d" % (LONG_EVERY + 1)
    long = [string_of(number) for number in range(LONG_EVERY, 100 * LONG_EVERY, LONG_EVERY)]
    assert all(LONG_BYTES_MIN < len(text) <= LONG_BYTES_MAX + 10 for text in long)
    store, writer, harm = written(400, 0)
    assert writer._done["string"] > LONG_EVERY
    store.values[b"w:string"] = string_of(writer._done["string"])
    assert looked(store, writer, harm) == (0, 0, 0, 0), harm.troubles


def fall_back(store: Store) -> None:
    store.values[b"w:counter"] = b"%d" % (int(store.values[b"w:counter"]) - 2)


def count_twice(store: Store) -> None:
    store.values[b"w:counter"] = b"%d" % (int(store.values[b"w:counter"]) + 1)


def lose_the_last(store: Store) -> None:
    store.lists[b"w:list:0"].pop()


def repeat_the_last(store: Store) -> None:
    store.lists[b"w:list:0"].append(store.lists[b"w:list:0"][-1])


def leave_a_gap(store: Store) -> None:
    del store.lists[b"w:list:0"][1]


def tear_the_pair(store: Store) -> None:
    store.values[b"w:pair:right"] = b"%d" % (int(store.values[b"w:pair:right"]) - 1)


def tear_the_string(store: Store) -> None:
    store.values[b"w:string"] += b":x"


@pytest.mark.parametrize(
    ("break_it", "kinds"),
    [
        (fall_back, {"lost"}),
        (count_twice, {"duplicated"}),
        (lose_the_last, {"lost"}),
        (repeat_the_last, {"duplicated"}),
        (leave_a_gap, {"torn", "lost"}),
        (tear_the_pair, {"torn"}),
        (tear_the_string, {"torn"}),
    ],
)
def test_a_broken_promise_is_seen(break_it: Callable[[Store], None], kinds: set[str]) -> None:
    store, writer, harm = written(60, 0)
    break_it(store)
    asyncio.run(writer.look(store.connection()))
    assert {kind for kind in ("lost", "duplicated", "torn", "wrong") if getattr(harm, kind)} == kinds
    assert harm.troubles


def test_a_later_write_without_an_earlier_one_is_seen() -> None:
    for seed in range(1, 20):
        store, writer, harm = written(30, 3, seed)
        first, *later = writer._sent
        if first == "counter" and "counter" not in later[:2]:
            break
    store.values[b"w:counter"] = b"%d" % (int(store.values[b"w:counter"]) - 1)
    assert looked(store, writer, harm) == (0, 0, 1, 0)


def test_a_wrong_reply_and_an_error_are_seen() -> None:
    store, writer, harm = written(20, 0)
    store.values[b"w:counter"] = b"1000"
    store.writes_left = store.answers_left = 30
    with pytest.raises(EOFError):
        asyncio.run(writer.write(store.connection()))
    assert harm.wrong > 0

    class Refusing(Store):
        def _do(self, request: Request) -> Reply:
            return ErrorReply("ERR no quorum")

    refused = Harm()
    asyncio.run(Writer("w", refused, 1).write(Refusing(10).connection()))
    assert refused.wrong == 1
    assert "no quorum" in refused.troubles[0]
