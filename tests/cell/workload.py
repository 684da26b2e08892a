"""Clients that know the right answer: each keeps a model of its own keys and compares every reply with it.

Written for one cell and any number of clients, each a thread with an ordinary redis-py client. What a client saw that
its model did not expect is a wrong reply; any error is a failed request.
"""

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.cell.support import RunningCell, eventually

WRONG_KEPT_MAX = 20
NO_RETRY = Retry(NoBackoff(), 0)  # a request that is tried again would hide the failure of the first one
# No two clients of this process ever share a key, so that each one's model is the whole truth about its keys.
_numbers = itertools.count()


class Model:
    """What one client's keys hold: text, a counter, a list, a set, a hash, ranks."""

    def __init__(self, prefix: str, seed: int) -> None:
        self.prefix = prefix
        self.chance = random.Random(seed)
        self.text: dict[str, str] = {}
        self.counter = 0
        self.list: list[str] = []
        self.set: set[str] = set()
        self.hash: dict[str, str] = {}
        self.ranks: dict[str, float] = {}

    def key(self, name: str) -> str:
        """A key of this client alone."""
        return f"{self.prefix}:{name}"

    def step(self, client: Any) -> tuple[object, object]:
        """Ask something; return the reply and what it should have been. The model changes after the reply came."""
        steps = (self._set, self._get, self._count, self._push, self._pop, self._members, self._fields, self._rank)
        return self.chance.choice((*steps, self._pipeline, self._transaction))(client)

    def _value(self) -> str:
        return str(self.chance.randrange(1_000_000))

    def _set(self, client: Any) -> tuple[object, object]:
        name, value = f"text{self.chance.randrange(8)}", self._value()
        reply = client.set(self.key(name), value)
        self.text[name] = value
        return reply, True

    def _get(self, client: Any) -> tuple[object, object]:
        name = f"text{self.chance.randrange(8)}"
        return client.get(self.key(name)), self.text.get(name)

    def _count(self, client: Any) -> tuple[object, object]:
        step = self.chance.randrange(1, 9)
        reply = client.incrby(self.key("counter"), step)
        self.counter += step
        return reply, self.counter

    def _push(self, client: Any) -> tuple[object, object]:
        value = self._value()
        reply = client.rpush(self.key("list"), value)
        self.list.append(value)
        return reply, len(self.list)

    def _pop(self, client: Any) -> tuple[object, object]:
        reply = client.lpop(self.key("list"))
        return reply, self.list.pop(0) if self.list else None

    def _members(self, client: Any) -> tuple[object, object]:
        member = str(self.chance.randrange(64))
        reply = client.sadd(self.key("set"), member), client.smembers(self.key("set"))
        is_new = member not in self.set
        self.set.add(member)
        return reply, (int(is_new), set(self.set))

    def _fields(self, client: Any) -> tuple[object, object]:
        name, value = f"field{self.chance.randrange(16)}", self._value()
        reply = client.hset(self.key("hash"), name, value), client.hgetall(self.key("hash"))
        is_new = name not in self.hash
        self.hash[name] = value
        return reply, (int(is_new), dict(self.hash))

    def _rank(self, client: Any) -> tuple[object, object]:
        member, score = str(self.chance.randrange(16)), float(self.chance.randrange(100))
        reply = client.zadd(self.key("ranks"), {member: score}), client.zscore(self.key("ranks"), member)
        is_new = member not in self.ranks
        self.ranks[member] = score
        return reply, (int(is_new), score)

    def _pipeline(self, client: Any) -> tuple[object, object]:
        values = {f"text{number}": self._value() for number in range(8)}
        pipeline = client.pipeline(transaction=False)
        for name, value in values.items():
            pipeline.set(self.key(name), value).get(self.key(name))
        reply = pipeline.execute()
        self.text |= values
        return reply, [part for value in values.values() for part in (True, value)]

    def _transaction(self, client: Any) -> tuple[object, object]:
        transaction = client.pipeline(transaction=True)
        transaction.incr(self.key("counter")).get(self.key("counter"))
        reply = transaction.execute()
        self.counter += 1
        return reply, [self.counter, str(self.counter)]


class Workload:
    """`clients` clients at work from `start` to `finish`, against one cell."""

    def __init__(self, cell: RunningCell, clients: int) -> None:
        self.requests = 0
        self.wrong: list[object] = []
        self.failed: list[str] = []
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(cell, next(_numbers))) for _ in range(clients)]

    def __enter__(self) -> "Workload":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def more(self, requests: int) -> None:
        """Wait until so many more requests were answered, or something went wrong."""
        goal = self.requests + requests
        eventually(lambda: self.requests >= goal or self.failed or self.wrong, f"{requests} more requests")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go on until `condition()` is true."""
        eventually(condition, what)

    def assert_right(self) -> None:
        """Every request was answered, and rightly."""
        assert self.failed == []
        assert self.wrong == []

    def _work(self, cell: RunningCell, number: int) -> None:
        model = Model(f"client{number}", number)
        with redis.Redis(port=cell.port, decode_responses=True, retry=NO_RETRY, socket_timeout=60) as client:
            while not self._is_over.is_set():
                try:
                    reply, expected = model.step(client)
                except redis.RedisError as error:
                    with self._lock:
                        self.failed.append(f"{type(error).__name__}: {error}")
                    return
                with self._lock:
                    self.requests += 1
                    if reply != expected and len(self.wrong) < WRONG_KEPT_MAX:
                        self.wrong.append((reply, expected))


class Counting:
    """A client that counts up, one step at a time, until its connection ends or it is told to end.

    `acknowledged` is how far it came by what it was told; `errors` what it was told instead. A step that ended with an
    error was not done: what it is told next is `wrong` otherwise.
    """

    def __init__(self, cell: RunningCell, key: str) -> None:
        self.key = key
        self.acknowledged = 0
        self.errors: list[str] = []
        self.wrong: list[tuple[int, int]] = []
        self._is_over = threading.Event()
        self._client = redis.Redis(port=cell.port, retry=NO_RETRY, socket_timeout=60)
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        with self._client as client:
            while not self._is_over.is_set():
                try:
                    told = client.incr(self.key)
                except redis.ResponseError as error:
                    self.errors.append(str(error))
                except redis.ConnectionError:
                    return
                else:
                    if told != self.acknowledged + 1:
                        self.wrong.append((self.acknowledged + 1, told))
                    self.acknowledged = told

    def more(self, number: int) -> None:
        """Wait until it has counted so much further."""
        goal = self.acknowledged + number
        eventually(lambda: self.acknowledged >= goal, f"{self.key} has counted to {goal}")

    def end(self) -> None:
        """End it, or wait until its connection has ended."""
        self._is_over.set()
        self._thread.join()
