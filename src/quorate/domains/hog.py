"""The commands that burn CPU for a drill, made of nothing but coreutils and sh.

A drill that everybody forgot ends by itself. In a PID namespace one command may fork, because all of it ends with the
namespace; elsewhere only a process that we started ourselves is sure to die with us, so there each loop is one.
"""

import os

HOG_SECONDS_MAX = 600

_LOOP = "while :; do :; done"
_LOOPS = f'for _ in $(seq "$1"); do ({_LOOP}) & done; wait'

# One busy loop, without a child.
BURNER = ["sh", "-c", _LOOP]


def cpus() -> int:
    """How many CPUs there are to burn."""
    return len(os.sched_getaffinity(0))


def burners() -> list[str]:
    """One command that keeps all CPUs busy for `HOG_SECONDS_MAX`, for a PID namespace of its own."""
    return ["timeout", "--signal=KILL", str(HOG_SECONDS_MAX), "sh", "-c", _LOOPS, "hog", str(cpus())]
