"""A Redis server and the small stores in one vote: whatever clients ask of such a cell, none dissents (mixed.py)."""

from collections.abc import Iterator
from random import Random

import pytest

from tests.real.mixed import MANY, NAMES, ODD, MixedCell, by_grammar, odd, replicas
from tests.real.reference import Connection
from tests.real.states import tell

pytestmark = pytest.mark.needs("redis-server")

REQUESTS = 1_200
FLOATS = 4_000


@pytest.fixture(scope="module")
def lanes() -> Iterator[dict[str, Connection]]:
    with replicas() as found:
        yield found


def assert_alike(cell: MixedCell) -> None:
    """No slot was answered differently, and all hold the same."""
    assert "\n\n".join(map(str, cell.differences)) == ""
    states = cell.states()
    for name in NAMES:
        assert states[name] == states["redis"]


@pytest.mark.parametrize("protocol", [2, 3])
def test_requests_of_every_kind(lanes: dict[str, Connection], protocol: int) -> None:
    cell = MixedCell(lanes, protocol)
    for request in by_grammar(lanes["redis"], protocol, REQUESTS):
        cell.asks(*request)
    assert_alike(cell)
    # What the small stores do not know is a part, or this compares nothing.
    assert cell.refused < 0.4 * cell.asked
    assert cell.slots > 0.5 * cell.asked


@pytest.mark.parametrize(("protocol", "seed"), [(2, 1), (3, 2), (2, 3)])
def test_odd_requests(lanes: dict[str, Connection], protocol: int, seed: int) -> None:
    cell = MixedCell(lanes, protocol)
    for request in odd(seed, REQUESTS):
        cell.asks(*request)
    assert_alike(cell)
    assert cell.slots > 0.5 * cell.asked


def test_the_sign_of_zero_in_a_large_sorted_set(lanes: dict[str, Connection]) -> None:
    """Redis keeps it there, the small stores do not: no request gets it there."""
    cell = MixedCell(lanes, 2)
    for line in (
        b"ZUNIONSTORE z 1 large WEIGHTS -1",
        b"ZINTERSTORE z 1 large WEIGHTS -0.5 AGGREGATE MAX",
        b"ZUNIONSTORE z 1 large WEIGHTS 0",
        b"ZUNIONSTORE z 1 large WEIGHTS inf",
        b"ZADD large -0 m1 -0x0 m2 -1e-400 m3",
        b"ZADD large -0 m1 -.0 m2",
        b"ZADD large nx\0 -0 new",
        b"ZINCRBY large -0 m1",
        b"ZUNION 1 large WEIGHTS -1 WITHSCORES",
    ):
        cell.asks(b"ZADD", b"large", *MANY)
        cell.asks(*line.split(b" "))
        for key in (b"large", b"z"):
            cell.asks(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
    assert_alike(cell)


def test_strings_end_at_the_same_length(lanes: dict[str, Connection]) -> None:
    cell = MixedCell(lanes, 2)
    end = 32 * 1024 * 1024
    assert cell.asks(b"SETRANGE", b"s", b"%d" % (end - 1), b"x") == b":%d\r\n" % end
    refusal = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
    assert cell.asks(b"APPEND", b"s", b"x") == refusal
    assert cell.asks(b"SETRANGE", b"s", b"%d" % end, b"x") == refusal
    cell.asks(b"DEL", b"s")
    assert_alike(cell)


# Numbers. A sum of fractions is made by the 80-bit unit of x86, or as if it were.

EDGES = b"""1e4932 1e-4951 1.8e-4951 1.9e-4951 1.18973149535723176508e4932 1.19e4932 0x1p-16445 0x1p-16446 0x1.8p-16446
0x1p16383 0x1p16384 0x1.ffffffffffffffffp16383 0x1.fffffffffffffffep16383 5e-18 4.9e-18 0.000000000000000005 1e-17
1e+0000000000001 1e-000000000000000000000002 0e99999999999999999999 0x0p99999999999999999999 1e99999999999999999999
-1e-99999999999999999999 0xap-2000 0x0.0ep-2000 2.4e-324 2.5e-324 0x1p-1075 0x1.1p-1075 1.7976931348623158e308
1.7976931348623159e308 0x1.fffffffffffff8p1023 0x1.fffffffffffff7p1023 18446744073709551615""".split()
EDGES += [b"1" * 4_950, b"9" * 4_933, b"0." + b"0" * 5_000 + b"1", b"1" * 5_119, b"1" * 5_120, b"1" * 4_000 + b"e500"]


def number(chance: Random) -> bytes:
    match chance.randrange(7):
        case 0:
            return b"%.*f" % (chance.randrange(20), chance.uniform(-1e3, 1e3))
        case 1:
            return b"%.17g" % (chance.uniform(-1, 1) * 10.0 ** chance.randrange(-320, 308))
        case 2:
            return b"%d.%018d" % (chance.randrange(1 << 60), chance.randrange(10**18))
        case 3:
            return b"0x%x.%xp%d" % (chance.randrange(1 << 30), chance.randrange(1 << 30), chance.randrange(-80, 80))
        case 4:
            return b"%d" % chance.randrange(-(2**63), 2**63)
        case 5:
            return chance.choice(ODD)
        case _:
            return chance.choice(EDGES)


def about_numbers(seed: int) -> list[list[bytes]]:
    chance = Random(seed)

    def draw() -> list[bytes]:
        one, other = number(chance), number(chance)
        return chance.choice(
            [
                [b"SET", b"s", one],
                [b"INCRBYFLOAT", b"s", one],
                [b"INCRBYFLOAT", b"s", other],
                [b"HSET", b"h", b"f", one],
                [b"HINCRBYFLOAT", b"h", b"f", one],
                [b"ZADD", b"z", one, b"m%d" % chance.randrange(4)],
                [b"ZINCRBY", b"z", one, b"m1"],
                [b"ZCOUNT", b"z", one, other],
                [b"ZUNION", b"1", b"z", b"WEIGHTS", one, b"WITHSCORES"],
                [b"ZRANGE", b"z", b"0", b"-1", b"WITHSCORES"],
            ]
        )

    return [draw() for _ in range(FLOATS)]


@pytest.mark.parametrize("protocol", [2, 3])
def test_numbers_are_read_added_and_printed_alike(lanes: dict[str, Connection], protocol: int) -> None:
    requests = [[b"FLUSHALL"], [b"HELLO", b"%d" % protocol], [b"SELECT", b"0"], *about_numbers(protocol)]
    told = {name: tell(lane, requests)[3:] for name, lane in lanes.items()}
    for position, request in enumerate(requests[3:]):
        replies = {name: replies[position] for name, replies in told.items()}
        assert set(replies.values()) == {replies["redis"]}, (request, replies)
    assert sum(reply.startswith(b"-") for reply in told["redis"]) < FLOATS / 2
