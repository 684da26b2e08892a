r"""The vote and the whole core without sockets: replicas are played by the test, byte by byte.

    booth = Booth()
    span = booth.asks(b"GET a")
    booth.hears(0, b"+1")
    booth.hears(2, b"+1")
    assert booth.decided == {1: b"+1\r\n"}

    cell = Cell()
    ann = cell.client()
    ann.says("SET a 1")
    cell.reply(b"+OK")                # all replicas alike
    assert ann.hears() == b"+OK\r\n"

    cell.keeps_state()
    shadow = cell.shadow(2)           # somebody prepares a replica for seat 2: it waits for a checkpoint
    cell.reply(*STRING_1)             # what changed is read
    shadow.is_sealed()                # it holds the checkpoint's state, and is sent what was kept for it

Time stands still in both until it is told to pass.
"""

import shlex

from quorate.trusted.changes import Checkpoint, Clear, StoreEffect
from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.limits import Limits
from quorate.trusted.messages import Cause, Notice
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.values import elements, payload
from quorate.trusted.quorum import seats_for
from quorate.trusted.seat import Seat
from quorate.trusted.span import Form, Span
from quorate.trusted.verdicts import Dissent, Fault
from quorate.trusted.vote import Vote

SECOND_NS = 1_000_000_000
START_NS = 1_000 * SECOND_NS
PROTOCOL = RedisProtocol(Limits(), Settings(), b"seed")


# What a replica answers to the state read of a string that holds 1, of a key that is not there, and to DBSIZE.
STRING_1 = (b"+string", b":-1", b"$1", b"1")
ABSENT_STRING = (b"+none", b":-2", b"$-1")


def line(text: bytes) -> bytes:
    """`text` and the end of a line."""
    return text + b"\r\n"


def told(effect: StoreEffect) -> bytes:
    """What the state store is told, in words."""
    if isinstance(effect, Clear):
        return b"clear %d" % effect.database
    if isinstance(effect, Checkpoint):
        counts = b" ".join(b"%d:%d" % counted for counted in sorted(effect.counts.items()))
        return b"checkpoint %d %b" % (effect.slot, counts)
    if effect.record is None:
        return b"%d delete %b" % (effect.database, effect.key)
    return b"%d put %b %b" % (effect.database, effect.key, b" ".join(map(payload, elements(effect.record))))


