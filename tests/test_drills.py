"""Drills: lies that are replies all the same, and nothing lost or overtaken when a drill begins or ends."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.drills import FAULTS, FLOOD_REPLIES, ON_DOMAIN, Drill, drill, lie
from quorate.trusted.protocols.redis.framing import ReplyScanner

REPLIES = [
    b"+OK\r\n",
    b"+PONG\r\n",
    b"-ERR no\r\n",
    b":0\r\n",
    b":9\r\n",
    b":-1\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$1\r\nx\r\n",
    b"$3\r\n\r\n:\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n:5\r\n",
    b"%1\r\n+a\r\n#t\r\n",
    b"~1\r\n:7\r\n",
    b",1.5\r\n",
    b"_\r\n",
    b"#t\r\n",
    b"(123\r\n",
    b"=5\r\ntxt:z\r\n",
]


def frames(data: bytes) -> list[bytes]:
    """The replies that `data` holds; fails when it holds anything else."""
    scanner, buffer, found = ReplyScanner(), bytearray(data), []
    while buffer:
        assert scanner.scan(buffer, 0, len(buffer), 1, 1) == 1, bytes(buffer)
        found.append(bytes(buffer[: scanner.end]))
        del buffer[: scanner.end]
        scanner.shift(scanner.end)
    return found


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("salt", range(4))
def test_a_lie_is_another_reply(reply: bytes, salt: int) -> None:
    told = lie(reply, salt)
    assert told != reply
    assert frames(told) == [told]
    assert lie(reply, salt) == told


@given(st.binary(max_size=40), st.integers(0, 8))
def test_a_lie_about_any_text_is_another_reply(text: bytes, salt: int) -> None:
    reply = b"$%d\r\n%b\r\n" % (len(text), text)
    assert lie(reply, salt) != reply
    assert len(frames(lie(reply, salt))) == 1


def heard(fault: str, pieces: list[bytes], end: bool = True) -> list[bytes]:
    """What the core hears of a replica that sends `pieces` during a drill which then ends."""
    found: list[bytes] = []

    async def run() -> None:
        drilled = drill(fault, ReplyScanner(), 0)
        for piece in pieces:
            drilled(piece, found.append)
        if end:
            drilled.end(found.append)

    asyncio.run(run())
    return found


def test_corrupt_lies_about_each_reply_however_it_comes() -> None:
    stream = b"".join(REPLIES)
    whole = b"".join(heard("corrupt", [stream]))
    assert b"".join(heard("corrupt", [stream[i : i + 1] for i in range(len(stream))])) == whole
    assert len(frames(whole)) == len(REPLIES)
    assert all(one != other for one, other in zip(frames(whole), REPLIES, strict=True))


def test_corrupt_gives_half_a_reply_back_when_it_ends() -> None:
    assert heard("corrupt", [b"+O"]) == [b"+O"]


def test_colluders_tell_the_same_lie() -> None:
    told: list[bytes] = []
    for seat in (0, 1):
        drill("collude", ReplyScanner(), seat)(b":5\r\n$1\r\nx\r\n", told.append)
    assert told[0] == told[1] != b":5\r\n$1\r\nx\r\n"
    for seat in (0, 1):
        drill("corrupt", ReplyScanner(), seat)(b":5\r\n$1\r\nx\r\n", told.append)
    assert len(set(told[1:])) == 3


def test_mute_says_nothing() -> None:
    assert heard("mute", REPLIES) == []


def test_flood_adds_what_nobody_asked_for() -> None:
    assert heard("flood", [b":1\r\n"]) == [b":1\r\n" + FLOOD_REPLIES]


def test_slow_says_all_in_order_and_late() -> None:
    found: list[bytes] = []

    async def run() -> None:
        drilled = drill("slow", ReplyScanner(), 0)
        for reply in REPLIES:
            drilled(reply, found.append)
            await asyncio.sleep(0)
        assert found == []
        while len(found) < len(REPLIES):  # noqa: ASYNC110 - the drill tells nobody
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert found == REPLIES


def test_slow_holds_nothing_back_when_it_ends() -> None:
    assert heard("slow", REPLIES) == REPLIES
    assert heard("slow", REPLIES, end=False) == []


@pytest.mark.parametrize("fault", ON_DOMAIN)
def test_what_acts_on_the_domain_stands_at_no_edge(fault: str) -> None:
    assert fault in FAULTS
    with pytest.raises(ValueError, match=fault):
        drill(fault, ReplyScanner(), 0)


def test_a_drill_is_more_than_its_outline() -> None:
    with pytest.raises(NotImplementedError):
        Drill()(b"", list[bytes]().append)
