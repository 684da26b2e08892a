"""XREAD and XREADGROUP: taken apart, and parked where they block.

`$` stands for a stream's last identifier when the command came: a first slot asks for it. A reader who waits is then
tried on one stream at a time, as Redis serves it.
"""

from ...span import Effect
from .arguments import integer_argument, timeout_milliseconds
from .base import Call, Compiled, Compiler, Dialect, Planner, Refusal, Transform
from .blocking import WRONG_TYPE, Wish
from .framing import encode_request
from .plan import together
from .stream_information import NO_SUCH_KEY, last_id, without_history
from .values import error, is_error, value_end

_STREAM = b"+stream\r\n"
_UNBLOCKED = error("UNBLOCKED the stream key no longer exists")
_NO_GROUP = error("NOGROUP the consumer group this client was blocked on no longer exists")


class Reading:
    """An XREAD or XREADGROUP taken apart: `request` without BLOCK; `wait_ns` is -1 without BLOCK, 0 for ever.

    `before` is the request up to and with STREAMS; `keys` and `identifiers` are empty when Redis would answer with an
    error. Raises `Refusal` for a wrong timeout, unless Redis would find another error before it.
    """

    def __init__(self, arguments: list[bytes]) -> None:
        self.is_group = arguments[0].upper() == b"XREADGROUP"
        self.group = b""
        self.wait_ns = -1
        self.before = arguments[:1]
        self.keys: list[bytes] = []
        self.identifiers: list[bytes] = []
        self._is_whole = False
        self.request = list(arguments)
        rest = arguments[self._read_options(arguments) :]
        if self._is_whole and len(rest) % 2 == 0:
            self.keys = rest[: len(rest) // 2]
            self.identifiers = rest[len(rest) // 2 :]
            self.request = self.before + rest

    def _read_options(self, arguments: list[bytes]) -> int:
        index = 1
        while index < len(arguments):
            word = arguments[index].upper()
            following = len(arguments) - index - 1
            taken = 0
            if word == b"BLOCK" and following:
                self.wait_ns = timeout_milliseconds(arguments[index + 1])
                # Were it dropped from a wrong request, another error might come first.
                self.request[index : index + 2] = [b"COUNT", b"1"]
                index += 2
                continue
            if word == b"STREAMS" and following:
                self.before.append(arguments[index])
                self._is_whole = True
                return index + 1
            if word == b"COUNT" and following and integer_argument(arguments[index + 1]) is not None:
                taken = 2
            elif word == b"GROUP" and following > 1 and self.is_group:
                self.group = arguments[index + 1]
                taken = 3
            elif word == b"NOACK" and self.is_group:
                taken = 1
            if not taken:
                break
            self.before += arguments[index : index + taken]
            index += taken
        return index


class Read(Wish):
    """XREAD, with identifiers as they are at the time: its reader competes with nobody."""

    is_write = False

    def __init__(self, reading: Reading, line: bytes) -> None:
        super().__init__(list(dict.fromkeys(reading.keys)), line)
        self._before = reading.before
        self._reading = reading

    def first(self) -> list[bytes]:
        """The request that reads all streams."""
        return [*self._before, *self._reading.keys, *self._reading.identifiers]

    def again(self, key: bytes) -> list[list[bytes]]:
        """The request that reads one stream."""
        return [[*self._before, key, self._reading.identifiers[self._reading.keys.index(key)]]]

    def outcome_again(self, reply: bytes) -> bytes | None:
        """Its entries; a key that now holds something else has nothing yet."""
        return None if reply.startswith(WRONG_TYPE) else self.outcome(reply)

    def popped(self, key: bytes | None) -> list[bytes]:
        """Nothing: a reader changes no stream, only its group's place in it."""
        return []


class GroupRead(Read):
    """XREADGROUP: the readers of one group compete."""

    is_write = True

    def again(self, key: bytes) -> list[list[bytes]]:
        """The request that reads one stream, after a look whether it still is one."""
        return [[b"TYPE", key], *super().again(key)]

    def outcome_again(self, reply: bytes) -> bytes | None:
        """Its entries; a stream or a group that is gone ends the wait."""
        end = value_end(reply, 0)
        if reply[:end] != _STREAM:
            return _UNBLOCKED
        return _NO_GROUP if reply.startswith(b"-NOGROUP", end) else self.outcome(reply[end:])


class Tops(Transform):
    """The last identifiers of the streams that an XREAD with `$` waits for: what it reads begins there."""

    is_exact = False

    def __init__(self, call: Call, reading: Reading) -> None:
        self._call = call
        self._reading = reading

    def canonical(self, reply: bytes) -> bytes:
        """Each reply without what differs between correct replicas."""
        parts: list[bytes] = []
        position = 0
        while position < len(reply):
            end = value_end(reply, position)
            parts.append(without_history(reply[position:end]))
            position = end
        return b"".join(parts)

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Begin to wait from these identifiers on."""
        session = self._call.session
        identifiers = self._reading.identifiers
        position = 0
        for index, identifier in enumerate(identifiers):
            if identifier != b"$":
                continue
            end = value_end(reply, position)
            top = reply[position:end]
            if is_error(top) and top != NO_SUCH_KEY:
                dialect.resume(session, top, now, effects)
                return b""
            identifiers[index] = last_id(top)
            position = end
        if not session.client.is_gone:
            try:
                _park(dialect, self._call, self._reading, effects)
            except Refusal as refusal:
                dialect.resume(session, refusal.answer, now, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The identifiers are not known."""
        dialect.resume(self._call.session, answer, now, effects)


def _park(dialect: Dialect, call: Call, reading: Reading, effects: list[Effect]) -> None:
    wish: Read
    if reading.is_group:
        wish = GroupRead(reading, b"XREADGROUP " + reading.group)
    else:
        wish = Read(reading, b"XREAD %d" % call.session.client.number)
    dialect.parking.start(dialect, call, wish, reading.wait_ns, effects)


def needs_plan(call: Call) -> bool:
    """Whether a call of XREAD or XREADGROUP may have to wait. Raises `Refusal` for a wrong timeout."""
    reading = Reading(call.arguments)
    return reading.wait_ns >= 0 and bool(reading.keys)


def _plan_read(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    reading = Reading(call.arguments)
    latest = [key for key, identifier in zip(reading.keys, reading.identifiers, strict=True) if identifier == b"$"]
    if reading.is_group or not latest:
        _park(dialect, call, reading, effects)
        return
    dialect.wait(call.session)
    requests = [[b"XINFO", b"STREAM", key] for key in latest]
    effects.append(together(call.session, requests, False, Tops(call, reading)))


def _read(dialect: Dialect, call: Call) -> Compiled:
    reading = Reading(call.arguments)
    return Compiled(call.raw if reading.wait_ns < 0 else encode_request(reading.request))


COMPILERS: dict[str, Compiler] = {"xread": _read, "xreadgroup": _read}
PLANNERS: dict[str, Planner] = {"xread": _plan_read, "xreadgroup": _plan_read}
