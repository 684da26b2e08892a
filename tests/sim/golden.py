"""Golden traces: situations a newcomer should read first, each a text of events with what follows from them.

    client ann                  a client connects
    ann: SET a 1; GET a         it sends these requests in one piece
    ann leaves                  it goes
    all: +OK                    every voter's replica sends these lines; `;` parts them, `|` ends a line inside a reply
    replica 2: +OK              this one does
    replica 2 breaks            its lane breaks
    5 seconds pass              time passes, and the core is woken as often as it wants

What follows stands below the event, indented: what the lanes carry, what clients are told, what observers are told.
`python -m tests.sim.golden --rewrite` writes it anew; read the difference before you keep it.
"""

import sys
from pathlib import Path

from quorate.trusted.client import Client
from quorate.trusted.coordinator import Coordinator
from quorate.trusted.limits import Limits
from quorate.trusted.messages import (
    Cause,
    Convicted,
    Dissented,
    Notice,
    QuorumLost,
    Retired,
    Role,
    Spared,
    Undecided,
)
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.quorum import seats_for
from tests.sim.machine import Machine
from tests.sim.timeline import SECOND_NS

FOLDER = Path(__file__).resolve().parents[1] / "golden"
START_NS = 1_000 * SECOND_NS
DIGEST_CHARACTERS = 40


class Stage:
    """A core between clients and replicas that the text plays."""

    def __init__(self) -> None:
        self.now = START_NS
        self._sent = b""
        limits = Limits()
        self.core = Coordinator(1, RedisProtocol(limits, Settings(), b"golden"), limits)
        self._clients: dict[str, Client] = {}
        self._lanes = Machine(None)
        _, frames = self.core.protocol.setup()
        for seat in range(seats_for(1)):
            self.core.replica_joined(seat, self.now)
            self.core.replica_answered(seat, b"+OK\r\n" * frames, self.now)

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
        else:
            self._say(*event.split(": ", 1))
        return self._follows()

    def _say(self, who: str, text: str) -> None:
        parts = [part.strip() for part in text.split(";")]
        if who in self._clients:
            data = b"".join(encode_request([word.encode() for word in part.split()]) for part in parts)
            self.core.client_sent(self._clients[who], data, self.now)
            return
        replies = "".join(part.replace("|", "\r\n") + "\r\n" for part in parts).encode()
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
        notices, core.notices = core.notices, []
        return lines + [f"notice   {_notice(notice)}" for notice in notices]


def _request(arguments: list[bytes]) -> str:
    words = [word.decode("latin-1") for word in arguments]
    if words[0] == "EVALSHA":
        words[1] = "(reap)" if len(words[1]) == DIGEST_CHARACTERS else words[1]
    return " ".join(words)


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