class Booth:
    """A vote whose requests and replies the test makes by hand; `limits` overrides some of the bounds."""

    def __init__(self, f: int = 1, **limits: int) -> None:
        self.now = START_NS
        self.limits = Limits(**limits)
        self.vote = Vote(f, seats_for(f), PROTOCOL, self.limits)
        self.decided: dict[int, bytes | None] = {}
        self.reasons: dict[int, str] = {}
        self.dissents: list[Dissent] = []
        self.faults: list[Fault] = []
        self._asked = 0
        for seat in range(seats_for(f)):
            self.vote.joined(seat, seat, 0, self.now)

    def asks(self, *requests: bytes, form: Form | None = None, frames: int = 1, is_write: bool = False) -> Span:
        """Order these requests as one span."""
        span = Span(None, list(requests), 0, is_write, form)
        span.frames = frames
        span.first = self._asked + 1
        span.ordered_at = self.now
        self._asked += span.count
        self.vote.expect(span)
        return span

    def hears(self, seat: int, *lines: bytes) -> None:
        """The replica of `seat` sends these lines."""
        self.hears_bytes(seat, b"".join(map(line, lines)))

    def hears_bytes(self, seat: int, data: bytes) -> None:
        """The replica of `seat` sends exactly these bytes."""
        self.vote.answered(seat, data, self.now)
        self.note()

    def removes(self, seat: int) -> None:
        """The replica of `seat` loses its vote."""
        self.vote.removed(seat, self.now)
        self.note()

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += int(seconds * SECOND_NS)
        self.vote.expire(self.now)
        self.note()

    def shadow(self, lane: int, seat: int, setup_frames: int = 0) -> Seat:
        """A shadow for `seat` begins with the next slot to be ordered, and what it is sent is held back."""
        self.vote.shadow_begins(lane, seat, setup_frames, self.now)
        shadow = self.vote.shadow_of(seat)
        assert shadow is not None
        return shadow

    def releases(self, seat: int) -> None:
        """The shadow for `seat` was sent what was held back."""
        shadow = self.vote.shadow_of(seat)
        assert shadow is not None
        self.vote.released(shadow, self.now)

    def is_level(self, seat: int) -> bool:
        """Whether the shadow for `seat` may take it."""
        shadow = self.vote.shadow_of(seat)
        return shadow is not None and self.vote.is_level(shadow)

    def seats(self, seat: int) -> None:
        """The shadow for `seat` takes it."""
        shadow = self.vote.shadow_of(seat)
        assert shadow is not None
        assert self.vote.is_level(shadow)
        assert self.vote.seated(shadow, self.now) == seat
        self.note()

    def note(self) -> None:
        """Take down what the vote found."""
        vote = self.vote
        for decision in vote.decisions:
            assert decision.first == len(self.decided) + 1, "slots are decided in order"
            for slot in range(decision.first, decision.first + decision.count):
                self.decided[slot] = decision.data if decision.count == 1 else b""
                self.reasons[slot] = decision.reason
            if decision.count > 1:
                assert decision.data is not None
                self._note_frames(decision.span, decision.first, decision.count, decision.data)
        self.dissents += vote.dissents
        self.faults += vote.faults
        vote.decisions, vote.dissents, vote.faults = [], [], []

    def _note_frames(self, span: Span, first: int, count: int, data: bytes) -> None:
        scanner = PROTOCOL.scanner()
        start = 0
        for slot in range(first, first + count):
            assert scanner.scan(bytearray(data), start, len(data), 1, span.frames) == 1
            self.decided[slot] = data[start : scanner.end]
            start = scanner.end
        assert start == len(data)

    def said(self) -> list[bytes | None]:
        """What was decided, slot by slot."""
        return [self.decided[slot] for slot in sorted(self.decided)]

    def accused(self) -> list[tuple[int, Cause]]:
        """Who was reported, and for what."""
        return [(fault.seat, fault.cause) for fault in self.faults]

    def is_content(self) -> bool:
        """Whether nobody dissented and nobody was reported."""
        return not self.dissents and not self.faults

    def dissenters(self) -> list[tuple[int, int]]:
        """Seat and slot of each dissent."""
        return [(dissent.seat, dissent.slot) for dissent in self.dissents]


class Talker:
    """One client of a cell."""

    def __init__(self, cell: "Cell", client: Client) -> None:
        self.cell = cell
        self.client = client

    def says(self, *lines: str) -> "Talker":
        """Send these requests in one piece."""
        return self.sends(b"".join(encode_request([word.encode() for word in shlex.split(text)]) for text in lines))

    def sends(self, data: bytes) -> "Talker":
        """Send exactly these bytes."""
        self.cell.core.client_sent(self.client, data, self.cell.now)
        return self

    def hears(self) -> bytes:
        """All that came since the last time."""
        data = b"".join(self.client.out)
        self.client.out.clear()
        return data

    def is_closed(self) -> bool:
        """Whether its connection ends with what it was sent."""
        return self.client.is_closing

    def leaves(self) -> None:
        """Close the connection."""
        self.cell.core.client_left(self.client, self.cell.now)


