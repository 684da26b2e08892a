"""`quorate bench`: the side-by-side comparison, the trusted core alone, and the paper's experiment."""

from pathlib import Path

from . import screen


def versus(as_json: bool, is_quick: bool, rounds: int | None) -> None:
    """Compare the cell with one server, alone and behind HAProxy; `rounds` of None leaves the number to it."""
    # Each benchmark brings its own tools, which no other command needs.
    from ..experiments import versus as experiment

    result = experiment.run(is_quick, rounds)
    if as_json:
        screen.print_json(result)
    else:
        screen.output().print(experiment.render(result))


def core(as_json: bool) -> None:
    """Measure what a request costs in the trusted core alone, by kind of request."""
    from ..experiments import core as experiment

    result = experiment.run()
    if as_json:
        screen.print_json(result)
    else:
        screen.output().print(experiment.render(result))


def vmfit(as_json: bool, is_quick: bool, scale: int | None, out: Path | None) -> None:
    """Reproduce VM-FIT's experiment; with `out`, write CSV, figure and table into that directory."""
    from ..experiments import vmfit as experiment

    result = experiment.run(is_quick, scale, out)
    if as_json:
        screen.print_json(result)
    else:
        screen.output().print(experiment.render(result))
