"""redis-benchmark as the load of all measurements: the settings, one run of it, and what it reported."""

import csv
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ..trusted.errors import OperatorFault
from .programs import bound_to_us, require_program

# redis-benchmark tries for ever to reach a server that has gone.
RUN_SECONDS_MAX = 300.0
TESTS = ("SET", "GET")


@dataclass(frozen=True, slots=True)
class Setting:
    """So many `clients`, each with `depth` requests under way; `requests` in all for each test."""

    name: str
    clients: int
    depth: int
    requests: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one test of one run reported. `p50_ms` comes in steps of 0.008 ms, the resolution of redis-benchmark."""

    test: str
    requests_per_second: float
    p50_ms: float


def put_load(port: int, setting: Setting) -> list[Report]:
    """Run all tests of `setting` against `port` of this machine, one after the other.

    Raises `OperatorFault` when redis-benchmark is missing, fails, or takes longer than `RUN_SECONDS_MAX`.
    """
    program = require_program("redis-benchmark", "redis-tools")
    options = ["-h", "127.0.0.1", "-p", str(port), "-c", str(setting.clients), "-P", str(setting.depth)]
    options += ["-n", str(setting.requests), "-t", ",".join(TESTS).lower(), "--csv"]
    command = bound_to_us([program, *options])
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise OperatorFault(f"redis-benchmark took longer than {RUN_SECONDS_MAX:g} s") from None
    if run.returncode != 0:
        raise OperatorFault(f"redis-benchmark ended with exit code {run.returncode}\n{run.stdout}{run.stderr}".rstrip())
    return read_reports(run.stdout.splitlines())


def read_reports(lines: Sequence[str]) -> list[Report]:
    """The reports in redis-benchmark's CSV. Raises `OperatorFault` when they are not those of all tests, in order."""
    try:
        rows = list(csv.DictReader(lines))
        reports = [Report(row["test"], float(row["rps"]), float(row["p50_latency_ms"])) for row in rows]
    except (KeyError, TypeError, ValueError):
        reports = []
    is_complete = tuple(report.test for report in reports) == TESTS
    if not is_complete or any(report.requests_per_second <= 0 or report.p50_ms <= 0 for report in reports):
        said = "\n".join(lines)
        raise OperatorFault(f"redis-benchmark reported what is no result\n{said}", "is it of Redis 7?")
    return reports
