"""State reads as the core asks for them: spans of the cell's own, and what their replies told.

Whatever deadline a read finds becomes a candidate in the index, so that a cell that started from kept state knows it.
"""

from ...changes import Change, Part
from ...span import Span
from .base import Dialect, Refusal, Transform
from .framing import RequestFramer, encode_request
from .order_free import Unordered
from .scripts import DEADLINE_OFFSET_MS, digest
from .state import PROTOCOL, StateRead, read_state, take_state
from .state_records import deadline_of
from .values import array, bulk, elements, integer_of, is_error, payload

_COUNT = encode_request([b"DBSIZE"])
_LIST = encode_request([b"KEYS", b"*"])


class StatefulDialect(Dialect):
    """A dialect whose state can be read, key by key."""

    def read_state(self, keys: list[Change]) -> list[Span]:
        """Spans that read the state of these keys, in this order."""
        return read_state(keys)

    def state_asked(self, span: Span, first: int, count: int) -> list[Change]:
        """The keys that `count` slots of `span` from `first` on asked for."""
        index = span.index_of(first)
        return _form(span).items[index : index + count]

    def take_state(self, span: Span, first: int, count: int, data: bytes) -> list[Part]:
        """What `data`, agreed for `count` slots of `span` from `first` on, told of their keys."""
        parts = take_state(_form(span), span.index_of(first), count, data)
        for part in parts:
            if part.record is not None:
                self.learn(part.database, part.key, deadline_of(part.record))
        return parts

    def learn(self, database: int, key: bytes, held: int) -> None:
        """`key` has this deadline, as replicas hold it (ms), or none: -1."""
        deadline = held - DEADLINE_OFFSET_MS
        if held < 0 or deadline in self.deadlines.candidates(database, key):
            return
        try:
            self.deadlines.add(database, key, deadline)
        except Refusal:
            # The index is full, and there is nobody to refuse: the key outlives its deadline, until it is written.
            return

    def extras(self) -> bytes:
        """The listed scripts that clients loaded."""
        return array([bulk(script) for script in self.loaded.values()])

    def adopt_extras(self, extras: bytes) -> None:
        """Scripts that clients loaded earlier; those that are listed no more are left out."""
        for script in elements(extras) if extras else ():
            self.adopt_extra(payload(script))

    def adopt_extra(self, extra: bytes) -> None:
        """A script that a client loaded."""
        if digest(extra) in self.settings.scripts:
            self.loaded[digest(extra)] = extra

    def unknown_in(self, request: bytes) -> str:
        """The command in this request, as it went to lanes, that some variant of the cell does not know, or nothing."""
        if not self.settings.unserved:
            return ""
        for part in RequestFramer(self.limits).feed(request):
            name = part.arguments[0].lower().decode("latin-1")
            if name in self.settings.unserved:
                return name.upper()
        return ""

    def count_state(self, database: int) -> Span:
        """A span that asks how many keys `database` has."""
        return Span(None, [_COUNT], PROTOCOL << 16 | database, False, Transform())

    def counted(self, data: bytes) -> int | None:
        """The number of keys, or None."""
        return integer_of(data)

    def list_state(self, database: int) -> Span:
        """A span that asks for the names of all keys of `database`."""
        return Span(None, [_LIST], PROTOCOL << 16 | database, False, Unordered(1))

    def listed(self, data: bytes) -> list[bytes] | None:
        """The names, or None."""
        return None if not data or is_error(data) else [payload(name) for name in elements(data)]


def _form(span: Span) -> StateRead:
    form = span.form
    assert isinstance(form, StateRead)
    return form
