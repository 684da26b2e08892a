"""What each replica of a running cell holds, asked of itself and not of the coordinator.

A replica's record of a key is what state reads make of it: canonical, so that equal states are equal records.
"""

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

from quorate.domains import processes
from quorate.observe.register import running
from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, ZSET
from quorate.trusted.protocols.redis.framing import ReplyScanner
from quorate.trusted.protocols.redis.state import record_of, state_request
from quorate.trusted.protocols.redis.values import elements, payload
from tests.cell.support import RunningCell, eventually, request

DATABASES = 16
KINDS = {
    b"+string\r\n": STRING,
    b"+list\r\n": LIST,
    b"+set\r\n": SET,
    b"+hash\r\n": HASH,
    b"+zset\r\n": ZSET,
    b"+stream\r\n": STREAM,
}

State = dict[tuple[int, bytes], bytes]


class Lane:
    """A connection of our own to one replica."""

    def __init__(self, pid: int) -> None:
        # Some services put their own words, but all put their socket, into what the kernel calls their command line.
        found = re.search(r"/[^\0 ]*\.sock", Path(f"/proc/{pid}/cmdline").read_text())
        assert found is not None
        self.socket = socket.socket(socket.AF_UNIX)
        with contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            # What the service calls its socket is below its own root.
            self.socket.connect(f"/proc/{pid}/root{found[0]}")
            undo.pop_all()

    def ask(self, data: bytes, frames: int = 1) -> bytes:
        """Send requests; return their replies, of so many frames."""
        self.socket.sendall(data)
        buffer, scanner = bytearray(), ReplyScanner()
        while not scanner.scan(buffer, 0, len(buffer), 1, frames):
            piece = self.socket.recv(65_536)
            assert piece, f"closed after {bytes(buffer)!r}"
            buffer += piece
        assert scanner.end == len(buffer)
        return bytes(buffer)


def state_of(pid: int) -> State:
    """Every key of the replica that is this process: its record, by database and key."""
    lane = Lane(pid)
    found: State = {}
    with contextlib.closing(lane.socket):
        for database in range(DATABASES):
            assert lane.ask(request("SELECT", database)) == b"+OK\r\n"
            for name in map(payload, elements(lane.ask(request("KEYS", "*")))):
                found[(database, name)] = _record(lane, name)
    return found


def _record(lane: Lane, key: bytes) -> bytes:
    kind = KINDS[lane.ask(request("TYPE", key))]
    _, record, is_settled = record_of(kind, lane.ask(*state_request(key, kind)))
    assert is_settled, key
    assert record is not None, key
    return record


def states(cell: RunningCell) -> list[State]:
    """The state of each replica that votes, while nobody changes it."""
    status = cell.settled()
    return [state_of(replica.pid) for replica in status.replicas if replica.pid is not None]


def agreed_state(cell: RunningCell, replicas: int = 3) -> State:
    """The state that all replicas of a cell hold. Fails when they do not, or when one of them does not vote."""
    found = states(cell)
    assert len(found) == replicas
    for state in found[1:]:
        assert state == found[0]
    return found[0]


def service_pids(cell: RunningCell) -> dict[str, int]:
    """The process of each replica that has one, by name."""
    return {replica.name: replica.pid for replica in cell.status().replicas if replica.pid is not None}


def all_gone(pids: Iterable[int]) -> None:
    """Wait until none of these processes runs. Whoever has to reap them may take its time."""
    eventually(lambda: all(has_ended(pid) for pid in pids), f"{pids} have ended")


def has_ended(pid: int) -> bool:
    """Whether this process runs no more, reaped or not."""
    status = processes.stat(pid)
    return status is None or status.ended


def kill_everything(cell: RunningCell) -> None:
    """`kill -9` of the coordinator, its keeper and every replica."""
    cell.look()
    for pid in (cell.pid, *cell.processes_left()):
        # Some end by themselves when the coordinator has.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert cell.wait() == -signal.SIGKILL
    all_gone(cell.seen)
    assert cell.pid not in {entry.pid for entry in running(cell.environ)}
    cell.forget_clients()


def variants_of(cell: RunningCell) -> list[str]:
    """Which variant each replica is at present."""
    return [replica.variant for replica in cell.status().replicas]


def logged(cell: RunningCell, event: str, **facts: str) -> list[str]:
    """The lines of its log that tell of this event, with these facts."""
    lines = [line for line in (cell.home / "log").read_text().splitlines() if f"] {event}" in line]
    return [line for line in lines if all(re.search(rf"\b{name}=\S*{value}", line) for name, value in facts.items())]
