"""What the vote finds out: decisions, dissents and faults. Plain carriers, made for data."""

from .messages import Cause
from .span import Span


class Decision:
    """`count` slots from `first` on, all of `span`, were decided as `data`; None where `reason` says why not."""

    __slots__ = ("count", "data", "first", "reason", "span")

    def __init__(self, span: Span, first: int, count: int, data: bytes | None, reason: str = "") -> None:
        self.span = span
        self.first = first
        self.count = count
        self.data = data
        self.reason = reason


class Dissent:
    """The reply of seat `seat` to `slot` differs from the `agreed` one."""

    __slots__ = ("agreed", "reply", "seat", "slot", "span")

    def __init__(self, seat: int, slot: int, span: Span, agreed: bytes, reply: bytes) -> None:
        self.seat = seat
        self.slot = slot
        self.span = span
        self.agreed = agreed
        self.reply = reply


class Fault:
    """Seat `seat` did what no correct replica does, or nothing for too long; `slot` is the one it was at."""

    __slots__ = ("cause", "seat", "slot")

    def __init__(self, seat: int, cause: Cause, slot: int) -> None:
        self.seat = seat
        self.cause = cause
        self.slot = slot
