"""What every invariant can see of a run. Each overrides what it needs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quorate.rebuild import Shadow
from quorate.seats import Seat
from quorate.trusted.messages import Notice
from quorate.trusted.verdicts import Decision
from tests.sim.ledger import Slot
from tests.sim.reference import Expectation

if TYPE_CHECKING:
    from tests.sim.domains import SimulatedDomain
    from tests.sim.errands import Errand, Question, Scanner
    from tests.sim.feed import State
    from tests.sim.world import World


class Violation(Exception):
    """A promise was broken."""


class Invariant:
    """One promise, watched during one run."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def admitted(self) -> None:
        """The core is about to take in what a client sent."""

    def ordered(self, slots: list[Slot]) -> None:
        """Requests were given these slots."""

    def sent(self, data: bytes) -> None:
        """All voting lanes were sent these bytes."""

    def decided(self, decision: Decision, slots: list[Slot]) -> None:
        """These slots were decided, or closed; the ledger holds what was."""

    def answered(self, name: int, expectation: Expectation | None, reply: bytes) -> None:
        """A caller got a reply; it must have been `expectation`, or none was due."""

    def pushed(self, name: int, due: bytes | None, frame: bytes) -> None:
        """A listener got a message or a confirmation; it must have been `due`, or none was."""

    def told(self, errand: "Errand", question: "Question", reply: bytes) -> None:
        """A client on an errand got a reply."""

    def scanned(self, scanner: "Scanner", command: bytes, found: list[bytes]) -> None:
        """A scanner came to the end of a scan, and found all this."""

    def executed(self, arguments: list[bytes]) -> None:
        """The machine without faults executed this request of the lanes."""

    def delivered(self, seat: int) -> None:
        """The core was given bytes of this seat's replica, and has drawn its conclusions."""

    def noticed(self, notice: Notice) -> None:
        """The core told its observers something."""

    def turned(self) -> None:
        """A turn ended: everything was sent."""

    def acknowledged(self, slot: int) -> None:
        """Somebody was told the reply to this slot."""

    def committed(self, slot: int, state: "State", right: "State") -> None:
        """A checkpoint was kept: `state` is what the store holds, `right` what the order made of nothing."""

    def restarted(self, synced_slot: int, last_slot: int) -> None:
        """All processes were killed when the journal was synced up to one slot; it is found to reach up to another."""

    def refilled(self, state: "State", right: "State") -> None:
        """All replicas are new, and executed the journal: they hold `state`; `right` is what was not buried."""

    def filled(self, count: int) -> None:
        """All began anew: this is gone on with so many new replicas."""

    def left_empty(self, seat: int) -> None:
        """All began anew, but for this seat."""

    def lost(self) -> None:
        """All could not begin anew: the cell is lost, for now at least."""

    def seated(self, lane: int, seat: int) -> None:
        """The shadow of this lane took its seat."""

    def waits(self, shadow: Shadow) -> None:
        """This shadow is to begin at the next checkpoint."""

    def abandoned(self, domain: "SimulatedDomain") -> None:
        """A shadow was given up because it took too long, and for no other reason, though its domain was started."""

    def rebuilt(self, seat: Seat, seconds: float) -> None:
        """Another replica votes in this seat: it took so long, as is told."""

    def began_anew(self) -> None:
        """All replicas are new ones: what was ordered and is not sent yet never will be."""

    def ended(self) -> None:
        """The run is over: faults have stopped, and everybody had time."""

    def broken(self, why: str) -> Violation:
        """The error to raise."""
        return Violation(f"{type(self).__name__}: {why}")


class Watch:
    """Who of these looks at what happens most often, in their order: the others need not be asked."""

    def __init__(self, invariants: Sequence[Invariant]) -> None:
        self.admitted = [each.admitted for each in invariants if _overrides(each, Invariant.admitted)]
        self.ordered = [each.ordered for each in invariants if _overrides(each, Invariant.ordered)]
        self.decided = [each.decided for each in invariants if _overrides(each, Invariant.decided)]
        self.executed = [each.executed for each in invariants if _overrides(each, Invariant.executed)]
        self.delivered = [each.delivered for each in invariants if _overrides(each, Invariant.delivered)]
        self.turned = [each.turned for each in invariants if _overrides(each, Invariant.turned)]
        self.answered = [each.answered for each in invariants if _overrides(each, Invariant.answered)]


def _overrides(invariant: Invariant, method: Callable[..., None]) -> bool:
    return getattr(type(invariant), method.__name__) is not method
