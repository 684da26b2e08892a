"""`quorate bench`: the side-by-side comparison, and the trusted core alone."""

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
