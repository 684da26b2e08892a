"""The cells of VM-FIT's experiment: the counter service under one of four strategies, and Redis with state to transfer.

Both are examples of this project, changed where the experiment asks for it. Text only; starts nothing.
"""

from .configuration import Document, as_toml, document
from .vmfit_schedule import STRATEGIES, Schedule

NS = 1_000_000_000
# Longer than any run: what two replicas do not decide is waited for.
NEVER_NS = 24 * 3_600 * NS
MIB = 1024 * 1024


def counter(letter: str, schedule: Schedule) -> str:
    """The counter service of examples/counter.toml under the paper's strategy A, B, C or D.

    In A nothing is recovered at all: the cell does not begin anew either, as it would once a write is given up.
    """
    changed = document("counter.toml")
    strategy = STRATEGIES[letter]
    recovery = {"strategy": strategy, "reactive": strategy != "none"}
    if strategy == "none":
        changed["limits"] = changed.get("limits", {}) | {"decision_ns_max": NEVER_NS}
    else:
        recovery["every"] = f"{schedule.every_seconds}s"
    changed["recovery"] = recovery
    return as_toml(_drilled(changed, schedule.silence_seconds))


def redis(state_bytes: int, silence_seconds: int) -> str:
    """The cell of examples/redis.toml with room for so many bytes of state; nothing is recovered without a reason."""
    changed = document("redis.toml")
    changed["recovery"] = {"strategy": "none", "reactive": True}
    changed["checkpoint"] = {"every": "1s"}
    # Redis needs about twice what its keys hold, and a rebuilt replica is not to be the one that is too small.
    room = max(512 * MIB, 3 * state_bytes)
    for variant in changed["variant"]:
        variant["memory"] = f"{room // MIB}MiB"
    changed.setdefault("limits", {})["memory_bytes_max"] = room * 3 // 4
    return as_toml(_drilled(changed, silence_seconds))


def _drilled(changed: Document, silence_seconds: int) -> Document:
    changed["cell"]["drills"] = True
    changed.setdefault("limits", {})["silence_ns_max"] = silence_seconds * NS
    return changed
