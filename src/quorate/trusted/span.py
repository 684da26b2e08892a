"""Spans: what the steps hand on to each other. A span is a run of consecutive slots with one owner and one form.

Most spans are *plain*: replies are compared byte for byte and passed on as they are, so neighbouring plain requests of
one client share a span, and nothing is allocated per request. A request that needs more has a span of one slot and a
`Form` that knows what.
"""

from typing import Final

from .client import Client


class Form:
    """How the replies of one slot are compared. Protocols derive from it; what happens afterwards is theirs to know.

    `is_exact` says that equal replies are equal byte for byte, and `canonical` changes nothing. `is_large`: where they
    are not, they may be as long as any reply all the same.
    """

    is_exact: bool = True
    is_large: bool = False

    def canonical(self, reply: bytes) -> bytes:
        """The canonical form of a replica's reply: equal replies in another order become equal bytes."""
        return reply


class Span:
    """Consecutive slots `first` … `first + count - 1`, asked by `owner` (None: by the cell itself).

    `requests` holds each slot's bytes as they go to the replicas. `frames` is how many reply frames one slot yields.
    `size` is the bytes of all requests. `mode` is the lane mode that the protocol wants these requests read in.
    `is_replayed`: the journal holds them already, under other slots. `ordered_at` is in nanoseconds; `awaited_at` is
    the same in the vote's time, which leaves out what the cell missed.
    """

    __slots__ = (
        "awaited_at",
        "count",
        "first",
        "form",
        "frames",
        "is_replayed",
        "is_write",
        "mode",
        "ordered_at",
        "owner",
        "requests",
        "size",
    )

    def __init__(
        self, owner: Client | None, requests: list[bytes], mode: int, is_write: bool, form: Form | None = None
    ) -> None:
        self.owner: Final = owner
        self.requests: Final = requests
        self.mode: Final = mode
        self.is_write = is_write
        self.is_replayed = False
        self.form: Final = form
        self.size = sum(len(request) for request in requests)
        self.count = len(requests)
        self.frames = 1
        self.first = 0
        self.ordered_at = 0
        self.awaited_at = 0

    @property
    def is_exact(self) -> bool:
        """Whether equal replies are equal byte for byte."""
        return self.form is None or self.form.is_exact

    def extend(self, request: bytes) -> None:
        """Add one more request of the same owner, mode and kind, before the span is ordered."""
        self.requests.append(request)
        self.size += len(request)
        self.count += 1

    def index_of(self, slot: int) -> int:
        """Which request is that of `slot`. Slots are taken from the front once decided, so count from the end."""
        return len(self.requests) + slot - self.first - self.count

    def request_at(self, slot: int) -> bytes:
        """The request of `slot`."""
        return self.requests[slot - self.first - self.count]


class Answer:
    """Bytes that the coordinator itself gives `client`, after everything that this client asked before.

    `after` is the announcement which must have been made before, as must all earlier ones; 0 for none.
    """

    __slots__ = ("after", "client", "data")

    def __init__(self, client: Client, data: bytes, after: int = 0) -> None:
        self.client: Final = client
        self.data: Final = data
        self.after: Final = after


class Announcement:
    """What clients are `told` who did not ask for it, at the place of the slot that was just decided.

    It stands behind the replies to all earlier slots and before those to later ones. `number` counts announcements in
    the order of their slots, 1, 2, 3 …; each is made, with nobody told when its slot was not decided.
    """

    __slots__ = ("number", "told")

    def __init__(self, number: int, told: list[tuple[Client, bytes]]) -> None:
        self.number: Final = number
        self.told: Final = told


class Close:
    """The end of `client`'s connection, after everything that it is owed."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client: Final = client


class Continue:
    """`client` no longer waits for an answer that took several slots: what it sent meanwhile may be read."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client: Final = client


Effect = Span | Answer | Announcement | Close | Continue
