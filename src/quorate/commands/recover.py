"""`quorate recover`: replicas of a running cell are rebuilt, and it is shown how far that has come.

Knows the cell by its control socket alone. Ending the command ends no rebuild: it is the cell's.
"""

import sys
import time
from types import TracebackType
from typing import Any

from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..observe.control import Message, watch
from ..observe.logs import printable
from ..observe.register import find
from ..trusted.errors import OperatorFault
from ..trusted.messages import Role
from . import screen


class RecoveryReport:
    """Reports how far rebuilds have come: as a display on a terminal, as one line a stage elsewhere.

    Where it is not `is_wanted` it says nothing.
    """

    def __init__(self, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._display: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}

    def __enter__(self) -> "RecoveryReport":
        if self._is_wanted and sys.stderr.isatty():
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
            self._display = Progress(*columns, console=screen.talk(), transient=True)
            self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._display is not None:
            self._display.stop()

    def __call__(self, progress: Message) -> None:
        """The cell told of some progress."""
        name, stage, share = (progress.get(key) for key in ("replica", "stage", "share"))
        if not isinstance(name, str) or not isinstance(stage, str):
            raise OperatorFault("the cell told of no progress", "do cell and command have the same release?")
        if self._display is not None:
            self._show(self._display, name, screen.stage(stage, share if isinstance(share, float) else 0.0))
        elif self._is_wanted and self._stages.get(name) != stage:
            _say(name, screen.stage(stage, 0.0))
        self._stages[name] = stage

    def _show(self, display: Progress, name: str, stage: str) -> None:
        text = printable(f"replica {name}: {stage}")
        if name not in self._tasks:
            self._tasks[name] = display.add_task(text, total=None)
        display.update(self._tasks[name], description=text)


def recover(cell: str | None, replica: str | None, is_all: bool, strategy: str | None, as_json: bool) -> None:
    """Have replicas rebuilt: the named one, all, or else those without a vote; return when they vote.

    Raises `OperatorFault` when the cell refuses, or when one does not come to vote.
    """
    if replica is not None and is_all:
        raise OperatorFault("either one replica is rebuilt, or all", "leave out the name, or --all")
    entry = find(cell)
    began_at = time.monotonic()
    with RecoveryReport(not as_json) as report:
        message = {"do": "recover", "replica": replica, "all": is_all, "strategy": strategy}
        recovered = watch(entry.control, message, report).get("recovered")
    seconds = time.monotonic() - began_at
    if not isinstance(recovered, list) or not all(isinstance(found, dict) for found in recovered):
        raise OperatorFault("the cell did not say what it rebuilt", "do cell and command have the same release?")
    if as_json:
        screen.print_json({"cell": entry.name, "seconds": round(seconds, 3), "recovered": recovered})
    else:
        _tell(entry.name, recovered)


def _tell(cell: str, recovered: list[dict[str, Any]]) -> None:
    for replica in recovered:
        name, variant, role = (printable(str(replica.get(key))) for key in ("name", "variant", "role"))
        is_voting = role == Role.VOTING.value
        state = f"votes again{_duration(replica)}" if is_voting else f"was rebuilt, and is {role} by now"
        screen.output().print(f"replica {name} ({variant}) {state}", soft_wrap=True)
    if not recovered:
        screen.output().print(f"every replica of cell {cell} votes: name one, or rebuild --all", soft_wrap=True)


def _duration(replica: dict[str, Any]) -> str:
    """How long this replica's own rebuild took, from its beginning to voting, as far as the cell told."""
    age, since = replica.get("age_seconds"), replica.get("last_rebuild_seconds")
    if not isinstance(age, float) or not isinstance(since, float):
        return ""
    return f", after {max(0.0, age - since):.2f} s"


def _say(name: str, stage: str) -> None:
    screen.talk().print(printable(f"replica {name}: {stage}"), soft_wrap=True)
