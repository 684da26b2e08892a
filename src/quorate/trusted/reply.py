"""Step 5, reply: release in each client's own order. Slots are decided in order, so counting suffices."""

from .client import Client


class Reply:
    """The bytes that clients are owed this turn. `ready` holds each client that has some, once."""

    def __init__(self) -> None:
        self.ready: list[Client] = []

    def release(self, client: Client, data: bytes, count: int) -> None:
        """`data` answers the next `count` slots of `client`."""
        client.answered += count
        self._write(client, data)
        if client.held:
            self._release_held(client)

    def answer(self, client: Client, data: bytes) -> None:
        """The coordinator's own answer: it waits for the replies to what the client asked before."""
        if client.asked == client.answered:
            self._write(client, data)
        else:
            client.held.append((client.asked, data))

    def close(self, client: Client) -> None:
        """End the connection after everything that it is owed."""
        if client.asked == client.answered:
            self._close(client)
        else:
            client.held.append((client.asked, None))

    def _release_held(self, client: Client) -> None:
        while client.held and client.held[0][0] <= client.answered:
            data = client.held.popleft()[1]
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
