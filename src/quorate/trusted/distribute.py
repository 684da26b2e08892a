"""Step 3, distribute: one stream of bytes, the same for every lane. That stream *is* the total order.

All clients share one pipelined lane per replica. What a lane must know of a request beside its bytes, its mode, is
switched in the stream itself, so that no lane ever waits for another (docs/adr/0004-one-lane.md).
"""

from .protocol import Protocol
from .span import Span

NO_MODE = -1


class Distribute:
    """Collects one turn's requests; every voting lane is sent the same bytes."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._mode = NO_MODE
        self.outgoing: list[bytes] = []

    def send(self, span: Span) -> None:
        """Put the requests of `span` on all lanes."""
        if span.mode != self._mode:
            self.outgoing.append(self._protocol.switch(self._mode, span.mode))
            self._mode = span.mode
        self.outgoing += span.requests

    def take(self) -> bytes:
        """This turn's bytes for each lane; they are handed out once."""
        data = b"".join(self.outgoing)
        self.outgoing.clear()
        return data
