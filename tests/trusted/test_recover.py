"""Who is rebuilt when: the table of a replica's life, the schedule's rules, which no order of failures breaks."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.messages import Role
from quorate.trusted.recover import (
    FOLLOWING,
    PLANNED,
    RETRY_NS_FIRST,
    STEADY_WAITS,
    Postponed,
    Rebuild,
    Schedule,
    Strategy,
    Why,
    become,
)

SECOND = 1_000_000_000
EVERY = 90 * SECOND
RETRY_MAX = 8 * SECOND
START = 1_000 * SECOND
ALL = [True, True, True]


def schedule(
    strategy: Strategy | list[Strategy] = Strategy.SHADOW,
    every: int | list[int] = EVERY,
    is_reactive: bool = True,
    f: int = 1,
    variants: int = 3,
) -> Schedule:
    seats = 2 * f + 1
    strategies = strategy if isinstance(strategy, list) else [strategy] * seats
    periods = every if isinstance(every, list) else [every] * seats
    return Schedule(f, strategies, periods, [variants] * seats, is_reactive, RETRY_MAX, START)


def begun(plan: Schedule, now: int, voting: list[bool]) -> list[Rebuild]:
    """What is due, told as begun."""
    found = plan.due(now, voting)
    for rebuild in found:
        plan.began(rebuild)
    return found


def without(*seats: int, n: int = 3) -> list[bool]:
    return [seat not in seats for seat in range(n)]


# The table.


def test_the_whole_life_is_in_the_table() -> None:
    assert list(FOLLOWING) == list(Role)
    life = [Role.BOOTING, Role.RESTORING, Role.CATCHING_UP, Role.VERIFIED, Role.VOTING, Role.RETIRING, Role.RETIRED]
    assert all(become(before, after) is after for before, after in pairwise(life))


def test_only_a_verified_replica_votes_but_for_those_of_an_empty_cell() -> None:
    assert [before for before in Role if Role.VOTING in FOLLOWING[before]] == [Role.BOOTING, Role.VERIFIED]


def test_who_is_convicted_or_retired_does_not_come_back() -> None:
    assert FOLLOWING[Role.CONVICTED] == FOLLOWING[Role.RETIRED] == ()
    assert FOLLOWING[Role.RETIRING] == (Role.RETIRED,)


def test_only_who_votes_can_be_convicted() -> None:
    assert [before for before in Role if Role.CONVICTED in FOLLOWING[before]] == [Role.VOTING]


def test_every_state_but_the_first_can_be_reached_and_none_follows_itself() -> None:
    reached = {after for following in FOLLOWING.values() for after in following}
    assert reached == set(Role) - {Role.BOOTING}
    assert not any(role in FOLLOWING[role] for role in Role)


def test_what_the_table_does_not_have_is_no_change() -> None:
    for before in Role:
        for after in [role for role in Role if role not in FOLLOWING[before]]:
            with pytest.raises(BrokenInvariant):
                become(before, after)


# What is planned.


@pytest.mark.parametrize("strategy", [Strategy.SHADOW, Strategy.RESTART])
def test_replicas_are_spread_over_the_period(strategy: Strategy) -> None:
    plan = schedule(strategy)
    now = START
    for round_number in range(2):
        for seat in range(3):
            assert plan.due(now, ALL) == []
            now = plan.next_deadline()
            assert now == START + round_number * EVERY + (seat + 1) * EVERY // 3
            assert begun(plan, now, ALL) == [Rebuild(seat, strategy, Why.SCHEDULED)]
            assert plan.running(seat) == Rebuild(seat, strategy, Why.SCHEDULED)
            now += SECOND
            plan.succeeded(seat, now)
            assert plan.running(seat) is None


def test_shadows_of_all_begin_together() -> None:
    plan = schedule(Strategy.SHADOW_ALL)
    assert plan.next_deadline() == START + EVERY
    found = begun(plan, START + EVERY, ALL)
    assert found == [Rebuild(seat, Strategy.SHADOW_ALL, Why.SCHEDULED) for seat in range(3)]
    for seat in range(3):
        plan.succeeded(seat, START + EVERY + seat * SECOND)
    assert plan.next_deadline() == START + 2 * EVERY


def test_without_a_strategy_nothing_is_planned() -> None:
    plan = schedule(Strategy.NONE)
    assert plan.next_deadline() == 0
    assert plan.due(START + 100 * EVERY, ALL) == []


def test_a_replica_may_have_a_period_of_its_own_or_none() -> None:
    plan = schedule(every=[EVERY, 0, 10 * EVERY])
    assert plan.next_deadline() == START + EVERY // 3
    assert begun(plan, START + 100 * EVERY, ALL)[0].seat == 0
    plan.succeeded(0, START + 100 * EVERY)
    assert begun(plan, START + 100 * EVERY, ALL) == [Rebuild(2, Strategy.SHADOW, Why.SCHEDULED)]
    plan.succeeded(2, START + 100 * EVERY)
    assert plan.due(START + 100 * EVERY, ALL) == []


def test_a_replica_may_have_a_strategy_of_its_own() -> None:
    plan = schedule([Strategy.RESTART, Strategy.NONE, Strategy.SHADOW])
    now = START + EVERY // 3
    assert begun(plan, now, ALL) == [Rebuild(0, Strategy.RESTART, Why.SCHEDULED)]
    plan.succeeded(0, now)
    assert plan.next_deadline() == START + EVERY, "nothing is planned for the second seat"
    assert begun(plan, START + EVERY, ALL) == [Rebuild(2, Strategy.SHADOW, Why.SCHEDULED)]


@pytest.mark.parametrize("own", [Strategy.SHADOW, Strategy.RESTART])
@pytest.mark.parametrize("apart", range(3))
def test_who_has_a_strategy_of_its_own_is_left_out_of_the_common_rebuild(own: Strategy, apart: int) -> None:
    strategies, others = [Strategy.SHADOW_ALL] * 3, [seat for seat in range(3) if seat != apart]
    strategies[apart] = own
    plan = schedule(strategies)
    seen = []
    for _ in range(4):
        now = plan.next_deadline() or START + 2 * EVERY
        found = begun(plan, now, ALL)
        assert plan.due(now, ALL) == [], "no other beside it"
        seen.append((now, [(rebuild.seat, rebuild.strategy) for rebuild in found]))
        for rebuild in found:
            plan.succeeded(rebuild.seat, now)
    together = [(seat, Strategy.SHADOW_ALL) for seat in others]
    alone = [(apart, own)]
    first = (apart + 1) * EVERY // 3
    moments = [(START + first, alone), (START + EVERY, together)]
    moments += [(moment + EVERY, rebuilds) for moment, rebuilds in moments]
    assert seen == sorted(moments, key=lambda moment: (moment[0], moment[1] == alone))


def test_what_is_due_at_the_same_moment_does_not_part_the_common_rebuild() -> None:
    plan = schedule(
        [Strategy.SHADOW_ALL, Strategy.SHADOW, Strategy.SHADOW_ALL], every=[2 * EVERY, 3 * EVERY, 2 * EVERY]
    )
    now = START + 2 * EVERY
    assert [rebuild.seat for rebuild in begun(plan, now, ALL)] == [0, 2]
    for seat in (0, 2):
        plan.succeeded(seat, now)
    assert begun(plan, now, ALL) == [Rebuild(1, Strategy.SHADOW, Why.SCHEDULED)]


def test_who_is_left_out_of_every_plan_is_rebuilt_when_it_is_lost_or_asked_for() -> None:
    plan = schedule([Strategy.SHADOW_ALL, Strategy.NONE, Strategy.SHADOW_ALL])
    assert [rebuild.seat for rebuild in begun(plan, START + EVERY, ALL)] == [0, 2]
    plan.lost(1, Why.CONVICTED, START + EVERY)
    assert begun(plan, START + EVERY, without(1)) == [Rebuild(1, Strategy.SHADOW, Why.CONVICTED)]
    for seat in range(3):
        plan.succeeded(seat, START + EVERY)
    plan.ask(1, None, START + EVERY)
    assert begun(plan, START + EVERY, ALL) == [Rebuild(1, Strategy.SHADOW, Why.ASKED)]
    plan = schedule([Strategy.SHADOW, Strategy.NONE, Strategy.SHADOW], is_reactive=False)
    plan.lost(1, Why.CONVICTED, START + 1)
    assert plan.due(START + 1, without(1)) == []


def test_what_is_overdue_for_longest_comes_first_and_one_at_a_time() -> None:
    plan = schedule(every=[3 * EVERY, 2 * EVERY, EVERY // 3])
    now = START + 5 * EVERY
    order = []
    while found := begun(plan, now, ALL):
        (rebuild,) = found
        assert plan.due(now, ALL) == []
        assert plan.next_deadline() == 0 or plan.next_deadline() > now, "what waits for its turn asks for no look"
        order.append(rebuild.seat)
        plan.succeeded(rebuild.seat, now)
        assert plan.next_deadline() > 0
    assert order == [2, 0, 1]


def test_the_rhythm_stays_whatever_a_rebuild_takes() -> None:
    plan = schedule()
    begun(plan, START + EVERY // 3, ALL)
    plan.succeeded(0, START + EVERY // 3 + 10 * EVERY + SECOND)
    for seat in (1, 2):
        begun(plan, START + 11 * EVERY, ALL)
        plan.succeeded(seat, START + 11 * EVERY)
    assert plan.next_deadline() == START + 11 * EVERY + EVERY // 3


# What is lost.


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("why", [Why.CONVICTED, Why.CRASHED, Why.RETIRED])
def test_a_lost_replica_is_rebuilt_at_once(strategy: Strategy, why: Why) -> None:
    plan = schedule(strategy)
    plan.lost(1, why, START + 1)
    assert plan.next_deadline() == START + 1
    (rebuild,) = begun(plan, START + 1, without(1))
    expected = Strategy.SHADOW if strategy is Strategy.NONE else strategy
    assert rebuild == Rebuild(1, expected, why)
    assert plan.notices == [], "an empty seat has no vote to cost"
    plan.succeeded(1, START + SECOND)
    assert plan.due(START + SECOND, ALL) == []


def test_the_lost_come_before_the_asked_and_the_scheduled() -> None:
    plan = schedule()
    now = START + EVERY
    plan.ask(1, None, now)
    plan.lost(2, Why.CRASHED, now)
    order = []
    for _ in range(3):
        (rebuild,) = begun(plan, now, without(2))
        order.append((rebuild.seat, rebuild.why))
        plan.succeeded(rebuild.seat, now)
    assert order == [(2, Why.CRASHED), (1, Why.ASKED), (0, Why.SCHEDULED)]


def test_lost_replicas_are_rebuilt_together_where_shadows_are() -> None:
    voting = without(1, 3, n=5)
    for strategy, count in ((Strategy.SHADOW, 1), (Strategy.RESTART, 1), (Strategy.SHADOW_ALL, 2)):
        plan = schedule(strategy, f=2)
        plan.lost(3, Why.CRASHED, START + 1)
        plan.lost(1, Why.CONVICTED, START + 1)
        assert [rebuild.seat for rebuild in begun(plan, START + 1, voting)] == [1, 3][:count]


def test_a_loss_during_a_planned_shadow_is_made_good_by_it() -> None:
    plan = schedule()
    begun(plan, START + EVERY // 3, ALL)
    plan.lost(0, Why.CONVICTED, START + EVERY // 3 + 1)
    assert plan.due(START + EVERY // 3 + 1, without(0)) == []
    plan.succeeded(0, START + EVERY // 3 + 2)
    assert plan.due(START + EVERY // 3 + 2, ALL) == []


@pytest.mark.parametrize("strategy", [Strategy.SHADOW, Strategy.RESTART])
def test_a_loss_waits_for_no_planned_rebuild_and_nothing_overtakes(strategy: Strategy) -> None:
    plan = schedule(strategy=strategy)
    now = START + EVERY
    assert begun(plan, now, ALL)[0].seat == 0
    plan.lost(2, Why.CONVICTED, now)
    plan.ask(1, Strategy.SHADOW_ALL, now)
    assert begun(plan, now, without(2)) == [Rebuild(2, strategy, Why.CONVICTED)]
    assert plan.due(now, without(2)) == []
    plan.failed(0, now)
    assert plan.due(now, without(2)) == []
    plan.succeeded(2, now)
    assert begun(plan, now, ALL) == [Rebuild(1, Strategy.SHADOW_ALL, Why.ASKED)]


def test_a_loss_waits_for_that_of_another_seat() -> None:
    plan = schedule(f=2)
    voting = [True, True, True, False, False]
    plan.lost(3, Why.CONVICTED, START)
    plan.lost(4, Why.CRASHED, START)
    assert begun(plan, START, voting) == [Rebuild(3, Strategy.SHADOW, Why.CONVICTED)]
    assert plan.due(START, voting) == []
    plan.succeeded(3, START)
    assert begun(plan, START, voting) == [Rebuild(4, Strategy.SHADOW, Why.CRASHED)]


def test_without_reaction_the_lost_wait_for_their_turn() -> None:
    plan = schedule(is_reactive=False)
    plan.lost(2, Why.CRASHED, START + 1)
    assert plan.due(START + 1, without(2)) == []
    assert plan.next_deadline() == START + EVERY // 3
    plan.ask(2, None, START + 2)
    assert begun(plan, START + 2, without(2)) == [Rebuild(2, Strategy.SHADOW, Why.ASKED)]
    plan.failed(2, START + 2)
    assert [rebuild.seat for rebuild in begun(plan, START + EVERY, without(2))] == [0]
    plan.succeeded(0, START + EVERY)
    begun(plan, START + EVERY, without(2))
    plan.succeeded(1, START + EVERY)
    assert begun(plan, START + EVERY, without(2)) == [Rebuild(2, Strategy.SHADOW, Why.SCHEDULED)]


# What a restart costs.


def test_a_restart_never_takes_a_vote_that_is_needed_and_says_so_once() -> None:
    plan = schedule(Strategy.RESTART, every=[EVERY, EVERY, 0], is_reactive=False)
    plan.lost(2, Why.CRASHED, START + 1)
    for moment in (START + EVERY, START + EVERY + 1):
        assert plan.due(moment, without(2)) == []
    reason = "only 2 replicas vote, and a restart takes one vote of the 2 that decide"
    assert plan.notices == [Postponed(0, Why.SCHEDULED, reason), Postponed(1, Why.SCHEDULED, reason)]
    plan.ask(2, None, START + EVERY + 2)
    assert begun(plan, START + EVERY + 2, without(2)) == [Rebuild(2, Strategy.RESTART, Why.ASKED)]
    plan.succeeded(2, START + EVERY + 3)
    assert begun(plan, START + EVERY + 3, ALL) == [Rebuild(0, Strategy.RESTART, Why.SCHEDULED)]
    assert len(plan.notices) == 2


def test_a_postponed_restart_holds_up_no_shadow() -> None:
    plan = schedule(is_reactive=False)
    plan.lost(2, Why.CONVICTED, START + 1)
    plan.ask(0, Strategy.RESTART, START + 1)
    plan.ask(1, Strategy.SHADOW, START + 1)
    assert begun(plan, START + 1, without(2)) == [Rebuild(1, Strategy.SHADOW, Why.ASKED)]
    assert [notice.seat for notice in plan.notices] == [0]


def test_what_was_asked_for_can_be_taken_back_before_it_begins() -> None:
    plan = schedule(is_reactive=False)
    assert not plan.withdraw(0)
    plan.lost(2, Why.CONVICTED, START + 1)
    plan.ask(0, Strategy.RESTART, START + 1)
    assert plan.due(START + 1, without(2)) == []
    assert plan.withdraw(0)
    assert plan.refusal(0) == ""
    assert plan.due(START + 2, ALL) == []
    plan.ask(0, Strategy.RESTART, START + 3)
    assert plan.due(START + 3, without(2)) == []
    assert len(plan.notices) == 2  # it is said anew
    assert begun(plan, START + 4, ALL) == [Rebuild(0, Strategy.RESTART, Why.ASKED)]
    assert not plan.withdraw(0)


@pytest.mark.parametrize("is_reactive", [True, False])
def test_a_restart_that_failed_left_its_seat_empty_and_is_tried_again(is_reactive: bool) -> None:
    plan = schedule(Strategy.NONE, is_reactive=is_reactive)
    plan.ask(0, Strategy.RESTART, START + 1)
    assert begun(plan, START + 1, ALL) == [Rebuild(0, Strategy.RESTART, Why.ASKED)]
    plan.lost(0, Why.RETIRED, START + 2)  # the cell noticed that the old replica went
    plan.failed(0, START + 3)
    assert plan.next_deadline() == START + 3 + RETRY_NS_FIRST
    assert begun(plan, plan.next_deadline(), without(0)) == [Rebuild(0, Strategy.SHADOW, Why.ASKED)]


# What the operator asks.


def test_one_rebuild_at_a_time_may_be_asked_for() -> None:
    plan = schedule()
    assert plan.refusal(0) == ""
    plan.ask(0, Strategy.SHADOW, START + 1)
    assert plan.refusal(0) == "a rebuild was asked for already"
    begun(plan, START + 1, ALL)
    assert plan.refusal(0) == "it is being rebuilt already"
    with pytest.raises(BrokenInvariant):
        plan.ask(0, None, START + 1)
    plan.succeeded(0, START + 2)
    assert plan.refusal(0) == ""


def test_what_was_asked_for_is_tried_once() -> None:
    plan = schedule(Strategy.NONE)
    plan.ask(0, None, START + 1)
    assert begun(plan, START + 1, ALL) == [Rebuild(0, Strategy.SHADOW, Why.ASKED)]
    plan.failed(0, START + 2)
    assert plan.next_deadline() == 0
    assert plan.due(START + EVERY, ALL) == []


def test_asking_ends_a_wait() -> None:
    plan = schedule()
    plan.lost(0, Why.CRASHED, START + 1)
    begun(plan, START + 1, without(0))
    plan.failed(0, START + 2)
    assert plan.due(START + 3, without(0)) == []
    plan.ask(0, None, START + 3)
    assert plan.next_deadline() == START + 3
    assert begun(plan, START + 3, without(0)) == [Rebuild(0, Strategy.SHADOW, Why.CRASHED)]


def test_no_strategy_cannot_be_asked_for() -> None:
    with pytest.raises(BrokenInvariant):
        schedule().ask(0, Strategy.NONE, START)


# What fails.


def test_failures_are_tried_again_with_the_next_variant_ever_later_up_to_a_bound() -> None:
    plan = schedule(Strategy.NONE)
    now = START + 1
    plan.lost(0, Why.CRASHED, now)
    waits, variants = [], []
    for _ in range(8):
        expected = plan.next_variant(0)
        assert begun(plan, now, without(0))
        assert plan.next_variant(0) == expected, "the same while it is under way"
        variants.append(expected)
        plan.failed(0, now)
        waits.append(plan.next_deadline() - now)
        assert plan.due(plan.next_deadline() - 1, without(0)) == []
        now = plan.next_deadline()
    first = RETRY_NS_FIRST
    # The loss itself counts: whoever had just begun to vote when it was lost is no better than who never did.
    assert waits == [2 * first, 4 * first, 8 * first, 16 * first, RETRY_MAX, RETRY_MAX, RETRY_MAX, RETRY_MAX]
    assert variants == [1, 2, 0, 1, 2, 0, 1, 2]


def test_a_scheduled_rebuild_that_fails_is_tried_again_and_others_go_on() -> None:
    plan = schedule()
    now = START + EVERY
    assert begun(plan, now, ALL)[0].seat == 0
    plan.failed(0, now)
    assert begun(plan, now, ALL)[0].seat == 1
    plan.succeeded(1, now)
    assert begun(plan, now, ALL)[0].seat == 2
    plan.succeeded(2, now)
    assert plan.next_deadline() == now + RETRY_NS_FIRST
    assert begun(plan, plan.next_deadline(), ALL) == [Rebuild(0, Strategy.SHADOW, Why.SCHEDULED)]


def crash(plan: Schedule, lived: int, now: int) -> tuple[int, int]:
    """Lose seat 0 after it lived so long; rebuild it as soon as that is due. Return the wait, and when it votes."""
    plan.lost(0, Why.CRASHED, now + lived)
    due = plan.next_deadline()
    begun(plan, due, without(0))
    plan.succeeded(0, due)
    return due - now - lived, due


def test_a_replica_that_crashes_again_and_again_comes_back_ever_later() -> None:
    plan, now, waits = schedule(Strategy.NONE), START, []
    for _ in range(8):
        wait, now = crash(plan, 1, now)
        waits.append(wait)
    first = RETRY_NS_FIRST
    assert waits == [0, first, 2 * first, 4 * first, 8 * first, 16 * first, RETRY_MAX, RETRY_MAX]
    wait, now = crash(plan, STEADY_WAITS * RETRY_MAX, now)
    assert wait == 0, "it was steady since"


def test_a_rejuvenation_leaves_a_steady_seat_steady() -> None:
    plan = schedule(Strategy.NONE)
    _, now = crash(plan, 1, START)
    now += STEADY_WAITS * RETRY_NS_FIRST
    plan.ask(0, Strategy.SHADOW, now)
    begun(plan, now, ALL)
    plan.succeeded(0, now)
    wait, _ = crash(plan, 1, now)
    assert wait == 0, "the seat has voted all the while"


def test_a_second_loss_before_it_votes_again_is_no_news() -> None:
    plan = schedule()
    plan.lost(0, Why.CONVICTED, START + 1)
    plan.lost(0, Why.CRASHED, START + 2)
    assert begun(plan, START + 2, without(0)) == [Rebuild(0, Strategy.SHADOW, Why.CONVICTED)]


def test_one_variant_is_all_there_is() -> None:
    plan = schedule(variants=1)
    assert plan.next_variant(0) == 0
    begun(plan, START + EVERY, ALL)
    assert plan.next_variant(0) == 0


def test_what_cannot_be_is_our_own_bug() -> None:
    plan = schedule()
    with pytest.raises(BrokenInvariant):
        plan.failed(0, START)
    with pytest.raises(BrokenInvariant):
        plan.lost(0, Why.SCHEDULED, START)
    plan.began(Rebuild(0, Strategy.SHADOW, Why.ASKED))
    with pytest.raises(BrokenInvariant):
        plan.began(Rebuild(0, Strategy.SHADOW, Why.ASKED))
    for periods, variants in (([1], [1, 1, 1]), ([1, 1, 1], [1]), ([1, 1, -1], [1, 1, 1]), ([1, 1, 1], [0, 1, 1])):
        with pytest.raises(BrokenInvariant):
            Schedule(1, [Strategy.SHADOW] * 3, periods, variants, True, RETRY_MAX, START)
    with pytest.raises(BrokenInvariant):
        Schedule(1, [Strategy.SHADOW] * 2, [1, 1, 1], [1, 1, 1], True, RETRY_MAX, START)


# Whatever happens.


class World:
    """A cell as the schedule sees it: seats vote or not, rebuilds end one way or another. It checks every promise."""

    def __init__(self, f: int, strategies: list[Strategy], is_reactive: bool) -> None:
        self.f = f
        self.is_reactive = is_reactive
        self.strategies = strategies
        self.now = START
        self.voting = [True] * (2 * f + 1)
        self.plan = schedule(strategies, is_reactive=is_reactive, f=f)
        self.running: dict[int, Rebuild] = {}
        self.rebuilt = [0] * len(self.voting)

    def look(self) -> None:
        for rebuild in self.plan.due(self.now, self.voting):
            assert rebuild.seat not in self.running, "one rebuild a seat"
            assert rebuild.why in (Why.SCHEDULED, Why.ASKED) or (self.is_reactive and not self.voting[rebuild.seat])
            if rebuild.why is Why.SCHEDULED:
                assert rebuild.strategy is self.strategies[rebuild.seat] is not Strategy.NONE, "each by its own plan"
            self.check_turn(rebuild)
            if rebuild.strategy is Strategy.RESTART and self.voting[rebuild.seat]:
                assert self.voting.count(True) - 1 >= self.f + 1, "never below f+1 by our own doing"
                self.voting[rebuild.seat] = False
            self.plan.began(rebuild)
            self.running[rebuild.seat] = rebuild

    def check_turn(self, rebuild: Rebuild) -> None:
        others = list(self.running.values())
        is_loss_beside_plans = rebuild.why not in PLANNED and all(other.why in PLANNED for other in others)
        are_all_at_once = {each.strategy for each in (rebuild, *others)} == {Strategy.SHADOW_ALL}
        assert not others or is_loss_beside_plans or are_all_at_once

    def end(self, place: int, is_success: bool) -> None:
        if self.running:
            seat = sorted(self.running)[place % len(self.running)]
            del self.running[seat]
            if is_success:
                self.plan.succeeded(seat, self.now)
                self.voting[seat] = True
                self.rebuilt[seat] += 1
            else:
                self.plan.failed(seat, self.now)

    def lose(self, seat: int, why: Why) -> None:
        if self.voting[seat % len(self.voting)]:
            self.voting[seat % len(self.voting)] = False
            self.plan.lost(seat % len(self.voting), why, self.now)

    def ask(self, seat: int, strategy: Strategy | None) -> None:
        seat %= len(self.voting)
        if not self.plan.refusal(seat):
            self.plan.ask(seat, strategy, self.now)

    def pass_time(self, nanoseconds: int) -> None:
        self.now += nanoseconds

    def heal(self) -> None:
        """From here on nothing fails: the lost vote again, and every replica that is planned for is rebuilt.

        But for restarts, planned or asked for, where too few vote because nobody heals what is lost and has no plan.
        """
        before = list(self.rebuilt)
        for _ in range(20 * len(self.voting)):
            self.end(0, is_success=True)
            self.look()
            deadline = self.plan.next_deadline()
            self.now = max(self.now + 1, deadline if not self.running else 0)
        while self.running:
            self.end(0, is_success=True)
        for seat, strategy in enumerate(self.strategies):
            is_planned = strategy is not Strategy.NONE
            assert self.voting[seat] or not (self.is_reactive or is_planned)
            is_restart = strategy is Strategy.RESTART or self.plan.refusal(seat) != ""
            is_held_up = is_restart and self.voting.count(True) <= self.f + 1
            assert self.rebuilt[seat] > before[seat] or not is_planned or is_held_up


SEATS = st.integers(0, 4)
ACTIONS = st.one_of(
    st.tuples(st.just("end"), SEATS, st.booleans()),
    st.tuples(st.just("lose"), SEATS, st.sampled_from([Why.CONVICTED, Why.CRASHED, Why.RETIRED])),
    st.tuples(st.just("ask"), SEATS, st.sampled_from([None, Strategy.RESTART, Strategy.SHADOW, Strategy.SHADOW_ALL])),
    st.tuples(st.just("pass_time"), st.sampled_from([1, SECOND, EVERY // 3, EVERY, 7 * EVERY])),
)


@settings(max_examples=200, deadline=None)
@given(
    f=st.integers(1, 2),
    cell=st.sampled_from(Strategy),
    own=st.lists(st.sampled_from([None, Strategy.NONE, Strategy.RESTART, Strategy.SHADOW]), min_size=5, max_size=5),
    is_reactive=st.booleans(),
    actions=st.lists(ACTIONS),
)
def test_whatever_fails_the_rules_hold_and_the_cell_heals(
    f: int, cell: Strategy, own: list[Strategy | None], is_reactive: bool, actions: list[tuple[object, ...]]
) -> None:
    world = World(f, [each or cell for each in own[: 2 * f + 1]], is_reactive)
    for name, *arguments in actions:
        getattr(world, str(name))(*arguments)
        world.look()
    world.heal()
