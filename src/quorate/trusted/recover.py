"""The life of a seat's replica as one table, and the schedule: which seat is rebuilt when, by which strategy, and why.

Rules:
- No role of a replica changes but as the table has it; another replica in a seat begins another life.
- A seat that lost its replica comes first, then what the operator asked for, then what is due (VM-FIT, section 2.4).
- Shadows and restarts happen one at a time; `shadow-all` rebuilds all that is wanted at once. A seat that lost its
  replica does not wait for a rebuild that is only planned, or asked for.
- A restart costs a vote while it lasts. None begins that would leave fewer than f+1 voters; that is said instead.
- A rebuild that fails is tried again with the replica's next variant, after a wait that doubles up to a bound.

It decides and remembers, and does nothing: who rebuilds tells it what `began`, `succeeded`, `failed` and was `lost`.
Knows no clock: `now` is in nanoseconds. Knows no domain: a variant is a place in the replica's list.
"""

from dataclasses import dataclass
from enum import Enum

from .errors import invariant
from .messages import Role
from .quorum import may_lose_a_voter, seats_for, votes_needed

# The wait after a first failure; it doubles with each further one.
RETRY_NS_FIRST = 250_000_000
DOUBLINGS_MAX = 32
# A replica that voted this many times longer than the wait before it is no case for a longer wait.
STEADY_WAITS = 4

# Each state of one replica with those that may follow. Who begins in an empty cell has nothing to restore, and who is
# filled while nothing is asked has nothing to catch up with. Only who votes can be convicted: a shadow that is no good
# retires. Who is convicted or retired does not come back: the seat's next replica begins a life of its own.
FOLLOWING: dict[Role, tuple[Role, ...]] = {
    Role.BOOTING: (Role.RESTORING, Role.VOTING, Role.RETIRING),
    Role.RESTORING: (Role.CATCHING_UP, Role.VERIFIED, Role.RETIRING),
    Role.CATCHING_UP: (Role.VERIFIED, Role.RETIRING),
    Role.VERIFIED: (Role.VOTING, Role.RETIRING),
    Role.VOTING: (Role.CONVICTED, Role.RETIRING),
    Role.CONVICTED: (),
    Role.RETIRING: (Role.RETIRED,),
    Role.RETIRED: (),
}


def become(before: Role, after: Role) -> Role:
    """`after`, for a replica that is `before`: no role is changed but through here, as the table has it."""
    invariant(after in FOLLOWING[before], "a replica's life goes on as its table says")
    return after


class Strategy(Enum):
    """How replicas are rebuilt: VM-FIT's A, B, C and D (section 3.2)."""

    NONE = "none"
    RESTART = "restart"
    SHADOW = "shadow"
    SHADOW_ALL = "shadow-all"


class Why(Enum):
    """Why a seat's replica is rebuilt."""

    CONVICTED = "convicted"
    CRASHED = "crashed"
    RETIRED = "retired"
    SCHEDULED = "scheduled"
    ASKED = "asked"


PLANNED = (Why.SCHEDULED, Why.ASKED)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Rebuild this seat's replica."""

    seat: int
    strategy: Strategy
    why: Why


@dataclass(frozen=True, slots=True)
class Postponed:
    """A restart that is due was not begun, for this reason. Said once, until it begins."""

    seat: int
    why: Why
    reason: str


