"""`quorate evidence`: the dissents and convictions of a cell, and what it did not decide, running or not, newest first.

It says what evidence there is, and no more: that none is kept does not mean that every reply agreed.
"""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from ..directories import state_home
from ..observe.control import ask
from ..observe.evidence import (
    ConvictionRecord,
    DissentRecord,
    Payload,
    UndecidedRecord,
    read_convictions,
    read_dissents,
    read_undecided,
)
from ..observe.logs import printable
from ..observe.register import Entry, called, directory_of, find, running
from ..trusted.errors import OperatorFault
from . import screen

SPLIT = (
    "split: all had replied, no f+1 of them alike. Who is wrong is not known: see how each variant answers that request"
)
UNANSWERED = "unanswered: too few replied in time. The log says which replicas were lost then"
MORE = "what to do: docs/commands.md, at quorate evidence; in the log: slots were closed without f+1 equal replies"


def evidence(cell: str | None, limit: int, as_json: bool) -> None:
    """Show the newest `limit` dissents, convictions, and requests that were not decided.

    Raises `OperatorFault` when the cell is unknown or its evidence cannot be read.
    """
    name, directory, entry = _state_of(cell)
    try:
        dissents, convictions = read_dissents(directory, limit), read_convictions(directory, limit)
        undecided = read_undecided(directory, limit)
    except (sqlite3.Error, OSError) as error:
        raise OperatorFault(f"the evidence in {directory} cannot be read: {error}", "is it of this release?") from None
    split, unanswered = _counts(entry)
    if as_json:
        screen.print_json(
            {
                "cell": name,
                "dissents": list(map(_dissent, dissents)),
                "convictions": list(map(_conviction, convictions)),
                "undecided": list(map(_not_decided, undecided)),
                "split": split,
                "unanswered": unanswered,
            }
        )
        return
    _show(name, dissents, convictions)
    _show_undecided(undecided, split, unanswered)


def _state_of(cell: str | None) -> tuple[str, Path, Entry | None]:
    """A cell's name, state directory, and entry if it runs; one that has ended is found by name or by directory."""
    if cell and not called(cell, running()):
        past = directory_of(cell) if "/" in cell else state_home(os.environ) / cell
        if past.is_dir():
            return past.name, past, None
    entry = find(cell)
    return entry.name, entry.state, entry


def _counts(entry: Entry | None) -> tuple[int | None, int | None]:
    """How many slots were split and unanswered since the cell started; None where it does not run, or does not say."""
    if entry is None:
        return None, None
    try:
        status = ask(entry.control, {"do": "status"}).get("status")
    except OperatorFault as fault:
        screen.print_warning(printable(f"how many slots were not decided is not known: {fault}"))
        return None, None
    split, unanswered = (status.get(key) if isinstance(status, dict) else None for key in ("split", "unanswered"))
    return split if isinstance(split, int) else None, unanswered if isinstance(unanswered, int) else None


def _show(name: str, dissents: list[DissentRecord], convictions: list[ConvictionRecord]) -> None:
    if not dissents and not convictions:
        _say(f"cell {name}: there is no evidence of a dissent, and none of a conviction")
        return
    found = screen.table("Dissents", "time", "slot#", "replica", "variant", "kind", "request", "agreed", "dissenting")
    for record in dissents:
        payloads = [_text(payload, record.is_hashed) for payload in (record.request, record.agreed, record.dissenting)]
        kind = "write" if record.is_write else "read"
        screen.add(found, _time(record.time_ns), record.slot, record.replica, record.variant, kind, *payloads)
    judged = screen.table("Convictions", "time", "replica", "variant", "cause", "at slot#")
    for conviction in convictions:
        moment, cause = _time(conviction.time_ns), printable(conviction.cause)
        screen.add(judged, moment, conviction.replica, conviction.variant, cause, conviction.slot)
    screen.output().print(found)
    screen.output().print(judged)


def _show_undecided(undecided: list[UndecidedRecord], split: int | None, unanswered: int | None) -> None:
    if undecided:
        found = screen.table("Not decided", "time", "slot#", "slots#", "outcome", "kind", "request")
        for record in undecided:
            outcome, kind = "split" if record.is_split else "unanswered", "write" if record.is_write else "read"
            request = _text(record.request, record.is_hashed)
            screen.add(found, _time(record.time_ns), record.slot, record.count, outcome, kind, request)
        screen.output().print(found)
    if split is not None and unanswered is not None:
        told = f"{split} split, {unanswered} unanswered" if split or unanswered else "none"
        _say(f"slots that were not decided since the cell started: {told}")
    if split or any(record.is_split for record in undecided):
        _say(SPLIT)
    if unanswered or not all(record.is_split for record in undecided):
        _say(UNANSWERED)
    if split or unanswered or undecided:
        _say(MORE)


def _say(line: str) -> None:
    screen.output().print(Text(line), soft_wrap=True)


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _text(payload: Payload, is_hashed: bool) -> str:
    if is_hashed:
        return f"sha256 {payload.data.hex()[:16]}…"
    return screen.shorten(printable(payload.data), 48)


def _payload(payload: Payload, is_hashed: bool) -> dict[str, Any]:
    if is_hashed:
        return {"bytes": payload.size, "sha256": payload.data.hex()}
    return {"bytes": payload.size, "text": printable(payload.data), "cut": payload.size > len(payload.data)}


def _dissent(record: DissentRecord) -> dict[str, Any]:
    return {
        "slot": record.slot,
        "time_ns": record.time_ns,
        "replica": record.replica,
        "variant": record.variant,
        "dialect": record.dialect,
        "is_write": record.is_write,
        "request": _payload(record.request, record.is_hashed),
        "agreed": _payload(record.agreed, record.is_hashed),
        "dissenting": _payload(record.dissenting, record.is_hashed),
    }


def _conviction(record: ConvictionRecord) -> dict[str, Any]:
    return {
        "slot": record.slot,
        "time_ns": record.time_ns,
        "replica": record.replica,
        "variant": record.variant,
        "cause": record.cause,
    }


def _not_decided(record: UndecidedRecord) -> dict[str, Any]:
    return {
        "slot": record.slot,
        "count": record.count,
        "time_ns": record.time_ns,
        "dialect": record.dialect,
        "is_write": record.is_write,
        "is_split": record.is_split,
        "request": _payload(record.request, record.is_hashed),
    }
