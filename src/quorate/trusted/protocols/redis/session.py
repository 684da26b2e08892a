"""What the coordinator keeps for one connection of the Redis protocol: no replica knows any of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ...client import Client
from ...limits import Limits
from .framing import Request, RequestFramer

if TYPE_CHECKING:
    from .base import Call


class Transaction:
    """The queue of a MULTI: calls checked and waiting for EXEC. `is_broken` says that EXEC must refuse."""

    __slots__ = ("is_broken", "queued", "size")

    def __init__(self) -> None:
        self.queued: list[Call] = []
        self.size = 0
        self.is_broken = False


class Session:
    """One connection's state: protocol version, database, MULTI queue, WATCH marks, subscriptions, waits."""

    def __init__(self, client: Client, limits: Limits, is_authenticated: bool) -> None:
        self.client = client
        self.framer = RequestFramer(limits)
        self.protocol = 2
        self.database = 0
        self.name = b""
        self.library: dict[bytes, bytes] = {}
        self.is_authenticated = is_authenticated
        self.transaction: Transaction | None = None
        self.watched: dict[tuple[int, bytes], None] = {}
        self.is_dirty = False
        # Its subscriptions' numbers, by what it is subscribed to.
        self.channels: dict[bytes, int] = {}
        self.patterns: dict[bytes, int] = {}
        self.shard_channels: dict[bytes, int] = {}
        # The last publications that were ordered before it was subscribed to anything, and while something was ended.
        self.subscribed_at = 0
        self.hears_until = 0
        # The protocol versions that it spoke before, each with the last publication that is told in it.
        self.spoken: deque[tuple[int, int]] = deque()
        # CLIENT REPLY: OFF mutes, SKIP counts down over the next request. `is_silent` holds for the present one.
        self.is_muted = False
        self.skips = 0
        self.is_silent = False
        self.is_over = False
        self.is_ordinary = is_authenticated
        # Requests that came in one piece with one whose answer takes more than one slot: they wait for it, in order.
        self.queue: deque[Request] = deque()
        self.counted_bytes = 0

    @property
    def mode(self) -> int:
        """The lane mode of its requests: protocol version and database."""
        return self.protocol << 16 | self.database

    @property
    def subscriptions(self) -> int:
        """How many channels and patterns it is subscribed to."""
        return len(self.channels) + len(self.patterns) + len(self.shard_channels)

    def protocol_at(self, published: int) -> int:
        """The protocol version in which it is told this publication."""
        for until, protocol in self.spoken:
            if published <= until:
                return protocol
        return self.protocol

    def settle(self) -> None:
        """Note whether plain requests need no second look: call it after any change of state."""
        self.is_ordinary = (
            self.is_authenticated
            and self.transaction is None
            and not self.is_muted
            and not self.skips
            and not self.is_over
            and (self.protocol == 3 or not self.subscriptions)
        )
