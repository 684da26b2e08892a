"""One replica on its lane: takes requests, executes them on its machine, answers after a delay, and misbehaves.

`sins` is what it really did, so that the invariants know who is innocent: a fault that was planned and never happened
is none. A slow replica that answers rightly has the sins `LAG` and `STALL` alone.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from .machine import Machine, ProtocolFault
from .swarm import Character, Fault
from .timeline import MILLISECOND_NS, Timeline

if TYPE_CHECKING:
    from .shell import SimulatedShell

# Requests that only read, on the lanes. Inside a transaction they are told to wait, which is no reply to a read.
READS = frozenset(
    b"GET MGET STRLEN GETRANGE EXISTS TYPE LRANGE LLEN SMEMBERS SISMEMBER SCARD HGET HGETALL ZRANGE ZSCORE".split()
)

# A correct replica may be that much behind.
MERELY_LATE = frozenset((Fault.LAG, Fault.STALL))

LIES = (b"+LIE\r\n", b":424242\r\n", b"$3\r\nlie\r\n", b"-ERR lie\r\n", b"*0\r\n", b"$-1\r\n")


class Replica:
    """The replica of one seat. `delay_ns` is how long an answer travels; `backlog` holds bytes not yet taken."""

    def __init__(
        self, seat: int, timeline: Timeline, character: Character | None, delay_ns: int, offset_ms: int, seed: int
    ) -> None:
        self.seat = seat
        self.lane = seat
        self.machine = Machine(Random(f"order {seed} {seat}"))
        self.sins: set[Fault] = set()
        self.is_reformed = False
        self.is_broken = False
        self.unread = 0
        self.answered = 0
        self.executed = 0
        self._timeline = timeline
        self._character = character
        self._delay_ns = delay_ns
        self._offset_ms = offset_ms
        self._session = self.machine.session()
        self._shell: SimulatedShell | None = None
        self._free_at = 0
        self._arrives_at = 0
        self._is_mute = False
        self._is_deaf = False
        self._stalled_until = 0
        self._lies_until = 0
        self._withheld = b""
        self._accomplices = Random(f"accomplices {seed}").random()
        self._begins_at = timeline.now + (character.begins_ns if character is not None else 0)

    def attach(self, shell: "SimulatedShell", lane: int) -> None:
        """Its lane's other end, and the lane's number there."""
        self._shell = shell
        self.lane = lane

    @property
    def is_rotten(self) -> bool:
        """Whether anything is wrong with it."""
        return self._character is not None

    def turn(self, character: Character) -> None:
        """From now on this is what is wrong with it."""
        self._character = character
        self._begins_at = self._timeline.now

    # The lane, towards the replica.

    def send(self, data: bytes) -> None:
        """Bytes were written to its lane: they arrive in order, after a while."""
        self.unread += len(data)
        if self._is_deaf or self.is_broken:
            return
        if self._wants(Fault.DEAF):
            self.sins.add(Fault.DEAF)
            self._is_deaf = True
            return
        chance = self._timeline.chance
        cut = chance.randrange(len(data) + 1)
        for part in (data[:cut], data[cut:]):
            if part:
                self._arrives_at = max(self._arrives_at, self._timeline.now + chance.randint(1, self._delay_ns))
                self._timeline.after(self._arrives_at - self._timeline.now, partial(self._take, part))

    def _take(self, data: bytes) -> None:
        self.unread -= len(data)
        if self.is_broken:
            return
        try:
            requests = self.machine.cut(data)
        except ProtocolFault as fault:
            raise AssertionError(f"a lane carried what is no request: {fault.text!r}") from fault
        replies = b"".join([self._answer(arguments) for arguments in requests])
        if replies:
            self._say(replies)

    # What it answers.

    def _answer(self, arguments: list[bytes]) -> bytes:
        self.executed += 1
        if self._wants(Fault.CORRUPT):
            self._corrupt()
        true = self._execute(arguments)
        if true and self._timeline.now < self._lies_until:
            self.sins.add(Fault.LIE)
            return self._lie(true)
        if not true or self._character is None:
            return true
        self.answered += 1
        if arguments[0] in READS and self._session.queue is None and self._wants(Fault.MISREAD):
            self.sins.add(Fault.MISREAD)
            return self._lie(true)
        return self._distort(true)

    def _lie(self, true: bytes) -> bytes:
        return self._timeline.chance.choice([lie for lie in LIES if lie != true])

    def _execute(self, arguments: list[bytes]) -> bytes:
        if arguments[0].upper() in (b"SET", b"RPUSH", b"SADD", b"INCR") and self._wants(Fault.FORGET):
            self.sins.add(Fault.FORGET)
            return b"+OK\r\n" if arguments[0].upper() == b"SET" else b":1\r\n"
        now_ms = self._timeline.now // MILLISECOND_NS + self._offset_ms
        return self.machine.run(self._session, arguments, now_ms)

    def _corrupt(self) -> None:
        chance = self._timeline.chance
        self.sins.add(Fault.CORRUPT)
        database = self.machine.keyspace.databases[0]
        if database.values and chance.random() < 0.5:
            database.remove(chance.choice(list(database.values)))
        else:
            database.put(b"k%d" % chance.randrange(8), b"corrupt")

    def _distort(self, true: bytes) -> bytes:
        chance = self._timeline.chance
        refuses = self._character is not None and Fault.REFUSE in self._character.faults
        if refuses and self.answered == 1 and chance.random() < 0.3:
            self.sins.add(Fault.REFUSE)
            return b"-ERR no\r\n"
        if self._conspires():
            self.sins.add(Fault.COLLUDE)
            return LIES[self.answered % len(LIES)] if true != LIES[self.answered % len(LIES)] else true
        lie = chance.choice(LIES)
        if self._wants(Fault.LIE) and lie != true:
            self.sins.add(Fault.LIE)
            return lie
        if self._wants(Fault.TWICE):
            self.sins.add(Fault.TWICE)
            return true + true
        if self._wants(Fault.DROP):
            self.sins.add(Fault.DROP)
            return b""
        if self._wants(Fault.SWAP):
            self.sins.add(Fault.SWAP)
            held, self._withheld = self._withheld, true
            return held
        held, self._withheld = self._withheld, b""
        return true + held

    def _conspires(self) -> bool:
        """Accomplices decide by the number of the answer alone, so that they tell the same lie."""
        character = self._character
        if character is None or Fault.COLLUDE not in character.faults or self.is_reformed or self.answered < 3:
            return False
        return (self.answered * 0.618 + self._accomplices) % 1.0 < 0.05

    def _wants(self, fault: Fault) -> bool:
        character = self._character
        if character is None or fault not in character.faults or self.is_reformed:
            return False
        return self._timeline.now >= self._begins_at and self._timeline.chance.random() < character.rate

    # What comes over it from outside.

    def stall(self, for_ns: int, lies_ns: int) -> None:
        """Say nothing for a while, and then everything; what is asked in the first `lies_ns` is answered with lies."""
        self.sins.add(Fault.STALL)
        self._stalled_until = self._timeline.now + for_ns
        self._lies_until = self._timeline.now + lies_ns

    def crash(self) -> None:
        """Its lane breaks."""
        if self.is_broken or self._shell is None:
            return
        self.sins.add(Fault.CRASH)
        self.is_broken = True
        self._shell.lane_broke(self.lane)

    # The lane, towards the coordinator.

    def _say(self, data: bytes) -> None:
        shell = self._shell
        assert shell is not None
        if self._wants(Fault.MUTE):
            self.sins.add(Fault.MUTE)
            self._is_mute = True
        if self._is_mute:
            return
        data = self._spoil(shell, data)
        chance = self._timeline.chance
        delay = chance.randint(1, self._delay_ns)
        if self._character is not None and Fault.LAG in self._character.faults and not self.is_reformed:
            self.sins.add(Fault.LAG)
            delay += chance.randint(1, shell.core.limits.silence_ns_max // 3)
        if self._wants(Fault.STALL):
            silence = shell.core.limits.silence_ns_max
            self.stall(chance.choice((silence // 2, 3 * silence)), 0)
        self._free_at = max(self._free_at, self._timeline.now) if Fault.LAG in self.sins else self._timeline.now
        self._free_at = max(self._free_at, self._stalled_until)
        due = max(self._free_at + delay, shell.lane_due[self.lane])
        self._free_at = due
        for part in shell.cut(data):
            due += chance.randint(0, 2_000)
            shell.lane_due[self.lane] = due
            self._timeline.after(due - self._timeline.now, partial(shell.lane_heard, self.lane, part))
        self._break_off(shell, due)

    def _spoil(self, shell: "SimulatedShell", data: bytes) -> bytes:
        chance = self._timeline.chance
        if self._wants(Fault.GARBAGE):
            self.sins.add(Fault.GARBAGE)
            data = data[: chance.randrange(len(data) + 1)] + chance.randbytes(20)
        if self._wants(Fault.FLOOD):
            self.sins.add(Fault.FLOOD)
            size = chance.choice((1_000_000, 3_000_000))
            data += b"$%d\r\n" % size + b"x" * chance.choice((100, 10_000, 200_000))
        if self._wants(Fault.UNASKED):
            self.sins.add(Fault.UNASKED)
            extra = b"+OK\r\n" * chance.randint(1, 5)
            if chance.random() < 0.5:
                return data + extra
            delay = chance.randint(1, 4 * self._delay_ns)
            self._timeline.after(delay, partial(shell.lane_heard, self.lane, extra))
        return data

    def _break_off(self, shell: "SimulatedShell", due: int) -> None:
        for fault in (Fault.CRASH, Fault.HALF):
            if self.is_broken or not self._wants(fault):
                continue
            self.sins.add(fault)
            self.is_broken = True
            if fault is Fault.HALF:
                self._timeline.after(due - self._timeline.now, lambda: shell.lane_heard(self.lane, b"$100\r\nhalf"))
            self._timeline.after(due - self._timeline.now, lambda: shell.lane_broke(self.lane))
