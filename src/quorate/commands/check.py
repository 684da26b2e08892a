"""`quorate check`: what a configuration would run, or everything that is wrong with it."""

from pathlib import Path

from ..config import Config, load
from ..config_values import Duration
from ..config_warnings import warnings
from . import screen


def check(path: Path) -> None:
    """Show what `path` would run, and warn of what is weaker than it looks.

    Raises `ConfigFault` with all problems.
    """
    config = load(path)
    screen.output().print(_summary(config), soft_wrap=True)
    seats = screen.table("Replicas", "replica", "domain", "variant", "next variants", "rebuilt every#")
    for replica, every_ns in zip(config.replicas, config.every_ns(), strict=True):
        first, *others = replica.variants
        every = Duration(every_ns) if every_ns else "-"
        screen.add(seats, replica.name, replica.domain, first, ", ".join(others) or "-", every)
    recipes = screen.table("Variants", "variant", "program", "preload", "root", "memory#")
    for variant in config.variants.values():
        preload = "\n".join(variant.preload) or "-"
        screen.add(recipes, variant.name, variant.program, preload, variant.root or "-", screen.size(variant.memory))
    screen.output().print(seats)
    screen.output().print(recipes)
    for warning in warnings(config):
        screen.print_warning(warning)


def _summary(config: Config) -> str:
    cell, recovery = config.cell, config.recovery
    return (
        f"{config.path} is right.\n"
        f"cell {cell.name}: {cell.protocol} on {cell.listen}, outvotes {cell.f} of {len(config.replicas)} replicas\n"
        f"recovery {recovery.strategy}, {'' if recovery.reactive else 'not '}reactive, "
        f"journal {config.journal.sync}\n"
        f"state in {cell.state}, drills {'on' if cell.drills else 'off'}, "
        f"metrics on {config.metrics.listen or 'no address'}"
    )
