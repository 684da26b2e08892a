"""The sweep between a world that is written to and a store that is told: what a checkpoint holds is what there was.

The protocol is a toy: a value is a letter for its kind and a text, and every reply ends with a semicolon.
"""

from collections import deque
from random import Random

import pytest

from quorate.trusted.changes import LIST, STRING, UNKNOWN, UNREADABLE, Change, Changes, Checkpoint, Clear, Part
from quorate.trusted.limits import Limits
from quorate.trusted.protocol import Protocol
from quorate.trusted.span import Form, Span
from quorate.trusted.sweep import HASTE_MAX, IDLE_SHARES, PAUSE_NS_MAX, ROUNDS_MAX, Sweep

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

    def writes(self, key: bytes, value: bytes | None, database: int = 0, hint: int = STRING) -> None:
        """A write changes one key."""
        self.toy.changes.note(database, key, hint)
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


# A checkpoint.


def test_where_nothing_changed_there_is_a_checkpoint_at_once() -> None:
    room = Room()
    room.wants()
    assert room.checkpoints == [0]
    assert not room.sweep.is_wanted
    assert room.goes_on() == []


def test_what_changed_is_read_and_counted_in_one_run() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"s2", database=3)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"read 0 a 1", b"read 3 b 1", b"count 0", b"count 3"]
    assert room.sweep.is_closing()
    assert room.sweep.closing_slot == 6
    assert room.goes_on() == [], "one run at a time"
    room.decides_all()
    assert room.checkpoints == [6]
    assert room.counts == {0: 1, 3: 1}


def test_what_is_written_while_the_run_is_under_way_is_not_in_the_checkpoint_and_is_read_for_the_next() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.writes(b"a", b"s2")
    room.writes(b"new", b"s3")
    room.decides_all()
    assert room.checkpoints == [3]
    assert room.store == {(0, b"a"): b"s1"}
    room.wants()
    room.decides_all()
    assert room.checkpoints == [3, 8]
    assert room.store == room.world


def test_a_checkpoint_with_a_wrong_hint_is_tried_again_with_a_better_one() -> None:
    room = Room()
    room.writes(b"a", b"lx", hint=STRING)
    room.writes(b"b", b"s1", hint=UNKNOWN)
    room.wants()
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 a 2", b"read 0 b 1", b"count 0"]
    room.decides_all()
    assert room.checkpoints == [room.slot]


def test_a_run_in_which_something_was_not_decided_is_tried_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.writes(b"b", b"s2")
    room.wants()
    room.decides(1)
    room.decides(is_decided=False)
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 b 1", b"count 0"]
    room.decides()
    room.decides(is_decided=False)
    assert room.checkpoints == [], "a count that is not known is no count"
    room.settles()
    assert room.checkpoints == [room.slot]


def test_one_span_may_be_decided_in_pieces_before_any_of_them_is_told() -> None:
    room = Room()
    for number in range(6):
        room.writes(b"%d" % number, b"s%d" % number)
    room.wants()
    room.decides(1, is_told=False)
    room.decides(3, is_told=False)
    room.decides(is_decided=False, is_told=False)
    room.decides(1)
    assert room.store == {(0, b"%d" % number): b"s%d" % number for number in (0, 1, 2, 3, 5)}
    room.decides_all()
    assert room.checkpoints == []
    assert room.goes_on() == [b"read 0 4 1", b"count 0"]
    room.decides_all()
    assert room.checkpoints == [room.slot]


def test_after_too_many_rounds_it_gives_up_until_it_is_wanted_again() -> None:
    room = Room()
    room.writes(b"a", b"lx")
    room.wants()
    for _ in range(ROUNDS_MAX + 1):
        room.decides_all()
        # What it is thought to hold is wrong each time.
        room.writes(b"a", b"sx" if room.world[0, b"a"] == b"lx" else b"lx", hint=UNKNOWN)
        room.goes_on()
    room.decides_all()
    assert room.checkpoints == []
    assert not room.sweep.is_wanted
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]


# Many keys.


