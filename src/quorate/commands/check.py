"""`quorate check`: what a configuration would run, or everything that is wrong with it."""

from pathlib import Path

from ..config import Config, load
from ..config_warnings import warnings
from . import screen


def check(path: Path) -> None:
    """Show what `path` would run, and warn of what is weaker than it looks.

    Raises `ConfigFault` with all problems.
    """
    config = load(path)
    screen.output().print(_summary(config), soft_wrap=True)
    seats = screen.table("Replicas", "replica", "domain", "variant", "next variants")
    for replica in config.replicas:
        first, *others = replica.variants
        screen.add(seats, replica.name, replica.domain, first, ", ".join(others) or "-")
    recipes = screen.table("Variants", "variant", "program", "preload", "root", "memory#")
    for variant in config.variants.values():
        preload = "\n".join(variant.preload) or "-"
        screen.add(recipes, variant.name, variant.program, preload, variant.root or "-", screen.size(variant.memory))
    screen.output().print(seats)
    screen.output().print(recipes)
    for warning in warnings(config):
        screen.print_warning(warning)


def _summary(config: Config) -> str:
    cell = config.cell
    return (
        f"{config.path} is right.\n"
        f"cell {cell.name}: {cell.protocol} on {cell.listen}, outvotes {cell.f} of {len(config.replicas)} replicas\n"
        f"state in {cell.state}, journal {config.journal.sync}, drills {'on' if cell.drills else 'off'}, "
        f"metrics on {config.metrics.listen or 'no address'}"
    )
