"""What was ordered, heard and decided, seen from outside the core: the invariants' common ground.

Replies are framed here by code of its own, and put on the slots by counting; only a request's form is asked what equal
replies are. Slots are forgotten once every voter has answered them.
"""

from dataclasses import dataclass, field

from quorate.trusted.client import Client
from quorate.trusted.limits import Limits
from quorate.trusted.span import Form, Span

OVERSIZED = b""
NESTED = {42: 1, 126: 1, 62: 1, 37: 2}  # * ~ > %


class NoReply(Exception):
    """Bytes that can never become a reply."""


def reply_end(data: bytes | bytearray, start: int) -> int:
    """Where the reply that begins at `start` ends, or -1 when it is not complete; raises `NoReply`."""
    missing = 1
    while missing:
        end = data.find(b"\r\n", start)
        if end >= 0 and data[start] in b"+-:_,#(":
            missing -= 1
            start = end + 2
            continue
        if end < 0:
            if len(data) > start and data[start] not in b"+-:_,#($=!*~>%":
                raise NoReply
            return -1
        kind = data[start]
        missing -= 1
        if kind in b"$=!*~>%":
            length = _length(bytes(data[start + 1 : end]), is_nullable=kind in b"$*")
            if kind in NESTED:
                missing += max(length, 0) * NESTED[kind]
            elif length >= 0:
                end += 2 + length
                if len(data) < end + 2:
                    return -1
                if data[end : end + 2] != b"\r\n":
                    raise NoReply
        else:
            raise NoReply
        start = end + 2
    return start


def _length(text: bytes, is_nullable: bool) -> int:
    if text == b"-1" and is_nullable:
        return -1
    if not text.isdigit() or (len(text) > 1 and text.startswith(b"0")):
        raise NoReply
    return int(text)


Value = bytes | int | None | list["Value"]


def value_of(reply: bytes) -> Value:
    """A whole reply of words, numbers, nulls, arrays and sets, as what it means."""
    return _value(reply, 0)[0]


def _value(reply: bytes, start: int) -> tuple[Value, int]:
    end = reply.index(b"\r\n", start)
    kind, text, end = reply[start : start + 1], reply[start + 1 : end], end + 2
    if kind == b":":
        return int(text), end
    if kind in (b"+", b"-"):
        return text, end
    if kind == b"_" or text == b"-1":
        return None, end
    size = int(text)
    if kind == b"$":
        return reply[end : end + size], end + size + 2
    items: list[Value] = []
    for _ in range(size):
        item, end = _value(reply, end)
        items.append(item)
    return items, end


@dataclass(slots=True)
class Slot:
    """One slot: what was asked, each seat's canonical reply, and what was decided (None: not, or without agreement)."""

    number: int
    request: bytes
    owner: Client | None
    form: Form | None
    frames: int
    mode: int
    is_write: bool
    replies: dict[int, bytes] = field(default_factory=dict)
    is_decided: bool = False
    decided: bytes | None = None
    # What was heard first, as it was heard, and what counts of it: others mostly say the same.
    heard: bytes = b""
    counts: bytes = b""


class Stream:
    """One seat's replies, as they were delivered to the core."""

    def __init__(self, setup_frames: int, next_slot: int = 1) -> None:
        self.buffer = bytearray()
        self.setup_frames = setup_frames
        self.next_slot = next_slot
        self.is_useless = False


