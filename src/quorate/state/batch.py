"""Batches: many rows' requests in one write, with what is expected of the replies.

Rows are restored in batches, and each batch is read back while its bytes are at hand; long enough that a system call
and a comparison of memory cost nothing for each row. This is the hot path of a rebuild: plain loops over plain tuples.
"""

from collections.abc import Iterable, Iterator

from ..trusted.limits import KIB
from .dialects import StateDialect
from .expectations import Acknowledgements, Exact, Expectation, Subject, Told, Unit
from .lane import FeedLane
from .rows import Row

# A batch is sent when its rows are this long.
BATCH_BYTES = 128 * KIB
# What a small request is said to weigh, so that a batch has no end of tiny rows.
REQUEST_WEIGHT = 64

# How a key is read back: database, key, what is asked, the unit that is told, and its kind.
Proof = tuple[int, bytes, bytes, bytes, int]


class Batches:
    """Makes batches for one lane. Knows which database the lane stands in, after all that was asked."""

    def __init__(self, lane: FeedLane, dialect: StateDialect) -> None:
        self._lane = lane
        self._dialect = dialect
        self._database = 0

    def restore(self, rows: Iterator[Row]) -> int:
        """Have the replica take some more of the rows, whose keys are absent there, and read them back.

        How many; 0 at the end.
        """
        dialect = self._dialect
        requests: list[bytes] = []
        subjects: list[Subject] = []
        proofs: list[Proof] = []
        replies = size = 0
        for database, key, record in rows:
            made, request, unit, kind = dialect.feed(key, record)
            if database != self._database:
                made.insert(0, self._select(database)[0])
            requests += made
            replies += len(made)
            subjects.append((database, key, len(made)))
            proofs.append((database, key, request, unit, kind))
            size += len(record) + len(key) + REQUEST_WEIGHT
            if size >= BATCH_BYTES:
                break
        if requests:
            self._lane.ask(b"".join(requests), [Acknowledgements(dialect, subjects, replies)])
            self._prove(proofs)
        return len(proofs)

    def renew(self, cleared: Iterable[int], rows: list[tuple[int, bytes, bytes | None]]) -> None:
        """Empty the cleared databases, make these keys what their records say, or absent, and read them back."""
        requests: list[bytes] = []
        subjects: list[Subject] = []
        for database in cleared:
            requests += [*self._selecting(database), self._dialect.clear()]
        if requests:
            subjects.append((self._database, None, len(requests)))
        proofs: list[Proof] = []
        for database, key, record in rows:
            before = len(requests)
            requests += [*self._selecting(database), self._dialect.delete(key)]
            if record is not None:
                made, request, unit, kind = self._dialect.feed(key, record)
                requests += made
                proofs.append((database, key, request, unit, kind))
            subjects.append((database, key, len(requests) - before))
        if requests:
            self._lane.ask(b"".join(requests), [Acknowledgements(self._dialect, subjects, len(requests))])
        self._prove(proofs)
        self._prove_absent([(database, key) for database, key, record in rows if record is None])

    def count(self, counts: dict[int, int]) -> None:
        """Have every database hold as many keys as are counted, or none."""
        run = _Run(self._dialect)
        for database in range(self._dialect.databases):
            self._select_in(run, database, None)
            request, reply = self._dialect.count(counts.get(database, 0))
            run.foretell(request, reply, (database, None, len(reply)))
        run.send(self._lane)

    def _prove(self, proofs: list[Proof]) -> None:
        """Read keys back, each of which must be as it is told here."""
        run = _Run(self._dialect)
        for database, key, request, unit, kind in proofs:
            if database != self._database:
                self._select_in(run, database, key)
            if kind:
                run.others.append(request)
                run.units.append((database, key, kind, unit))
            else:
                run.foretell(request, unit, (database, key, len(unit)))
        run.send(self._lane)

    def _prove_absent(self, keys: Iterable[tuple[int, bytes]]) -> None:
        run = _Run(self._dialect)
        for database, key in keys:
            self._select_in(run, database, key)
            request, reply = self._dialect.absence(key)
            run.foretell(request, reply, (database, key, len(reply)))
        run.send(self._lane)

    def _select(self, database: int) -> tuple[bytes, bytes]:
        self._database = database
        return self._dialect.select(database)

    def _selecting(self, database: int) -> list[bytes]:
        return [self._select(database)[0]] if database != self._database else []

    def _select_in(self, run: "_Run", database: int, key: bytes | None) -> None:
        """Before a read of `key`, which is to blame if this goes wrong."""
        if database != self._database:
            run.close()
            request, reply = self._select(database)
            run.foretell(request, reply, (database, key, len(reply)))


class _Run:
    """Reads and what they are expected to yield: first those foretold to the byte, then `others`, which yield `units`.

    Each of the two is one expectation. What is closed comes before what is not.
    """

    def __init__(self, dialect: StateDialect) -> None:
        self._dialect = dialect
        self._closed: list[bytes] = []
        self._expectations: list[Expectation] = []
        self._begin()

    def _begin(self) -> None:
        self._requests: list[bytes] = []
        self._foretold: list[bytes] = []
        self._subjects: list[Subject] = []
        self.others: list[bytes] = []
        self.units: list[Unit] = []

    def foretell(self, request: bytes, reply: bytes, subject: Subject) -> None:
        """A request whose reply is known to the byte."""
        self._requests.append(request)
        self._foretold.append(reply)
        self._subjects.append(subject)

    def close(self) -> None:
        """What comes from now on is asked after what came so far."""
        if self._foretold:
            self._expectations.append(Exact(b"".join(self._foretold), self._subjects))
        if self.units:
            self._expectations.append(Told(self._dialect, self.units))
        self._closed += self._requests
        self._closed += self.others
        self._begin()

    def send(self, lane: FeedLane) -> None:
        """Ask all of it."""
        self.close()
        if self._closed:
            lane.ask(b"".join(self._closed), self._expectations)
