"""What the log says of each fact of recovery: a level, an event, its fields. Knows facts and words, not the cell."""

from collections.abc import Callable
from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Any

import structlog

from ..facts import (
    Fact,
    JournalFull,
    JournalHasRoom,
    JournalLost,
    JournalMissing,
    JournalSuspected,
    RebuildBegan,
    RebuildDone,
    RebuildFailed,
    RebuildPostponed,
    RevivalBegan,
    RevivalEnded,
    SeatLeftEmpty,
    StateLost,
    StateMiscounted,
    StateRegained,
)
from .logs import one_line

Line = tuple[int, str, dict[str, Any]]

_log = structlog.get_logger()


def _rebuilt(fact: RebuildDone) -> Line:
    fields = {"replica": fact.replica, "variant": fact.variant, "seconds": round(fact.seconds, 3)}
    return INFO if fact.is_planned else WARNING, "rebuilt", fields


def _revived(fact: RevivalEnded) -> Line:
    if fact.reason:
        return CRITICAL, "the replicas could not be begun anew", {"reason": one_line(fact.reason)}
    return WARNING, "all replicas were begun anew", {"seconds": round(fact.seconds, 3)}


def _failed(fact: RebuildFailed) -> Line:
    fields = {"replica": fact.replica, "variant": fact.variant, "reason": one_line(fact.reason)}
    return ERROR, "rebuild failed", fields


def _begun(fact: RebuildBegan) -> Line:
    return INFO, "rebuild began", {"replica": fact.replica, "variant": fact.variant, "why": fact.why}


def _left_empty(fact: SeatLeftEmpty) -> Line:
    return CRITICAL, "a seat has no replica for now", {"replica": fact.replica, "reason": one_line(fact.reason)}


def _postponed(fact: RebuildPostponed) -> Line:
    return WARNING, "restart postponed", {"replica": fact.replica, "reason": fact.reason}


def _kept_no_more(what: str) -> Callable[[StateLost | JournalLost], Line]:
    return lambda fact: (CRITICAL, f"{what} is kept no more", {"reason": one_line(fact.reason)})


def _missing(fact: JournalMissing) -> Line:
    return CRITICAL, "there is no journal: what was written after the last checkpoint is lost", {"slot": fact.slot}


def _suspected(fact: JournalSuspected) -> Line:
    fields = {"first": fact.first, "last": fact.last, "times": fact.times, "hint": "see docs/recovery.md"}
    return ERROR, "the replicas may not survive what the journal holds", fields


LINES: dict[type[Fact], Callable[[Any], Line]] = {
    RebuildBegan: _begun,
    RebuildFailed: _failed,
    RebuildDone: _rebuilt,
    RebuildPostponed: _postponed,
    SeatLeftEmpty: _left_empty,
    RevivalBegan: lambda fact: (CRITICAL, "all replicas begin anew, clients wait", {"reason": fact.reason}),
    RevivalEnded: _revived,
    JournalSuspected: _suspected,
    StateLost: _kept_no_more("state"),
    StateRegained: lambda _: (WARNING, "state is kept again", {}),
    StateMiscounted: lambda fact: (
        WARNING,
        "keys came or went that no request named",
        {"databases": fact.databases},
    ),
    JournalLost: _kept_no_more("the journal"),
    JournalMissing: _missing,
    JournalFull: lambda _: (CRITICAL, "the disk has no room for the journal: writes are refused", {}),
    JournalHasRoom: lambda _: (WARNING, "the journal has room again: writes are served", {}),
}


def log_fact(fact: Fact) -> None:
    """Write the fact's line into the log."""
    level, event, fields = LINES[type(fact)](fact)
    _log.log(level, event, **fields)