class Shadow:
    """A shadow for `seat` as the shell sees it: `kept` is what it was sent, or is to be sent when it is sealed."""

    def __init__(self, cell: "Cell", seat: int, lane: int) -> None:
        self.cell = cell
        self.seat = seat
        self.lane = lane
        self.kept = b""
        self.setup = b""

    def waits(self) -> None:
        """It has almost the cell's state."""
        self.cell.core.shadow_waits(self.lane, self.seat, self.cell.now)

    def is_sealed(self) -> None:
        """It holds the checkpoint's state: what was kept is sent, and it answers its lane's setup."""
        self.cell.writes_lanes()
        self.setup = self.cell.core.shadow_sealed(self.lane, self.cell.now)
        self.hears(*[b"+OK"] * self.cell.core.protocol.setup()[1])

    def hears(self, *lines: bytes) -> None:
        """The shadow sends these lines."""
        self.cell.hears(self.lane, *lines)

    def leaves(self) -> None:
        """It is given up."""
        self.cell.core.shadow_left(self.lane, self.seat, self.cell.now)


class Cell:
    """A whole core, whose lanes and clients the test holds in its hands."""

    def __init__(self, f: int = 1, **limits: int) -> None:
        self.now = START_NS
        self.limits = Limits(**limits)
        self.core = Coordinator(f, RedisProtocol(self.limits, Settings(), b"seed"), self.limits)
        self.seats = range(seats_for(f))
        self.shadows: list[Shadow] = []
        self._clients = 0
        self._sent: list[bytes] = []
        _, frames = self.core.protocol.setup()
        for seat in self.seats:
            assert self.core.replica_joined(seat, self.now) == self.core.protocol.setup()[0]
            self.hears(seat, *[b"+OK"] * frames)

    def client(self) -> Talker:
        """A client connects."""
        self._clients += 1
        client = Client(self._clients, "test")
        self.core.client_connected(client, self.now)
        return Talker(self, client)

    def hears(self, seat: int, *lines: bytes) -> None:
        """The replica of `seat` sends these lines."""
        self.core.replica_answered(seat, b"".join(map(line, lines)), self.now)

    def reply(self, *lines: bytes, but: int = -1) -> None:
        """All replicas send these lines, except that of seat `but`."""
        for seat in self.seats:
            if seat != but:
                self.hears(seat, *lines)

    def passes(self, seconds: float) -> None:
        """Time passes, and the core is woken, and its lanes are written to, as often as it wants."""
        end = self.now + int(seconds * SECOND_NS)
        while self.now < end:
            due = self.core.next_deadline()
            self.now = min(end, due) if due else end
            self.core.woken(self.now)
            if self.core.is_batch_due(self.now):
                self.writes_lanes()
            assert not self.core.next_deadline() or self.core.next_deadline() > self.now, "a deadline was not served"

    def lanes(self) -> bytes:
        """What every lane was sent since the last time, and what has gathered."""
        self.writes_lanes()
        sent, self._sent = self._sent, []
        return b"".join(sent)

    def writes_lanes(self) -> None:
        """What has gathered is written; shadows that begin in it are sent what is from there on, as the shell does."""
        data = self.core.distribute.take()
        self._sent.append(data)
        begins_at = self.core.distribute.begins_at
        for shadow in self.shadows:
            if begins_at >= 0 and shadow.lane in self.core.joining.begun:
                shadow.kept = data[begins_at:]
            elif shadow.lane in self.core.vote.lanes:
                shadow.kept += data

    # State.

    def keeps_state(self) -> None:
        """Somebody keeps state: what changes is noted."""
        self.core.changes.is_kept = True

    def wants_checkpoint(self, is_urgent: bool = True) -> None:
        """A checkpoint is wanted."""
        self.core.checkpoint_wanted(is_urgent, self.now)

    def shadow(self, seat: int) -> Shadow:
        """A shadow for `seat` waits for a checkpoint, from which on it is sent all slots."""
        shadow = Shadow(self, seat, len(self.seats) + len(self.shadows))
        self.shadows.append(shadow)
        shadow.waits()
        return shadow

    def stored(self) -> list[bytes]:
        """What the state store was told since the last time, each as words."""
        effects, self.core.sweep.effects = self.core.sweep.effects, []
        return [told(effect) for effect in effects]

    def notices(self) -> list[Notice]:
        """What the core told its observers since the last time."""
        notices, self.core.notices = self.core.notices, []
        return notices