class Schedule:
    """What is to be rebuilt, for a cell of 2f+1 seats that all got their first replica at `now`.

    `strategies`, `every_ns` and `variants` have one entry a seat: how and how often it is rejuvenated, 0 for never, and
    how many variants its replica may be. `is_reactive` says whether a lost replica is rebuilt without being asked for.
    `retry_ns_max` bounds the wait between two tries.
    """

    def __init__(
        self,
        f: int,
        strategies: list[Strategy],
        every_ns: list[int],
        variants: list[int],
        is_reactive: bool,
        retry_ns_max: int,
        now: int,
    ) -> None:
        seats = seats_for(f)
        invariant(len(strategies) == seats, "one strategy a seat")
        invariant(len(every_ns) == seats == len(variants), "one period and one number of variants a seat")
        invariant(min(every_ns) >= 0 and min(variants) >= 1, "a period is not negative, and a variant there is")
        self.notices: list[Postponed] = []
        self._f = f
        self._strategies = strategies
        self._is_reactive = is_reactive
        self._retry_ns_max = retry_ns_max
        planned = zip(strategies, every_ns, strict=True)
        self._every_ns = [0 if strategy is Strategy.NONE else every for strategy, every in planned]
        self._due = [self._first_due(seat, now) for seat in range(seats)]
        self._variants = variants
        self._variant = [0] * seats
        self._running: list[Rebuild | None] = [None] * seats
        self._lost: list[Why | None] = [None] * seats
        self._asked: list[Strategy | None] = [None] * seats
        self._is_postponed = [False] * seats
        self._failures = [0] * seats
        self._retry_at = [now] * seats
        self._voting_since = [now] * seats
        self._looked_at = now

    def _first_due(self, seat: int, now: int) -> int:
        """Replicas that are rebuilt one after the other are spread over the period from the beginning."""
        every = self._every_ns[seat]
        if self._strategies[seat] is Strategy.SHADOW_ALL:
            return now + every
        return now + every * (seat + 1) // len(self._every_ns)

    # What is to be done.

    def due(self, now: int, voting: list[bool]) -> list[Rebuild]:
        """What is to begin now, `voting` telling which seats vote. Each is begun, and told to `began`, or told again.

        Restarts that must not begin collect in `notices`.
        """
        self._looked_at = now
        found: list[Rebuild] = []
        beside = [rebuild for rebuild in self._running if rebuild is not None]
        for rebuild in self._wanted(now):
            if not _may_begin_beside(rebuild, beside):
                break  # nothing overtakes what waits for its turn
            if rebuild.strategy is Strategy.RESTART and voting[rebuild.seat] and not self._can_spare(voting):
                self._postpone(rebuild, voting)
                continue
            found.append(rebuild)
            beside.append(rebuild)
        return found

    def next_deadline(self) -> int:
        """When to ask `due` again at the latest (ns), or 0: not before something happened."""
        moments = [self._wanted_at(seat) for seat in range(len(self._running))]
        return min((moment for moment in moments if moment > self._looked_at), default=0)

    def next_variant(self, seat: int) -> int:
        """The place of the variant that the rebuild under way is, or else that the seat's next one shall be."""
        if self._running[seat] is not None:
            return self._variant[seat]
        return (self._variant[seat] + 1) % self._variants[seat]

    def running(self, seat: int) -> Rebuild | None:
        """The rebuild under way for this seat."""
        return self._running[seat]

    # What the operator asks.

    def refusal(self, seat: int) -> str:
        """Why no rebuild of this seat may be asked for at present, or nothing."""
        if self._running[seat] is not None:
            return "it is being rebuilt already"
        return "a rebuild was asked for already" if self._asked[seat] is not None else ""

    def ask(self, seat: int, strategy: Strategy | None, now: int) -> None:
        """The operator wants this seat rebuilt, at once if it was to wait; its own strategy is the default.

        It is tried once: the operator hears of a failure, and may ask again.
        """
        invariant(not self.refusal(seat) and strategy is not Strategy.NONE, "a rebuild may be asked for")
        self._asked[seat] = self._reactive_strategy(seat) if strategy is None else strategy
        self._retry_at[seat] = now
        self._look_again()

    def withdraw(self, seat: int) -> bool:
        """The operator takes back what was asked for. Whether it had not begun yet; else it goes on."""
        if self._asked[seat] is None:
            return False
        self._asked[seat] = None
        self._is_postponed[seat] = False
        return True

    # What happened.

    def began(self, rebuild: Rebuild) -> None:
        """This rebuild is under way. A restart has taken the seat's vote."""
        seat = rebuild.seat
        invariant(self._running[seat] is None, "one rebuild a seat")
        self._variant[seat] = self.next_variant(seat)
        self._running[seat] = rebuild
        self._asked[seat] = None
        self._is_postponed[seat] = False
        if rebuild.strategy is Strategy.RESTART and self._lost[seat] is None:
            self._lost[seat] = rebuild.why

    def succeeded(self, seat: int, now: int) -> None:
        """The rebuilt replica votes. What else was wanted for this seat is done with it."""
        self._end(seat)
        if self._lost[seat] is not None:
            # Else the seat has voted all the while, and was as steady as before.
            self._lost[seat] = None
            self._voting_since[seat] = now
        every, overdue_ns = self._every_ns[seat], now - self._due[seat]
        if every and overdue_ns >= 0:
            # The rhythm stays, so that replicas that were spread over the period remain so.
            self._due[seat] += every * (overdue_ns // every + 1)

    def failed(self, seat: int, now: int) -> None:
        """The rebuild came to nothing."""
        self._end(seat)
        self._failures[seat] += 1
        self._retry_at[seat] = now + self._wait_ns(seat)

    def lost(self, seat: int, why: Why, now: int) -> None:
        """The seat's voting replica is gone, and not by a rebuild of ours. A second loss before it votes is no news."""
        invariant(why not in PLANNED, "what is planned is no loss")
        if self._lost[seat] is not None:
            return
        self._lost[seat] = why
        if now - self._voting_since[seat] >= STEADY_WAITS * self._wait_ns(seat):
            self._failures[seat] = 0
        self._retry_at[seat] = now + self._wait_ns(seat)
        self._failures[seat] += 1
        self._look_again()

    def _end(self, seat: int) -> None:
        invariant(self._running[seat] is not None, "only what began can end")
        self._running[seat] = None
        self._look_again()

    def _look_again(self) -> None:
        """What waited may begin now: `next_deadline` says so with a moment that has passed."""
        self._looked_at = 0

    # How it is found.

    def _wanted(self, now: int) -> list[Rebuild]:
        """What is wanted now, in the order in which it is to begin, at most one rebuild a seat."""
        ready = [seat for seat in range(len(self._running)) if self._running[seat] is None]
        ready = [seat for seat in ready if self._retry_at[seat] <= now]
        found: list[Rebuild] = []
        overdue: list[tuple[int, bool, int]] = []
        asked: list[Rebuild] = []
        for seat in ready:
            why, strategy = self._empty_because(seat), self._asked[seat]
            if why is not None:
                found.append(Rebuild(seat, self._reactive_strategy(seat), why))
            elif strategy is not None:
                asked.append(Rebuild(seat, strategy, Why.ASKED))
            elif self._every_ns[seat] and self._due[seat] <= now:
                # What is rebuilt together is not parted by what is due at the same moment.
                is_apart = self._strategies[seat] is not Strategy.SHADOW_ALL
                overdue.append((self._due[seat], is_apart, seat))
        scheduled = [Rebuild(seat, self._strategies[seat], Why.SCHEDULED) for _, _, seat in sorted(overdue)]
        return found + asked + scheduled

    def _wanted_at(self, seat: int) -> int:
        """When this seat is wanted rebuilt, if nothing happens till then; 0 for never, or while it is."""
        if self._running[seat] is not None:
            return 0
        if self._empty_because(seat) is not None or self._asked[seat] is not None:
            return self._retry_at[seat]
        return max(self._due[seat], self._retry_at[seat]) if self._every_ns[seat] else 0

    def _empty_because(self, seat: int) -> Why | None:
        """Why the seat is to be filled before all else. What we emptied ourselves is filled in any case."""
        why = self._lost[seat]
        return why if self._is_reactive or why in PLANNED else None

    def _reactive_strategy(self, seat: int) -> Strategy:
        """An empty seat has nothing to stop; so that only how many are filled at once is left to be said."""
        strategy = self._strategies[seat]
        return Strategy.SHADOW if strategy is Strategy.NONE else strategy

    def _can_spare(self, voting: list[bool]) -> bool:
        return may_lose_a_voter(voting.count(True), self._f)

    def _postpone(self, rebuild: Rebuild, voting: list[bool]) -> None:
        if self._is_postponed[rebuild.seat]:
            return
        self._is_postponed[rebuild.seat] = True
        voters, needed = voting.count(True), votes_needed(self._f)
        reason = f"only {voters} replicas vote, and a restart takes one vote of the {needed} that decide"
        self.notices.append(Postponed(rebuild.seat, rebuild.why, reason))

    def _wait_ns(self, seat: int) -> int:
        failures = self._failures[seat]
        if not failures:
            return 0
        return min(RETRY_NS_FIRST << min(failures - 1, DOUBLINGS_MAX), self._retry_ns_max)


def _may_begin_beside(rebuild: Rebuild, others: list[Rebuild]) -> bool:
    """Only rebuilds of all replicas at once are under way beside each other; but a loss waits for no plan."""
    if rebuild.why not in PLANNED and all(other.why in PLANNED for other in others):
        return True
    if not others:
        return True
    return rebuild.strategy is Strategy.SHADOW_ALL and all(other.strategy is Strategy.SHADOW_ALL for other in others)
