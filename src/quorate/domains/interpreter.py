"""What a service written in Python needs to be readable in its domain, when it runs on this very interpreter."""

import sys
from pathlib import Path

import quorate


def interpreter() -> str:
    """The program that runs Python services: the one that runs us, by the name that makes it find its libraries."""
    return sys.executable


def readable() -> tuple[Path, ...]:
    """The interpreter, its libraries and this package, each once, for `Recipe.readable`."""
    package = Path(quorate.__file__).parent
    wanted = (Path(sys.base_prefix), Path(sys.prefix), Path(sys.executable).resolve().parent.parent, package)
    found: list[Path] = []
    for path in sorted(set(wanted)):
        if path != Path("/usr") and not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return tuple(found)
