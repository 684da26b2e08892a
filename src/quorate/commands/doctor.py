"""`quorate doctor`: what this machine has of what quorate uses, and what each missing piece costs.

Finds out by trying, and changes nothing. What concerns domains is known by `domains.probe`, the rest is found here.
"""

import os
import platform
import shutil
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path

from ..compiled import available
from ..config_values import find_library, install_hint
from ..domains.probe import Finding, probe
from . import screen

# Programs and what is missing without them; the packages are those of Debian.
PROGRAMS = (
    ("redis-server", "examples/redis.toml and `bench versus` cannot run; examples/kv.toml can", "redis-server"),
    ("redis-cli", "no ordinary client to try a cell with", "redis-tools"),
    ("redis-benchmark", "`bench versus` cannot run", "redis-tools"),
    ("haproxy", "`bench versus` cannot run", "haproxy"),
)
# Memory allocators that variants of the examples preload.
ALLOCATORS = ("libmimalloc.so.2", "libtcmalloc_minimal.so.4", "libc_malloc_debug.so.0")


def doctor(as_json: bool) -> None:
    """Show every piece, whether it was found, and what its absence costs."""
    findings = [_python(), *probe().findings(), _compiled(), _compiler(), *map(_program, PROGRAMS)]
    findings += map(_allocator, ALLOCATORS)
    if as_json:
        lacking = [finding.name for finding in findings if not finding.good]
        screen.print_json({"lacking": lacking, "findings": [asdict(finding) for finding in findings]})
        return
    shown = screen.table("What this machine offers", "piece", "", "found", "what that costs", "what to do")
    for finding in findings:
        advice = ("-", "-") if finding.good else (finding.costs, finding.hint or "-")
        screen.add(shown, finding.name, "good" if finding.good else "LACKING", finding.found, *advice)
    screen.output().print(shown)


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    costs = "quorate is not tested with it"
    return Finding("Python", found, sys.version_info >= (3, 11), costs, "install Python 3.11 or later")


def _compiled() -> Finding:
    count = len(available())
    found = f"{count} modules" if count else "none of these sources"
    costs = "each request takes more of the coordinator's CPU, each rebuild more of the keeper's"
    return Finding("compiled build", found, bool(count), costs, "make setup")


def _compiler() -> Finding:
    """With what `make setup` needs beside it: the headers of the C library and of this interpreter."""
    name = os.environ.get("CC") or sysconfig.get_config_var("CC") or "gcc"
    found = shutil.which(name.split()[0])
    pieces = {
        "gcc": found is not None,
        "libc6-dev": Path("/usr/include/stdlib.h").is_file(),
        "python3-dev": Path(sysconfig.get_path("include"), "Python.h").is_file(),
    }
    lacking = [package for package, is_there in pieces.items() if not is_there]
    headers = "its headers are missing" if found else "missing"
    costs = "`make setup` cannot compile the trusted core, which runs as pure Python: right, but slower"
    return Finding(
        "C compiler", headers if lacking else str(found), not lacking, costs, f"apt-get install {' '.join(lacking)}"
    )


def _allocator(name: str) -> Finding:
    found = find_library(name)
    costs = "examples/redis.toml and examples/redis-durable.toml cannot run"
    return Finding(name, str(found or "missing"), found is not None, costs, install_hint(name))


def _program(row: tuple[str, str, str]) -> Finding:
    name, costs, package = row
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return Finding(name, found or "missing", found is not None, costs, f"apt-get install {package}")
