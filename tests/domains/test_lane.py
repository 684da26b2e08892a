"""A lane follows nothing that a replica may plant, and speaks to nobody but the replica."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.domains import lane
from tests.domains.harness import short_directory

PEER = lane.Peer(os.geteuid())


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a listening socket at a/b/lane.sock."""
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        (directory / "a" / "b").mkdir(parents=True)
        listener.bind(str(directory / "a" / "b" / "lane.sock"))
        listener.listen()
        yield directory


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def connect(directory: Path, path: str, peer: lane.Peer = PEER) -> None:
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    before = open_descriptors()
    try:
        with lane.connect(opened, path.split("/"), peer) as connected:
            assert not connected.getblocking()
            assert not connected.get_inheritable()
    finally:
        assert open_descriptors() == before, "a descriptor leaked"
        os.close(opened)


def test_it_reaches_the_socket(place: Path) -> None:
    connect(place, "a/b/lane.sock")


def test_links_are_refused_in_every_place(place: Path) -> None:
    (place / "a" / "link").symlink_to("b")
    (place / "a" / "b" / "link.sock").symlink_to("lane.sock")
    (place / "absolute").symlink_to(place / "a" / "b" / "lane.sock")
    for path in ("a/link/lane.sock", "a/b/link.sock", "absolute"):
        with pytest.raises(OSError, match=r"is not a socket|Not a directory|symbolic"):
            connect(place, path)


def test_what_is_no_socket_is_refused(place: Path) -> None:
    (place / "file").write_text("")
    os.mkfifo(place / "fifo")
    for path in ("file", "fifo", "a"):
        with pytest.raises(OSError, match="is not a socket"):
            connect(place, path)
    with pytest.raises(FileNotFoundError):
        connect(place, "a/b/later.sock")


def test_somebody_elses_listener_is_refused(place: Path) -> None:
    with pytest.raises(PermissionError, match="belongs to user"):
        connect(place, "a/b/lane.sock", lane.Peer(os.geteuid() + 1))
    with pytest.raises(PermissionError, match="outside the domain"):
        connect(place, "a/b/lane.sock", lane.Peer(os.geteuid(), (0, 0)))
    connect(place, "a/b/lane.sock", lane.Peer(os.geteuid(), lane.namespace(os.getpid(), "pid")))
