"""The requests that make a key what its record tells: one, or as many as its length calls for."""

import pytest

from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state_restore import restore_requests
from tests.trusted.redis.conversation import words


def record(text: str) -> bytes:
    return encode_request([word.encode() for word in text.split(" ")])


def restored(text: str, request_bytes_max: int = 10_000) -> list[str]:
    return [words(raw) for raw in restore_requests(b"k", record(text), request_bytes_max)]


@pytest.mark.parametrize(
    ("told", "requests"),
    [
        ("s -1 value", ["SET k value"]),
        ("s -1 ", ["SET k ''"]),
        ("s 9 value", ["SET k value", "PEXPIREAT k 9"]),
        ("l -1 b a b", ["RPUSH k b a b"]),
        ("S 9 a b", ["SADD k a b", "PEXPIREAT k 9"]),
        ("h -1 f 1 g 2", ["HSET k f 1 g 2"]),
        ("z -1 b -inf a 1.5", ["ZADD k -inf b 1.5 a"]),
        (
            "x 9 3-1 0-0 1 1 3-1 2 f v 0",
            ["XADD k 3-1 f v", "XSETID k 3-1 ENTRIESADDED 1 MAXDELETEDID 0-0", "PEXPIREAT k 9"],
        ),
    ],
)
def test_a_key_is_made_then_given_its_deadline(told: str, requests: list[str]) -> None:
    assert restored(told) == requests


@pytest.mark.parametrize(
    ("told", "requests"),
    [
        ("s 9 " + "a" * 450, ["SET k " + "a" * 165, "APPEND k " + "a" * 165, "APPEND k " + "a" * 120, "PEXPIREAT k 9"]),
        (
            "l -1 " + " ".join(f"{number:045d}" for number in range(5)),
            ["RPUSH k " + " ".join(f"{number:045d}" for number in piece) for piece in ((0, 1, 2), (3, 4))],
        ),
        (f"S -1 a {'b' * 400} c", ["SADD k a", f"SADD k {'b' * 400}", "SADD k c"]),
        (f"h -1 f {'v' * 100} g {'w' * 100}", [f"HSET k f {'v' * 100}", f"HSET k g {'w' * 100}"]),
        (f"z -1 {'m' * 100} 1 {'n' * 100} 2", [f"ZADD k 1 {'m' * 100}", f"ZADD k 2 {'n' * 100}"]),
    ],
)
def test_what_is_long_comes_in_pieces(told: str, requests: list[str]) -> None:
    assert restored(told, 300) == requests
    for raw, request in zip(restore_requests(b"k", record(told), 300), requests, strict=True):
        assert len(raw) <= 300 or request.count(" ") == 2


def test_a_long_key_leaves_room_for_a_piece() -> None:
    requests = restore_requests(b"k" * 290, record("s -1 " + "a" * 400), 300)
    assert [len(raw) // 100 for raw in requests] == [4, 4, 4]
    assert b"".join(raw.split(b"\r\n")[-2] for raw in requests) == b"a" * 400


def test_very_many_elements_come_in_several_requests() -> None:
    requests = restored("l -1 " + " ".join(map(str, range(40_000))), 10_000_000)
    assert [request.count(" ") - 1 for request in requests] == [16_384, 16_384, 7_232]
    requests = restored("z -1 " + " ".join(map(str, range(40_000))), 10_000_000)
    assert [(request.count(" ") - 1) // 2 for request in requests] == [16_384, 3_616]


def test_the_sign_of_zero_is_kept_by_a_long_member_that_goes_again() -> None:
    long = "-" * 16_384
    assert restored("z -1 a -0 b 1") == [f"ZADD k 0 {long}", "ZADD k -0 a 1 b", f"ZREM k {long}"]
    assert restored(f"z -1 a -0 {long} 1", 100_000) == [f"ZADD k 0 {long}-", f"ZADD k -0 a 1 {long}", f"ZREM k {long}-"]
    assert restored("z -1 -0 1") == ["ZADD k 1 -0"]
