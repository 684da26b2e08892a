"""What this machine offers to domains, found out by trying, and what each missing piece costs.

Used by `quorate doctor` and, for its errors, by the domains. It must change nothing that outlives it.
"""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from quorate.trusted.errors import OperatorFault

from . import bubblewrap, cgroup, syscalls

TRY_SECONDS_MAX = 20.0

# Kernels from this one on count RLIMIT_NPROC by user namespace.
NAMESPACE_COUNT_KERNEL = (5, 14)

# Where distributions switch user namespaces off: file, the value that does it, what to do about it.
USER_NAMESPACE_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give bwrap an AppArmor profile",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece: what was `found`, whether it is `good`, and otherwise what that `costs` and what to do."""

    name: str
    found: str
    good: bool
    costs: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this machine offers. `controllers` are the writable ones, name → version of the cgroup interface."""

    bubblewrap: str | None
    bubblewrap_version: str
    user_namespaces: bool
    unprivileged: bool
    controllers: dict[str, int]
    seccomp: bool
    memory_bytes: int
    cpus: int
    why_no_sandbox: str = ""

    def findings(self) -> list[Finding]:
        """One line each for people."""
        return [self._bubblewrap(), self._user_namespaces(), self._seccomp(), *self._controllers(), *self._machine()]

    def _bubblewrap(self) -> Finding:
        found = f"{self.bubblewrap_version} at {self.bubblewrap}" if self.bubblewrap else "missing"
        costs = "no sandbox domains: replicas can only run unprotected, in process domains"
        return Finding("bubblewrap", found, self.bubblewrap is not None, costs, "apt-get install bubblewrap")

    def _user_namespaces(self) -> Finding:
        who = "as an ordinary user" if self.unprivileged else "by root, for users of its own"
        found = f"usable {who}" if self.user_namespaces else self.why_no_sandbox or "not usable"
        costs = "no sandbox domains: bubblewrap cannot isolate without them"
        return Finding("user namespaces", found, self.user_namespaces, costs, user_namespaces_hint())

    def _seccomp(self) -> Finding:
        found = "the filter can be built" if self.seccomp else "libseccomp is missing"
        costs = "no sandbox domains: they never start without their filter"
        return Finding("seccomp", found, self.seccomp, costs, "apt-get install libseccomp2")

    def _controllers(self) -> list[Finding]:
        costs = {
            "memory": "a sandbox's memory is bounded by process, not as a whole",
            "pids": "a sandbox's processes are bounded by user, not as a group",
            "cpu": "a replica that burns CPU slows the others down",
        }
        hint = "start quorate in a delegated group: systemd-run --user --scope -p Delegate=yes quorate …"
        return [
            Finding(
                f"cgroup {name}",
                f"v{self.controllers[name]}, writable" if name in self.controllers else "not writable",
                name in self.controllers,
                cost,
                hint,
            )
            for name, cost in costs.items()
        ]

    def _machine(self) -> list[Finding]:
        mib = self.memory_bytes // (1024 * 1024)
        few = "replicas and coordinator take turns on one CPU: everything is slower"
        return [
            Finding("memory", f"{mib} MiB", mib >= 512, "a cell of three replicas may not fit", "add memory"),
            Finding("cpus", str(self.cpus), self.cpus >= 2, few, "add CPUs"),
        ]


def require_bubblewrap() -> str:
    """Where bubblewrap is. Raises `OperatorFault` when it is missing."""
    found = shutil.which("bwrap")
    if found is None:
        raise OperatorFault(
            "sandbox domains need bubblewrap: there is no program `bwrap`", "apt-get install bubblewrap"
        )
    return found


def user_namespaces_hint() -> str:
    """How to allow user namespaces where a switch is known to forbid them; empty when none does."""
    for path, value, remedy in USER_NAMESPACE_SWITCHES:
        try:
            if Path(path).read_text("ascii").strip() == value:
                return f"user namespaces are disabled here ({path} is {value}): {remedy}"
        except OSError:
            continue
    return ""


@cache
def counts_processes_by_namespace() -> bool:
    """Whether the kernel counts a user's processes in each user namespace by themselves."""
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= NAMESPACE_COUNT_KERNEL


def _version(program: str) -> str:
    run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=TRY_SECONDS_MAX, check=False)
    return run.stdout.strip().removeprefix("bubblewrap ")


def _try_sandbox(program: str) -> str:
    """Why an empty sandbox cannot be made here; empty when it can."""
    command = [program, *bubblewrap.options([*bubblewrap.system_mounts()], {}), "--", "/usr/bin/true"]
    run = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=TRY_SECONDS_MAX, check=False
    )
    return "" if run.returncode == 0 else run.stderr.strip() or f"bubblewrap ended with {run.returncode}"


def _seccomp() -> bool:
    try:
        return bool(syscalls.program())
    except OperatorFault:
        return False


def probe() -> Capabilities:
    """Find out what this machine offers. Takes some tens of milliseconds; starts programs and waits for them."""
    program = shutil.which("bwrap")
    why = _try_sandbox(program) if program else "needs bubblewrap to be tried"
    return Capabilities(
        bubblewrap=program,
        bubblewrap_version=_version(program) if program else "",
        user_namespaces=not why,
        unprivileged=os.geteuid() != 0,
        controllers={name: place.version for name, place in cgroup.places().items()},
        seccomp=_seccomp(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cpus=len(os.sched_getaffinity(0)),
        why_no_sandbox=why,
    )
