"""Who waits for a checkpoint, who began at one, and how long the store stands still for them."""

import pytest

from quorate.trusted.distribute import Distribute
from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.joining import Joining
from quorate.trusted.limits import Limits
from quorate.trusted.order import Order
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.sweep import Sweep
from quorate.trusted.vote import Vote

NOW = 1_000


class Hall:
    """Where shadows wait. `closes` orders what may become a checkpoint; here nothing ever changed, so it is one."""

    def __init__(self) -> None:
        protocol = RedisProtocol(Limits(), Settings(), b"seed")
        self.setup = protocol.setup()[0]
        self.vote = Vote(1, 3, protocol, Limits())
        self.sweep = Sweep(protocol, Limits())
        self.distribute = Distribute(protocol)
        self.joining = Joining(protocol, self.vote, self.sweep, self.distribute)

    def closes(self) -> None:
        spans = self.sweep.next_spans(NOW)
        assert spans == []
        self.joining.begin(NOW)
        self.sweep.asked(spans, 0)

    def stands_still(self) -> bool:
        return self.sweep.is_sealed()

    def holds(self, seat: int) -> bool:
        """Whether what the shadow for `seat` is sent is kept for it."""
        shadow = self.vote.shadow_of(seat)
        assert shadow is not None
        return shadow.is_held


def test_who_waits_begins_at_the_next_checkpoint_and_is_sealed_there() -> None:
    hall = Hall()
    hall.joining.wait(7, 2)
    assert hall.sweep.is_wanted
    hall.closes()
    assert list(hall.joining.begun) == [7]
    assert hall.stands_still()
    assert hall.holds(2)
    assert hall.joining.seal(7, NOW) == hall.setup
    assert not hall.holds(2)
    assert not hall.stands_still()
    assert (hall.joining.waiting, hall.joining.begun) == ({}, {})


def test_where_nobody_waits_nothing_begins() -> None:
    hall = Hall()
    hall.closes()
    assert not hall.distribute.is_due(1, NOW)
    assert not hall.stands_still()


def test_who_did_not_begin_cannot_be_sealed() -> None:
    hall = Hall()
    hall.joining.wait(7, 2)
    with pytest.raises(BrokenInvariant):
        hall.joining.seal(7, NOW)


def test_the_store_stands_still_for_the_last_of_them_and_again_for_who_came_too_late() -> None:
    hall = Hall()
    hall.joining.wait(7, 1)
    hall.joining.wait(8, 2)
    hall.closes()
    hall.joining.wait(9, 0)
    hall.joining.seal(7, NOW)
    assert hall.stands_still()
    hall.joining.leave(8, 2)
    assert not hall.stands_still()
    hall.closes()
    assert hall.stands_still()
    assert list(hall.joining.begun) == [9]


def test_one_that_failed_meanwhile_is_sealed_without_effect() -> None:
    hall = Hall()
    hall.joining.wait(7, 2)
    hall.closes()
    hall.vote.shadow_removed(2)
    assert hall.joining.seal(7, NOW) == hall.setup
    assert hall.vote.shadow_of(2) is None


def test_all_may_be_given_up_together() -> None:
    hall = Hall()
    hall.joining.wait(7, 1)
    hall.closes()
    hall.joining.wait(8, 2)
    hall.joining.clear()
    assert (hall.joining.waiting, hall.joining.begun) == ({}, {})
    assert hall.joining.next_deadline() == 0


def test_who_waits_for_a_shadow_is_asked_again_when_the_sweep_goes_on_or_it_may_be_over() -> None:
    hall = Hall()
    order = Order(Limits())
    hall.joining.wait(7, 2)
    hall.closes()
    shadow = hall.vote.shadow_of(2)
    assert shadow is not None
    assert not hall.joining.slows(order, NOW)
    shadow.owed_slots = Limits().lag_slots_max
    assert hall.joining.slows(order, NOW)
    due = NOW + Limits().lag_ns_max
    assert hall.joining.next_deadline() == due
    hall.joining.seal(7, NOW)
    hall.sweep.want(is_urgent=False)
    assert hall.joining.next_deadline() == hall.sweep.next_deadline() < due
    hall.sweep.stop()
    hall.joining.woken(due - 1)
    assert hall.joining.next_deadline() == due
    hall.joining.woken(due)
    assert hall.joining.next_deadline() == 0
    assert not hall.joining.slows(order, due)
