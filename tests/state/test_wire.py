import random

import pytest

from quorate.state import wire
from quorate.state.anchor import NO_ANCHOR, Anchor
from quorate.state.rows import Checkpoint
from quorate.trusted.errors import BrokenInvariant

ANCHOR = Anchor(b"w" * 16, b"p" * 16, 7, 2**63, 2**63 + 1)

MESSAGES: list[wire.Message] = [
    wire.Put(3, b"key", b"record\r\n"),
    wire.Put(0, b"", b""),
    wire.Delete(65_535, b"\x00"),
    wire.Clear(0),
    wire.Commit(2**62, True, b"extras", {0: 3, 9: 0}, ANCHOR),
    wire.Commit(0, False, b"", {}, NO_ANCHOR),
    wire.Feed(7),
    wire.Seal(7),
    wire.Drop(7),
    wire.AskPage(None, 100),
    wire.AskPage((2, b"after"), 1),
    wire.Load(),
    wire.Stop(),
    wire.Opened(Checkpoint(5, {0: 3, 9: 1}, 2**128 - 1), b"extras", b"s" * 16, ANCHOR),
    wire.Committed(Checkpoint(6, {}, 0)),
    wire.Miscounted(7, [0, 9]),
    wire.Progressed(1, 10, 20),
    wire.Fed(1, 5),
    wire.Lagged(1, 0),
    wire.Sealed(1, 6),
    wire.Failed(1, True, "database 0 key 'ö' reads back as …"),
    wire.Paged([(0, b"a", 1), (1, b"", -1)]),
    wire.Found([], [(0, b"a", 70_000)]),
    wire.Loaded(6, b"extras"),
    wire.Broke("disk full", "make room"),
]


def test_every_kind_of_message_is_among_the_examples() -> None:
    assert {type(message) for message in MESSAGES} == {kind for kind, _ in wire._KINDS}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_is_decoded(message: wire.Message) -> None:
    assert wire.Decoder().feed(wire.encode(message)) == [message]


def test_the_fast_way_to_encode_a_put_is_the_same() -> None:
    for put in (wire.Put(3, b"key", b"record"), wire.Put(0, b"", b"")):
        assert wire.encode_put(*put) == wire.encode(put)


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_pieces_of_any_size_give_the_same_messages(size: int) -> None:
    data = b"".join(map(wire.encode, MESSAGES))
    decoder = wire.Decoder()
    found = [message for start in range(0, len(data), size) for message in decoder.feed(data[start : start + size])]
    assert found == MESSAGES


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_body_that_is_too_short_or_too_long_is_refused(message: wire.Message) -> None:
    body = wire.encode(message)[4:]
    for end in range(1, len(body)):
        with pytest.raises(wire.WireFault):
            wire.decode(body[:end])
    with pytest.raises(wire.WireFault):
        wire.decode(body + b"x")


@pytest.mark.parametrize(
    ("message", "start"),
    [
        (wire.Found([(0, b"a", 1)], []), 1),
        (wire.Commit(1, True, b"", {0: 1}, NO_ANCHOR), 14),
        (wire.Miscounted(1, [0]), 9),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_count_beyond_the_frame_is_refused_before_anything_is_made_of_it(message: wire.Message, start: int) -> None:
    body = bytearray(wire.encode(message)[4:])
    assert body[start : start + 4] == b"\x00\x00\x00\x01"
    body[start : start + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(wire.WireFault, match="ends early"):
        wire.decode(bytes(body))


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x00x", b"\x7f\xff\xff\xff\x00", b"\x00\x00\x00\x01\xff"])
def test_frames_that_cannot_be_are_refused(data: bytes) -> None:
    with pytest.raises(wire.WireFault):
        wire.Decoder().feed(data)


@pytest.mark.parametrize("seed", range(5))
def test_garbage_is_refused_or_understood_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    outcomes = set()
    for _ in range(2_000):
        frame = bytearray(wire.encode(chance.choice(MESSAGES)))
        for _ in range(chance.randrange(1, 4)):
            frame[chance.randrange(4, len(frame))] = chance.randrange(256)
        try:
            outcomes.add(len(wire.Decoder().feed(bytes(frame))))
        except wire.WireFault:
            outcomes.add(-1)
    assert outcomes == {-1, 1}


def test_texts_are_cut_and_frames_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    (broke,) = wire.Decoder().feed(wire.encode(wire.Broke("x" * 100_000, "")))
    assert broke == wire.Broke("x" * wire.TEXT_BYTES_MAX, "")
    monkeypatch.setattr(wire, "FRAME_BYTES_MAX", 100)
    with pytest.raises(BrokenInvariant):
        wire.encode_put(0, b"k", b"r" * 100)
    with pytest.raises(BrokenInvariant):
        wire.encode(wire.Loaded(1, b"r" * 100))