class Ledger:
    """All slots that are not settled for every voter. A shadow's stream has its lane's number until it has a seat."""

    def __init__(self, seats: int, limits: Limits, first_slot: int = 1) -> None:
        self.slots: dict[int, Slot] = {}
        self.streams = {seat: Stream(0) for seat in range(seats)}
        self.ordered_slots = first_slot - 1
        self._limits = limits
        self._oldest = first_slot

    def joined(self, seat: int, setup_frames: int, next_slot: int = 1) -> None:
        """A lane begins with so many replies to its setup; the next is to this slot."""
        self.streams[seat] = Stream(setup_frames, next_slot)

    def seated(self, lane: int, seat: int) -> None:
        """From now on the shadow of this lane speaks for the seat; what the replica before it said counts no more."""
        self.streams[seat] = self.streams.pop(lane)
        for slot in self.slots.values():
            slot.replies.pop(seat, None)
            if lane in slot.replies:
                slot.replies[seat] = slot.replies.pop(lane)

    def ordered(self, span: Span) -> list[Slot]:
        """A span was given slots."""
        made = []
        for index, request in enumerate(span.requests):
            number = span.first + index
            slot = Slot(number, request, span.owner, span.form, span.frames, span.mode, span.is_write)
            self.slots[number] = slot
            made.append(slot)
        self.ordered_slots += span.count
        for seat in self.streams:
            if self.streams[seat].buffer:
                self._frame(seat)
        return made

    def heard(self, seat: int, data: bytes) -> None:
        """The core is about to be given these bytes of a voter."""
        stream = self.streams[seat]
        if not stream.is_useless:
            stream.buffer += data
            self._frame(seat)

    def _frame(self, seat: int) -> None:
        stream = self.streams[seat]
        start = 0
        try:
            while stream.setup_frames:
                end = reply_end(stream.buffer, start)
                if end < 0:
                    break
                stream.setup_frames -= 1
                start = end
            while not stream.setup_frames and stream.next_slot in self.slots:
                slot = self.slots[stream.next_slot]
                if slot.heard and stream.buffer.startswith(slot.heard, start):
                    slot.replies[seat] = slot.counts
                    stream.next_slot += 1
                    start += len(slot.heard)
                    continue
                rest = len(stream.buffer) - start
                is_begun = rest < len(slot.heard) and slot.heard.startswith(stream.buffer[start:])
                end = -1 if is_begun else self._unit_end(stream.buffer, start, slot.frames)
                if end < 0:
                    if rest > self.reply_bytes_max(slot):
                        slot.replies[seat] = OVERSIZED
                    break
                reply = bytes(stream.buffer[start:end])
                slot.replies[seat] = counts = self.canonical(slot, reply)
                if not slot.heard:
                    slot.heard, slot.counts = reply, counts
                stream.next_slot += 1
                start = end
        except NoReply:
            stream.is_useless = True
        del stream.buffer[:start]

    def _unit_end(self, buffer: bytes | bytearray, start: int, frames: int) -> int:
        end = start
        for _ in range(frames):
            end = reply_end(buffer, end)
            if end < 0:
                return -1
        return end

    def reply_bytes_max(self, slot: Slot) -> int:
        """How long a reply to this slot may be."""
        is_whole = slot.form is None or slot.form.is_exact or slot.form.is_large
        return self._limits.reply_bytes_max if is_whole else self._limits.unordered_bytes_max

    def canonical(self, slot: Slot, reply: bytes) -> bytes:
        """What counts of a reply to this slot."""
        if len(reply) > self.reply_bytes_max(slot):
            return OVERSIZED
        return reply if slot.form is None else slot.form.canonical(reply)

    def parts(self, first: int, count: int, data: bytes) -> list[bytes]:
        """Decided bytes, cut into the replies of their slots."""
        if count == 1:
            return [data]
        found = []
        start = 0
        for number in range(first, first + count):
            end = self._unit_end(data, start, self.slots[number].frames)
            if end < 0:
                raise NoReply
            found.append(data[start:end])
            start = end
        if start != len(data):
            raise NoReply
        return found

    def forget(self, voters: list[int]) -> None:
        """Drop what is decided, and answered by all `voters`."""
        while self._oldest in self.slots and self.slots[self._oldest].is_decided:
            if any(self._oldest >= self.streams[seat].next_slot for seat in voters):
                return
            del self.slots[self._oldest]
            self._oldest += 1