def test_many_keys_are_read_in_chunks_that_are_as_large_as_their_values_allow() -> None:
    room = Room(sweep_bytes=200, sweep_keys_max=256)
    for number in range(100):
        room.writes(b"%03d" % number, b"s" + b"x" * 18)
    room.sweep.want(is_urgent=True)
    assert len(room.goes_on()) == 16, "nothing is known of their size yet"
    assert not room.sweep.is_closing()
    room.decides_all()
    assert len(room.goes_on()) == 200 // 21
    room.decides_all()
    room.settles()
    assert room.checkpoints == [room.slot]
    assert len(room.store) == 100


def test_a_chunk_has_no_more_keys_than_the_limit_however_small_they_are() -> None:
    room = Room(sweep_keys_max=20)
    for number in range(300):
        room.writes(b"%03d" % number, b"s")
    room.wants()
    room.decides_all()
    assert len(room.goes_on()) == 20


def test_keys_that_change_as_fast_as_they_are_read_are_read_faster_until_all_fit_into_one_run() -> None:
    room = Room(sweep_bytes=10)
    values = b"s" + b"x" * 100
    hot = [b"%d" % number for number in range(40)]
    for key in hot:
        room.writes(key, values)
    room.wants()
    for _ in range(20):
        for key in hot:
            room.writes(key, values)
        room.decides_all()
        if room.checkpoints:
            break
        room.goes_on()
    assert room.checkpoints


def test_haste_stops_at_what_a_slow_replica_may_owe() -> None:
    room = Room(lag_bytes_max=16_000, reply_bytes_max=16_000, sweep_bytes=10)
    hot = [b"%03d" % number for number in range(300)]
    for key in hot:
        room.writes(key, b"s" + b"x" * 97)
    room.wants()
    for _ in range(HASTE_MAX + 20):
        for key in hot:
            room.writes(key, b"s" + b"x" * 97)
        room.decides_all()
        assert len(room.goes_on()) <= 20
    assert not room.checkpoints


# Pauses.


def test_while_nobody_waits_reading_takes_a_share_of_the_time() -> None:
    room = Room()
    for number in range(100):
        room.writes(b"%d" % number, b"s")
    room.wants(is_urgent=False)
    assert room.sweep.next_deadline() == 0, "something is asked"
    room.now += 1_000
    room.decides_all()
    assert room.sweep.next_deadline() == room.now + IDLE_SHARES * 1_000
    assert room.goes_on() == []
    room.now += IDLE_SHARES * 1_000
    assert room.goes_on()
    room.now += 10 * PAUSE_NS_MAX
    room.decides_all()
    assert not room.sweep.is_wanted or room.sweep.next_deadline() <= room.now + PAUSE_NS_MAX


def test_when_somebody_waits_there_is_no_pause() -> None:
    room = Room()
    for number in range(100):
        room.writes(b"%d" % number, b"s")
    room.wants(is_urgent=False)
    room.wants(is_urgent=True)
    room.now += 1_000
    room.decides_all()
    assert room.sweep.next_deadline() == room.now
    assert room.goes_on()


def test_what_was_never_begun_is_due_at_once() -> None:
    room = Room()
    assert room.sweep.next_deadline() == 0
    room.sweep.want(is_urgent=False)
    assert 0 < room.sweep.next_deadline() <= room.now


def test_while_the_store_cannot_take_more_nothing_is_read() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.sweep.is_held = True
    room.wants()
    assert not room.asked
    assert room.sweep.next_deadline() == 0
    room.sweep.is_held = False
    assert room.goes_on()


# Whole databases.


def test_an_emptied_database_is_counted_and_cleared() -> None:
    room = Room()
    room.writes(b"a", b"s1", database=2)
    room.writes(b"b", b"s1")
    room.wants()
    room.decides_all()
    room.flushes(2)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 2"]
    room.decides_all()
    assert room.store == {(0, b"b"): b"s1"}
    room.settles()
    assert room.checkpoints[-1] == room.slot


def test_a_database_that_may_hold_anything_is_listed_and_read() -> None:
    room = Room()
    room.writes(b"a", b"s1", database=0)
    room.writes(b"b", b"lx", database=1)
    room.wants()
    room.settles()
    room.swaps(0, 1)
    room.writes(b"c", b"s3", database=1)
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 0"]
    room.decides_all()
    assert room.goes_on() == [b"list 0"]
    room.writes(b"d", b"s4", database=0)
    room.decides_all()
    assert room.store == {(1, b"b"): b"lx"}
    room.settles()
    assert room.checkpoints[-1] == room.slot
    assert room.store == room.world


