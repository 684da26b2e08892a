"""What a replica is expected to reply to a feed: compared to the byte where that can be foretold, else framed and read.

Replies are looked at where they lie in the buffer they were received in. What of a reply comes too late for that is
gathered apart, within a bound. The first wrong byte raises `FeedFault`, which names the key.
"""

from ..trusted.limits import KIB
from .dialects import StateDialect
from .faults import FeedFault
from .rows import name_of

SHOWN_BYTES_MAX = 100
# How long a reply to a request that changes something may be: an OK, a number, an entry's identifier, an error.
ACKNOWLEDGEMENT_BYTES_MAX = 4 * KIB
# How much longer than its record a unit may be (streams tell of pending entries twice, and of times), and beside.
UNIT_FACTOR_MAX = 16
UNIT_SLACK_BYTES = 64 * KIB


# A key whose unit a replica tells in an order of its own: database, key, kind, and the unit in canonical form.
Unit = tuple[int, bytes, int, bytes]
# What replies are about: database, key (None: its number of keys), and how many replies, or bytes of them. A plain
# tuple, because every row has two.
Subject = tuple[int, bytes | None, int]


class Expectation:
    """Replies to come. `size` is what they take of what may be under way, in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_done = False

    def take(self, buffer: bytearray, start: int, end: int) -> int:
        """Hold `buffer[start:end]` against it; how much of it belonged to these replies. At least one byte is there.

        Raises `FeedFault` when the replies are wrong.
        """
        raise NotImplementedError


class Exact(Expectation):
    """`expected`, byte for byte: one comparison of memory for each piece that comes. `subjects` lie in it in turn."""

    def __init__(self, expected: bytes, subjects: list[Subject]) -> None:
        super().__init__(len(expected))
        self._expected = expected
        self._subjects = subjects
        self._position = 0

    def take(self, buffer: bytearray, start: int, end: int) -> int:
        """Compare the next piece."""
        size = min(end - start, len(self._expected) - self._position)
        with memoryview(buffer)[start : start + size] as piece:
            if not self._expected.startswith(piece, self._position):
                raise self._fault(bytes(piece))
        self._position += size
        self.is_done = self._position == len(self._expected)
        return size

    def _fault(self, piece: bytes) -> FeedFault:
        due = self._expected[self._position : self._position + len(piece)]
        equal = _equal(piece, due)
        return differs(name_at(self._subjects, self._position + equal), piece, due, equal)


class Framed(Expectation):
    """`units` units of `frames` reply frames each, whose bytes are not known beforehand.

    A unit has `_unit_bytes_max` bytes at most. `_at_once` units at most are accepted in one go.
    """

    def __init__(self, dialect: StateDialect, units: int, frames: int, unit_bytes_max: int, size: int) -> None:
        super().__init__(size)
        self._scanner = dialect.scanner()
        self._units = units
        self._frames = frames
        self._unit_bytes_max = unit_bytes_max
        self._at_once = units
        self._partial = bytearray()

    def take(self, buffer: bytearray, start: int, end: int) -> int:
        """Take whole units from where they lie; begin to gather one that is not whole."""
        if self._partial:
            return self._complete(buffer, start, end)
        found = self._scanner.scan(buffer, start, end, min(self._units, self._at_once), self._frames)
        if found:
            stop = self._scanner.end
            self._accept_units(bytes(buffer[start:stop]), found)
            return stop - start
        gathered = self._gather(buffer, start, end)
        self._check()
        return gathered

    def _complete(self, buffer: bytearray, start: int, end: int) -> int:
        before = len(self._partial)
        gathered = self._gather(buffer, start, end)
        if not self._scanner.scan(self._partial, 0, len(self._partial), 1, self._frames):
            self._check()
            return gathered
        stop = self._scanner.end
        unit = bytes(self._partial[:stop])
        self._partial.clear()
        self._scanner.shift(stop)
        self._accept_units(unit, 1)
        return stop - before

    def _gather(self, buffer: bytearray, start: int, end: int) -> int:
        size = min(end - start, self._unit_bytes_max + 1 - len(self._partial))
        self._partial += buffer[start : start + size]
        return size

    def _check(self) -> None:
        if self._scanner.is_garbage:
            raise wrong(f"{self.subject()}: the answer {bytes(self._partial[:SHOWN_BYTES_MAX])!r} is no reply")
        if len(self._partial) > self._unit_bytes_max:
            raise wrong(f"{self.subject()}: the answer is longer than it can be")

    def _accept_units(self, units: bytes, count: int) -> None:
        self.accept(units, count)
        self._units -= count
        self.is_done = not self._units

    def accept(self, units: bytes, count: int) -> None:
        """Look at the next `count` whole units. Raises `FeedFault` when they are wrong."""
        raise NotImplementedError

    def subject(self) -> str:
        """What the next unit is about, for people."""
        raise NotImplementedError


class Acknowledgements(Framed):
    """Replies to requests that change something: one for each, none of them an error. `subjects` own them in turn."""

    def __init__(self, dialect: StateDialect, subjects: list[Subject], count: int) -> None:
        usual = dialect.acknowledgement
        super().__init__(dialect, count, 1, ACKNOWLEDGEMENT_BYTES_MAX, count * len(usual))
        self._dialect = dialect
        self._subjects = subjects
        self._accepted = 0
        self._usual = usual
        self._run = usual * count

    def take(self, buffer: bytearray, start: int, end: int) -> int:
        """Most are the usual one: as many of these as there are at once."""
        if not self._partial:
            usual = len(self._usual)
            count = min((end - start) // usual, self._units)
            with memoryview(buffer)[start : start + count * usual] as piece:
                if count and self._run.startswith(piece):
                    self._accepted += count
                    self._units -= count
                    self.is_done = not self._units
                    return count * usual
        return super().take(buffer, start, end)

    def accept(self, units: bytes, count: int) -> None:
        """None may be an error."""
        index, error = self._dialect.first_error(units, count)
        if error:
            self._accepted += index
            raise wrong(f"{self.subject()} cannot be restored: {error[:SHOWN_BYTES_MAX]!r}")
        self._accepted += count

    def subject(self) -> str:
        """The key that the next reply is about."""
        return name_at(self._subjects, self._accepted)


class Told(Framed):
    """What a replica tells of keys that it holds in an order of its own: in canonical form, it must be these units."""

    def __init__(self, dialect: StateDialect, units: list[Unit]) -> None:
        super().__init__(dialect, len(units), dialect.proof_frames, 0, sum(len(unit[3]) for unit in units))
        self._at_once = 1
        self._dialect = dialect
        self._told = units
        self._accepted = -1
        self._next()

    def _next(self) -> None:
        """Turn to the next unit."""
        self._accepted += 1
        if self._accepted < len(self._told):
            self._unit_bytes_max = UNIT_FACTOR_MAX * len(self._told[self._accepted][3]) + UNIT_SLACK_BYTES

    def take(self, buffer: bytearray, start: int, end: int) -> int:
        """Take what lies there as long as it is due, in whatever order. Anything else is framed."""
        position = start
        while not self._partial and not self.is_done and self._is_due(buffer, position, end):
            position += len(self._told[self._accepted][3])
            self._units -= 1
            self.is_done = not self._units
            self._next()
        return position - start or super().take(buffer, start, end)

    def _is_due(self, buffer: bytearray, start: int, end: int) -> bool:
        """Whether the next unit lies at `start`. Another order does not change how long it is."""
        _, _, kind, due = self._told[self._accepted]
        stop = start + len(due)
        if stop > end:
            return False
        try:
            return buffer.startswith(due, start) or self._dialect.canonical(kind, bytes(buffer[start:stop])) == due
        except ValueError:  # it is longer, such as a stream's, or no unit
            return False

    def accept(self, units: bytes, count: int) -> None:
        """It must tell exactly this key."""
        _, _, kind, due = self._told[self._accepted]
        try:
            told = self._dialect.canonical(kind, units)
        except ValueError as error:
            raise wrong(f"{self.subject()} reads back as {units[:SHOWN_BYTES_MAX]!r}: {error}") from None
        if told != due:
            raise differs(self.subject(), told, due, _equal(told, due))
        self._next()

    def subject(self) -> str:
        """The key."""
        database, key, _, _ = self._told[self._accepted]
        return name_of(database, key)


def _equal(piece: bytes, due: bytes) -> int:
    """How many bytes both have in common, at the beginning."""
    shorter = min(len(piece), len(due))
    return next((index for index in range(shorter) if piece[index] != due[index]), shorter)


def differs(subject: str, said: bytes, due: bytes, equal: int) -> FeedFault:
    """The fault of a replica that says of a subject what is not due, from the byte at `equal` on."""
    shown, known = (part[equal : equal + SHOWN_BYTES_MAX] for part in (said, due))
    return wrong(f"{subject} reads back as … {shown!r}, not … {known!r}")


def name_at(subjects: list[Subject], offset: int) -> str:
    """Whose the reply, or the byte, at `offset` is, for people; beyond the last it is the last one's."""
    position = 0
    while position < len(subjects) - 1 and offset >= subjects[position][2]:
        offset -= subjects[position][2]
        position += 1
    database, key, _ = subjects[position]
    return f"the number of keys in database {database}" if key is None else name_of(database, key)


def wrong(reason: str) -> FeedFault:
    """The fault of a replica that answers wrong."""
    return FeedFault(reason, is_replicas=True)
