"""All patterns of replies, errors, garbage, halves and silences, against an oracle that counts on its fingers."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted.messages import Cause
from quorate.trusted.protocols.redis.order_free import Unordered
from quorate.trusted.protocols.redis.values import array, elements
from tests.trusted.support import Booth

RIGHT, WRONG, FAULT = b"+1\r\n", b"+2\r\n", b"-ERR\r\n"
GARBAGE, HALF, SILENCE = b"what\r\n", b"+", b""
WHOLE = (RIGHT, WRONG, FAULT)
FINAL = (GARBAGE, HALF, SILENCE)

# What one replica says about two slots: after garbage, half a reply or silence comes nothing more.
SCRIPTS = [(first,) for first in FINAL] + list(itertools.product(WHOLE, WHOLE + FINAL))


def oracle(scripts: tuple[tuple[bytes, ...], ...], f: int, slots: int) -> tuple[list[bytes | None], list[int]]:
    """What must have been decided once all have said all (None: closed), and who dissented from it or sent garbage."""
    outcome: list[bytes | None] = []
    guilty: list[int] = []
    for slot in range(slots):
        said = [script[slot] if slot < len(script) else SILENCE for script in scripts]
        garbled = [GARBAGE in script[: slot + 1] for script in scripts]
        counts = {reply: said.count(reply) for reply in WHOLE}
        best = max(WHOLE, key=lambda reply: counts[reply])
        missing = sum(reply not in WHOLE and not broken for reply, broken in zip(said, garbled, strict=True))
        if counts[best] >= f + 1:
            outcome.append(best)
            guilty += [seat for seat, reply in enumerate(said) if reply in WHOLE and reply != best]
        elif counts[best] + missing < f + 1:
            outcome.append(None)
        else:
            break
        guilty += [seat for seat, broken in enumerate(garbled) if broken]
    return outcome, sorted(set(guilty))


def check(booth: Booth, scripts: tuple[tuple[bytes, ...], ...], f: int, slots: int) -> None:
    outcome, guilty = oracle(scripts, f, slots)
    for seat in sorted({fault.seat for fault in booth.faults}):
        booth.removes(seat)  # as the coordinator does: such a lane is lost
    assert booth.said() == outcome
    blamed = {dissent.seat for dissent in booth.dissents} | {fault.seat for fault in booth.faults}
    assert sorted(blamed) == guilty
    assert {fault.cause for fault in booth.faults} <= {Cause.GARBAGE}
    assert len({(dissent.seat, dissent.slot) for dissent in booth.dissents}) == len(booth.dissents)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_pattern_of_one_slot_in_every_order(order: tuple[int, ...]) -> None:
    for scripts in itertools.product([(reply,) for reply in WHOLE + FINAL], repeat=3):
        booth = Booth()
        booth.asks(b"GET a")
        for seat in order:
            if scripts[seat][0]:
                booth.hears_bytes(seat, scripts[seat][0])
        check(booth, scripts, 1, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("is_one_span", [True, False])
def test_every_pattern_of_two_slots(order: tuple[int, ...], is_one_span: bool) -> None:
    for scripts in itertools.product(SCRIPTS, repeat=3):
        booth = Booth()
        if is_one_span:
            booth.asks(b"GET a", b"GET b")
        else:
            booth.asks(b"GET a")
            booth.asks(b"GET b")
        for seat in order:
            data = b"".join(scripts[seat])
            if data:
                booth.hears_bytes(seat, data)
        check(booth, scripts, 1, 2)


def is_canonical(replies: Iterable[bytes]) -> bool:
    """Whether the whole replies first come in the order of `WHOLE`: which reply is which makes no difference."""
    found = list(dict.fromkeys(reply for reply in replies if reply in WHOLE))
    return found == list(WHOLE[: len(found)])


def play(scripts: tuple[tuple[bytes, ...], ...], order: Iterable[int], *requests: bytes) -> None:
    """Five seats, f = 2: the replicas say their scripts in this order, and the oracle agrees."""
    booth = Booth(f=2)
    booth.asks(*requests)
    for seat in order:
        data = b"".join(scripts[seat])
        if data:
            booth.hears_bytes(seat, data)
    check(booth, scripts, 2, len(requests))


def test_every_pattern_of_five_seats_in_every_order_but_for_their_numbers() -> None:
    """That seat n comes n-th is no loss: all patterns are tried, so all orders of all patterns, were seats alike."""
    for scripts in itertools.product([(reply,) for reply in WHOLE + FINAL], repeat=5):
        play(scripts, range(5), b"GET a")


@pytest.mark.parametrize("part", range(4))
def test_patterns_of_five_seats_in_every_order_of_their_numbers(part: int) -> None:
    """Seats are not quite alike: the first is looked at first. Each order meets one pattern in six, each pattern 20."""
    orders = list(itertools.permutations(range(5)))
    patterns = [p for p in itertools.product(WHOLE + FINAL, repeat=5) if is_canonical(p)]
    for number, pattern in enumerate(patterns[part::4]):
        for order in orders[number % 6 :: 6]:
            play(tuple((reply,) for reply in pattern), order, b"GET a")


# After the first reply, what a liar says next differs from what silence and garbage do; that is all that two slots add.
SHORT_SCRIPTS = [(GARBAGE,), (SILENCE,), *itertools.product((RIGHT, WRONG), (RIGHT, WRONG, GARBAGE, SILENCE))]


@pytest.mark.parametrize("first", [script for script in SHORT_SCRIPTS if all(map(is_canonical, zip(script)))])
def test_patterns_of_five_seats_and_two_slots(first: tuple[bytes, ...]) -> None:
    for others in itertools.product(SHORT_SCRIPTS, repeat=4):
        scripts = (first, *others)
        if all(is_canonical(script[slot] for script in scripts if slot < len(script)) for slot in range(2)):
            play(scripts, range(5), b"GET a", b"GET b")


def test_every_way_two_replies_can_interleave_byte_by_byte() -> None:
    """Two right streams and a lie, three bytes at a time: every merge of the three decides alike."""
    streams = (b"+1\r\n:2\r\n", b"+1\r\n:2\r\n", b"+1\r\n:3\r\n")
    pieces = [[stream[start : start + 3] for start in range(0, 8, 3)] for stream in streams]
    for order in set(itertools.permutations([0, 0, 0, 1, 1, 1, 2, 2, 2])):
        booth = Booth()
        booth.asks(b"GET a", b"GET b")
        taken = [0, 0, 0]
        for seat in order:
            booth.hears_bytes(seat, pieces[seat][taken[seat]])
            taken[seat] += 1
        assert booth.said() == [b"+1\r\n", b":2\r\n"]
        assert booth.dissenters() == [(2, 2)]
        assert booth.faults == []


# Streams of mixed spans, cut anywhere, against liars who send anything.

REPLIES = st.sampled_from(
    [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$5\r\na\r\nb\n\r\n", b"*0\r\n", b"-ERR no\r\n", b"_\r\n"]
)
MEMBERS = st.lists(st.sampled_from([b":1\r\n", b":2\r\n", b"$1\r\nx\r\n"]), min_size=2, max_size=4)


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, list[bytes], int]:
    """The kind of a span, the reply unit of each of its slots, and the frames of one unit."""
    kind = draw(st.sampled_from(["exact", "units", "unordered"]))
    if kind == "unordered":
        return kind, [array(draw(MEMBERS))], 1
    frames = 3 if kind == "units" else 1
    units = st.lists(REPLIES, min_size=frames, max_size=frames).map(b"".join)
    return kind, draw(st.lists(units, min_size=1, max_size=5)), frames


@settings(max_examples=400, deadline=None)
@given(
    plan=st.lists(spans(), min_size=1, max_size=6),
    f=st.sampled_from([1, 1, 2]),
    noise=st.lists(st.binary(max_size=30) | REPLIES, max_size=12),
    data=st.data(),
)
def test_correct_replicas_decide_every_slot_and_are_never_blamed(
    plan: list[tuple[str, list[bytes], int]], f: int, noise: list[bytes], data: st.DataObject
) -> None:
    booth = Booth(f=f)
    expected: list[bytes] = []
    for kind, units, frames in plan:
        form = Unordered(1) if kind == "unordered" else None
        booth.asks(*[b"ask"] * len(units), form=form, frames=frames)
        expected += [form.canonical(unit) if form else unit for unit in units]
    seats = 2 * f + 1
    liars = data.draw(st.sets(st.integers(0, seats - 1), max_size=f), label="liars")
    chunks: list[tuple[int, bytes]] = []
    queues = {seat: _spoken(plan, data) for seat in range(seats) if seat not in liars}
    queues |= {seat: data.draw(st.sampled_from([list(noise), _spoken(plan, data), []])) for seat in liars}
    while any(queues.values()):
        seat = data.draw(st.sampled_from([seat for seat, queue in sorted(queues.items()) if queue]))
        chunks.append((seat, queues[seat].pop(0)))
    for seat, chunk in chunks:
        if chunk:
            booth.hears_bytes(seat, chunk)
    assert booth.said() == expected
    assert {dissent.seat for dissent in booth.dissents} <= liars
    assert {fault.seat for fault in booth.faults} <= liars
    for seat in range(seats):
        voter = booth.vote.seats[seat]
        if seat not in liars:
            assert (len(voter.owed), voter.owed_bytes, len(voter.buffer)) == (0, 0, 0)


def _spoken(plan: list[tuple[str, list[bytes], int]], data: st.DataObject) -> list[bytes]:
    """What a correct replica says, in pieces: what has no order comes in an order of its own."""
    stream = b""
    for kind, units, _ in plan:
        for unit in units:
            stream += array(data.draw(st.permutations(elements(unit)))) if kind == "unordered" else unit
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    return [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
