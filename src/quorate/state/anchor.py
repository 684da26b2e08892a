"""What a checkpoint says of the journal beside it, and what a journal that is opened is told of the checkpoint. Values.

The rule by which the two belong together is in journal_belonging.py.
"""

from struct import Struct
from typing import NamedTuple

# A process that opens a journal is one of its *writers*, by this many random bytes.
WRITER_BYTES = 16
NO_WRITER = bytes(WRITER_BYTES)
SEAL_BYTES = 16
NO_SEAL = bytes(SEAL_BYTES)

_ANCHOR = Struct(f">{WRITER_BYTES}s{WRITER_BYTES}sQQQ")
ANCHOR_BYTES = _ANCHOR.size


class Anchor(NamedTuple):
    """How the journal stood when a checkpoint was asked for.

    `writer` is whose process that was. What it went on with was `predecessor`'s at its end, and ended with record
    `continued`. `synced` records were durable, and the checkpoint holds the writes of no more than `number` records.
    """

    writer: bytes
    predecessor: bytes
    continued: int
    synced: int
    number: int

    def encode(self) -> bytes:
        """As many bytes as `ANCHOR_BYTES`."""
        return _ANCHOR.pack(*self)


NO_ANCHOR = Anchor(NO_WRITER, NO_WRITER, 0, 0, 0)


def decode_anchor(data: bytes) -> Anchor:
    """The anchor that `encode` made these bytes of: `ANCHOR_BYTES`."""
    return Anchor(*_ANCHOR.unpack(data))


class Base(NamedTuple):
    """The checkpoint that a process finds in the state store: `seal` is the digest of all of it."""

    slot: int
    seal: bytes
    anchor: Anchor

    @property
    def name(self) -> bytes:
        """What tells it from all others. Stores without any write are one like the other, whoever made them."""
        return self.seal if self.slot else NO_SEAL


EMPTY = Base(0, NO_SEAL, NO_ANCHOR)
