"""What the core tells the world: frozen notices, in the past tense. Data never travels here, only facts about it."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """Where a seat's replica stands in its life (design: "The path of one request", step 9)."""

    BOOTING = "booting"
    RESTORING = "restoring"
    CATCHING_UP = "catching_up"
    VERIFIED = "verified"
    VOTING = "voting"
    CONVICTED = "convicted"
    RETIRING = "retiring"
    RETIRED = "retired"


class Cause(Enum):
    """Why a replica lost its vote."""

    WRONG_WRITE = "wrong reply to a write"
    WRONG_READ = "wrong reply to a read, asked twice"
    WRONG_READS = "too many wrong replies to reads"
    GARBAGE = "bytes that are no reply"
    UNASKED = "a reply that nobody asked for"
    FLOOD = "more bytes than its requests allow"
    MUTE = "silence"
    CRASH = "its lane broke"
    LAG = "too far behind"
    BACKLOG = "more unanswered than can be kept"
    REFUSED = "it refused its lane's setup"
    RESTART = "stopped to be started again"
    WRONG_SHADOW = "wrong reply while it was prepared"


@dataclass(frozen=True, slots=True)
class Dissented:
    """A replica's reply differed from the agreed one: the material of evidence."""

    slot: int
    seat: int
    request: bytes
    agreed: bytes
    dissenting: bytes
    is_write: bool
    now: int


@dataclass(frozen=True, slots=True)
class Convicted:
    """A replica was found faulty and lost its vote. `slot` is the one at which it was found out."""

    seat: int
    cause: Cause
    slot: int
    now: int


@dataclass(frozen=True, slots=True)
class Retired:
    """A correct but slow replica lost its seat; nobody is guilty."""

    seat: int
    cause: Cause
    slot: int
    now: int


@dataclass(frozen=True, slots=True)
class Spared:
    """A replica deserved conviction, but the cell cannot decide anything without its vote."""

    seat: int
    cause: Cause
    slot: int
    now: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """`count` slots were closed without f+1 equal replies: split when all had replied and differed, else unanswered.

    `request` is that of the first, `slot`; `is_write` says whether any of them is a write.
    """

    slot: int
    request: bytes
    is_write: bool
    is_split: bool
    now: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class QuorumLost:
    """Fewer than f+1 replicas vote: the cell answers errors from here on."""

    voters: int
    now: int


@dataclass(frozen=True, slots=True)
class ShadowFailed:
    """The replica that was prepared for a seat is no good: it is thrown away. Its seat is as it was."""

    seat: int
    cause: Cause
    slot: int
    now: int


@dataclass(frozen=True, slots=True)
class Seated:
    """A shadow took its seat, before `slot`: it votes, and whoever had the seat is retired."""

    seat: int
    slot: int
    now: int


@dataclass(frozen=True, slots=True)
class QuorumRegained:
    """At least f+1 replicas vote again: clients are answered."""

    voters: int
    now: int


@dataclass(frozen=True, slots=True)
class StateUnreadable:
    """There is no checkpoint, because the state of this key cannot be read, and why."""

    database: int
    key: bytes
    reason: str
    now: int


Notice = (
    Dissented
    | Convicted
    | Retired
    | Spared
    | Undecided
    | QuorumLost
    | ShadowFailed
    | Seated
    | QuorumRegained
    | StateUnreadable
)


def tell_closed(notices: list[Notice], closed: Undecided) -> None:
    """Add that slots were closed to what is told: neighbours as one, since there may be tens of thousands."""
    before = notices[-1] if notices else None
    if (
        isinstance(before, Undecided)
        and before.is_split == closed.is_split
        and before.slot + before.count == closed.slot
    ):
        is_write, count = before.is_write or closed.is_write, before.count + closed.count
        notices[-1] = Undecided(before.slot, before.request, is_write, before.is_split, before.now, count)
    else:
        notices.append(closed)
