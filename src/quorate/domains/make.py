"""From the configuration's word for a kind of domain to a domain: the one table of the kinds there are."""

import os
from collections.abc import Callable
from pathlib import Path

from quorate.trusted.errors import OperatorFault

from .port import Domain, Recipe
from .process import ProcessDomain
from .sandbox import SandboxDomain

# The first of the host users that sandboxes started by root run as: unused by Debian, which gives out 60000 and up only
# to packages that ask for a number of their own, and below those that systemd hands to services (61184 and up).
UID_FIRST = 60_001
UIDS_MAX = 1_000


def _process(recipe: Recipe, directory: Path, seat: int) -> Domain:
    del seat
    return ProcessDomain(recipe, directory)


def _sandbox(recipe: Recipe, directory: Path, seat: int) -> Domain:
    return SandboxDomain(recipe, directory, UID_FIRST + seat if os.geteuid() == 0 else None)


KINDS: dict[str, Callable[[Recipe, Path, int], Domain]] = {"process": _process, "sandbox": _sandbox}


def make(kind: str, recipe: Recipe, directory: Path, seat: int) -> Domain:
    """A domain of `kind` for `recipe`, not started yet.

    `directory` must not exist; its parents may. `seat`, 0 to 999, tells domains that run at the same time apart: give a
    shadow a number of its own, so that it does not share a host user with the replica it will follow.
    Raises `OperatorFault` for a kind that is unknown, or asks for something that its kind cannot do.
    """
    if kind not in KINDS:
        raise OperatorFault(
            f"replica {recipe.replica}: there is no domain {kind!r}", f"choose one of {', '.join(KINDS)}"
        )
    if not 0 <= seat < UIDS_MAX:
        raise OperatorFault(f"replica {recipe.replica}: there are users for {UIDS_MAX} domains only")
    return KINDS[kind](recipe, directory, seat)
