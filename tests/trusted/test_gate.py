"""The gate: what clients are told waits for the disk, and keeps its order."""

from quorate.trusted.client import Client
from quorate.trusted.gate import Gate, Held


class Door:
    """A gate with a disk that is told how far it got."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.durable = 0

    def holds(self, slot: int, *clients: Client) -> None:
        self.gate.hold(slot, list(clients))

    def syncs(self, slot: int) -> list[tuple[int, bytes]]:
        """What goes when the disk holds everything up to `slot`."""
        self.durable = slot
        return [told(held) for held in self.gate.release(lambda until: until <= self.durable)]


def told(held: Held) -> tuple[int, bytes]:
    return held.client.number, b"".join(held.parts) + (b"|" if held.is_closing else b"")


def client(number: int, *parts: bytes) -> Client:
    new = Client(number, "test")
    new.out = list(parts)
    return new


def test_what_is_held_goes_when_its_slot_is_durable() -> None:
    door = Door()
    ann, bob = client(1, b"+a", b"b"), client(2, b"+c")
    assert door.gate.is_empty
    door.holds(7, ann, bob)
    assert (ann.out, bob.out) == ([], [])
    assert (door.gate.is_empty, door.gate.size) == (False, 5)
    assert door.syncs(6) == []
    assert door.syncs(7) == [(1, b"+ab"), (2, b"+c")]
    assert (door.gate.is_empty, door.gate.size) == (True, 0)
    assert door.syncs(8) == []


def test_what_came_later_goes_later_though_it_waits_for_nothing_more() -> None:
    door = Door()
    ann = client(1, b"+1")
    door.holds(5, ann)
    ann.out = [b"+2"]
    door.holds(5, ann)
    ann.out = [b"+3"]
    door.holds(9, ann, client(2, b"+x"))
    assert door.gate.size == 8
    assert door.syncs(5) == [(1, b"+1"), (1, b"+2")]
    assert door.gate.size == 4
    assert door.syncs(9) == [(1, b"+3"), (2, b"+x")]


def test_the_end_of_a_connection_waits_too() -> None:
    door = Door()
    ann = client(1)
    ann.is_closing = True
    door.holds(1, ann)
    assert door.gate.size == 0
    assert not door.gate.is_empty
    assert door.syncs(1) == [(1, b"|")]
