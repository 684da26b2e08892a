"""EVAL and its kin: the locks of redis-py are served by scripts of our own, listed scripts run under a narrower user.

A script forks replicas silently: it can read their clocks, their chance and their hash order. So a client's script runs
only when the operator listed its digest, and then as a user who may call, inside the script, nothing but the commands
that the table passes on as they are (docs/adr/0006-scripts.md). The lane itself stays with its own user: AUTH before
and after the script, both without a reply.
"""

from ...span import Effect, Span
from .answers import DATABASES
from .arguments import integer_argument
from .base import Call, Command, Compiled, Compiler, Dialect, Refusal, Responder, Settings, Transform, Treatment
from .deadlines import DEADLINE_MS_MAX
from .expiry import Settling, Sign
from .framing import encode_request
from .scripts import DEADLINE_OFFSET_MS, LOCK_EXTEND, LOCK_REACQUIRE, LOCK_RELEASE, REAP, digest
from .table import ROWS
from .values import ONE, ZERO, array, bulk, elements, value_end, with_elements

# The digests of the scripts in redis-py's Lock; a test compares them with the installed redis-py.
RELEASE = b"c3f8721cbb97f72bc19e972846bd7aaf91901658"
EXTEND = b"a4e8783852e6b949f9ef3a97212805108459a890"
REACQUIRE = b"1cac51482acf5858da00f6d685d68f886cd6b6b2"
LOCKS = frozenset((RELEASE, EXTEND, REACQUIRE))

NOSCRIPT = "NOSCRIPT No matching script. Please use EVAL."
SCRIPT_USER = b"quorate-scripts"

_SKIP_REPLY = encode_request([b"CLIENT", b"REPLY", b"SKIP"])
# These users have no password: who can reach a lane is the coordinator.
_SCRIPT_USER_COMES = encode_request([b"AUTH", SCRIPT_USER, b"-"])
_LANE_USER_COMES = encode_request([b"AUTH", b"default", b"-"])
AS_SCRIPT_USER = _SKIP_REPLY + _SCRIPT_USER_COMES
AS_LANE_USER = _SKIP_REPLY + _LANE_USER_COMES
# What the lane needs as this user; inside scripts Redis itself forbids all of these.
_AROUND_SCRIPTS = [b"+client|reply", b"+eval", b"+eval_ro", b"+evalsha", b"+evalsha_ro"]


def lane_setup(settings: Settings, loaded: tuple[bytes, ...] = ()) -> list[list[bytes]]:
    """The requests that a lane needs before its first slot, each with one reply; `loaded` are clients' scripts.

    The first one proves that all databases are there: later a lane is switched among them without a reply.
    """
    loads = [[b"SCRIPT", b"LOAD", script] for script in (REAP, LOCK_RELEASE, LOCK_EXTEND, LOCK_REACQUIRE, *loaded)]
    loads.insert(0, [b"SELECT", b"%d" % (DATABASES - 1)])
    if not settings.scripts:
        return loads
    plain = [b"+" + row[0].encode() for row in ROWS if row[3] is Treatment.PLAIN]
    user = [b"ACL", b"SETUSER", SCRIPT_USER, b"reset", b"on", b"nopass", b"~*", *_AROUND_SCRIPTS, *plain]
    return [*loads, user]


