"""Golden traces: situations a newcomer should read first, each a text of events with what follows from them.

    client ann                  a client connects
    ann: SET a 1; GET a         it sends these requests in one piece
    ann leaves                  it goes
    all: +OK                    every voter's replica sends these lines; `;` parts them, `|` ends a line inside a reply
    replica 2: +OK              this one does
    replica 2 breaks            its lane breaks
    a checkpoint is wanted      somebody waits for one
    a shadow waits for seat 2   it has almost the cell's state, and joins at the next checkpoint
    the shadow is sealed        it holds the state of the checkpoint
    shadow: +OK                 it sends these lines
    all begin anew              too many replicas were lost: what is under way is closed, clients wait
    all processes are killed    only what is on disk is left
    new replicas join           they are given the state of the last checkpoint, and vote
    replay 13                   the write of this slot, as the journal has it, is executed again
    clients are served          all is as it was
    5 seconds pass              time passes, and the core is woken as often as it wants

What follows stands below the event, indented: what the lanes carry, what clients are told, what observers are told.
`python -m tests.sim.golden --rewrite` writes it anew; read the difference before you keep it.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from quorate.trusted.changes import Checkpoint, Clear, StoreEffect
from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.journal_reader import entries_of
from quorate.trusted.journal_record import KEY_BYTES, WRITES, Record
from quorate.trusted.journal_writer import Journal
from quorate.trusted.limits import Limits
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    ShadowFailed,
    Spared,
    Undecided,
)
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from tests.sim.machine import Machine
from tests.sim.timeline import SECOND_NS

FOLDER = Path(__file__).resolve().parents[1] / "golden"
START_NS = 1_000 * SECOND_NS
DIGEST_CHARACTERS = 40
SHADOW_LANE = 3


class Stage:
    """A core between clients and replicas that the text plays."""

    def __init__(self) -> None:
        self.now = START_NS
        self._sent = b""
        self._records: list[Record] = []
        self._clients: dict[str, Client] = {}
        self._begin()
        self._join()

    def _begin(self) -> None:
        """A new coordinator, which keeps state and a journal. No client is connected."""
        self._clients.clear()
        limits = Limits()
        self.core = Coordinator(1, RedisProtocol(limits, Settings(), b"golden"), limits)
        self.core.changes.is_kept = True
        self.core.recording.begin(Journal(bytes(KEY_BYTES)))
        self._lanes = Machine(None)

    def play(self, event: str) -> list[str]:
        """Let this happen; what follows from it, as lines."""
        words = event.split()
        if words[0] == "client":
            self._clients[words[1]] = client = Client(len(self._clients) + 1, words[1])
            self.core.client_connected(client, self.now)
        elif words[-1] == "pass":
            self._pass(int(float(words[0]) * SECOND_NS))
        elif words[-1] == "leaves":
            self.core.client_left(self._clients[words[0]], self.now)
        elif words[-1] == "breaks":
            self.core.replica_lost(int(words[1]), Cause.CRASH, self.now)
        elif not self._recovers(event, words):
            self._say(*event.split(": ", 1))
        return self._follows()

    def _recovers(self, event: str, words: list[str]) -> bool:
        """Whether this event is about checkpoints, shadows, or new replicas."""
        core = self.core
        acts: dict[str, Callable[[], object]] = {
            "a checkpoint is wanted": lambda: core.checkpoint_wanted(is_urgent=True, now=self.now),
            "the shadow is sealed": self._seal,
            "all begin anew": lambda: core.suspend(self.now),
            "all processes are killed": self._begin,
            "new replicas join": self._join_again,
            "clients are served": lambda: core.resume(self.now),
        }
        if event.startswith("a shadow waits"):
            core.shadow_waits(SHADOW_LANE, int(words[-1]), self.now)
        elif words[0] == "replay":
            self._replay(int(words[1]))
        elif event in acts:
            acts[event]()
        else:
            return False
        return True

    def _seal(self) -> None:
        self.core.shadow_sealed(SHADOW_LANE, self.now)
        _, frames = self.core.protocol.setup()
        self.core.replica_answered(SHADOW_LANE, b"+OK\r\n" * frames, self.now)

    def _replay(self, slot: int) -> None:
        for record in self._records:
            for entry in entries_of(record) if record.kind == WRITES else ():
                if entry.first == slot:
                    self.core.replay(entry, self.now)

    def _join_again(self) -> None:
        self._join()
        if self._records and self.core.order.next_slot == 1:
            self.core.begin_at(self._records[-1].last_slot)

    def _join(self) -> None:
        _, frames = self.core.protocol.setup()
        for seat in range(len(self.core.roles)):
            self.core.replica_joined(seat, self.now)
            self.core.replica_answered(seat, b"+OK\r\n" * frames, self.now)

    def _say(self, who: str, text: str) -> None:
        parts = [part.strip() for part in text.split(";")]
        if who in self._clients:
            data = b"".join(encode_request([word.encode() for word in part.split()]) for part in parts)
            self.core.client_sent(self._clients[who], data, self.now)
            return
        replies = "".join(part.replace("|", "\r\n") + "\r\n" for part in parts).encode()
        if who == "shadow":
            self.core.replica_answered(SHADOW_LANE, replies, self.now)
            return
        seats = range(len(self.core.roles)) if who == "all" else [int(who.split()[1])]
        for seat in seats:
            if self.core.roles[seat] is Role.VOTING:
                self.core.replica_answered(seat, replies, self.now)

    def _pass(self, size: int) -> None:
        end = self.now + size
        while self.now < end:
            due = self.core.next_deadline()
            self.now = min(end, max(due, self.now + 1)) if due else end
            self.core.woken(self.now)
            if self.core.is_batch_due(self.now):
                self._sent += self.core.distribute.take()

    def _follows(self) -> list[str]:
        core = self.core
        lines = [f"lanes    {_request(request)}" for request in self._lanes.cut(self._sent + core.distribute.take())]
        self._sent = b""
        ready, core.reply.ready = core.reply.ready, []
        for client in ready:
            told = b"".join(client.out).decode("latin-1").split("\r\n")[:-1]
            lines += [f"{client.address:8} {part}" for part in told]
            client.out.clear()
            if client.is_closing:
                lines.append(f"{client.address:8} (the connection ends)")
        self._records += core.recording.journal.take() if core.recording.journal is not None else []
        effects, core.sweep.effects = core.sweep.effects, []
        lines += [f"store    {_effect(effect)}" for effect in effects]
        notices, core.notices = core.notices, []
        return lines + [f"notice   {_notice(notice)}" for notice in notices]


def _request(arguments: list[bytes]) -> str:
    words = [word.decode("latin-1") for word in arguments]
    if words[0] == "EVALSHA":
        words[1] = "(reap)" if len(words[1]) == DIGEST_CHARACTERS else words[1]
    return " ".join(words)


def _effect(effect: StoreEffect) -> str:
    if isinstance(effect, Checkpoint):
        return f"this is the checkpoint of slot {effect.slot}"
    if isinstance(effect, Clear):
        return f"database {effect.database} is empty"
    name = effect.key.decode("latin-1")
    if effect.record is None:
        return f"{name} is gone"
    words = next(iter(Machine(None).cut(effect.record)))
    return f"{name} holds {' '.join(word.decode('latin-1') for word in words)}"


def _notice(notice: Notice) -> str:
    if isinstance(notice, Dissented):
        return f"slot {notice.slot}: replica {notice.seat} dissents, {notice.dissenting!r} against {notice.agreed!r}"
    if isinstance(notice, Undecided):
        return f"slot {notice.slot} was closed: {'split' if notice.is_split else 'unanswered'}"
    if isinstance(notice, QuorumLost):
        return f"the quorum is lost: {notice.voters} voters"
    if isinstance(notice, Convicted | Retired | Spared):
        kinds: dict[type, str] = {Convicted: "convicted", Retired: "retired", Spared: "spared"}
        return f"replica {notice.seat} is {kinds[type(notice)]} at slot {notice.slot}: {notice.cause.value}"
    if isinstance(notice, Seated):
        return f"the shadow has seat {notice.seat}, from slot {notice.slot} on"
    if isinstance(notice, ShadowFailed):
        return f"the shadow for seat {notice.seat} is thrown away at slot {notice.slot}: {notice.cause.value}"
    if isinstance(notice, QuorumRegained):
        return f"the quorum is regained: {notice.voters} voters"
    return f"{notice}"


def replayed(text: str) -> str:
    """The same events, with what follows from them now."""
    stage = Stage()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("    "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [f"    {following}" for following in stage.play(line)]
    return "\n".join(lines) + "\n"


def traces() -> list[Path]:
    """All golden traces."""
    return sorted(FOLDER.glob("*.txt"))


def main() -> int:
    """Rewrite all traces with `--rewrite`; without, returns how many differ."""
    differ = 0
    for path in traces():
        text = path.read_text()
        told = replayed(text)
        if told != text and "--rewrite" in sys.argv[1:]:
            path.write_text(told)
        differ += told != text
    return differ


if __name__ == "__main__":
    sys.exit(main())
