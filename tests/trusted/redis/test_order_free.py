"""Aggregates in each replica's own order have one canonical form; everything else is left alone."""

import pytest

from quorate.trusted.protocols.redis.order_free import Unordered
from tests.trusted.redis.conversation import wire


@pytest.mark.parametrize(
    ("stride", "replies", "canonical"),
    [
        (1, ["*3 $1 b $1 a $1 c", "*3 $1 a $1 c $1 b"], "*3 $1 a $1 b $1 c"),
        (1, ["~2 $1 b $1 a", "~2 $1 a $1 b"], "~2 $1 a $1 b"),
        (2, ["*4 $1 y $1 1 $1 x $1 2", "*4 $1 x $1 2 $1 y $1 1"], "*4 $1 x $1 2 $1 y $1 1"),
        (2, ["%2 $1 y $1 1 $1 x $1 2", "%2 $1 x $1 2 $1 y $1 1"], "%2 $1 x $1 2 $1 y $1 1"),
        (2, ["*3 $1 y $1 1 $1 x"], "*3 $1 x $1 y $1 1"),
        (1, ["*1 $1 a"], "*1 $1 a"),
        (1, ["*0"], "*0"),
        (2, ["*-1"], "*-1"),
        (1, ["-WRONGTYPE x"], "-WRONGTYPE x"),
    ],
)
def test_equal_collections_have_one_form(stride: int, replies: list[str], canonical: str) -> None:
    form = Unordered(stride)
    assert not form.is_exact
    assert {form.canonical(wire(reply)) for reply in replies} == {wire(canonical)}
