"""Which keys a write may change. Against a real server: tests/real/test_command_table.py."""

import pytest

from quorate.trusted.changes import ALONE_BYTES, LARGE_BYTES, LIST, STRING, UNKNOWN, ZSET, Change, Changes
from quorate.trusted.protocols.redis.written import note_written, written_keys
from tests.trusted.redis.support import NotingDialect, call_of, session_of


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("SET k v", "k"),
        ("MSET a 1 b 2", "a b"),
        ("RENAME a b", "a b"),
        ("XGROUP CREATE x g 0", "x"),
        ("LMPOP 2 a b LEFT", "a b"),
        ("BZMPOP 0 1 a MIN", "a"),
        ("EVAL text 2 a b c", "a b"),
        ("EVALSHA name 0 a", ""),
        ("EVAL text x a", ""),
        ("XREADGROUP GROUP g c streams a b > >", "a b"),
        ("XREADGROUP GROUP g c COUNT 1 NOACK", ""),
        ("XREADGROUP GROUP streams STREAMS NOACK COUNT 1 BLOCK 5 STREAMS a streams > >", "a streams"),
        ("XREADGROUP GROUP streams c", ""),
        ("XREADGROUP STREAMS", ""),
        ("SORT a BY x store b", "a b"),
        ("SORT a STORE", "a"),
        ("GEORADIUS a 1 2 3 m STORE b STOREDIST c", "a b c"),
    ],
)
def test_keys_of_one_database(request_: str, keys: str) -> None:
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    assert written_keys(call.command, call.arguments) == keys.encode().split()


@pytest.mark.parametrize("request_", ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1", "MOVE k 1", "COPY a b DB 3"])
def test_what_reaches_other_databases_may_change_anything(request_: str) -> None:
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    assert written_keys(call.command, call.arguments) is None


def noted(request_: str, database: int = 0) -> tuple[list[Change], list[int]]:
    """The keys and the whole databases that are noted for a request."""
    changes = Changes()
    changes.is_kept = True
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    note_written(changes, database, call.command, call.arguments, len(call.raw))
    return changes.take(99, 1 << 40), changes.whole


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("SET k v", [(5, b"k", STRING)]),
        ("LMPOP 2 a b LEFT", [(5, b"a", LIST), (5, b"b", LIST)]),
        ("ZUNIONSTORE z 2 a b", [(5, b"z", ZSET)]),
        ("DEL a b", [(5, b"a", UNKNOWN), (5, b"b", UNKNOWN)]),
        ("EVAL text x a", []),
    ],
)
def test_each_key_is_noted_in_its_clients_database_with_a_hint(request_: str, keys: list[Change]) -> None:
    assert noted(request_, 5) == (keys, [])


@pytest.mark.parametrize(
    ("request_", "places"),
    [
        ("MOVE k 3", [(1, b"k"), (3, b"k")]),
        ("MOVE k 1", [(1, b"k")]),
        ("MOVE k 99", [(1, b"k")]),
        ("MOVE k x", [(1, b"k")]),
        ("COPY a b", [(1, b"a"), (1, b"b")]),
        ("COPY a b DB 3 REPLACE", [(1, b"a"), (3, b"b")]),
        ("COPY a a replace db 3", [(1, b"a"), (3, b"a")]),
        ("COPY a 4 DB 3", [(1, b"a"), (3, b"4")]),
        ("COPY a b DB 0 DB 2 DB 3", [(1, b"a"), (3, b"b")]),
        ("COPY a b DB x", [(1, b"a"), (1, b"b")]),
        ("COPY a b DB 99", [(1, b"a"), (1, b"b")]),
    ],
)
def test_what_goes_to_another_database_is_noted_where_it_was_and_where_it_comes(
    request_: str, places: list[tuple[int, bytes]]
) -> None:
    """There alone: a record of the journal has room for a request's keys no more than twice."""
    keys, wholes = noted(request_, 1)
    assert wholes == []
    assert keys == [(database, key, UNKNOWN) for database, key in places]


@pytest.mark.parametrize(
    ("request_", "databases"),
    [
        ("FLUSHALL", list(range(16))),
        ("FLUSHDB ASYNC", [7]),
        ("SWAPDB 2 3", [2, 3]),
        ("SWAPDB x 16", []),
    ],
)
def test_what_reaches_a_whole_database_notes_all_of_it(request_: str, databases: list[int]) -> None:
    assert noted(request_, 7) == ([], databases)


@pytest.mark.parametrize("request_", ["EVALSHA name 1 a b", "EVALSHA name 0"])
def test_a_script_may_change_what_it_does_not_name(request_: str) -> None:
    changes = Changes()
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    note_written(changes, 3, call.command, call.arguments, len(call.raw))
    assert list(changes.hidden) == [3]


# What keys may weigh.

NAME = 6  # a key of one letter


@pytest.mark.parametrize(
    ("request_", "weight"),
    [
        ("SETRANGE k 30000000 x", 30_000_000),
        ("SETBIT k 80000000 1", 10_000_000),
        ("BITFIELD k SET u8 80000000 1", 10_000_000),
        ("BITFIELD k OVERFLOW SAT INCRBY u8 #1000000 4294967295", 8_000_000),
        ("BITFIELD k GET u8 0 SET i32 #2000000 7 GET u8 0", 16_000_000),
    ],
)
def test_what_numbers_reach_is_weighed(request_: str, weight: int) -> None:
    assert weight <= weigh(request_)[b"k"] <= weight + 1_000


