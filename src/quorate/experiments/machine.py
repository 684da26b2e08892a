"""What a measurement was made with: the facts without which its numbers mean nothing."""

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from .. import __version__, compiled
from .programs import require_program

VERSION_SECONDS_MAX = 20.0
_VERSION = re.compile(r"\d+\.\d+[\w.+~-]*")
_STATUS_BYTES = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_STOLEN = re.compile(r"^cpu(?: +\d+){7} +(\d+)", re.MULTILINE)
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """CPUs, load averages at this moment, kernel, Python, quorate, and how its trusted core would run."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "quorate": __version__,
        "trusted": core_build(),
    }


def core_build() -> str:
    """`compiled` when the `quorate` command would load the compiled build of the trusted core, else `pure`."""
    return "compiled" if compiled.available() and not os.environ.get("QUORATE_PURE") else "pure"


def versions() -> dict[str, str]:
    """Of the programs that a comparison starts. Raises `OperatorFault` when one is missing."""
    asked = (
        ("redis-server", "redis-server", "--version"),
        ("redis-benchmark", "redis-tools", "--version"),
        ("haproxy", "haproxy", "-v"),
    )
    return {name: _version(require_program(name, package), option) for name, package, option in asked}


def _version(program: str, option: str) -> str:
    run = subprocess.run([program, option], capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=False)
    found = _VERSION.search(run.stdout)
    return found[0] if found else "unknown"


def stolen_ms() -> float:
    """CPU time of all CPUs that a virtual machine wanted and its host gave to others, since boot (proc(5), `steal`).

    In steps of a clock tick, 10 ms. Stays 0 on a machine that is none, or whose host does not tell.
    """
    return int(_STOLEN.findall(Path("/proc/stat").read_text())[0]) * 1_000 / _TICKS_PER_SECOND


def memory(pid: int) -> dict[str, int]:
    """The process's resident memory now (`resident`) and at its highest since the last reset (`peak`), in bytes."""
    fields = dict(_STATUS_BYTES.findall(Path(f"/proc/{pid}/status").read_text()))
    return {"resident": int(fields["VmRSS"]) * 1024, "peak": int(fields["VmHWM"]) * 1024}


def reset_peak(pid: int) -> None:
    """Let the highest be counted from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
