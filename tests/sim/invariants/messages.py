"""Subscribers hear what is published, each message once, in the order of its slots, and between their confirmations.

Checks every push that a listener reads, byte for byte, against the subscriptions at the moment of each decision.
Holds with any number of faulty replicas: subscriptions never reach one. Cannot see where pushes stand among replies.
"""

from tests.sim.invariants.base import Invariant


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
            if listener.is_connected and not listener.is_leaving and conversation is not None and conversation.pushes:
                raise self.broken(f"listener {listener.name} was never told {list(conversation.pushes)}")
