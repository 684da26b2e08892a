"""Shadows in the vote alone: where they begin, what they owe, when they are level."""

import pytest

from quorate.trusted.messages import Cause
from quorate.trusted.protocols.redis.order_free import Unordered
from quorate.trusted.protocols.redis.values import bulk
from tests.trusted.support import SECOND_NS, Booth


def test_a_run_of_slots_is_never_decided_across_the_beginning_of_a_shadow() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    shadow = booth.shadow(3, 2)
    booth.asks(b"GET b")
    for seat in (0, 1):
        booth.hears(seat, b"+1", b"+2")
    assert booth.said() == [b"+1\r\n", b"+2\r\n"]
    assert [(segment.first, segment.count, segment.data) for segment in shadow.owed] == [(2, 1, b"+2\r\n")]
    booth.releases(2)
    booth.hears(3, b"+2")
    assert booth.is_level(2)
    assert booth.is_content()


def test_a_shadow_owes_what_was_decided_or_closed_while_it_was_held() -> None:
    booth = Booth()
    shadow = booth.shadow(3, 2)
    booth.asks(b"GET a", b"GET b")
    booth.asks(b"SMEMBERS s", form=Unordered(1))
    for seat, reply in enumerate((b"+x", b"+y", b"+z")):
        booth.hears(seat, reply, b"+2", b"*0")
    assert booth.said() == [None, b"+2\r\n", b"*0\r\n"]
    assert [segment.data for segment in shadow.owed] == [None, b"+2\r\n", b"*0\r\n"]
    booth.releases(2)
    booth.hears(3, b"+whatever", b"+2", b"*0")
    assert booth.is_level(2)
    assert booth.is_content()


def test_a_shadow_is_level_only_when_it_has_answered_something_or_nothing_is_under_way() -> None:
    booth = Booth()
    booth.asks(b"GET a")
    booth.shadow(3, 2)
    booth.releases(2)
    assert not booth.is_level(2), "a slot from before it began is under way"
    booth.asks(b"GET b")
    booth.hears(0, b"+1", b"+2")
    assert not booth.is_level(2)
    booth.hears(1, b"+1", b"+2")
    assert not booth.is_level(2)
    booth.hears(3, b"+2")
    assert booth.is_level(2)
    booth.seats(2)
    assert booth.vote.voters() == 3


@pytest.mark.parametrize("frames", [1, 3])
def test_half_a_setup_holds_a_shadow_back(frames: int) -> None:
    booth = Booth()
    booth.shadow(3, 2, setup_frames=frames)
    booth.releases(2)
    booth.hears_bytes(3, b"+OK\r\n" * (frames - 1) + b"+O")
    assert not booth.is_level(2)
    booth.hears_bytes(3, b"K\r\n")
    assert booth.is_level(2)


def test_a_second_shadow_for_a_seat_takes_the_place_of_the_first() -> None:
    booth = Booth()
    booth.shadow(3, 2)
    second = booth.shadow(4, 2)
    assert booth.vote.shadows == [second]
    booth.releases(2)
    booth.hears(3, b"what is this")
    assert booth.is_content()
    booth.vote.shadow_removed(2)
    booth.vote.shadow_removed(2)
    assert booth.vote.shadow_of(2) is None


def test_the_slowest_voter_owes_a_longer_run_than_the_shadow_that_began_in_it() -> None:
    booth = Booth()
    booth.asks(b"GET a", b"GET b")
    shadow = booth.shadow(3, 1)
    booth.asks(b"GET c", b"GET d")
    replies = [b"+%d" % number for number in range(1, 5)]
    booth.hears(0, *replies)
    booth.hears(1, *replies)
    assert [(segment.first, segment.count) for segment in booth.vote.seats[2].owed] == [(1, 2), (3, 2)]
    assert [(segment.first, segment.count) for segment in shadow.owed] == [(3, 2)]
    booth.releases(1)
    booth.hears(3, *replies[2:3], b"+lie")
    assert booth.dissenters() == [(4, 4)]


def test_a_shadow_that_lags_does_not_stop_others_from_being_read() -> None:
    booth = Booth(reply_bytes_max=100, lag_bytes_max=100, client_output_bytes_max=100)
    booth.shadow(3, 2)
    booth.asks(b"GET big")
    for seat in range(3):
        booth.hears_bytes(seat, bulk(b"x" * 60))
    assert not booth.vote.is_ahead(0)
    booth.asks(b"GET big")
    for seat in range(3):
        booth.hears_bytes(seat, bulk(b"x" * 60))
    assert booth.accused() == [(5, Cause.LAG)]
    booth.asks(b"GET a")
    for seat in range(3):
        booth.hears(seat, b"+1")
    assert booth.accused() == [(5, Cause.LAG)], "it is reported once"


def test_excuses_are_made_for_shadows_too() -> None:
    booth = Booth()
    booth.shadow(3, 2)
    booth.releases(2)
    booth.asks(b"GET a")
    for seat in range(3):
        booth.hears(seat, b"+1")
    booth.now += 60 * SECOND_NS
    booth.vote.missed(60 * SECOND_NS)
    booth.passes(4)
    assert booth.faults == []
    booth.passes(1)
    assert booth.accused() == [(5, Cause.MUTE)]
