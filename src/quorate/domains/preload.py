"""Whether a service really has what it should preload.

The dynamic linker only warns when it cannot, and a static program ignores the wish: each would be a quiet downgrade.
"""

from collections.abc import Sequence

from . import processes
from .child import Child, until

PRELOAD_SECONDS_MAX = 10.0

# What the dynamic linker says when it goes on without one (ld.so of the GNU C library): no need to wait any longer.
COMPLAINT = "cannot be preloaded"


async def require_mapped(child: Child, pid: int, names: Sequence[str]) -> None:
    """Wait until `pid`, which `child` is or holds, has mapped the shared objects `names`.

    Raises `OperatorFault` when it has not in time: such a replica would be another variant than it says.
    """
    if not names:
        return

    def settled() -> bool | None:
        return not processes.unmapped(pid, names) or not child.alive or COMPLAINT in child.console.text() or None

    await until(settled, PRELOAD_SECONDS_MAX)
    missing = processes.unmapped(pid, names)
    if missing:
        hint = "name shared objects that its domain can read"
        raise child.fault(f"the service did not preload {', '.join(missing)}", hint)
