"""A room where the test writes to a world, has it swept, and keeps what the store is told.

The protocol is a toy: a value is a letter for its kind and a text, and every reply ends with a semicolon.
"""

from collections import deque

import pytest

from quorate.trusted.changes import LIST, STRING, UNKNOWN, UNREADABLE, Change, Changes, Checkpoint, Clear, Part
from quorate.trusted.limits import Limits
from quorate.trusted.protocol import Protocol
from quorate.trusted.span import Form, Span
from quorate.trusted.sweep import PAUSE_NS_MAX, Sweep

KINDS = {b"s": STRING, b"l": LIST, b"?": UNREADABLE}
World = dict[tuple[int, bytes], bytes]


class Items(Form):
    """What the slots of a span ask for."""

    def __init__(self, items: list[Change]) -> None:
        self.items = items


class Toy(Protocol):
    """Reads, counts and lists; `is_silent` makes counts and lists errors."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.changes.is_kept = True

    def read_state(self, keys: list[Change]) -> list[Span]:
        spans: list[Span] = []
        while keys:
            mine = [item for item in keys if item[0] == keys[0][0]]
            keys = [item for item in keys if item[0] != keys[0][0]]
            requests = [b"read %d %b %d" % item for item in mine]
            spans.append(Span(None, requests, 0, False, Items(mine)))
        return spans

    def state_asked(self, span: Span, first: int, count: int) -> list[Change]:
        assert isinstance(span.form, Items)
        index = span.index_of(first)
        return span.form.items[index : index + count]

    def take_state(self, span: Span, first: int, count: int, data: bytes) -> list[Part]:
        told = data.split(b";")[:-1]
        return [part_of(item, one) for item, one in zip(self.state_asked(span, first, count), told, strict=True)]

    def count_state(self, database: int) -> Span:
        return Span(None, [b"count %d" % database], 0, False)

    def counted(self, data: bytes) -> int | None:
        return int(data[:-1]) if data[:-1].isdigit() else None

    def list_state(self, database: int) -> Span:
        return Span(None, [b"list %d" % database], 0, False)

    def listed(self, data: bytes) -> list[bytes] | None:
        return data[:-1].split() if data.endswith(b";") else None


def part_of(item: Change, told: bytes) -> Part:
    database, key, hint = item
    if told == b"none":
        return Part(database, key, UNKNOWN, None, True)
    kind = KINDS[told[:1]]
    is_settled = kind == hint
    return Part(database, key, kind, told if is_settled else None, is_settled)


def answer(world: World, request: bytes) -> bytes:
    """What every correct replica says to a request of the toy."""
    words = request.split(b" ")
    if words[0] == b"read":
        return world.get((int(words[1]), words[2]), b"none") + b";"
    keys = [key for database, key in world if database == int(words[1])]
    return (b"%d" % len(keys) if words[0] == b"count" else b" ".join(keys)) + b";"


class Room:
    """Where a world is written to, swept, and kept. `slot` is the last one that was ordered."""

    def __init__(self, **limits: int) -> None:
        self.toy = Toy()
        self.sweep = Sweep(self.toy, Limits(**limits))
        self.world: World = {}
        self.store: World = {}
        self.checkpoints: list[int] = []
        self.counts: dict[int, int] = {}
        self.slot = 0
        self.now = 1_000_000_000
        self.asked: deque[tuple[Span, deque[bytes]]] = deque()
        self.decided: deque[tuple[Span, int, int, bytes | None]] = deque()
        self._states: dict[int, World] = {0: {}}

    # Writers.

    def writes(self, key: bytes, value: bytes | None, database: int = 0, hint: int = STRING, least: int = 0) -> None:
        """A write changes one key, which may weigh `least` then."""
        self.toy.changes.note(database, key, hint, 0, least)
        if value is None:
            self.world.pop((database, key), None)
        else:
            self.world[database, key] = value
        self._passes_slot()

    def flushes(self, database: int) -> None:
        """A write empties a database."""
        self.toy.changes.note_whole(database)
        self.world = {place: value for place, value in self.world.items() if place[0] != database}
        self._passes_slot()

    def swaps(self, one: int, other: int) -> None:
        """A write exchanges two databases."""
        self.toy.changes.note_whole(one)
        self.toy.changes.note_whole(other)
        numbers = {one: other, other: one}
        self.world = {(numbers.get(place[0], place[0]), place[1]): value for place, value in self.world.items()}
        self._passes_slot()

    def _passes_slot(self) -> None:
        self.slot += 1
        self._states[self.slot] = dict(self.world)

    # The cell.

    def wants(self, is_urgent: bool = True) -> None:
        """A checkpoint is wanted."""
        self.sweep.want(is_urgent)
        self.goes_on()

    def goes_on(self) -> list[bytes]:
        """Order what the sweep wants, if it is due: what was asked for."""
        if not self.sweep.is_due(self.now):
            return []
        spans = self.sweep.next_spans(self.now)
        asked: list[bytes] = []
        for span in spans:
            span.first = self.slot + 1
            asked += span.requests
            self.asked.append((span, deque(answer(self.world, request) for request in span.requests)))
            for _ in span.requests:
                self._passes_slot()
        self.sweep.asked(spans, self.slot)
        self.takes_effects()
        return asked

    def decides(self, count: int = 1, is_decided: bool = True, is_told: bool = True) -> None:
        """The next `count` slots are decided, or closed; perhaps that is not told yet."""
        span, replies = self.asked[0]
        first, count = span.first, min(count, span.count)
        data = b"".join(replies.popleft() for _ in range(count))
        span.first += count
        span.count -= count
        if not span.count:
            self.asked.popleft()
        self.decided.append((span, first, count, data if is_decided else None))
        if is_told:
            self.tells()

    def tells(self) -> None:
        """What was decided is told."""
        while self.decided:
            span, first, count, data = self.decided.popleft()
            assert self.sweep.is_asking(span)
            self.sweep.told(span, first, count, data, self.now)
        self.takes_effects()

    def tells_oversized(self) -> None:
        """The next slot's reply is over the limit."""
        span, replies = self.asked[0]
        replies.popleft()
        first = span.first
        span.first += 1
        span.count -= 1
        if not span.count:
            self.asked.popleft()
        self.decided.append((span, first, 1, b""))
        self.tells()

    def decides_all(self) -> None:
        """All that is asked is decided."""
        while self.asked:
            self.decides(1_000)

    def settles(self, rounds: int = 100) -> None:
        """Sweep until nothing is wanted any more."""
        for _ in range(rounds):
            self.now += PAUSE_NS_MAX
            self.goes_on()
            self.decides_all()
            if not self.sweep.is_wanted or self.sweep.is_sealed():
                return
        pytest.fail("the sweep comes to no end")

    def settles_anew(self) -> None:
        """The next checkpoint is wanted, and swept for."""
        self.wants()
        self.decides_all()
        self.settles()

    # The store.

    def takes_effects(self) -> None:
        """What the store is told, it does; at a checkpoint it holds what there was."""
        effects, self.sweep.effects = self.sweep.effects, []
        for effect in effects:
            if isinstance(effect, Clear):
                self.store = {place: value for place, value in self.store.items() if place[0] != effect.database}
            elif isinstance(effect, Checkpoint):
                assert self.store == self._states[effect.slot]
                self.checkpoints.append(effect.slot)
                self.counts = effect.counts
            elif effect.record is None:
                self.store.pop((effect.database, effect.key), None)
            else:
                self.store[effect.database, effect.key] = effect.record
