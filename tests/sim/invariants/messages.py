"""Subscribers hear what is published, each message once, at its place among their confirmations and their replies.

Checks every push that a listener reads, byte for byte, against the subscriptions at the moment at which its PUBLISH was
ordered. Holds with any number of faulty replicas: subscriptions never reach one.
"""

from tests.sim.invariants.base import Invariant
from tests.sim.reference import Push


class Messages(Invariant):
    """The right push at the right place."""

    def pushed(self, name: int, due: bytes | None, frame: bytes) -> None:
        """A listener got a push; it must have been `due`."""
        if frame != due:
            raise self.broken(f"listener {name} got {frame!r} instead of {due!r}")

    def ended(self) -> None:
        """Everything has been read."""
        for listener in self.world.listeners:
            conversation = listener.conversation
            if not listener.is_connected or listener.is_leaving or conversation is None:
                continue
            missed = [due.frame for due in conversation.expected if isinstance(due, Push) and due.is_due is not False]
            if missed:
                raise self.broken(f"listener {listener.name} was never told {missed}")
