"""A client's connection, as the core sees it: what it is owed, in its own order. Knows no socket."""

from collections import deque


class Client:
    """One connection. `number` is unique in the cell's life; `address` is for people.

    `asked` and `answered` count what was put in this client's order and what was released, so that an answer given by
    the coordinator waits for the replies of the slots before it; `held` are those answers, with how much must have been
    answered before, and which announcement made. `inbox` holds bytes that had to wait; `is_waiting` says that an answer
    takes more than one slot, and nothing later of this client may be read before it. Who `is_ending` sends no more, and
    is closed after what it is owed.
    """

    __slots__ = (
        "address",
        "answered",
        "asked",
        "held",
        "inbox",
        "is_closing",
        "is_ending",
        "is_gone",
        "is_waiting",
        "number",
        "out",
        "session",
    )

    def __init__(self, number: int, address: str) -> None:
        self.number = number
        self.address = address
        self.asked = 0
        self.answered = 0
        self.held: deque[tuple[int, int, bytes | None]] = deque()
        self.out: list[bytes] = []
        self.inbox: list[bytes] = []
        self.is_closing = False
        self.is_ending = False
        self.is_gone = False
        self.is_waiting = False
        self.session: object = None

    @property
    def pending(self) -> int:
        """How many answers this client still waits for: of slots, and the coordinator's own behind them."""
        return self.asked - self.answered + len(self.held)
