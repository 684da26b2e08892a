"""The nouns that the files of this dialect share: a command, a call, what it compiles to, and the dialect's state.

A *call* is one request seen by the dialect. Most compile to one slot: bytes for the replicas and, where replies need
more than a comparison, a `Transform`. A call that takes several slots (SPOP, SCAN …) is a *plan*: its steps are slots
of the cell itself, and its client waits until the last. Calls of neither kind are answered here.
"""

from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING

from ...changes import Changes
from ...errors import invariant
from ...limits import Limits
from ...protocol import Protocol
from ...span import Answer, Effect, Form, Span
from .framing import encode_request
from .kinds import TAKING_OVER, kind_written
from .session import Session
from .values import error

if TYPE_CHECKING:
    from .blocking import Parking
    from .cursors import Cursors
    from .deadlines import Deadlines
    from .pubsub import Switchboard
    from .transactions import Transactions, Watchers


class Treatment(Enum):
    """What becomes of a command."""

    PLAIN = "plain"  # goes to the replicas as it came; replies are compared byte for byte
    SORTED = "canonical order"  # goes as it came; the elements of its reply are compared and released in sorted order
    FORMED = "deterministic form"  # rewritten, so that no clock, chance or hash order of a replica decides anything
    PLANNED = "several slots"  # takes more than one slot; its client waits meanwhile
    HERE = "answered here"  # the coordinator answers; connection state and what is about the cell itself
    REFUSED = "refused"  # answered with an error that names the reason
    CONTAINER = "by subcommand"  # the subcommand decides


class Command:
    """One row of the table. `arity` counts the name, negative for "at least"; `keys` is (first, last, step)."""

    __slots__ = (
        "arity",
        "grows",
        "is_foreign",
        "is_plain",
        "is_scoring",
        "is_write",
        "keys",
        "kind",
        "name",
        "plain_arity",
        "reason",
        "subcommands",
        "takes_over",
        "treatment",
    )

    def __init__(
        self, name: str, arity: int, access: str, treatment: Treatment, keys: tuple[int, int, int], reason: str = ""
    ) -> None:
        self.name = name
        self.arity = arity
        self.is_write = "w" in access
        self.grows = "m" in access
        self.treatment = treatment
        self.is_plain = treatment is Treatment.PLAIN
        # Some replicas do not know this name: the command may reach them in another form only.
        self.is_foreign = False
        self.is_scoring = name in {"zadd", "zincrby"}
        # SET and ZRANGE without options are frequent, and need no more than passing on.
        self.plain_arity = {"set": 3, "zrange": 4}.get(name, 0)
        self.keys = keys
        self.kind = kind_written(name)
        self.takes_over = name in TAKING_OVER
        self.reason = reason
        self.subcommands: dict[bytes, Command] = {}

    def fits(self, arguments: int) -> bool:
        """Whether a request of so many arguments, name included, has the right number."""
        return arguments == self.arity if self.arity >= 0 else arguments >= -self.arity

    def treat(self, treatment: Treatment, reason: str = "") -> None:
        """Serve it otherwise than the table says: in a deterministic form, or for this reason not at all."""
        self.treatment = treatment
        self.is_plain = False
        self.plain_arity = 0
        self.reason = reason

    def keys_of(self, arguments: list[bytes]) -> list[bytes]:
        """The keys at this command's fixed positions."""
        first, last, step = self.keys
        if not first:
            return []
        stop = last + 1 if last >= 0 else len(arguments) + last + 1
        return arguments[first:stop:step]


class Call:
    """One request of `session`, as `command`, at `now` (ns). `raw` is what would go to the replicas unchanged."""

    __slots__ = ("arguments", "command", "in_transaction", "now", "raw", "session")

    def __init__(
        self,
        session: Session,
        command: Command,
        arguments: list[bytes],
        raw: bytes,
        now: int,
        in_transaction: bool = False,
    ) -> None:
        self.session = session
        self.command = command
        self.arguments = arguments
        self.raw = raw
        self.now = now
        self.in_transaction = in_transaction

    @property
    def now_ms(self) -> int:
        """The call's time in milliseconds."""
        return self.now // 1_000_000


class Transform(Form):
    """What happens to the agreed reply of one slot before its client gets it.

    `behind` is what its client is told beside, directly behind the reply: inside EXEC's there is no room for it.
    """

    behind: bytes = b""

    def tell(self, reply: bytes, dialect: "Dialect", now: int, effects: list[Effect]) -> bytes:
        """The reply for the client; `reply` is canonical. What follows beside it is appended to `effects`."""
        return reply

    def failed(self, answer: bytes, dialect: "Dialect", now: int, effects: list[Effect]) -> None:
        """The slot was closed without a decision; its owner, if any, is told `answer`."""


class Compiled:
    """One slot's worth of a call: `raw` for the replicas, and the transform of the reply, None when it is plain.

    `frames` is how many replies `raw` yields; a transform gets them in one piece, and makes them one canonical value.
    """

    __slots__ = ("frames", "raw", "transform")

    def __init__(self, raw: bytes, transform: Transform | None = None, frames: int = 1) -> None:
        self.raw = raw
        self.transform = transform
        self.frames = frames


