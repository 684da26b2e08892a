"""State to transfer: keys of 1 KB in the five types that Redis had first, written through a cell's front door.

Knows the Redis protocol and a port. What is written is the same on every run.
"""

import socket
from collections.abc import Iterator
from itertools import islice

from ..trusted.errors import OperatorFault
from .client import encode

KEY_BYTES = 1_000
PARTS = 4
BATCH_REQUESTS = 500
REPLY_SECONDS_MAX = 60.0


def requests(keys: int) -> Iterator[bytes]:
    """What writes so many keys: strings, lists, sets, hashes, sorted sets in turn. Each is replied to by a line."""
    for number in range(keys):
        key = b"ballast:%d" % number
        parts = [(b"%d:%d:" % (number, part)).ljust(KEY_BYTES // PARTS, b"x") for part in range(PARTS)]
        match number % 5:
            case 0:
                yield encode([b"SET", key, b"".join(parts)])
            case 1:
                yield encode([b"RPUSH", key, *parts])
            case 2:
                yield encode([b"SADD", key, *parts])
            case 3:
                yield encode([b"HSET", key, *(word for part in parts for word in (part[:16], part))])
            case _:
                yield encode(
                    [b"ZADD", key, *(word for place, part in enumerate(parts) for word in (b"%d" % place, part))]
                )


def write(port: int, keys: int) -> None:
    """Write so many keys, in pieces of `BATCH_REQUESTS`. Raises `OperatorFault` when one is not accepted."""
    wanted = requests(keys)
    with socket.create_connection(("127.0.0.1", port), REPLY_SECONDS_MAX) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := list(islice(wanted, BATCH_REQUESTS)):
            connection.sendall(b"".join(piece))
            _expect(connection, len(piece))


def _expect(connection: socket.socket, lines: int) -> None:
    replies = b""
    while replies.count(b"\r\n") < lines:
        data = connection.recv(65_536)
        if not data:
            raise OperatorFault("the cell ended the connection that wrote its state", "see its log")
        replies += data
    for line in replies.splitlines():
        if line[:1] not in (b"+", b":"):
            raise OperatorFault(f"the cell did not accept its state: {line.decode(errors='replace')}")
