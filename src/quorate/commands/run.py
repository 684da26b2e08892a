"""`quorate run`: one cell, in the foreground, until SIGTERM or SIGINT."""

import sys
from pathlib import Path

import structlog
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..config import Config, load
from ..config_warnings import warnings
from ..observe import logs
from . import screen

SERVING = "serving"

_log = structlog.get_logger()


class BootReport:
    """Reports how far the replicas have come: as a display on a terminal, as log lines elsewhere.

    It is given a replica's name and the stage that it reached. An empty name stands for the cell itself, whose stage
    `serving …` ends the display and is printed as one line on stdout.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._display: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "BootReport":
        if sys.stderr.isatty():
            self._start_display()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_display()

    def __call__(self, replica: str, stage: str) -> None:
        """Say that `replica` reached `stage`."""
        if not replica:
            self._report_cell(stage)
        elif self._display is None:
            _log.info("replica", replica=replica, stage=stage)
        elif replica in self._tasks:
            self._display.update(self._tasks[replica], stage=stage)
            self._display.refresh()

    def _report_cell(self, stage: str) -> None:
        if not stage.startswith(SERVING):
            _log.info("cell", cell=self._config.cell.name, stage=stage)
            return
        self._stop_display()
        sys.stdout.write(f"cell {self._config.cell.name} is {stage}\n")
        sys.stdout.flush()

    def _start_display(self) -> None:
        # Refreshed by hand: the display's own thread would be one more thread in a process that forks.
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[stage]}", markup=False))
        self._display = Progress(
            *columns, TimeElapsedColumn(), console=screen.talk(), transient=True, auto_refresh=False
        )
        self._display.start()
        for replica in self._config.replicas:
            text = f"replica {replica.name} ({replica.variants[0]}, {replica.domain})"
            self._tasks[replica.name] = self._display.add_task(text, total=None, stage="waiting")
        self._display.refresh()

    def _stop_display(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None


def run(path: Path, left_out: int = 0) -> int:
    """Run the cell that the configuration at `path` describes; return its exit code.

    `left_out` is a slot of the journal that is not executed again, 0 for none. Raises `OperatorFault` when the
    configuration or the machine does not allow it.
    """
    config = load(path)
    logs.configure(config.log.format, config.log.level)
    for warning in warnings(config):
        _log.warning(warning)
    # The parts that run a cell are loaded for this command alone.
    from ..observe import service

    with BootReport(config) as report:
        return service.run(config, report, left_out)