def test_a_database_emptied_again_while_it_is_listed_is_counted_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.flushes(0)
    room.writes(b"b", b"s1")
    room.sweep.want(is_urgent=True)
    assert room.goes_on() == [b"count 0"]
    room.flushes(0)
    room.decides_all()
    assert room.goes_on() == [b"list 0"]
    room.decides_all()
    assert room.goes_on() == [b"count 0"]
    room.settles()
    assert room.store == {}


def test_one_emptied_while_the_last_run_is_under_way_is_no_checkpoint() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.flushes(0)
    room.decides_all()
    assert room.checkpoints == []
    room.settles()
    assert room.checkpoints == [room.slot]


@pytest.mark.parametrize("asked", [1, 2])
def test_a_count_or_a_list_that_is_not_decided_is_asked_for_again(asked: int) -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.toy.changes.note_whole(0)
    room.wants()
    for _ in range(asked - 1):
        room.decides_all()
        room.goes_on()
    room.decides(is_decided=False)
    assert room.sweep.is_wanted
    assert room.sweep.given_up() == []
    assert room.goes_on() == [b"count 0"]
    room.settles()
    assert room.checkpoints == [room.slot]


def test_a_count_that_is_an_error_is_asked_for_again() -> None:
    room = Room()
    room.toy.changes.note_whole(0)
    room.wants()
    room.asked[0][1][0] = b"-ERR;"
    room.decides_all()
    assert room.goes_on() == [b"count 0"]


# What cannot be read.


def test_while_something_is_unreadable_there_is_no_checkpoint_and_each_who_wants_one_is_told() -> None:
    room = Room()
    room.writes(b"a", b"?")
    room.writes(b"b", b"s1")
    for _ in range(2):
        room.wants()
        room.settles()
        assert not room.sweep.is_wanted
        assert room.sweep.given_up() == [((0, b"a"), "it holds what is no abstract state")]
    assert room.checkpoints == []
    assert room.sweep.given_up() == []
    room.writes(b"a", None)
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]
    assert room.sweep.given_up() == []


def test_a_value_over_the_limit_is_unreadable_until_it_is_another() -> None:
    room = Room()
    room.writes(b"a", b"s" + b"x" * 1_000)
    room.wants()
    room.tells_oversized()
    room.decides_all()
    assert room.sweep.given_up() == [((0, b"a"), "its state is over the limit of one reply")]
    assert room.checkpoints == []
    room.writes(b"a", b"s1")
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot]


def test_in_a_database_that_was_emptied_nothing_is_unreadable() -> None:
    room = Room()
    room.writes(b"a", b"?")
    room.writes(b"a", b"?", database=1)
    room.wants()
    room.settles()
    room.flushes(0)
    room.wants()
    room.settles()
    assert list(room.sweep.unreadable) == [(1, b"a")]
    room.swaps(1, 2)
    room.writes(b"a", None, database=2)
    room.wants()
    room.settles()
    assert room.sweep.unreadable == {}
    assert room.checkpoints == [room.slot]


def test_a_database_with_too_many_keys_to_list_is_not_asked_for_again_and_again() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.toy.changes.note_whole(0)
    for _ in range(2):
        room.wants()
        room.decides_all()
        assert room.goes_on() == [b"list 0"]
        room.tells_oversized()
        assert room.sweep.given_up() == [((0, b""), "its keys are too many to be listed")]
        assert not room.sweep.is_wanted
        assert room.goes_on() == []
    room.wants()
    room.settles()
    assert room.checkpoints == [room.slot], "there were fewer by then"


# Sealing.


def test_a_checkpoint_that_is_to_be_sealed_leaves_the_store_as_it_is() -> None:
    room = Room()
    room.sweep.is_sealing = True
    room.writes(b"a", b"s1")
    room.wants()
    room.decides_all()
    assert room.sweep.is_sealed()
    room.writes(b"a", b"s2")
    room.wants()
    assert not room.asked
    assert room.sweep.next_deadline() == 0
    room.sweep.unseal(will_seal=False)
    assert room.goes_on()
    room.decides_all()
    assert not room.sweep.is_sealed()
    assert room.store == room.world


