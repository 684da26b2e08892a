"""Step 3, distribute: one stream of bytes, the same for every lane. That stream *is* the total order.

All clients share one pipelined lane per replica. What a lane must know of a request beside its bytes, its mode, is
switched in the stream itself, so that no lane ever waits for another (docs/adr/0004-one-lane.md).
"""

from .protocol import Protocol
from .span import Span

NO_MODE = -1
NOWHERE = -1

# How much may gather, and for how long, while what was sent before is undecided.
BATCH_BYTES_MAX = 64 * 1024
BATCH_WAIT_NS_MAX = 2_000_000


class Distribute:
    """Collects requests; every voting lane is sent the same bytes.

    While a batch is undecided, what comes after it gathers: slots are decided in order, so it would be decided no
    sooner, and a few large writes cost everybody less than many small ones.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._mode = NO_MODE
        self.outgoing: list[bytes] = []
        self._size = 0
        self._since = 0
        self._last_slot = 0
        self._sent_slot = 0
        self._before: list[bytes] = []
        self._is_beginning = False
        # Where in the bytes handed out last a shadow begins: what is before is not for it.
        self.begins_at = NOWHERE

    def send(self, span: Span) -> None:
        """Put the requests of `span` on all lanes."""
        if not self.outgoing:
            self._since = span.ordered_at
        if span.mode != self._mode:
            self.outgoing.append(self._protocol.switch(self._mode, span.mode))
            self._mode = span.mode
        self.outgoing += span.requests
        self._size += span.size
        self._last_slot = span.first + span.count - 1

    def is_due(self, frontier: int, now: int) -> bool:
        """Whether what gathered goes now: all sent before is decided, or it is enough, or it waited long enough."""
        if self._is_beginning:
            return True
        if not self.outgoing:
            return False
        return frontier > self._sent_slot or self._size >= BATCH_BYTES_MAX or now >= self.next_deadline()

    def next_deadline(self) -> int:
        """When what gathered has waited long enough (ns), or 0."""
        return self._since + BATCH_WAIT_NS_MAX if self.outgoing else 0

    def restart(self) -> None:
        """All lanes are new, and what gathered is wanted no more."""
        self._before.clear()
        self.outgoing.clear()
        self._size = 0
        self._mode = NO_MODE
        self._is_beginning = False
        self._sent_slot = self._last_slot

    def begin(self) -> None:
        """From here on, the bytes are for lanes too that were sent nothing yet: no mode is taken for granted."""
        self._before += self.outgoing
        self.outgoing.clear()
        self._mode = NO_MODE
        self._is_beginning = True

    def take(self) -> bytes:
        """The bytes for each lane; they are handed out once."""
        before = b"".join(self._before)
        data = before + b"".join(self.outgoing) if before else b"".join(self.outgoing)
        self.begins_at = len(before) if self._is_beginning else NOWHERE
        self._is_beginning = False
        self._before.clear()
        self.outgoing.clear()
        self._size = 0
        self._sent_slot = self._last_slot
        return data
