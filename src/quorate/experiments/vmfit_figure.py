"""Figure 2 of VM-FIT: throughput over time, one panel for each strategy, with what happened to the replicas.

The only place that loads matplotlib, which the extra `lab` brings. Draws; measures nothing.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..trusted.errors import OperatorFault
from .vmfit_run import Run
from .vmfit_schedule import INTERVAL_SECONDS, PAPER_SECONDS, PAPER_WINDOWS, STRATEGIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "none": "no recovery",
    "restart": "each replica stopped and restarted in turn",
    "shadow": "each replica replaced by a shadow in turn",
    "shadow-all": "all replicas replaced by shadows at once",
}
LINE, WINDOW, FAULT, REBUILT, GONE = "#1f4e79", "#f1f3f5", "#c0392b", "#2e8b57", "#c0392b"
# Above the curve's highest point there is room for the faults' names, below zero for the rebuilds.
HEAD_ROOM, FOOT_ROOM = 1.3, 0.13


def require_matplotlib() -> None:
    """Raise `OperatorFault` when matplotlib is missing, before an experiment that takes long."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OperatorFault("the figure needs matplotlib", "install the extra: pip install 'quorate[lab]'")


def draw(runs: list[Run], path: Path) -> None:
    """Write the figure as PNG. Raises `OperatorFault` when matplotlib is missing."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2 * len(runs) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(runs), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    top = HEAD_ROOM * max(max(run.counted.requests) for run in runs) / INTERVAL_SECONDS
    for axes, run in zip(panels, runs, strict=True):
        _panel(axes, run, top)
    setting = "journal {journal}, domain {domain}".format(**runs[0].setting)
    scale = f"each of ours is {runs[0].schedule.scale} of the paper's"
    panels[-1].set_xlabel(f"time in the paper's seconds ({scale}; {setting})")
    figure.supylabel("successful requests per second", fontsize=10)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def _panel(axes: "Axes", run: Run, top: float) -> None:
    strategy = STRATEGIES[run.letter]
    axes.set_title(f"({run.letter}) {strategy}: {TITLES[strategy]}", loc="left", fontsize=10, fontweight="bold")
    axes.set_xlim(0, PAPER_SECONDS)
    axes.set_ylim(-FOOT_ROOM * top, top)
    axes.grid(axis="y", color="#e3e6e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(0, color="#555555", linewidth=0.8)
    for begin, end in PAPER_WINDOWS[:-1]:
        axes.axvspan(begin, end, color=WINDOW, zorder=0)
    _curve(axes, run)
    _marks(axes, run, top)


def _curve(axes: "Axes", run: Run) -> None:
    """The client's counts as they are; red where an interval saw no success."""
    papers = run.schedule.papers
    times = [papers((place + 0.5) * INTERVAL_SECONDS) for place in range(len(run.counted.requests))]
    rates = [requests / INTERVAL_SECONDS for requests in run.counted.requests]
    axes.plot(times, rates, color=LINE, linewidth=0.9)
    gone = [time for time, rate in zip(times, rates, strict=True) if not rate]
    if gone:
        axes.plot(gone, [0] * len(gone), "|", color=GONE, markersize=9, markeredgewidth=1.4)


def _marks(axes: "Axes", run: Run, top: float) -> None:
    for event in run.events:
        time = run.schedule.papers(event.at)
        if event.kind == "fault":
            axes.axvline(time, color=FAULT, linewidth=1, linestyle=(0, (4, 3)))
            axes.text(time, 0.985 * top, f" {event.replica} turns malicious", va="top", color=FAULT, fontsize=8)
        elif event.kind == "rebuilt":
            axes.plot(time, -FOOT_ROOM * top / 2, "^", color=REBUILT, markersize=4)
        elif event.kind == "lost":
            axes.plot(time, -FOOT_ROOM * top / 2, "x", color=FAULT, markersize=5)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=LINE, label="throughput, by 250 ms"),
        Line2D([], [], color=GONE, marker="|", linestyle="", markersize=9, label="no request succeeded"),
        Line2D([], [], color=FAULT, linestyle=(0, (4, 3)), label="a replica turns malicious"),
        Line2D([], [], color=FAULT, marker="x", linestyle="", label="it lost its vote"),
        Line2D([], [], color=REBUILT, marker="^", linestyle="", label="rebuilt, votes"),
        Patch(color=WINDOW, label="windows of Table 1"),
    ]
