"""What an operator should know about a configuration that is allowed, yet weaker than it looks.

Knows only a checked `Config`. Read by `check`, `run` and the cell's snapshot.
"""

from collections import Counter

from .config import Config, Replica, Variant
from .families import STRING_BYTES_MAX, STRING_OPTION, unequal_strings


def warnings(config: Config) -> tuple[str, ...]:
    """Everything worth a warning about `config`, one sentence each, the gravest first."""
    found = (_isolation, _diversity, _families, _exposure, _recovery, _leftovers)
    return tuple(warning for find in found for warning in find(config))


def _isolation(config: Config) -> list[str]:
    bare = [replica.name for replica in config.replicas if replica.domain == "process"]
    return [f"{', '.join(bare)}: domain process is no isolation, for development only"] if bare else []


def _recipe(variant: Variant) -> tuple[object, ...]:
    return (variant.root, variant.program, variant.args, tuple(variant.env.items()), variant.preload)


def _diversity(config: Config) -> list[str]:
    first = [config.variants[replica.variants[0]] for replica in config.replicas]
    alike = Counter(map(_recipe, first))
    names = [
        ", ".join(
            replica.name for replica, variant in zip(config.replicas, first, strict=True) if _recipe(variant) == key
        )
        for key, count in alike.items()
        if count > 1
    ]
    return [f"{group}: the same recipe, so one bug can make all of them wrong at once" for group in names]


def _families(config: Config) -> list[str]:
    unequal = unequal_strings(config)
    told = f"{STRING_OPTION} {STRING_BYTES_MAX}"
    return [f"{name}: without {told} a long string can make it dissent from the small stores" for name in unequal]


def _exposure(config: Config) -> list[str]:
    found = []
    if config.cell.drills:
        found.append("drills are on: this machine's user can inject faults into replicas")
    if not config.cell.listen.is_loopback:
        found.append(f"{config.cell.listen} is open to other machines, without encryption")
    return found


def _recovery(config: Config) -> list[str]:
    found = []
    restarted = _by_strategy(config, "restart")
    if restarted:
        spare = config.cell.f - 1
        rest = f"only {spare} more may be faulty meanwhile" if spare else "a fault meanwhile stops the cell"
        names = "" if len(restarted) == len(config.replicas) else f"{', '.join(each.name for each in restarted)}: "
        found.append(f"{names}strategy restart costs a vote during every rebuild: {rest}; shadow costs none")
    if not config.recovery.reactive:
        found.append("recovery.reactive is off: a replica that loses its vote stays away until it is asked for or due")
    return found


def _by_strategy(config: Config, wanted: str) -> list[Replica]:
    planned = zip(config.replicas, config.strategies(), strict=True)
    return [replica for replica, strategy in planned if strategy == wanted]


def _leftovers(config: Config) -> list[str]:
    found = []
    used = {name for replica in config.replicas for name in replica.variants}
    unused = [name for name in config.variants if name not in used]
    if unused:
        found.append(f"no replica uses the variant {', '.join(unused)}")
    idle = [replica.name for replica in _by_strategy(config, "none") if replica.every]
    if idle:
        found.append(f"{', '.join(idle)}: every has no effect, since the strategy is none")
    deaf = [variant.name for variant in config.variants.values() if not _is_told_its_socket(variant)]
    if deaf:
        found.append(f"{', '.join(deaf)}: no argument has {{socket}}, so the service is not told where to listen")
    return found


def _is_told_its_socket(variant: Variant) -> bool:
    return any("{socket}" in argument for argument in variant.args)
