"""One replica that is made what the store holds, as `quorate.state.feed` does it: restored, proved, followed, sealed.

A commit between a seal and its end would leave no slot of which the proof speaks: the core must not let it come.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from quorate.state.faults import FeedFault
from quorate.state.link import Feeding
from quorate.trusted.protocols.redis.state_restore import restore_requests
from tests.sim.domains import Line
from tests.sim.invariants.base import Violation
from tests.sim.machine import Machine
from tests.sim.timeline import MILLISECOND_NS

if TYPE_CHECKING:
    from tests.sim.keeper import SimulatedKeeper

REQUEST_BYTES_MAX = 4096
FEED_NS_MAX = 60 * MILLISECOND_NS
# How long the keys of one batch take that follow a commit, and how many those are at most.
FOLLOW_NS_MAX = 8 * MILLISECOND_NS
FOLLOW_KEYS_MAX = 8
# Who does not answer for so long is given up.
SILENCE_NS_MAX = 300 * MILLISECOND_NS
# Of most keys it is known from the last time what their records come to.
KNOWN_MAX = 4096

Place = tuple[int, bytes]
State = list[tuple[int, bytes, str, int | None]]


def put(machine: Machine, place: Place, record: bytes | None) -> None:
    """Make this key what `record` tells, whatever it was."""
    session = machine.session()
    session.select(place[0])
    machine.run(session, [b"DEL", place[1]], 0)
    for arguments in _restoring(place[1], record) if record is not None else ():
        machine.run(session, list(arguments), 0)


@lru_cache(KNOWN_MAX)
def _restoring(key: bytes, record: bytes) -> tuple[tuple[bytes, ...], ...]:
    """The requests that make `key` what `record` tells."""
    requests = restore_requests(key, record, REQUEST_BYTES_MAX)
    return tuple(tuple(arguments) for request in requests for arguments in Machine(None).cut(request))


def state_of(records: dict[Place, bytes]) -> State:
    """What a machine holds that was made exactly this."""
    return [entry for place in sorted(records) for entry in _state_of(place, records[place])]


@lru_cache(KNOWN_MAX)
def _state_of(place: Place, record: bytes) -> State:
    machine = Machine(None)
    put(machine, place, record)
    return machine.state()


class Feed:
    """Feed `number`, of the replica behind `line`."""

    def __init__(self, keeper: "SimulatedKeeper", number: int, line: Line) -> None:
        self.is_sealing = False
        self.is_over = False
        # How many commits it has followed.
        self.commits = 0
        self._keeper = keeper
        self._number = number
        self._line = line
        self._replica = line.replica
        self._marks: dict[Place, None] = {}
        self._rows = dict(keeper.store.records)
        self._slot = keeper.store.slot
        self._is_following = False
        self._is_at_work = False
        keeper.later(FEED_NS_MAX, self._restore)

    # What the keeper is told.

    def changed(self, places: list[Place]) -> None:
        """A commit was made, which changed these."""
        if self.is_over:
            return
        if self.is_sealing:
            raise Violation("Seal: a commit came between a seal and its end")
        self._marks.update(dict.fromkeys(places))
        if self._is_following:
            self.commits += 1
            self._tell_lag()
            self._go_on()

    def seal(self) -> None:
        """The last commit is what the replica must be."""
        self.is_sealing = True
        if not self.is_over:
            self._keeper.later(FEED_NS_MAX, self._prove)

    def end(self) -> None:
        """Nothing is left of it."""
        self.is_over = True
        self._line.close()

    # What it does.

    def _restore(self) -> None:
        if self.is_over or self._has_failed():
            return
        for place, record in self._rows.items():
            put(self._replica.machine, place, record)
        if not self._is_right(self._rows, "what it was given"):
            return
        rows, slot = len(self._rows), self._slot
        self._keeper.say(self._number, lambda feeding: _progressed(feeding, rows))
        self._keeper.say(self._number, lambda feeding: feeding.reached(slot))
        self._is_following = True
        self._go_on()

    def _go_on(self) -> None:
        if self._marks and not self._is_at_work:
            self._is_at_work = True
            self._keeper.later(FOLLOW_NS_MAX, self._follow)

    def _follow(self) -> None:
        """Some of what later commits changed."""
        self._is_at_work = False
        if self.is_over or self._has_failed():
            return
        self._take(self._keeper.chance.randint(1, FOLLOW_KEYS_MAX))
        self._tell_lag()
        self._go_on()

    def _take(self, count: int) -> None:
        for place in list(self._marks)[:count]:
            del self._marks[place]
            put(self._replica.machine, place, self._keeper.store.records.get(place))

    def _tell_lag(self) -> None:
        lag = len(self._marks)
        self._keeper.say(self._number, lambda feeding: _lagged(feeding, lag))

    def _prove(self) -> None:
        if self.is_over or self._has_failed():
            return
        self._take(len(self._marks))
        if self._is_right(self._keeper.store.records, "what the store holds"):
            slot = self._keeper.store.slot
            self._keeper.say(self._number, lambda feeding: feeding.reached(slot))
            self._keeper.over(self._number)

    def _is_right(self, records: dict[Place, bytes], what: str) -> bool:
        is_right = self._replica.machine.state() == state_of(records)
        if not is_right:
            if not self._replica.sins:
                raise Violation(f"Feed: a correct replica is not {what}")
            self._fail("it reads back as something else")
        return is_right

    def _has_failed(self) -> bool:
        """Whether the replica takes nothing more. One that says nothing is waited for, for a while."""
        if self._replica.is_fed_in_vain():
            self._keeper.exactly(SILENCE_NS_MAX, lambda: self._fail("the replica said nothing"))
            return True
        if self._replica.is_broken or not self._line.is_open:
            self._fail("the replica closed its lane")
            return True
        return False

    def _fail(self, reason: str) -> None:
        if not self.is_over:
            self._keeper.say(self._number, lambda feeding: _failed(feeding, reason))
            self._keeper.over(self._number)


def _progressed(feeding: Feeding, rows: int) -> None:
    feeding.rows_done = feeding.rows_total = rows


def _lagged(feeding: Feeding, keys: int) -> None:
    feeding.lag = keys


def _failed(feeding: Feeding, reason: str) -> None:
    feeding.ended(FeedFault(reason, is_replicas=True))
