"""The last steps before a domain's program runs: a script of its own, which does its work and execs away.

It knows one plan, given as JSON in its only argument, and nothing of the cell: it imports nothing but the standard
library, because it runs isolated (`python -I -S`) in a fresh process. That is why the coordinator needs no preexec_fn,
which can deadlock in a program with threads. Host privilege ends here: what is done as root is done before `drop`.
"""

import ctypes
import json
import os
import resource
import stat
import sys
from pathlib import Path
from typing import NoReturn, TypedDict

PR_SET_PDEATHSIG = 1
SIGKILL = 9
CLONE_NEWNS = 0x0002_0000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19

# Everybody has /tmp, and everything that was in it is opened before it is covered.
STAGE = "/tmp"  # noqa: S108 - covered by a mount of our own before anything is made in it

# When memory runs out, a replica is the kernel's first choice, never the coordinator.
OOM_SCORE_ADJUSTMENT = 500


class Plan(TypedDict):
    """What to do, and what to become."""

    parent: int  # the process to die with
    report: int  # a pipe: closed by the exec, or given the reason why there was none
    groups: list[str]  # the `cgroup.procs` files to enter
    stage: list[str]  # host paths to bind at /tmp/0, /tmp/1 …, in a mount namespace of our own; needs root
    limits: dict[str, int]  # resource limits by name without RLIMIT_
    uid: int | None  # the user and group to become for good, or None to stay
    directory: str
    env: dict[str, str]
    argv: list[str]


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(_libc.mount(*arguments), f"mount {source} on {target}")


def join(groups: list[str]) -> None:
    """Enter the control groups, so that all that follows is bounded."""
    for procs in groups:
        Path(procs).write_text("0", "ascii")


def stage(paths: list[str]) -> None:
    """Bind `paths` where a user who cannot traverse their parents can reach them, in this process's namespace only."""
    if not paths:
        return
    _check(_libc.unshare(CLONE_NEWNS), "unshare the mount namespace")
    _mount("none", "/", "", MS_REC | MS_SLAVE)
    opened = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths]
    _mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m")
    for index, descriptor in enumerate(opened):
        target = f"{STAGE}/{index}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            Path(target).mkdir(0o755)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{descriptor}", target, "", MS_BIND | MS_REC)


def bound(limits: dict[str, int]) -> None:
    """Lower the resource limits, hard and soft, never above what is already in force."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bounded, bounded))


def drop(uid: int | None) -> None:
    """Become `uid` for good, with the group of the same number and no other; it keeps its own console."""
    if uid is None:
        return
    os.fchown(1, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def die_with(parent: int) -> None:
    """Be killed when the thread that started us ends. After `drop`: a change of user clears this."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os._exit(1)


def become(plan: Plan) -> NoReturn:
    """Carry out `plan`. Raises `OSError` when a step fails."""
    os.set_inheritable(plan["report"], False)
    os.umask(0o022)
    Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJUSTMENT), "ascii")
    join(plan["groups"])
    stage(plan["stage"])
    bound(plan["limits"])
    drop(plan["uid"])
    die_with(plan["parent"])
    os.chdir(plan["directory"])
    try:
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])  # noqa: S606 - to become the program is the purpose
    except OSError as error:
        raise OSError(error.errno, error.strerror, plan["argv"][0]) from error


def main() -> None:
    """Carry out the plan in the first argument, or report why not and exit with 125."""
    plan: Plan = json.loads(sys.argv[1])
    try:
        become(plan)
    except (OSError, ValueError) as error:
        os.write(plan["report"], str(error).encode()[:4096])
        os._exit(125)


if __name__ == "__main__":
    main()