class Refusal(Exception):
    """A call cannot be served; `answer` is the error for its client. Nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.answer = error(message)


# Why a command is refused that some replicas would answer with an error.
NOT_KNOWN = "a variant of this cell does not know it"


def check_known(call: Call, raw: bytes) -> None:
    """Raise `Refusal` when `raw` is the call as it came, and some replicas do not know its command."""
    if call.command.is_foreign and raw == call.raw:
        name = call.command.name.replace("|", " ").upper()
        raise Refusal(f"ERR quorate refuses {name} with these arguments: {NOT_KNOWN}")


class Chance:
    """Numbers that no client can guess, from a secret seed: the same seed gives the same numbers."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawn = 0

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1; the bias is below 2**-64."""
        self._drawn += 1
        drawn = blake2b(self._drawn.to_bytes(8, "little"), key=self._seed, digest_size=16).digest()
        return int.from_bytes(drawn, "little") % bound


class Settings:
    """What the operator decided about this dialect.

    `password` is what AUTH must give, empty for none. `scripts` are the SHA-1 digests (lower-case hexadecimal) of the
    client scripts that may run. `unserved` are the names of commands that some variant of the cell does not know, and
    `is_mixed` says that other variants do know them: then those two are not alike in everything else either.
    """

    def __init__(
        self,
        password: bytes = b"",
        scripts: frozenset[bytes] = frozenset(),
        unserved: frozenset[str] = frozenset(),
        is_mixed: bool = False,
    ) -> None:
        invariant(not scripts or "eval" not in unserved, "clients' scripts are listed only where all variants run them")
        self.password = password
        self.scripts = scripts
        self.unserved = unserved
        self.is_mixed = is_mixed


class Dialect(Protocol):
    """What the parts of the dialect may ask of the whole. `RedisProtocol` is the one implementation."""

    deadlines: "Deadlines"
    parking: "Parking"
    cursors: "Cursors"
    switchboard: "Switchboard"
    transactions: "Transactions"
    watchers: "Watchers"
    is_journal_full: bool

    def __init__(self, limits: Limits, settings: Settings, seed: bytes) -> None:
        self.limits = limits
        self.settings = settings
        self.chance = Chance(seed)
        self.changes = Changes()
        # The listed scripts that clients loaded, by digest: replicas that come later need them too.
        self.loaded: dict[bytes, bytes] = {}
        self.sessions: dict[int, Session] = {}

    def load(self, name: bytes, script: bytes) -> None:
        """A client loads a listed script: all replicas need it, those to come too."""
        if name not in self.loaded:
            self.loaded[name] = script
            self.changes.note_extra(script)

    def step(self, session: Session, arguments: list[bytes], is_write: bool, transform: Transform) -> Span:
        """A slot of a plan of `session`, in its database, told to `transform` alone."""
        return Span(None, [encode_request(arguments)], session.mode, is_write, transform)

    def wait(self, session: Session) -> None:
        """The client waits: nothing that it asks later is looked at until `resume`."""
        session.client.is_waiting = True

    def resume(self, session: Session, answer: bytes, now: int, effects: list[Effect], after: int = 0) -> None:
        """The client's wait is over: give it `answer`, and go on with what it asked meanwhile.

        The answer's place is that of the slot just decided, or behind publication `after`.
        """
        raise NotImplementedError

    def touched(self, database: int, keys: list[bytes], now: int, effects: list[Effect]) -> None:
        """A write that may change `keys` was appended to `effects`: mark watchers, serve who is parked on them."""
        raise NotImplementedError

    def wrote(self, database: int, call: Call, effects: list[Effect]) -> None:
        """The write `call`, of a client's in `database`, was appended to `effects`: note what it may change."""
        raise NotImplementedError

    def reap(self, now: int, effects: list[Effect]) -> None:
        """Delete the keys whose deadline has passed, behind what is in `effects`."""
        raise NotImplementedError

    def compile_queued(self, call: Call, effects: list[Effect]) -> Compiled:
        """What a call that waited for EXEC becomes, as a part of the transaction's slot."""
        raise NotImplementedError

    def answer(self, session: Session, data: bytes, effects: list[Effect]) -> None:
        """The coordinator's own answer to the present request of `session`, after all that it is owed or is to hear."""
        if not session.is_silent:
            effects.append(Answer(session.client, data, self.switchboard.last_heard(session)))


# How a call is served, by treatment. A compiler runs when its slot is being ordered, inside EXEC too. A planner appends
# its first step; a responder gives the answer, or None when it appended effects of its own. All may raise `Refusal`,
# before they change anything.
Compiler = Callable[[Dialect, Call], Compiled]
Planner = Callable[[Dialect, Call, list[Effect]], None]
Responder = Callable[[Dialect, Call, list[Effect]], bytes | None]
