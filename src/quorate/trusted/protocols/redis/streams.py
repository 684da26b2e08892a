"""Streams: identifiers come from ordered time, waiting readers are parked, and what shows a replica's clock is refused.

XADD key *             becomes <now>-*; a stream whose top lies in the future continues from its top, as in Redis
trimming with ~        becomes exact: how much ~ leaves depends on how a replica has packed its nodes
XREAD, XREADGROUP      with BLOCK are parked; $ is replaced by the last identifier first
XINFO STREAM           passes, but for two counts of tree nodes, which are told as 0: they follow a replica's history
XPENDING with ranges, XCLAIM and XAUTOCLAIM with an idle time, XINFO STREAM FULL
                       are refused: delivery times are each replica's own
"""

from ...span import Effect
from . import stream_reads
from .arguments import integer_argument
from .base import Call, Compiled, Compiler, Dialect, Planner, Refusal, Transform
from .framing import encode_request
from .session import Session
from .stream_information import NO_SUCH_KEY, Information, last_id
from .values import error, is_error

_TOP_IS_LATER = error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
_SEQUENCE_MAX = 2**64 - 1


class Trimming:
    """The options of XADD and XTRIM, made exact: `options`, and the arguments after them in `rest`.

    What Redis would answer with an error stays as it is.
    """

    def __init__(self, arguments: list[bytes]) -> None:
        self.options: list[bytes] = []
        self.is_about = False
        self._limits: list[int] = []
        self.rest = arguments[self._read(arguments) :]
        if self.is_about:
            # Only ~ may be limited.
            for position in reversed(self._limits):
                del self.options[position : position + 2]

    def _read(self, arguments: list[bytes]) -> int:
        index = 2
        while index < len(arguments):
            word = arguments[index].upper()
            following = len(arguments) - index - 1
            taken = 1
            if word in (b"MAXLEN", b"MINID") and following:
                taken = 3 if following > 1 and arguments[index + 1] in (b"~", b"=") else 2
            elif word == b"LIMIT" and following:
                taken = 2
                limit = integer_argument(arguments[index + 1])
                if limit is not None and limit >= 0:
                    self._limits.append(len(self.options))
            elif word != b"NOMKSTREAM":
                break
            self.options += arguments[index : index + taken]
            if taken == 3 and self.options[-2] == b"~":
                self.options[-2] = b"="
                self.is_about = True
            index += taken
        return index


def _add(dialect: Dialect, call: Call) -> Compiled:
    trimming = Trimming(call.arguments)
    before = call.arguments[:2] + trimming.options
    if trimming.rest[:1] != [b"*"]:
        return Compiled(encode_request(before + trimming.rest) if trimming.is_about else call.raw)
    addition = Addition(call.session, before, trimming.rest[1:])
    may_wait = not call.in_transaction and not call.session.is_silent
    return Compiled(encode_request(addition.request(b"%d-*" % call.now_ms)), Added(addition, may_wait))


def _trim(dialect: Dialect, call: Call) -> Compiled:
    trimming = Trimming(call.arguments)
    return Compiled(encode_request(call.arguments[:2] + trimming.options + trimming.rest))


class Addition:
    """An XADD with `*`: what stands before the identifier, and the fields after it."""

    def __init__(self, session: Session, before: list[bytes], fields: list[bytes]) -> None:
        self.session = session
        self.before = before
        self.fields = fields
        self.rounds = 0

    @property
    def key(self) -> bytes:
        """The stream."""
        return self.before[1]

    def request(self, identifier: bytes) -> list[bytes]:
        """The request with an identifier."""
        return [*self.before, identifier, *self.fields]

    def ask(self, dialect: Dialect, effects: list[Effect]) -> None:
        """The stream's top lies in the future: ask where."""
        self.rounds += 1
        effects.append(dialect.step(self.session, [b"XINFO", b"STREAM", self.key], False, Top(self)))

    def add(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Add an entry at that top, or at `now` if the stream is gone."""
        milliseconds, _, sequence = last_id(reply).partition(b"-")
        at = max(int(milliseconds), now // 1_000_000)
        if int(sequence) == _SEQUENCE_MAX and int(milliseconds) == at:
            at = min(at + 1, _SEQUENCE_MAX)
        request = self.request(b"%d-*" % at)
        effects.append(dialect.step(self.session, request, True, AddedLater(self)))
        dialect.touched(self.session.database, [self.key], now, effects)


class Added(Transform):
    """The reply of the one slot that most additions take.

    Only where the client asked nothing since can its answer be held back for a second try. A client that pipelines
    gets Redis's own error for an identifier below the top, which Redis would not give for `*`.
    """

    def __init__(self, addition: Addition, may_wait: bool) -> None:
        self._addition = addition
        self._may_wait = may_wait

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The identifier."""
        session = self._addition.session
        client = session.client
        if reply != _TOP_IS_LATER or not self._may_wait or client.is_waiting or client.is_gone:
            return reply
        if client.pending != 1 or client.held:
            return reply
        dialect.wait(session)
        self._addition.ask(dialect, effects)
        return b""


class Top(Information):
    """Where the top of the stream lies."""

    def __init__(self, addition: Addition) -> None:
        self._addition = addition

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Add there."""
        session = self._addition.session
        if is_error(reply) and reply != NO_SUCH_KEY:
            dialect.resume(session, reply, now, effects)
        elif not session.client.is_gone:
            self._addition.add(reply, dialect, now, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The top is not known."""
        dialect.resume(self._addition.session, answer, now, effects)


class AddedLater(Transform):
    """The reply to an addition at the top of the stream."""

    def __init__(self, addition: Addition) -> None:
        self._addition = addition

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The identifier, unless somebody moved the top meanwhile."""
        addition = self._addition
        if reply == _TOP_IS_LATER and addition.rounds < dialect.limits.step_retries_max:
            addition.ask(dialect, effects)
        else:
            dialect.resume(addition.session, reply, now, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nobody knows whether it was added."""
        dialect.resume(self._addition.session, answer, now, effects)


def _refused(command: str) -> Refusal:
    return Refusal(f"ERR quorate refuses {command}: each replica keeps delivery times by its own clock")


def _information(dialect: Dialect, call: Call) -> Compiled:
    if len(call.arguments) == 3:
        return Compiled(call.raw, Information())
    if call.arguments[3].upper() == b"FULL":
        raise _refused("XINFO STREAM FULL")
    return Compiled(call.raw)


def _pending(dialect: Dialect, call: Call) -> Compiled:
    if 6 <= len(call.arguments) <= 9:
        raise _refused("XPENDING with a range")
    return Compiled(call.raw)


def _claim(dialect: Dialect, call: Call) -> Compiled:
    if (integer_argument(call.arguments[4]) or 0) > 0:
        raise _refused(f"{call.command.name.upper()} with a minimum idle time")
    return Compiled(call.raw)


COMPILERS: dict[str, Compiler] = {
    "xadd": _add,
    "xtrim": _trim,
    "xinfo|stream": _information,
    "xpending": _pending,
    "xclaim": _claim,
    "xautoclaim": _claim,
    **stream_reads.COMPILERS,
}
PLANNERS: dict[str, Planner] = stream_reads.PLANNERS
needs_plan = stream_reads.needs_plan
