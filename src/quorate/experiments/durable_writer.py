"""A client that writes down what it was promised: which writes were acknowledged, and which are in doubt.

Every write is the next number of one of its registers, so that what is found after a crash says exactly how far it
came: not less than was acknowledged, not more than was sent, each number once. Its connection has one order: of the
writes without reply, what was done is a beginning, in that order. Knows no cell.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from .client import Connection, ErrorReply, Reply

PIECE_WRITES_MAX = 8
LIST_LENGTH_MAX = 200
TROUBLES_TOLD_MAX = 10
# Now and then a string is long, so that the journal's segments roll over, and much is to be read at a start.
LONG_EVERY = 16
LONG_BYTES_MIN = 50_000
LONG_BYTES_MAX = 1_000_000

COUNTER, LIST, STRING, PAIR = "counter", "list", "string", "pair"
REGISTERS = (COUNTER, LIST, STRING, PAIR)


@dataclass(slots=True)
class Harm:
    """What must not be: acknowledged writes `lost`, any `duplicated`, any `torn` (a part, or before an earlier one)."""

    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    wrong: int = 0
    troubles: list[str] = field(default_factory=list)

    def note(self, kind: str, trouble: str, count: int = 1) -> None:
        """Count harm of one `kind`, and keep it in words while there is little."""
        setattr(self, kind, getattr(self, kind) + count)
        if len(self.troubles) < TROUBLES_TOLD_MAX:
            self.troubles.append(f"{kind}: {trouble}")


class Writer:
    """The client called `name`; it outlives its connections, and the cell."""

    def __init__(self, name: str, harm: Harm, seed: int) -> None:
        self.acknowledged = 0
        self.doubtful = 0
        self.failed = 0
        self._name = name
        self._harm = harm
        self._random = random.Random(seed)
        # By register, the last number that is known to be there; and what was sent since and not acknowledged.
        self._done = dict.fromkeys(REGISTERS, 0)
        self._sent: list[str] = []
        # The list begins anew when it is long: its number, and which writes went to the lists before.
        self._epoch = 0
        self._before = 0
        self._full: list[tuple[int, int, int]] = []

    # Writing.

    async def write(self, connection: Connection) -> None:
        """Send pieces of writes until the connection ends. Raises `OSError` or `EOFError` then."""
        while True:
            piece = self._random.choices(REGISTERS, k=self._random.randrange(1, PIECE_WRITES_MAX + 1))
            numbers = self._numbers(piece)
            self._sent = list(piece)
            connection.send(
                request
                for register, number in zip(piece, numbers, strict=True)
                for request in self._write(register, number)
            )
            for register, number in zip(piece, numbers, strict=True):
                if not await self._acknowledged(connection, register, number):
                    return
            if self._done[LIST] - self._before >= LIST_LENGTH_MAX:
                self._begin_list()

    def _numbers(self, piece: list[str]) -> list[int]:
        """The next numbers of these registers."""
        reached = Counter(self._done)
        numbers = []
        for register in piece:
            reached[register] += 1
            numbers.append(reached[register])
        return numbers

    def _write(self, register: str, number: int) -> list[tuple[bytes, ...]]:
        key, text = self._key(register), b"%d" % number
        match register:
            case "counter":
                return [(b"INCR", key)]
            case "list":
                return [(b"RPUSH", key, text)]
            case "string":
                return [(b"SET", key, string_of(number))]
            case _:
                return [(b"MULTI",), (b"INCR", key + b":left"), (b"INCR", key + b":right"), (b"EXEC",)]

    async def _acknowledged(self, connection: Connection, register: str, number: int) -> bool:
        """Whether the oldest write without a reply was done. An error leaves it in doubt, with all that follow."""
        replies = [await connection.reply() for _ in range(4 if register == PAIR else 1)]
        errors = [reply for reply in replies if isinstance(reply, ErrorReply)]
        if errors:
            self.failed += 1
            self._harm.note("wrong", f"{self._name} was answered {errors[0]}")
            return False
        expected: Reply = number
        if register == LIST:
            expected = number - self._before
        elif register == STRING:
            expected = b"OK"
        elif register == PAIR:
            expected = [number, number]
        if replies[-1] != expected:
            self._harm.note("wrong", f"{register} {number} of {self._name} was answered {replies[-1]!r}")
        self._done[register] = number
        self._sent.pop(0)
        self.acknowledged += 1
        return True

    def _key(self, register: str) -> bytes:
        suffix = f":{self._epoch}" if register == LIST else ""
        return f"{self._name}:{register}{suffix}".encode()

    def _begin_list(self) -> None:
        self._full.append((self._epoch, self._before, self._done[LIST]))
        self._epoch += 1
        self._before = self._done[LIST]

    # Looking after a crash.

    async def look(self, connection: Connection) -> None:
        """Compare what is there with what was promised, and one of the full lists; then, what is there is known."""
        await self._compare(connection)
        if self._full:
            await self._look_back(connection, self._random.choice(self._full))

    async def audit(self, connection: Connection) -> None:
        """Look at everything that was ever written."""
        await self._compare(connection)
        for full in self._full:
            await self._look_back(connection, full)

    async def _compare(self, connection: Connection) -> None:
        found = await self._found(connection)
        applied = Counter({register: found[register] - self._done[register] for register in REGISTERS})
        for register in REGISTERS:
            if applied[register] < 0:
                self._harm.note(
                    "lost", f"{register} of {self._name} fell back: {self._tell(found)}", -applied[register]
                )
        done = +applied
        if sum(done.values()) > len(self._sent) or done - Counter(self._sent):
            self._harm.note("duplicated", f"more of {self._name} is there than was sent: {self._tell(found)}")
        elif Counter(self._sent[: sum(done.values())]) != done:
            self._harm.note(
                "torn", f"of {self._name} is there what was sent later than what is not: {self._tell(found)}"
            )
        self.doubtful += len(self._sent)
        self._done, self._sent = found, []

    def _tell(self, found: dict[str, int]) -> str:
        return f"{found} found, {self._done} acknowledged, {self._sent} sent since"

    async def _found(self, connection: Connection) -> dict[str, int]:
        pair = self._key(PAIR)
        connection.send(
            [
                (b"GET", self._key(COUNTER)),
                (b"GET", self._key(STRING)),
                (b"MGET", pair + b":left", pair + b":right"),
                (b"LRANGE", self._key(LIST), b"0", b"-1"),
            ]
        )
        counter, string, pairs, numbers = [await connection.reply() for _ in range(4)]
        left, right = map(_number, pairs) if isinstance(pairs, list) else (0, 0)
        if left != right:
            self._harm.note("torn", f"the pair of {self._name} is {left} and {right}")
        length = self._check_list(self._key(LIST), self._before, numbers)
        last = _number(string.partition(b":")[0]) if isinstance(string, bytes) else 0
        if last and string != string_of(last):
            self._harm.note("torn", f"the string {last} of {self._name} is not what was written")
        return {COUNTER: _number(counter), STRING: last, PAIR: left, LIST: self._before + length}

    async def _look_back(self, connection: Connection, full: tuple[int, int, int]) -> None:
        epoch, before, last = full
        key = f"{self._name}:{LIST}:{epoch}".encode()
        connection.send([(b"LRANGE", key, b"0", b"-1")])
        length = self._check_list(key, before, await connection.reply())
        if length != last - before:
            kind = "lost" if length < last - before else "duplicated"
            self._harm.note(kind, f"{key!r} has {length} numbers and not {last - before}", abs(length - last + before))

    def _check_list(self, key: bytes, before: int, numbers: Reply) -> int:
        """The list's length, which must hold each number once and in order."""
        found = [_number(number) for number in numbers] if isinstance(numbers, list) else []
        if len(set(found)) < len(found):
            self._harm.note("duplicated", f"{key!r} holds {found}")
        elif found != list(range(before + 1, before + 1 + len(found))):
            self._harm.note("torn", f"{key!r} holds {found}")
        return len(found)


def string_of(number: int) -> bytes:
    """What is written as a register's `number`-th string."""
    text = b"%d" % number
    if number % LONG_EVERY:
        return text
    return text + b":" + b"x" * (LONG_BYTES_MIN + number * 7919 % (LONG_BYTES_MAX - LONG_BYTES_MIN + 1))


def _number(reply: Reply) -> int:
    """The number in a register's reply; 0 where nothing was written."""
    return int(reply) if isinstance(reply, bytes) and reply.isdigit() else 0
