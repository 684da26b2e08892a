"""What one client's requests must be answered, worked out beside the cell: a store in a few Python values.

Every client has keys of its own, so that its model is exact whatever the others do; one counter is shared by all, and
gives each number once. Draws requests at random from a seed. Knows no network.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from .client import Reply

Accepts = Callable[[Reply], bool]

KEYS = 4
WORDS = tuple(b"word%d" % number for number in range(8))
LIST_LENGTH_MAX = 8
DEADLINE_SECONDS = 100
# How much of that may have passed when its rest is asked for, on a machine that does much else.
DEADLINE_SLACK_SECONDS = 30
BRIEF_MILLISECONDS = 10
BRIEF_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One request, and which replies to it are right. `pause` is how long to wait after its reply, in seconds."""

    arguments: tuple[bytes, ...]
    accepts: Accepts
    pause: float = 0.0


def exactly(expected: Reply) -> Accepts:
    """This reply and no other."""
    return lambda reply: reply == expected


def in_any_order(expected: list[bytes], stride: int = 1) -> Accepts:
    """An array of these elements, whose groups of `stride` may come in any order."""

    def groups(flat: list[Reply]) -> list[tuple[Reply, ...]]:
        return [tuple(flat[start : start + stride]) for start in range(0, len(flat), stride)]

    wanted = sorted(map(repr, groups(list(expected))))
    return lambda reply: isinstance(reply, list) and sorted(map(repr, groups(reply))) == wanted


def between(low: int, high: int) -> Accepts:
    """An integer from `low` to `high`."""
    return lambda reply: isinstance(reply, int) and low <= reply <= high


class SharedCounter:
    """The one key that all clients increment: in one order, no number comes twice, and none is left out."""

    KEY = b"shared"

    def __init__(self) -> None:
        self._given: set[int] = set()
        self._doubtful = 0

    def accepts(self, reply: Reply) -> bool:
        """Whether this number was given to nobody before; from now on it was."""
        if not isinstance(reply, int) or reply in self._given:
            return False
        self._given.add(reply)
        return True

    def refused(self) -> None:
        """Somebody got no number: one may have been counted for nobody."""
        self._doubtful += 1

    def missing(self) -> int:
        """How many numbers below the largest were given to nobody, beyond those that refusals may explain."""
        return max(max(self._given, default=0) - len(self._given) - self._doubtful, 0)


SHARED_STEP = (b"INCR", SharedCounter.KEY)