def script_keys(arguments: list[bytes]) -> list[bytes]:
    """The keys that a call of a script declares. Raises `Refusal`, in Redis's words, when their number is wrong."""
    count = integer_argument(arguments[2])
    if count is None:
        raise Refusal("ERR value is not an integer or out of range")
    if count > len(arguments) - 3:
        raise Refusal("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise Refusal("ERR Number of keys can't be negative")
    return arguments[3 : 3 + count]


def _refused(command: Command) -> Refusal:
    name = command.name.replace("|", " ").upper()
    return Refusal(f"ERR quorate refuses {name}: this script is not on the operator's list")


def _run(dialect: Dialect, call: Call) -> Compiled:
    is_by_digest = call.command.name.startswith("evalsha")
    name = call.arguments[1].lower() if is_by_digest else digest(call.arguments[1])
    if is_by_digest and len(name) != 40:
        raise Refusal(NOSCRIPT)
    keys = script_keys(call.arguments)
    if name in LOCKS:
        return _lock(dialect, call, name, keys)
    if name not in dialect.settings.scripts:
        # Who is told that a digest is missing loads the script, and is told the reason there.
        raise Refusal(NOSCRIPT) if is_by_digest else _refused(call.command)
    if not is_by_digest:
        dialect.load(name, call.arguments[1])
    if call.in_transaction:
        # Inside MULTI each request has its result, and no reply can be skipped.
        return Compiled(_SCRIPT_USER_COMES + call.raw + _LANE_USER_COMES, Between(), frames=3)
    return Compiled(AS_SCRIPT_USER + call.raw + AS_LANE_USER)


class Between(Transform):
    """Three results: the script's own, between those of the two AUTH around it."""

    is_exact = False

    def canonical(self, reply: bytes) -> bytes:
        """The script's."""
        begin = value_end(reply, 0)
        return reply[begin : value_end(reply, begin)]


# The locks of redis-py. Their own scripts ask replicas for the time left, so ours get the ordered time instead.


def _lock(dialect: Dialect, call: Call, name: bytes, keys: list[bytes]) -> Compiled:
    values = call.arguments[3 + len(keys) :]
    if not keys or len(values) < (3 if name == EXTEND else 2 if name == REACQUIRE else 1):
        raise Refusal("ERR quorate: too few keys or arguments for this lock script")
    key, token = keys[0], values[0]
    if name == RELEASE:
        return Compiled(_stand_in(call, LOCK_RELEASE, key, [token]))
    milliseconds = integer_argument(values[1])
    if milliseconds is None:
        raise Refusal("ERR value is not an integer or out of range")
    if milliseconds < 0 or call.now_ms + milliseconds > DEADLINE_MS_MAX:
        raise Refusal("ERR invalid expire time in 'pexpire' command")
    held_now = b"%d" % (call.now_ms + DEADLINE_OFFSET_MS)
    if name == REACQUIRE:
        raw = _stand_in(call, LOCK_REACQUIRE, key, [token, _ending_at_once(milliseconds), held_now])
        return _held_until(dialect, call, raw, key, milliseconds)
    is_replacing = values[2] != b"0"
    if is_replacing:
        raw = _stand_in(call, LOCK_EXTEND, key, [token, _ending_at_once(milliseconds), b"1", held_now])
        return _held_until(dialect, call, raw, key, milliseconds)
    place = (call.session.database, key)
    change = dialect.deadlines.copy(place, place, milliseconds)
    raw = _stand_in(call, LOCK_EXTEND, key, [token, b"%d" % milliseconds, b"0", held_now])
    return Compiled(raw, None if change is None else Settling([change], Sign.YES))


def _stand_in(call: Call, script: bytes, key: bytes, values: list[bytes]) -> bytes:
    name = b"EVALSHA_RO" if call.command.name.endswith("_ro") else b"EVALSHA"
    return encode_request([name, digest(script), b"1", key, *values])


def _ending_at_once(milliseconds: int) -> bytes:
    """Redis deletes a key that is given no time at once, not a millisecond later."""
    return b"%d" % (milliseconds or -1)


def _held_until(dialect: Dialect, call: Call, raw: bytes, key: bytes, milliseconds: int) -> Compiled:
    deadline = call.now_ms + (milliseconds or -1)
    change = dialect.deadlines.add(call.session.database, key, deadline)
    return Compiled(raw, Settling([change], Sign.YES))


# SCRIPT LOAD and SCRIPT EXISTS.


def _load(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    name = digest(call.arguments[2])
    if name in LOCKS:
        return bulk(name)
    if name not in dialect.settings.scripts:
        raise _refused(call.command)
    dialect.load(name, call.arguments[2])
    # A slot of its own; the answer is known, whatever else the replicas say.
    effects.append(Span(None, [call.raw], call.session.mode, True))
    return bulk(name)


class Existing(Transform):
    """SCRIPT EXISTS: replicas tell of listed scripts only. `answers` has what is known here, None for those."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self._answers = answers

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The array of 0 and 1."""
        told = elements(reply)
        if len(told) != len(self._answers):
            return reply
        return with_elements(reply, [answer or value for answer, value in zip(self._answers, told, strict=True)])


def _exists(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes | None:
    answers: list[bytes | None] = []
    for argument in call.arguments[2:]:
        name = argument.lower()
        is_listed = name in dialect.settings.scripts and name not in LOCKS
        answers.append(None if is_listed else ONE if name in LOCKS else ZERO)
    if None not in answers:
        return array([answer for answer in answers if answer is not None])
    if call.in_transaction:
        raise Refusal("ERR quorate refuses SCRIPT EXISTS of a listed script inside MULTI: it needs a slot of its own")
    owner = None if call.session.is_silent else call.session.client
    effects.append(Span(owner, [call.raw], call.session.mode, False, Existing(answers)))
    return None


COMPILERS: dict[str, Compiler] = {"eval": _run, "evalsha": _run, "eval_ro": _run, "evalsha_ro": _run}
RESPONDERS: dict[str, Responder] = {"script|load": _load, "script|exists": _exists}
