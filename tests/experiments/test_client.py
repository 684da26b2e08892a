"""The plain client reads every form of reply, and nothing else."""

import asyncio

import pytest

from quorate.experiments.client import ErrorReply, Reply, encode, read_reply


def read(data: bytes) -> Reply:
    async def feed() -> Reply:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_reply(reader)

    return asyncio.run(feed())


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"+OK\r\n", b"OK"),
        (b"-ERR no\r\n", ErrorReply("ERR no")),
        (b":-3\r\n", -3),
        (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
        (b"$0\r\n\r\n", b""),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*3\r\n:1\r\n*1\r\n$-1\r\n+x\r\n", [1, [None], b"x"]),
    ],
)
def test_every_form_of_reply_is_read(data: bytes, reply: Reply) -> None:
    assert read(data) == reply


@pytest.mark.parametrize("data", [b"!\r\n", b":x\r\n", b"$x\r\n", b"\r\n"])
def test_what_is_no_reply_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"begins no reply|invalid literal"):
        read(data)


@pytest.mark.parametrize("data", [b"", b"+OK", b"$3\r\nab", b"*2\r\n:1\r\n"])
def test_the_end_of_a_connection_is_no_reply(data: bytes) -> None:
    with pytest.raises(EOFError):
        read(data)


def test_requests_are_arrays_of_strings() -> None:
    assert encode([b"GET", b"\r\n"]) == b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n"
