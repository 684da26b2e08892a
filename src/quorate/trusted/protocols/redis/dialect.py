"""The Redis dialect: what each request becomes. All connections' state, none of a replica's.

    plain      merged into spans as it came: the one path that must be fast
    sorted     as it came; compared and released in canonical order
    formed     compiled to another request, or refused for its arguments
    planned    several slots, its client waits
    here       answered by the coordinator
    refused    an error that names the reason

MULTI queues calls of the first three kinds; EXEC orders them as one slot (`transactions.py`).
"""

from ...changes import UNKNOWN
from ...client import Client
from ...errors import invariant
from ...limits import Limits
from ...protocol import Scanner
from ...span import Answer, Close, Continue, Effect, Span
from . import expiry, scripting, streams
from .allow_list import BEFORE_AUTH, NO_ROOM_TO_REAP, SUBSCRIBING, check, look_up, shown_name
from .base import (
    Call,
    Command,
    Compiled,
    Refusal,
    Settings,
    Transform,
    Treatment,
    check_known,
)
from .blocking import Parking
from .cursors import Cursors
from .deadlines import Deadlines
from .framing import ReplyScanner, Request, RequestFault, encode_request
from .order_free import Unordered
from .pubsub import Switchboard
from .scores import may_hold_minus_zero, without_minus_zero
from .serving import COMPILERS, PLANNERS, RESPONDERS
from .session import Session
from .state_slots import StatefulDialect
from .table import commands
from .transactions import PLACEHOLDER, Fixed, Transactions, Watchers, abort
from .unserved import restrict
from .values import OK, QUEUED, error
from .written import note_written, written_keys

SKIP_REPLY = encode_request([b"CLIENT", b"REPLY", b"SKIP"])

# What inside MULTI is done at once, and what is refused there.
UNQUEUED = frozenset(("multi", "exec", "discard", "watch", "quit", "reset"))
NOT_IN_TRANSACTION = SUBSCRIBING | {"auth", "hello", "client|reply"}


