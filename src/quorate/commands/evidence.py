"""`quorate evidence`: the dissents and convictions of a cell, running or not, newest first."""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from ..directories import state_home
from ..observe.evidence import ConvictionRecord, DissentRecord, Payload, read_convictions, read_dissents
from ..observe.logs import printable
from ..observe.register import called, directory_of, find, running
from ..trusted.errors import OperatorFault
from . import screen


def evidence(cell: str | None, limit: int, as_json: bool) -> None:
    """Show the newest `limit` dissents and convictions.

    Raises `OperatorFault` when the cell is unknown or its evidence cannot be read.
    """
    name, directory = _state_of(cell)
    try:
        dissents, convictions = read_dissents(directory, limit), read_convictions(directory, limit)
    except (sqlite3.Error, OSError) as error:
        raise OperatorFault(f"the evidence in {directory} cannot be read: {error}", "is it of this release?") from None
    if as_json:
        screen.print_json(
            {
                "cell": name,
                "dissents": list(map(_dissent, dissents)),
                "convictions": list(map(_conviction, convictions)),
            }
        )
        return
    _show(name, dissents, convictions)


def _state_of(cell: str | None) -> tuple[str, Path]:
    """A cell's name and state directory. The evidence of one that has ended is found by its name, or its directory."""
    if cell and not called(cell, running()):
        past = directory_of(cell) if "/" in cell else state_home(os.environ) / cell
        if past.is_dir():
            return past.name, past
    entry = find(cell)
    return entry.name, entry.state


def _show(name: str, dissents: list[DissentRecord], convictions: list[ConvictionRecord]) -> None:
    if not dissents and not convictions:
        screen.output().print(Text(f"cell {name}: every reply agreed, nobody was convicted"), soft_wrap=True)
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
