"""The nouns: commands, calls, chance, and what the parts ask of the whole."""

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import (
    Chance,
    Command,
    Compiled,
    Dialect,
    Refusal,
    Settings,
    Transform,
    Treatment,
)
from quorate.trusted.span import Answer, Effect
from tests.trusted.redis.support import TABLE, NotingDialect, call_of, session_of


def command(name: str = "x", arity: int = 2, keys: tuple[int, int, int] = (0, 0, 0)) -> Command:
    return Command(name, arity, "-", Treatment.PLAIN, keys)


@pytest.mark.parametrize(("arity", "fitting"), [(2, [2]), (-2, [2, 3, 9]), (1, [1])])
def test_arity_is_exact_or_a_minimum(arity: int, fitting: list[int]) -> None:
    assert [count for count in (1, 2, 3, 9) if command(arity=arity).fits(count)] == fitting


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((0, 0, 0), ""),
        ((1, 1, 1), "a"),
        ((1, -1, 1), "abcd"),
        ((1, -2, 1), "abc"),
        ((2, 3, 1), "bc"),
        ((1, -1, 2), "ac"),
    ],
)
def test_keys_stand_at_fixed_positions(keys: tuple[int, int, int], found: str) -> None:
    assert b"".join(command(keys=keys).keys_of([b"x", b"a", b"b", b"c", b"d"])).decode() == found


def test_access_and_frequent_forms() -> None:
    written = TABLE[b"SET"]
    assert (written.is_write, written.grows, written.is_plain, written.plain_arity) == (True, True, False, 3)
    read = TABLE[b"GET"]
    assert (read.is_write, read.grows, read.is_plain, read.plain_arity) == (False, False, True, 0)


def test_a_row_may_be_treated_otherwise_than_the_table_says() -> None:
    changed = Command("set", -3, "wm", Treatment.PLAIN, (1, 1, 1))
    assert (changed.is_plain, changed.plain_arity, changed.reason) == (True, 3, "")
    changed.treat(Treatment.REFUSED, "no")
    assert (changed.treatment, changed.is_plain, changed.plain_arity, changed.reason) == (
        Treatment.REFUSED,
        False,
        0,
        "no",
    )


def test_a_slot_yields_one_reply_unless_it_says_more() -> None:
    assert (Compiled(b"x").frames, Compiled(b"x").transform) == (1, None)
    assert Compiled(b"x", Transform(), frames=3).frames == 3


def test_a_refusal_carries_the_answer() -> None:
    assert Refusal("ERR no\r\nway").answer == b"-ERR no  way\r\n"


def test_a_call_knows_its_time_in_milliseconds() -> None:
    assert call_of(session_of(NotingDialect()), [b"GET", b"k"], now_ms=7).now_ms == 7


def test_chance_follows_its_seed_and_keeps_within_bounds() -> None:
    drawn = [chance.below(10) for chance in [Chance(b"seed")] for _ in range(1_000)]
    again = Chance(b"seed")
    assert drawn == [again.below(10) for _ in range(1_000)]
    assert sorted(set(drawn)) == list(range(10))


def test_a_transform_changes_nothing_by_itself() -> None:
    dialect = NotingDialect()
    effects: list[Effect] = []
    transform = Transform()
    assert transform.is_exact
    assert transform.canonical(b":1\r\n") == transform.tell(b":1\r\n", dialect, 0, effects) == b":1\r\n"
    transform.failed(b"-ERR\r\n", dialect, 0, effects)
    assert effects == []


def test_answers_are_given_unless_the_session_is_silent() -> None:
    dialect = NotingDialect()
    session = session_of(dialect, database=3)
    effects: list[Effect] = []
    dialect.answer(session, b"+OK\r\n", effects)
    session.is_silent = True
    dialect.answer(session, b"+OK\r\n", effects)
    assert [type(effect) for effect in effects] == [Answer]
    step = dialect.step(session, [b"GET", b"k"], False, Transform())
    assert (step.owner, step.mode, step.requests) == (None, 2 << 16 | 3, [b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"])
    dialect.wait(session)
    assert session.client.is_waiting


def test_what_only_the_whole_can_do_is_left_to_it() -> None:
    dialect = Dialect(Limits(), Settings(), b"seed")
    session = session_of(NotingDialect())
    with pytest.raises(NotImplementedError):
        dialect.resume(session, b"", 0, [])
    with pytest.raises(NotImplementedError):
        dialect.touched(0, [], 0, [])
    call = call_of(session, [b"SET", b"k", b"v"])
    with pytest.raises(NotImplementedError):
        dialect.wrote(0, call, [])
    with pytest.raises(NotImplementedError):
        dialect.reap(0, [])
    with pytest.raises(NotImplementedError):
        dialect.compile_queued(call, [])
