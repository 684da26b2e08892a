"""Step 5, reply: release in each client's own order. Slots are decided in order, so counting suffices.

What is announced to a client is written when its slot is decided: the replies to earlier slots are out by then. Only an
answer of the coordinator's own could be too early, and is held until what was to be announced before it is.
"""

from collections import deque

from .client import Client
from .span import Announcement


class Reply:
    """The bytes that clients are owed this turn. `ready` holds each client that has some, once."""

    def __init__(self) -> None:
        self.ready: list[Client] = []
        self._announced = 0
        # Who is held an answer for an announcement, by its number.
        self._waiting: deque[tuple[int, Client]] = deque()

    def release(self, client: Client, data: bytes, count: int) -> None:
        """`data` answers the next `count` slots of `client`."""
        client.answered += count
        self._write(client, data)
        if client.held:
            self._release_held(client)

    def answer(self, client: Client, data: bytes, after: int = 0) -> None:
        """The coordinator's own answer: it waits for the replies to what the client asked before.

        It waits for announcement `after` too, if that is still to be made.
        """
        if client.asked == client.answered and after <= self._announced and not client.held:
            self._write(client, data)
            return
        client.held.append((client.asked, after, data))
        if after > self._announced:
            self._waiting.append((after, client))

    def announce(self, announcement: Announcement) -> None:
        """A slot was decided that others are told of: now, and then whatever was held for that."""
        for client, data in announcement.told:
            self._write(client, data)
        self._announced = announcement.number
        while self._waiting and self._waiting[0][0] <= self._announced:
            self._release_held(self._waiting.popleft()[1])

    def close(self, client: Client) -> None:
        """End the connection after everything that it is owed."""
        if client.asked == client.answered and not client.held:
            self._close(client)
        else:
            client.held.append((client.asked, 0, None))

    def _release_held(self, client: Client) -> None:
        held = client.held
        while held and held[0][0] <= client.answered and held[0][1] <= self._announced:
            data = held.popleft()[2]
            if data is None:
                self._close(client)
            else:
                self._write(client, data)

    def _write(self, client: Client, data: bytes) -> None:
        if client.is_gone or client.is_closing:
            return
        if not client.out:
            self.ready.append(client)
        client.out.append(data)

    def _close(self, client: Client) -> None:
        if not client.out and not client.is_gone:
            self.ready.append(client)
        client.is_closing = True
