"""What the sweep could not read, and why: while there is any, there is no checkpoint.

A key that is too long, that is no abstract state, on which no f+1 replicas agree, or whose read they do not survive.
Knows places (database and key) and reasons, not spans.
"""

from typing import Final

Place = tuple[int, bytes]

# How many times in a row a key may be read without f+1 equal replies: the replicas then hold different states of it.
UNDECIDED_MAX: Final = 3
DISAGREED: Final = "the replicas do not agree on its state"
TOO_LONG: Final = "its state is over the limit of one reply"
NO_STATE: Final = "it holds what is no abstract state"
# How many times in a row its read alone may be the last that replicas are asked, and how long it is not tried again.
DEADLY_MAX: Final = 3
DEADLY: Final = "the replicas do not survive its read"
DEADLY_NS_MAX: Final = 600_000_000_000


class Unreadable:
    """`places` are the unreadable keys with their reasons; the empty key stands for which keys there are, and how many.

    `is_told` says whether something was found since a checkpoint was wanted last.
    """

    def __init__(self) -> None:
        self.places: dict[Place, str] = {}
        self.is_told = False
        self._found: list[tuple[Place, str]] = []
        # How many times in a row a key was read, and keys were counted or listed, without f+1 equal replies.
        self._undecided: dict[Place, int] = {}
        self._uncounted: dict[int, int] = {}
        # What was read alone and not decided since all replicas began, and when (ns).
        self._alone: tuple[Place, int] | None = None
        # How many times in a row that was so when they ended, and when last.
        self._fatal: dict[Place, tuple[int, int]] = {}

    def restart(self) -> None:
        """All replicas are new, and may agree. Those before may have ended over what was read alone."""
        if self._alone is not None:
            place, at = self._alone
            self._fatal[place] = (self._fatal.get(place, (0, 0))[0] + 1, at)
        self._alone = None
        self._undecided = {}
        self._uncounted = {}
        self.places = {place: reason for place, reason in self.places.items() if reason != DISAGREED}

    def read(self, place: Place) -> None:
        """It was read."""
        self.places.pop(place, None)
        self._undecided.pop(place, None)

    def survived(self, place: Place) -> None:
        """What it holds was told."""
        self._alone = None
        self._fatal.pop(place, None)

    def closed(self, place: Place, is_alone: bool, now: int) -> None:
        """It was read without f+1 equal replies, and with nothing beside if it `is_alone`."""
        self._undecided[place] = self._undecided.get(place, 0) + 1
        if self._undecided[place] >= UNDECIDED_MAX:
            self.give_up(place, DISAGREED)
        if is_alone:
            self._alone = (place, now)

    def is_deadly(self, place: Place, now: int) -> bool:
        """Whether the replicas may not survive that this is read, so that only what it is may be asked."""
        times, at = self._fatal.get(place, (0, 0))
        return times >= DEADLY_MAX and now - at < DEADLY_NS_MAX

    def counted(self, database: int, is_decided: bool) -> None:
        """As `closed`, or not, for which keys there are, and how many."""
        place = (database, b"")
        if not is_decided:
            self._uncounted[database] = self._uncounted.get(database, 0) + 1
            if self._uncounted[database] >= UNDECIDED_MAX:
                self.give_up(place, DISAGREED)
            return
        self._uncounted.pop(database, None)
        if self.places.get(place) == DISAGREED:
            del self.places[place]

    def give_up(self, place: Place, reason: str) -> None:
        """It cannot be read, for this reason."""
        if place not in self.places:
            self.places[place] = reason
            self.report(place, reason)

    def report(self, place: Place, reason: str) -> None:
        """Whoever waits for a checkpoint is to be told this."""
        self._found.append((place, reason))
        self.is_told = True

    def remind(self) -> None:
        """There is no checkpoint. If that is for something unreadable, whoever waits is told, each time anew."""
        if not self.is_told:
            self._found += list(self.places.items())[:1]

    def found(self) -> list[tuple[Place, str]]:
        """What is to be told and was not asked for yet, each with the reason."""
        found, self._found = self._found, []
        return found

    def clear(self, database: int) -> None:
        """Nothing is left in this database."""
        for place in list(self.places):
            if place[0] == database:
                del self.places[place]
