"""Where this user's state and running cells live, by the XDG base directory specification.

Knows the environment and nothing of configurations. Creates nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path

# A UNIX socket's path ends at 107 bytes; the longest name in this directory is `<cell of 32>-<pid of 7>.sock`.
SOCKET_PATH_BYTES_MAX = 107
SOCKET_NAME_BYTES_MAX = 46


def state_home(environ: Mapping[str, str]) -> Path:
    """The directory under which every cell keeps its state unless the configuration says otherwise."""
    configured = environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore a relative path.
    if configured.startswith("/"):
        return Path(configured, "quorate")
    return Path(environ.get("HOME") or Path.home(), ".local", "state", "quorate")


def runtime_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where running cells register, best first: a new cell uses the first, a reader looks in all of them.

    A cell started in a login session must be found from one without XDG_RUNTIME_DIR as well, hence several.
    """
    uid = os.getuid()
    bases = [Path(environ.get("XDG_RUNTIME_DIR", "")), Path(f"/run/user/{uid}")]
    usable = [base / "quorate" for base in bases if base.is_absolute() and _is_own_directory(base, uid)]
    usable = [path for path in usable if len(os.fsencode(path)) + 1 + SOCKET_NAME_BYTES_MAX <= SOCKET_PATH_BYTES_MAX]
    return (*dict.fromkeys(usable), Path(f"/tmp/quorate-{uid}"))  # noqa: S108 - whoever uses it checks its owner and mode


def _is_own_directory(path: Path, uid: int) -> bool:
    try:
        return path.is_dir() and path.stat().st_uid == uid and os.access(path, os.W_OK)
    except OSError:
        return False