def test_one_that_was_under_way_before_is_not_the_one_that_is_sealed() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.sweep.is_sealing = True
    room.wants()
    room.decides_all()
    assert room.checkpoints == [3]
    assert not room.sweep.is_sealed()
    assert room.sweep.is_wanted
    room.settles()
    assert room.sweep.is_sealed()


def test_one_that_nobody_waits_for_any_more_is_not_sealed() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.sweep.is_sealing = True
    room.wants()
    room.sweep.unseal(will_seal=False)
    room.sweep.is_sealing = True
    room.sweep.want(is_urgent=True)
    room.decides_all()
    assert room.checkpoints == [3]
    assert not room.sweep.is_sealed(), "who waits now came after it was begun"
    room.settles()
    assert room.sweep.is_sealed()


def test_unsealed_for_another_it_goes_on_to_the_next_checkpoint() -> None:
    room = Room()
    room.sweep.is_sealing = True
    room.wants()
    assert room.sweep.is_sealed()
    room.sweep.unseal(will_seal=True)
    assert room.sweep.is_wanted
    assert room.sweep.is_urgent
    room.goes_on()
    assert room.sweep.is_sealed()
    assert room.checkpoints == [0, 0]


def test_where_no_state_is_kept_any_more_nothing_is_asked() -> None:
    room = Room()
    room.writes(b"a", b"s1")
    room.wants()
    room.sweep.stop()
    room.toy.changes.forget()
    room.decides(is_decided=False)
    room.decides_all()
    assert not room.sweep.is_wanted
    assert room.goes_on() == []
    assert room.toy.changes.count == 0


# Everything at once.


class Chaos:
    """Writers, undecided slots, decisions told late, hints that are wrong, at random by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.room = Room(sweep_bytes=40, sweep_keys_max=6, closing_keys_max=8)
        self.keys = [b"%d" % number for number in range(self.chance.choice([3, 12, 40]))]

    def value(self) -> bytes | None:
        kind = self.chance.choice([b"s", b"l", b"s", b"l", b"?"] if self.chance.random() < 0.1 else [b"s", b"l"])
        return None if self.chance.random() < 0.3 else kind + b"%d" % self.chance.randrange(1_000)

    def step(self) -> None:
        chance, room = self.chance, self.room
        drawn = chance.random()
        if drawn < 0.4:
            hint = chance.choice([UNKNOWN, STRING, LIST])
            room.writes(chance.choice(self.keys), self.value(), chance.randrange(3), hint)
        elif drawn < 0.42:
            room.flushes(chance.randrange(3))
        elif drawn < 0.44:
            room.swaps(*chance.sample(range(3), 2))
        elif drawn < 0.5:
            room.wants(is_urgent=chance.random() < 0.5)
        elif drawn < 0.6:
            room.now += chance.randrange(PAUSE_NS_MAX)
            room.goes_on()
        elif drawn < 0.62:
            room.sweep.is_held = not room.sweep.is_held
        elif drawn < 0.65 and room.sweep.is_sealed():
            room.sweep.unseal(will_seal=chance.random() < 0.5)
        elif drawn < 0.66:
            room.sweep.is_sealing = True
        elif room.asked:
            self.decide()
        else:
            room.goes_on()

    def decide(self) -> None:
        is_decided = self.chance.random() < 0.95
        count = self.chance.choice([1, 2, 100]) if is_decided else 1
        self.room.decides(count, is_decided, is_told=self.chance.random() < 0.7)
        if self.chance.random() < 0.5:
            self.room.tells()

    def ends(self) -> None:
        """Nothing more is written, all is decided: there is a checkpoint, and it is sound."""
        room = self.room
        room.tells()
        room.decides_all()
        for place, value in list(room.world.items()):
            if value.startswith(b"?"):
                room.writes(place[1], None, place[0])
        room.sweep.is_held = False
        room.sweep.unseal(will_seal=False)
        room.decides_all()
        before = len(room.checkpoints)
        room.wants()
        room.settles(1_000)
        assert len(room.checkpoints) > before
        assert room.store == room.world


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_each_checkpoint_is_what_there_was(seed: int) -> None:
    chaos = Chaos(seed)
    for _ in range(400):
        chaos.step()
    chaos.ends()