@pytest.mark.parametrize(
    "request_",
    [
        "SETRANGE k 99999999999 x",
        "SETRANGE k -5 x",
        "SETBIT k none 1",
        "BITFIELD k SET u64 0 18446744073709551615",
        "BITFIELD k SET",
        "BITFIELD k",
        "INCRBY k 9999999",
        "DEL k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ],
)
def test_what_makes_nothing_long_weighs_little(request_: str) -> None:
    assert weigh(request_)[b"k"] < 100


def test_a_write_weighs_what_it_brings() -> None:
    brought = weigh("APPEND k " + 500 * "x")[b"k"]
    assert 500 < brought < 600
    assert weigh("MSET a 12345 b 1")[b"a"] == NAME + 5
    assert weigh("MSETNX a 12345 b 1")[b"b"] == NAME + 1


@pytest.mark.parametrize(
    "request_",
    [
        "COPY big k",
        "COPY big k DB 0 REPLACE",
        "RENAME big k",
        "RENAMENX big k",
        "SUNIONSTORE k big",
        "ZUNIONSTORE k 1 big WEIGHTS 2",
        "SORT big STORE k",
        "GEORADIUS big 0 0 1 km STORE k",
        "BITOP OR k big",
        "PFMERGE k big",
        "GEOSEARCHSTORE k big FROMMEMBER a BYRADIUS 1 km",
        "ZRANGESTORE k big 0 -1",
    ],
)
def test_what_takes_over_others_weighs_what_they_weigh(request_: str) -> None:
    changes = with_big()
    weights = weigh(request_, changes)
    assert 1_000_000 <= weights[b"k"] <= 1_000_200
    assert weights[b"big"] <= 1_000_000 + NAME * 3
    again = weigh(request_, changes)[b"k"]
    assert again <= 1_000_400 + LARGE_BYTES, "it does not hold that twice, but an element more perhaps"


@pytest.mark.parametrize("request_", ["LMOVE big k LEFT LEFT", "RPOPLPUSH big k"])
def test_what_takes_over_an_element_gains_no_more_than_the_longest(request_: str) -> None:
    changes = with_big()
    assert weigh(request_, changes)[b"k"] < 100, "there is none"
    weigh("RPUSH big " + 500 * "x", changes)
    assert 500 < weigh(request_, changes)[b"k"] < 800
    changes.longest = 10_000_000
    assert 1_000_000 < weigh(request_, changes)[b"k"] < 1_002_000, "nor than all that there is"


def test_what_takes_over_what_nobody_weighed_weighs_what_that_may_hold() -> None:
    assert 3 * LARGE_BYTES <= weigh("ZUNIONSTORE k 3 x y z WEIGHTS 1 2 3")[b"k"] <= 3 * LARGE_BYTES + 200
    assert weigh("ZUNIONSTORE k none x")[b"k"] < 200
    assert 2 * LARGE_BYTES <= weigh("SINTERSTORE k x y")[b"k"] <= 2 * LARGE_BYTES + 200


def test_what_a_sort_gets_is_not_known() -> None:
    assert weigh("SORT x BY nosort GET d* STORE k")[b"k"] == ALONE_BYTES
    assert weigh("SORT x BY nosort GET d*")[b"x"] == NAME


def test_long_names_of_consumers_are_told_with_each_entry() -> None:
    long = "c" * 300
    assert weigh(f"XREADGROUP GROUP g {long} STREAMS k >")[b"k"] == ALONE_BYTES
    assert weigh(f"XCLAIM k g {long} 0 1-1")[b"k"] == ALONE_BYTES
    assert weigh("XREADGROUP GROUP g c STREAMS k >")[b"k"] < 200


@pytest.mark.parametrize(
    "requests",
    [
        ("LMOVE k k LEFT RIGHT",),
        ("LMOVE a k LEFT RIGHT", "LMOVE k a LEFT RIGHT"),
        ("RPOPLPUSH a k", "RPOPLPUSH k a"),
        ("RENAME a k", "RENAME k a"),
        ("SMOVE a k m", "SMOVE k a m"),
        ("COPY a k REPLACE",),
        ("SUNIONSTORE k a b", "SADD a m"),
        ("PFMERGE k a", "PFADD a m"),
    ],
)
def test_what_goes_to_and_fro_weighs_as_much_as_was_said(requests: tuple[str, ...]) -> None:
    changes = with_big()
    rounds = 1_000
    weigh("RPUSH a 123", changes)
    for _ in range(rounds):
        for request_ in requests:
            weigh(request_, changes)
    assert changes.may_weigh(0, b"k") < rounds * 300 + 4 * LARGE_BYTES


@pytest.mark.parametrize("name", ["LMPOP", "ZMPOP", "BLMPOP 0", "EVAL x", "EVALSHA x"])
@pytest.mark.parametrize("count", ["9" * 5_000, "-1", "0", "99999999999999999999", "x", "1x"])
def test_a_number_of_keys_that_is_none_names_none(name: str, count: str) -> None:
    assert noted(f"{name} {count} k LEFT") == ([], [])


def with_big() -> Changes:
    changes = Changes()
    changes.is_kept = True
    changes.found(0, b"big", 1_000_000)
    return changes


def weigh(request_: str, changes: Changes | None = None) -> dict[bytes, int]:
    """What the keys may weigh that this request may change."""
    if changes is None:
        changes = Changes()
        changes.is_kept = True
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    note_written(changes, 0, call.command, call.arguments, len(call.raw))
    return {key: changes.may_weigh(0, key) for key in call.arguments[1:]}