class Model:
    """The keys of the client called `name`, and what its next requests are."""

    def __init__(self, name: str, shared: SharedCounter, seed: int) -> None:
        self._name = name.encode()
        self._shared = shared
        self._random = random.Random(seed)
        self._strings: dict[bytes, bytes] = {}
        self._counters: dict[bytes, int] = {}
        self._hashes: dict[bytes, dict[bytes, bytes]] = {}
        self._lists: dict[bytes, list[bytes]] = {}
        self._sets: dict[bytes, set[bytes]] = {}
        self._rankings: dict[bytes, dict[bytes, int]] = {}
        self._briefs = 0
        # Keys of which nobody knows what they hold, since a write to them was refused.
        self._given_up: set[bytes] = set()
        # What may be drawn: how many requests it takes at most, and how often it comes.
        self._kinds = (
            (self._string, 1, 6),
            (self._counter, 1, 4),
            (self._shared_counter, 1, 2),
            (self._hash, 1, 5),
            (self._list, 1, 5),
            (self._set, 1, 4),
            (self._ranking, 1, 4),
            (self._deadline, 4, 1),
            (self._brief, 2, 1),
            (self._transaction, 5, 1),
        )

    def draw(self, requests_max: int) -> list[Step]:
        """The next steps, from 1 up to `requests_max`, which is at least 1."""
        kinds = [(kind, weight) for kind, size, weight in self._kinds if size <= requests_max]
        return self._random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()

    def refused(self, steps: list[Step]) -> None:
        """These were not all answered: any of them may have been done, or not. Other keys take the place of theirs."""
        for step in steps:
            if step.arguments == SHARED_STEP:
                self._shared.refused()
            self._given_up.update(step.arguments[1:])

    def _key(self, kind: bytes) -> bytes:
        key = b"%b:%b:%d" % (self._name, kind, self._random.randrange(KEYS))
        while key in self._given_up:
            key += b":again"
        return key

    def _string(self) -> list[Step]:
        key, word = self._key(b"string"), self._random.choice(WORDS)
        held = self._strings.get(key)
        match self._random.randrange(5):
            case 0 | 1:
                self._strings[key] = word
                return [Step((b"SET", key, word), exactly(b"OK"))]
            case 2 if len(held or b"") < 100:
                self._strings[key] = (held or b"") + word
                return [Step((b"APPEND", key, word), exactly(len(self._strings[key])))]
            case 3:
                self._strings.pop(key, None)
                return [Step((b"DEL", key), exactly(int(held is not None)))]
            case _:
                return [Step((b"GET", key), exactly(held))]

    def _counter(self) -> list[Step]:
        key, amount = self._key(b"counter"), self._random.randrange(1, 1_000)
        self._counters[key] = self._counters.get(key, 0) + amount
        return [Step((b"INCRBY", key, b"%d" % amount), exactly(self._counters[key]))]

    def _shared_counter(self) -> list[Step]:
        return [Step(SHARED_STEP, self._shared.accepts)]

    def _hash(self) -> list[Step]:
        key, field, word = self._key(b"hash"), self._random.choice(WORDS), self._random.choice(WORDS)
        held = self._hashes.setdefault(key, {})
        match self._random.randrange(4):
            case 0 | 1:
                is_new = field not in held
                held[field] = word
                return [Step((b"HSET", key, field, word), exactly(int(is_new)))]
            case 2:
                return [Step((b"HGET", key, field), exactly(held.get(field)))]
            case _:
                flat = [part for pair in held.items() for part in pair]
                return [Step((b"HGETALL", key), in_any_order(flat, 2))]

    def _list(self) -> list[Step]:
        key, word = self._key(b"list"), self._random.choice(WORDS)
        held = self._lists.setdefault(key, [])
        match self._random.randrange(4):
            case 0 | 1 if len(held) < LIST_LENGTH_MAX:
                held.insert(0, word)
                return [Step((b"LPUSH", key, word), exactly(len(held)))]
            case 2:
                return [Step((b"LRANGE", key, b"0", b"-1"), exactly([*held]))]
            case _:
                return [Step((b"RPOP", key), exactly(held.pop() if held else None))]

    def _set(self) -> list[Step]:
        key, word = self._key(b"set"), self._random.choice(WORDS)
        held = self._sets.setdefault(key, set())
        is_member = word in held
        match self._random.randrange(3):
            case 0:
                held.add(word)
                return [Step((b"SADD", key, word), exactly(int(not is_member)))]
            case 1:
                held.discard(word)
                return [Step((b"SREM", key, word), exactly(int(is_member)))]
            case _:
                return [Step((b"SMEMBERS", key), in_any_order(sorted(held)))]

    def _ranking(self) -> list[Step]:
        key, word, score = self._key(b"ranking"), self._random.choice(WORDS), self._random.randrange(10)
        held = self._rankings.setdefault(key, {})
        if self._random.randrange(2):
            is_new = word not in held
            held[word] = score
            return [Step((b"ZADD", key, b"%d" % score, word), exactly(int(is_new)))]
        ranked = sorted(held, key=lambda member: (held[member], member))
        return [Step((b"ZRANGE", key, b"0", b"-1"), exactly([*ranked]))]

    def _deadline(self) -> list[Step]:
        """A key that would expire, and then would not."""
        key = b"%b:deadline" % self._name
        return [
            Step((b"SET", key, b"kept", b"EX", b"%d" % DEADLINE_SECONDS), exactly(b"OK")),
            Step((b"TTL", key), between(DEADLINE_SECONDS - DEADLINE_SLACK_SECONDS, DEADLINE_SECONDS)),
            Step((b"PERSIST", key), exactly(1)),
            Step((b"TTL", key), exactly(-1)),
        ]

    def _brief(self) -> list[Step]:
        """A key that has expired when it is read."""
        self._briefs += 1
        key = b"%b:brief:%d" % (self._name, self._briefs)
        return [
            Step((b"SET", key, b"soon gone", b"PX", b"%d" % BRIEF_MILLISECONDS), exactly(b"OK"), BRIEF_PAUSE_SECONDS),
            Step((b"GET", key), exactly(None)),
        ]

    def _transaction(self) -> list[Step]:
        counted, kept = self._counter()[0].arguments, self._key(b"string")
        word = self._random.choice(WORDS)
        self._strings[kept] = word
        queued = exactly(b"QUEUED")
        return [
            Step((b"MULTI",), exactly(b"OK")),
            Step(counted, queued),
            Step((b"SET", kept, word), queued),
            Step((b"GET", kept), queued),
            Step((b"EXEC",), exactly([self._counters[counted[1]], b"OK", word])),
        ]
