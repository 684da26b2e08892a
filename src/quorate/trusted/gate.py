"""The gate: what clients are told waits until all slots before it are durable (journal sync `always`).

Each turn's replies are held together, and let out in their order, so that group commit costs no client its place.
Knows no disk: it is told up to which slot the journal is durable.
"""

from collections import deque
from collections.abc import Callable

from .client import Client


class Held:
    """What one client is told: `parts`, and then, if it `is_closing`, the end of its connection."""

    __slots__ = ("client", "is_closing", "parts", "size")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.parts = client.out
        self.size = sum(map(len, client.out))
        self.is_closing = client.is_closing
        client.out = []


class Gate:
    """Replies by the slot that must be durable before they are released. `size` is what is held, in bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._turns: deque[tuple[int, list[Held]]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, so that nothing that comes now would overtake anything."""
        return not self._turns

    def hold(self, slot: int, clients: list[Client]) -> None:
        """Hold what `clients` are told until `slot` is durable, and all that was held before is released."""
        held = [Held(client) for client in clients]
        self.size += sum(one.size for one in held)
        self._turns.append((slot, held))

    def release(self, is_durable: Callable[[int], bool]) -> list[Held]:
        """More became durable, `is_durable` says up to which slot: what may go now, in its order."""
        released: list[Held] = []
        while self._turns and is_durable(self._turns[0][0]):
            released += self._turns.popleft()[1]
        self.size -= sum(one.size for one in released)
        return released
