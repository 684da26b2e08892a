"""What the core needs of a protocol: the seam behind which Redis, the SDK and later protocols stand.

A protocol turns a client's bytes into effects, finds where replies end, and knows what equal replies are. It holds all
connection state. It never talks to a replica by itself: what must be executed becomes a `Span`.
"""

from .changes import Change, Changes, Part
from .client import Client
from .span import Effect, Span


class Scanner:
    """Finds the ends of replies in one lane's bytes, picking up inside the first reply where it stopped.

    A *unit* is what one slot yields: one or more reply frames. The buffer always begins at a unit. `end` is the offset
    after the last complete unit that was found. `is_garbage` says that what follows is no reply, and never will be.
    """

    def __init__(self) -> None:
        self.end = 0
        self.is_garbage = False

    def fresh(self) -> "Scanner":
        """Another scanner of the same kind, with nothing read."""
        raise NotImplementedError

    def scan(self, buffer: bytearray, start: int, limit: int, units: int, frames: int) -> int:
        """Find up to `units` units of `frames` frames each in `buffer[start:limit]`; return how many are complete."""
        raise NotImplementedError

    def skip(self, buffer: bytearray) -> bool:
        """Throw away the unit under way as far as it is in `buffer`; whether it ended."""
        raise NotImplementedError

    def shift(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole units, are gone."""
        raise NotImplementedError


class Protocol:
    """One protocol's dialect, with the state of all its connections. `changes` is where it notes what writes change."""

    changes: Changes

    def scanner(self) -> Scanner:
        """A new scanner, for one lane."""
        raise NotImplementedError

    def probe(self) -> tuple[bytes, bytes]:
        """A request that any ready replica answers at once, without a trace, and that answer."""
        raise NotImplementedError

    def memory_measured(self, is_full: bool) -> None:
        """Whether the replicas' memory is at its limit, so that writes which may grow it are to be refused."""
        raise NotImplementedError

    def journal_measured(self, is_full: bool, is_spent: bool) -> None:
        """Whether the journal has no room on its disk, so that all writes are to be refused.

        `is_spent`: it has not even room for writes of the cell's own, so that none is to be ordered.
        """
        raise NotImplementedError

    def setup(self) -> tuple[bytes, int]:
        """What each lane is sent before its first slot, and how many reply frames that yields, none an error."""
        raise NotImplementedError

    def is_refusal(self, reply: bytes) -> bool:
        """Whether a reply to the lane's setup says that the replica cannot serve."""
        raise NotImplementedError

    def switch(self, old: int, new: int) -> bytes:
        """What turns a lane from mode `old` (-1: just opened) to mode `new`; yields no reply."""
        raise NotImplementedError

    def connected(self, client: Client, now: int) -> None:
        """A client came: give it a session."""
        raise NotImplementedError

    def read(self, client: Client, data: bytes, now: int) -> list[Effect]:
        """A client's bytes arrived; `b""` continues with bytes kept before. What follows from them, in order."""
        raise NotImplementedError

    def is_parked(self, client: Client) -> bool:
        """Whether a client waits for what others may do, and nothing is under way for it."""
        raise NotImplementedError

    def left(self, client: Client, now: int) -> None:
        """A client went: forget all that was kept for it."""
        raise NotImplementedError

    def finish(self, span: Span, reply: bytes, now: int, effects: list[Effect]) -> bytes:
        """The slot of `span`, which has a form, was decided; `reply` is canonical.

        Returns what the owner is told, and appends what follows to `effects`.
        """
        raise NotImplementedError

    def abandon(self, span: Span, slot: int, reason: str, now: int, effects: list[Effect]) -> bytes:
        """`slot` of `span` was closed without a decision. Returns the error that the owner is told."""
        raise NotImplementedError

    def refuse(self, client: Client, data: bytes, reason: str, now: int) -> list[Effect]:
        """Answer all requests in `data` with an error: the cell cannot decide anything."""
        raise NotImplementedError

    def next_deadline(self, is_lost: bool = False) -> int:
        """When the protocol wants to be woken (ns), or 0. `is_lost`: the cell cannot decide anything."""
        raise NotImplementedError

    def woken(self, now: int, lost: str = "") -> list[Effect]:
        """Time passed: what follows from it.

        `lost` says why the cell cannot decide anything, after that was told outside, and nobody began to mend it.
        """
        raise NotImplementedError

    # Abstract state (docs/adr/0009-state-by-vote.md).

    def read_state(self, keys: list[Change]) -> list[Span]:
        """Spans of the cell's own that read the state of these keys, in this order."""
        raise NotImplementedError

    def state_asked(self, span: Span, first: int, count: int) -> list[Change]:
        """The keys that `count` slots of `span` from `first` on asked for."""
        raise NotImplementedError

    def take_state(self, span: Span, first: int, count: int, data: bytes) -> list[Part]:
        """What `data`, agreed for `count` slots of `span` from `first` on, told of their keys."""
        raise NotImplementedError

    def count_state(self, database: int) -> Span:
        """A span of the cell's own that asks how many keys `database` has."""
        raise NotImplementedError

    def counted(self, data: bytes) -> int | None:
        """The number that such a span was answered, or None if it was an error."""
        raise NotImplementedError

    def list_state(self, database: int) -> Span:
        """A span of the cell's own that asks for the names of all keys of `database`."""
        raise NotImplementedError

    def listed(self, data: bytes) -> list[bytes] | None:
        """The names that such a span was answered, or None if it was an error."""
        raise NotImplementedError

    def extras(self) -> bytes:
        """What belongs to the state and is in no key, for `adopt_extras`."""
        raise NotImplementedError

    def adopt_extras(self, extras: bytes) -> None:
        """The cell starts from kept state, with these extras. Raises `ValueError` if nobody can have written them."""
        raise NotImplementedError

    def adopt_extra(self, extra: bytes) -> None:
        """What the journal says that a write brought into the state, beside keys."""
        raise NotImplementedError

    def unknown_in(self, request: bytes) -> str:
        """The command in this request of the journal's that some variant does not know, or nothing."""
        raise NotImplementedError

    def learn(self, database: int, key: bytes, held: int) -> None:
        """The cell starts from kept state, in which `key` has the deadline `held`, as replicas hold it (ms)."""
        raise NotImplementedError
