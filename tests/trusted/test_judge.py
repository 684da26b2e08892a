"""Who is guilty, who is asked again, who is spared, and what is compared how when it is asked again."""

import pytest

from quorate.trusted.judge import LANE_IS_LOST, MERELY_SLOW, Judge, Reask, Replayed, Sentence
from quorate.trusted.messages import Cause
from quorate.trusted.protocols.redis.order_free import Unordered
from quorate.trusted.span import Form, Span
from quorate.trusted.verdicts import Dissent


def dissent(seat: int, is_write: bool = False, form: Form | None = None) -> Dissent:
    span = Span(None, [b"GET a", b"GET b"], 7, is_write, form)
    span.first = 10
    span.frames = 2
    return Dissent(seat, 11, span, b"+1\r\n", b"+2\r\n")


def test_a_first_dissent_on_a_write_convicts() -> None:
    assert Judge(1, 3, 3).weigh(dissent(0, is_write=True)) is Cause.WRONG_WRITE


def test_a_dissent_on_a_read_is_asked_again_and_convicts_when_repeated() -> None:
    judge = Judge(1, 3, 3)
    first = dissent(0, form=Unordered(1))
    assert judge.weigh(first) is None
    again = judge.reask(first)
    assert (again.requests, again.mode, again.frames, again.is_write, again.owner) == ([b"GET b"], 7, 2, False, None)
    assert judge.weigh(Dissent(0, 12, again, b"+1\r\n", b"+2\r\n")) is Cause.WRONG_READ


def test_a_dissent_on_what_was_asked_again_for_another_is_a_first_one() -> None:
    judge = Judge(2, 5, 3)
    again = judge.reask(dissent(0))
    assert judge.weigh(Dissent(1, 12, again, b"+1\r\n", b"+2\r\n")) is None


def test_too_many_first_dissents_convict_each_seat_for_its_own() -> None:
    judge = Judge(1, 3, 3)
    assert [judge.weigh(dissent(0)), judge.weigh(dissent(1)), judge.weigh(dissent(0))] == [None] * 3
    assert judge.weigh(dissent(0)) is Cause.WRONG_READS
    assert judge.weigh(dissent(1)) is None


def test_a_read_is_compared_again_as_it_was_the_first_time() -> None:
    assert Reask(0, None).is_exact
    assert Reask(0, None).canonical(b"*2\r\n:2\r\n:1\r\n") == b"*2\r\n:2\r\n:1\r\n"
    again = Reask(0, Unordered(1))
    assert not again.is_exact
    assert again.canonical(b"*2\r\n:2\r\n:1\r\n") == b"*2\r\n:1\r\n:2\r\n"


def test_nothing_is_held_against_a_seat_s_next_replica() -> None:
    judge = Judge(1, 3, 3)
    for _ in range(2):
        judge.weigh(dissent(0))
        judge.weigh(dissent(1))
    judge.forgive(0)
    assert judge.weigh(dissent(0)) is None
    assert judge.weigh(dissent(1)) is Cause.WRONG_READS


def test_all_replies_to_a_write_that_is_executed_again_are_equal() -> None:
    assert not Replayed().is_exact
    assert Replayed().canonical(b"*2\r\n:2\r\n:1\r\n") == Replayed().canonical(b"*2\r\n:1\r\n:2\r\n") != b""


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize(("f", "voters"), [(1, 2), (1, 3), (2, 3), (2, 4), (2, 5)])
def test_who_goes_and_who_is_spared(cause: Cause, f: int, voters: int) -> None:
    sentence = Judge(f, 2 * f + 1, 3).sentence(cause, voters)
    if voters == f + 1 and cause not in LANE_IS_LOST:
        assert sentence is Sentence.SPARE
    elif cause in MERELY_SLOW:
        assert sentence is Sentence.RETIRE
    else:
        assert sentence is Sentence.CONVICT
