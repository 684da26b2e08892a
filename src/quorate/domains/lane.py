"""How a connection reaches a service: its unix socket, found without following anything that a replica may plant.

Each component is opened with O_PATH | O_NOFOLLOW from the one before, and the socket itself is connected to through
its descriptor, so that nothing can be exchanged between the check and the use (see docs/adr/0003).
"""

import os
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOCKET_NAME = "lane.sock"
SOCKET_PATH_BYTES_MAX = 107  # sizeof sun_path, less the final zero: unix(7)

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who must have opened the listening socket: `uid`, in the PID namespace (device, inode) `namespace` if given."""

    uid: int
    namespace: tuple[int, int] | None = None


def namespace(pid: int, kind: str) -> tuple[int, int]:
    """The identity of a namespace of `pid`, such as its `pid` or `net`. Raises `OSError` when it cannot be read."""
    status = Path(f"/proc/{pid}/ns/{kind}").stat()
    return status.st_dev, status.st_ino


def descend(directory: int, names: Sequence[str]) -> int:
    """An O_PATH descriptor of the last of `names` beneath `directory`. Raises `OSError` at the first that is a link."""
    opened = os.dup(directory)
    for index, name in enumerate(names):
        wanted = os.O_DIRECTORY if index < len(names) - 1 else 0
        try:
            following = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | wanted, dir_fd=opened)
        finally:
            os.close(opened)
        opened = following
    return opened


def connect(directory: int, names: Sequence[str], peer: Peer) -> socket.socket:
    """A non-blocking stream connected to the socket `names` beneath `directory`, whose listener is `peer`.

    Raises `OSError` when there is no listener yet, no socket, a link on the way, or somebody else's socket.
    """
    found = descend(directory, names)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError(f"{'/'.join(names)} is not a socket")
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            connected.connect(f"/proc/self/fd/{found}")
            _verify(connected, peer)
        except BaseException:
            connected.close()
            raise
        return connected
    finally:
        os.close(found)


def _verify(connected: socket.socket, peer: Peer) -> None:
    pid, uid, _ = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    if uid != peer.uid:
        raise PermissionError(f"the listener belongs to user {uid}, not {peer.uid}")
    if peer.namespace is not None and namespace(pid, "pid") != peer.namespace:
        raise PermissionError(f"the listener {pid} is outside the domain")
