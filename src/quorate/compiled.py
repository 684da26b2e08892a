"""What the compiled build is made from, where it lies, and the one way to load it (docs/adr/0002-mypyc.md).

Knows file names and the import system; knows nothing of what the modules do. The build lies beside the interpreter's
own packages, never beside the sources, so that importing `quorate.trusted` is pure Python unless `prefer` was called
first; only the `quorate` command, its keeper and `pytest --compiled` call it.
"""

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
# Besides all of trusted/: what the keeper does for every row of a rebuild.
ROW_BY_ROW = ("batch.py", "dialects.py", "expectations.py", "lane.py", "rows.py", "snapshot.py")
MANIFEST = "manifest.json"


def build_directory() -> Path:
    """Where this interpreter's compiled build lies, whether or not there is one."""
    return Path(sysconfig.get_path("platlib")) / "quorate_compiled"


def sources() -> list[Path]:
    """All that a build is made from, by path."""
    return sorted([*(PACKAGE / "trusted").rglob("*.py"), *(PACKAGE / "state" / name for name in ROW_BY_ROW)])


def fingerprint() -> str:
    """What a build must have been made from to stand for the sources: their names and bytes, and the interpreter."""
    total = hashlib.sha256(sys.version.encode())
    for path in sources():
        content = path.read_bytes()
        total.update(f"{path.relative_to(PACKAGE)} {len(content)}\n".encode() + content)
    return total.hexdigest()


def available() -> dict[str, Path]:
    """The compiled modules by full name; empty when there is no build of exactly these sources."""
    directory = build_directory()
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    if manifest["fingerprint"] != fingerprint():
        return {}
    return {name: directory / file for name, file in manifest["modules"].items()}


def prefer() -> bool:
    """From now on, import the compiled modules where there are any; says whether there are.

    Does nothing when `QUORATE_PURE` is set in the environment. To be called before any of them is imported.
    """
    modules = {} if os.environ.get("QUORATE_PURE") else available()
    if modules:
        sys.meta_path.insert(0, _CompiledFinder(modules))
    return bool(modules)


def loaded() -> list[str]:
    """The modules of this package that run compiled in this process, sorted."""
    names = (name for name in sys.modules if name.startswith("quorate."))
    return sorted(name for name in names if _is_extension(sys.modules[name]))


def _is_extension(module: ModuleType) -> bool:
    return isinstance(getattr(module, "__loader__", None), importlib.machinery.ExtensionFileLoader)


class _CompiledFinder(importlib.abc.MetaPathFinder):
    """Finds exactly the modules it was given, before anybody looks at the sources."""

    def __init__(self, modules: dict[str, Path]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._modules.get(fullname)
        if file is None:
            return None
        loader = importlib.machinery.ExtensionFileLoader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)
