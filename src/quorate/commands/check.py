"""`quorate check`: what a configuration would run, or everything that is wrong with it."""

from pathlib import Path
from typing import Any

from ..config import Config, load
from ..config_values import Duration
from ..config_warnings import warnings
from ..families import FULL, families, is_mixed, partial_refusals, refusals, settings
from . import screen


def check(path: Path, as_json: bool = False) -> None:
    """Show what `path` would run and what it refuses, and warn of what is weaker than it looks.

    Raises `ConfigFault` with all problems, or another `OperatorFault`.
    """
    config = load(path)
    settings(config)
    if as_json:
        screen.print_json(_facts(config))
    else:
        _show(config)


def _show(config: Config) -> None:
    screen.output().print(_summary(config), soft_wrap=True)
    seats = screen.table("Replicas", "replica", "domain", "variant", "next variants", "strategy", "rebuilt every#")
    for replica, strategy, every_ns in zip(config.replicas, config.strategies(), config.every_ns(), strict=True):
        first, *others = replica.variants
        every = Duration(every_ns) if every_ns else "-"
        screen.add(seats, replica.name, replica.domain, first, ", ".join(others) or "-", strategy, every)
    recipes = screen.table("Variants", "variant", "program", "preload", "root", "memory#")
    for variant in config.variants.values():
        preload = "\n".join(variant.preload) or "-"
        screen.add(recipes, variant.name, variant.program, preload, variant.root or "-", screen.size(variant.memory))
    screen.output().print(seats)
    screen.output().print(recipes)
    screen.output().print(_refused(config), soft_wrap=True, end="")
    for warning in warnings(config):
        screen.print_warning(warning)


def _refused(config: Config) -> str:
    """What clients of this cell cannot ask for because of its variants, or nothing."""
    names = [name for name, family in families(config).items() if family.unserved]
    if not names:
        return ""
    others = [name for name, family in families(config).items() if family is FULL]
    unable = refusals(config)
    refused = f"refused, since not every variant knows it ({len(unable)}): {', '.join(unable)}\n"
    if not is_mixed(config):
        return refused
    mixed = f"a mixed cell: {', '.join(others)} would serve more than {', '.join(names)}\n"
    return f"{mixed}{refused}refused, since variants differ there: {'; '.join(partial_refusals(config))}\n"


def _facts(config: Config) -> dict[str, Any]:
    cell = config.cell
    return {
        "cell": cell.name,
        "protocol": cell.protocol,
        "listen": str(cell.listen),
        "f": cell.f,
        "state": str(cell.state),
        "families": {name: family.description for name, family in families(config).items()},
        "mixed": is_mixed(config),
        "refused": refusals(config),
        "refused_partly": partial_refusals(config),
        "replicas": [
            {"name": replica.name, "domain": replica.domain, "variants": list(replica.variants), "strategy": strategy}
            for replica, strategy in zip(config.replicas, config.strategies(), strict=True)
        ],
        "warnings": list(warnings(config)),
    }


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
