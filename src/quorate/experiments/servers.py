"""The servers that a cell is compared with: one Redis alone, and one behind HAProxy in TCP mode. Neither persists.

Knows how to start them on this machine's loopback and when they are ready; knows nothing of load.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..trusted.errors import OperatorFault
from .client import encode
from .programs import Program, require_program

READY_SECONDS_MAX = 20.0
ANSWER_SECONDS_MAX = 1.0
# Another process may take a free port between our look and the server's.
PORT_TRIES = 5
# More clients than any setting of the benchmarks has; each takes two descriptors.
HAPROXY_CLIENTS_MAX = 4_000

# What is not named is HAProxy's default: as many threads as CPUs, no health checks, no log.
HAPROXY_CONFIGURATION = """\
global
    maxconn {clients_max}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen redis
    bind fd@{descriptor}
    server redis 127.0.0.1:{port}
"""


@contextmanager
def redis(directory: Path, name: str) -> Iterator[int]:
    """One redis-server without persistence, with its defaults otherwise; its port. Raises `OperatorFault`."""
    server = require_program("redis-server", "redis-server")
    for tries_left in reversed(range(PORT_TRIES)):
        port = _free_port()
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)]
        options += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
        program = Program(name, [server, *options], directory)
        try:
            _wait(program, port)
            break
        except OperatorFault:
            program.stop()
            if not tries_left:
                raise
    with program:
        yield port


@contextmanager
def haproxy(directory: Path, server_port: int) -> Iterator[int]:
    """HAProxy in TCP mode before the server at `server_port`; its own port. Raises `OperatorFault`."""
    proxy = require_program("haproxy", "haproxy")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        descriptor, port = listener.fileno(), int(listener.getsockname()[1])
        path = directory / "haproxy.cfg"
        path.write_text(
            HAPROXY_CONFIGURATION.format(clients_max=HAPROXY_CLIENTS_MAX, descriptor=descriptor, port=server_port)
        )
        program = Program("haproxy", [proxy, "-db", "-q", "-f", str(path)], directory, inherited=[descriptor])
    with program:
        _wait(program, port)
        yield port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(program: Program, port: int) -> None:
    program.until(lambda: _answers(port) or None, READY_SECONDS_MAX, "it answered")


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS_MAX) as connection:
        connection.sendall(encode([b"PING"]))
        return connection.recv(16) == b"+PONG\r\n"
    return False