class RedisProtocol(StatefulDialect):
    """The Redis protocol for one cell. `seed` is secret and random: coordinators draw from it."""

    def __init__(self, limits: Limits, settings: Settings, seed: bytes) -> None:
        super().__init__(limits, settings, seed)
        self.deadlines = Deadlines(limits)
        self.parking = Parking(limits)
        self.cursors = Cursors(limits)
        self.switchboard = Switchboard(limits)
        self.transactions = Transactions(limits)
        self.watchers = Watchers(limits)
        self.is_memory_full = False
        self.is_journal_full = False
        # Whether not even what expires can be written down any more.
        self.is_journal_spent = False
        self._is_short = False
        self._table = commands()
        restrict(self._table, settings)
        self._incomplete_bytes = 0

    # Lanes.

    def scanner(self) -> Scanner:
        """A new scanner, for one lane."""
        return ReplyScanner()

    def probe(self) -> tuple[bytes, bytes]:
        """PING."""
        return PLACEHOLDER, b"+PONG\r\n"

    def memory_measured(self, is_full: bool) -> None:
        """Whether growing writes are to be refused."""
        self.is_memory_full = is_full
        self._is_short = self.is_memory_full or self.is_journal_full

    def journal_measured(self, is_full: bool, is_spent: bool) -> None:
        """Whether writes are to be refused, and whether no key can be reaped either."""
        self.is_journal_full = is_full
        self.is_journal_spent = is_spent
        self._is_short = self.is_memory_full or self.is_journal_full

    def setup(self) -> tuple[bytes, int]:
        """The scripts that the cell itself runs."""
        requests = scripting.lane_setup(self.settings, tuple(self.loaded.values()))
        return b"".join(map(encode_request, requests)), len(requests)

    def is_refusal(self, reply: bytes) -> bool:
        """Whether a reply to the lane's setup is an error."""
        return reply.startswith(b"-")

    def switch(self, old: int, new: int) -> bytes:
        """Protocol version and database, switched in the stream; CLIENT REPLY SKIP keeps both without a reply."""
        parts: list[bytes] = []
        if old < 0 or old >> 16 != new >> 16:
            parts += (SKIP_REPLY, encode_request([b"HELLO", b"%d" % (new >> 16)]))
        if old < 0 or old & 0xFFFF != new & 0xFFFF:
            parts += (SKIP_REPLY, encode_request([b"SELECT", b"%d" % (new & 0xFFFF)]))
        return b"".join(parts)

    # Clients.

    def connected(self, client: Client, now: int) -> None:
        """A client came: it has a session."""
        session = Session(client, self.limits, not self.settings.password)
        client.session = session
        self.sessions[client.number] = session

    def is_parked(self, client: Client) -> bool:
        """Whether the client waits for what others may write, and nothing is under way for it."""
        return self.parking.is_idle(client)

    def left(self, client: Client, now: int) -> None:
        """A client went: nothing is kept for it."""
        session = self._session(client)
        self.transactions.drop(session)
        self.watchers.forget(session)
        self.parking.left(session)
        self.switchboard.left(session)
        self._incomplete_bytes -= session.counted_bytes
        session.queue.clear()
        self.sessions.pop(client.number, None)

    def read(self, client: Client, data: bytes, now: int) -> list[Effect]:
        """A client's bytes became requests, and those effects, in order."""
        session = self._session(client)
        effects: list[Effect] = []
        self.reap(now, effects)
        fault = b""
        try:
            requests = session.framer.feed(data)
        except RequestFault as broken:
            requests, fault = broken.requests, broken.answer
        self._take(session, requests, now, effects)
        self._end_if_broken(session, fault, effects)
        return effects

    def refuse(self, client: Client, data: bytes, reason: str, now: int) -> list[Effect]:
        """Answer all requests in `data` with an error: the cell cannot decide anything."""
        session = self._session(client)
        answer = error(f"NOQUORUM {reason}")
        fault = b""
        try:
            requests = session.framer.feed(data)
        except RequestFault as broken:
            requests, fault = broken.requests, broken.answer
        effects: list[Effect] = [] if session.is_muted else [Answer(client, answer) for _ in requests]
        self._end_if_broken(session, fault, effects)
        return effects

    def _keeps_bounds(self, session: Session) -> bool:
        waiting = session.framer.waiting_bytes
        if waiting == session.counted_bytes:
            return True
        self._incomplete_bytes += waiting - session.counted_bytes
        session.counted_bytes = waiting
        return self._incomplete_bytes <= self.limits.incomplete_bytes_max or waiting < self.limits.inline_bytes_max

    def _end_if_broken(self, session: Session, fault: bytes, effects: list[Effect]) -> None:
        """End a connection whose bytes cannot be understood, or are too many while they are incomplete."""
        if self._keeps_bounds(session) and not fault:
            return
        if not session.is_over:
            session.is_over = True
            session.settle()
            answer = fault or error("ERR quorate: too many incomplete requests")
            effects += (Answer(session.client, answer, self.switchboard.last_heard(session)), Close(session.client))

    def _session(self, client: Client) -> Session:
        session = client.session
        assert isinstance(session, Session)
        return session

    # Requests.

    def _take(self, session: Session, requests: list[Request], now: int, effects: list[Effect]) -> None:
        """Each request in turn. Neighbouring plain ones share a span: nothing is allocated for each."""
        table = self._table
        span: Span | None = None
        for index, request in enumerate(requests):
            if session.client.is_waiting:
                session.queue.extend(requests[index:])
                return
            arguments = request.arguments
            command = table.get(arguments[0])
            if (
                command is None
                or not session.is_ordinary
                or not (command.is_plain or len(arguments) == command.plain_arity)
                or not command.fits(len(arguments))
                or (self._is_short and (command.is_write or self.is_journal_spent))
                or (command.is_scoring and may_hold_minus_zero(request.raw))
            ):
                span = None
                self._take_other(session, request, now, effects)
                continue
            if span is None or span.is_write != command.is_write:
                span = Span(session.client, [request.raw], session.mode, command.is_write)
                effects.append(span)
            else:
                span.extend(request.raw)
            if command.is_write:
                if self.changes.is_kept or self.changes.is_journaled:
                    note_written(self.changes, session.database, command, arguments, len(request.raw))
                if self.watchers or self.parking:
                    self._touch_written(session.database, command, arguments, now, effects)
                    span = None

    def _take_other(self, session: Session, request: Request, now: int, effects: list[Effect]) -> None:
        """A request that needs a second look. After QUIT there is none."""
        if session.is_over:
            return
        session.is_silent = session.is_muted or session.skips == 1
        session.skips = max(session.skips - 1, 0)
        command: Command | None = None
        try:
            command = look_up(self._table, request.arguments)
            check(session, command, len(request.arguments), self.is_memory_full, self.is_journal_full)
            if self.is_journal_spent and self._is_reap_due(now) and command.name not in BEFORE_AUTH:
                raise Refusal(NO_ROOM_TO_REAP)
            call = Call(session, command, request.arguments, request.raw, now)
            if session.transaction is not None and command.name not in UNQUEUED:
                self._queue(call, effects)
            else:
                self._serve(call, effects)
        except Refusal as refusal:
            self._refuse(session, command, refusal, effects)
        session.settle()

    def _refuse(self, session: Session, command: Command | None, refusal: Refusal, effects: list[Effect]) -> None:
        """A transaction with a refused request is broken; one whose EXEC is refused is over."""
        answer = refusal.answer
        if command is not None and command.name == "exec":
            answer = abort(self, session, answer)
        elif session.transaction is not None:
            session.transaction.is_broken = True
        self.answer(session, answer, effects)

    def _queue(self, call: Call, effects: list[Effect]) -> None:
        """A request after MULTI waits for EXEC, where that can make it a part of one slot."""
        name = call.command.name
        if name in NOT_IN_TRANSACTION:
            raise Refusal(f"ERR quorate refuses {shown_name(name)} inside MULTI: its answer does not fit into EXEC's")
        if call.command.treatment is Treatment.PLANNED and name not in COMPILERS:
            raise Refusal(f"ERR quorate refuses {shown_name(name)} inside MULTI: it takes more than one slot")
        self.transactions.queue(call)
        self.answer(call.session, QUEUED, effects)

    def _serve(self, call: Call, effects: list[Effect]) -> None:
        treatment = call.command.treatment
        if treatment is Treatment.HERE:
            answer = RESPONDERS[call.command.name](self, call, effects)
            if answer is not None:
                self.answer(call.session, answer, effects)
        elif treatment is Treatment.PLANNED or (call.command.name in PLANNERS and streams.needs_plan(call)):
            PLANNERS[call.command.name](self, call, effects)
        else:
            compiled = self._compile(call)
            self._order(call.session, compiled, call.command.is_write, effects)
            if call.command.is_write:
                self.wrote(call.session.database, call, effects)
                self.reap(call.now, effects)

    def _compile(self, call: Call) -> Compiled:
        command = call.command
        if command.is_scoring and may_hold_minus_zero(call.raw):
            return Compiled(without_minus_zero(call.arguments))
        if command.treatment is Treatment.PLAIN:
            return Compiled(call.raw)
        if command.treatment is Treatment.SORTED:
            return Compiled(call.raw, Unordered(2 if command.name == "hgetall" else 1))
        compiled = COMPILERS[command.name](self, call)
        check_known(call, compiled.raw)
        return compiled

    def compile_queued(self, call: Call, effects: list[Effect]) -> Compiled:
        """One queued call, at EXEC. A refusal now is its own result: the others run, as with an error in Redis."""
        if call.command.name == "unwatch":
            # EXEC has forgotten all marks already.
            return Compiled(PLACEHOLDER, Fixed(OK))
        try:
            if call.command.treatment is not Treatment.HERE:
                return self._compile(call)
            answer = RESPONDERS[call.command.name](self, call, effects)
        except Refusal as refusal:
            return Compiled(PLACEHOLDER, Fixed(refusal.answer))
        invariant(answer is not None, "what is queued in a transaction has one answer")
        raw = call.raw if call.command.name == "select" else PLACEHOLDER
        return Compiled(raw, Fixed(answer or b""))

    def _order(self, session: Session, compiled: Compiled, is_write: bool, effects: list[Effect]) -> Span:
        owner = None if session.is_silent else session.client
        span = Span(owner, [compiled.raw], session.mode, is_write, compiled.transform)
        span.frames = compiled.frames
        effects.append(span)
        return span

    # Writes, and what they wake or spoil.

    def touched(self, database: int, keys: list[bytes], now: int, effects: list[Effect]) -> None:
        """A write that may change `keys` was appended to `effects`."""
        for key in keys:
            self.changes.note(database, key, UNKNOWN)
        self._touch(database, keys, now, effects)

    def _touch(self, database: int, keys: list[bytes], now: int, effects: list[Effect]) -> None:
        self.watchers.touched(database, keys)
        for key in keys:
            self.parking.wake(self, database, key, now, effects)

    def wrote(self, database: int, call: Call, effects: list[Effect]) -> None:
        """A write of a client's was appended to `effects`."""
        note_written(self.changes, database, call.command, call.arguments, len(call.raw))
        if self.watchers or self.parking:
            self._touch_written(database, call.command, call.arguments, call.now, effects)

    def _touch_written(
        self, database: int, command: Command, arguments: list[bytes], now: int, effects: list[Effect]
    ) -> None:
        keys = written_keys(command, arguments)
        if keys is None:
            self.watchers.touched_all()
            self.parking.wake_all(self, now, effects)
        else:
            self._touch(database, keys, now, effects)

    def reap(self, now: int, effects: list[Effect]) -> None:
        """Keys whose deadline has passed are deleted, behind what is in `effects`."""
        if self._is_reap_due(now) and not self.is_journal_spent:
            effects.extend(expiry.reap_spans(self, now))

    def _is_reap_due(self, now: int) -> bool:
        due = self.deadlines.next_ns()
        return 0 < due <= now

    # Plans.

    def resume(self, session: Session, answer: bytes, now: int, effects: list[Effect], after: int = 0) -> None:
        """A plan ended: its answer, then what its client asked meanwhile."""
        client = session.client
        client.is_waiting = False
        if client.is_gone:
            return
        if not session.is_silent:
            effects.append(Answer(client, answer, after))
        requests = list(session.queue)
        session.queue.clear()
        self._take(session, requests, now, effects)
        if not client.is_waiting:
            effects.append(Continue(client))

    def finish(self, span: Span, reply: bytes, now: int, effects: list[Effect]) -> bytes:
        """A slot with a transform was decided."""
        transform = span.form
        assert isinstance(transform, Transform)
        self.reap(now, effects)
        return transform.tell(reply, self, now, effects)

    def abandon(self, span: Span, slot: int, reason: str, now: int, effects: list[Effect]) -> bytes:
        """A slot was closed without a decision."""
        answer = error(f"NOQUORUM slot {slot} was not decided: {reason}")
        self.reap(now, effects)
        if isinstance(span.form, Transform):
            span.form.failed(answer, self, now, effects)
        return answer

    # Time.

    def next_deadline(self, is_lost: bool = False) -> int:
        """When keys expire, parked clients give up or cursors are forgotten (ns), or 0."""
        reaps_at = 0 if self.is_journal_spent else self.deadlines.next_ns()
        deadlines = (reaps_at, self.parking.next_ns(is_lost), self.cursors.next_ns())
        return min((due for due in deadlines if due), default=0)

    def woken(self, now: int, lost: str = "") -> list[Effect]:
        """Expire keys, waits and cursors."""
        effects: list[Effect] = []
        self.reap(now, effects)
        self.parking.expire(self, now, effects, lost)
        self.cursors.expire(now)
        return effects
