"""Keys in every state that a server can hold, by seed; read as records, and made anew from them on another server."""

from collections.abc import Iterator
from random import Random

from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, UNKNOWN, ZSET
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.framing import RequestFramer, encode_request
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS
from quorate.trusted.protocols.redis.state import record_of, state_request
from quorate.trusted.protocols.redis.state_proofs import canonical_answer, proof_of
from quorate.trusted.protocols.redis.state_restore import restore_requests
from quorate.trusted.protocols.redis.values import elements, payload, value_end
from tests.real.reference import Connection

Request = list[bytes]

REQUEST_BYTES_MAX = 16 * 1024
# Around the sizes at which a server leaves its compact encodings, and one that needs several requests.
COUNTS = [1, 2, 3, 8, 127, 129, 513, 700]
SIZES = [0, 1, 5, 63, 65, 200, 9_000, 40_000]
NUMBERS = [b"0", b"7", b"-3", b"007", b"3.5", b"9223372036854775807", b"12345678901234567890", b"1e5", b" 1"]
SCORES = [b"0", b"1", b"-1.5", b"0.1", b"inf", b"-inf", b"1e300", b"5e-324", b"3.0000000000000004", b"17"]
SCORES += [b"9007199254740993", b"0.30000000000000004", b"-2.2250738585072014e-308"]


class Generator:
    """Draws the requests that make keys, by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)

    def value(self) -> bytes:
        """A string: a number, text, or any bytes."""
        chance = self.chance
        if chance.random() < 0.3:
            return chance.choice(NUMBERS)
        return chance.randbytes(chance.choice(SIZES[:7] if chance.random() < 0.3 else SIZES[:5]))

    def keys(self, count: int, kinds: list[int]) -> list[Request]:
        """Requests that make `count` keys of these kinds, some with a deadline."""
        requests: list[Request] = []
        for number in range(count):
            kind = self.chance.choice(kinds)
            key = b"%d:%d:%b" % (kind, number, self.chance.randbytes(self.chance.choice([0, 3, 20])))
            requests += MAKERS[kind](self, key)
            if self.chance.random() < 0.2:
                requests.append([b"PEXPIREAT", key, b"%d" % (DEADLINE_OFFSET_MS + self.chance.randrange(10**13))])
        return requests

    def some(self) -> list[bytes]:
        """Different values, few or many."""
        chance = self.chance
        count = chance.choice(COUNTS)
        if chance.random() < 0.3:
            return [b"%d" % number for number in chance.sample(range(-5_000, 5_000), count)]
        return list(dict.fromkeys(self.value() for _ in range(count))) or [b""]

    def make_string(self, key: bytes) -> list[Request]:
        """SET, perhaps grown; a bitmap; a HyperLogLog, perhaps counted."""
        match self.chance.randrange(6):
            case 0:
                return [[b"SETBIT", key, b"%d" % self.chance.randrange(3_000), b"1"]]
            case 1:
                added = [[b"PFADD", key, *self.some()]]
                return added + [[b"PFCOUNT", key]] * self.chance.randrange(2)
            case 2:
                return [[b"SET", key, self.chance.randbytes(SIZES[-1])]]
            case 3:
                return [[b"SET", key, b"12"], [b"APPEND", key, self.value()]]
            case _:
                return [[b"SET", key, self.value()]]

    def make_list(self, key: bytes) -> list[Request]:
        """Pushed at both ends, values more than once."""
        values = self.some()
        return [[b"RPUSH", key, *values, values[0]], [b"LPUSH", key, self.value()], [b"RPUSH", key, *values[:3]]]

    def make_set(self, key: bytes) -> list[Request]:
        """Members, perhaps fewer than there once were."""
        values = self.some()
        gone = values[2:] if self.chance.random() < 0.3 else [b"absent"]
        return [[b"SADD", key, *values], [b"SREM", key, *(gone or [b"absent"])]]

    def make_hash(self, key: bytes) -> list[Request]:
        """Fields, perhaps fewer than there once were."""
        fields = self.some()
        gone = fields[2:] if self.chance.random() < 0.3 else [b"absent"]
        pairs = [part for field in fields for part in (field, self.value())]
        return [[b"HSET", key, *pairs], [b"HDEL", key, *(gone or [b"absent"])]]

    def make_ranked(self, key: bytes) -> list[Request]:
        """Members of equal and of different scores, perhaps fewer than there once were; -0 if the set was large."""
        chance = self.chance
        members = self.some()
        gone = members[2:] if chance.random() < 0.3 else [b"absent"]
        scored = [part for member in members for part in (self.score(), member)]
        requests = [[b"ZADD", key, *scored], [b"ZADD", key, b"-0", b"zero"]]
        return [*requests, [b"ZREM", key, *(gone or [b"absent"])], [b"ZINCRBY", key, b"0.1", members[0]]]

    def score(self) -> bytes:
        """A score."""
        chance = self.chance
        return chance.choice(SCORES) if chance.random() < 0.5 else b"%.17g" % chance.uniform(-1e6, 1e6)

    def make_stream(self, key: bytes) -> list[Request]:
        """Entries, groups, consumers, what is pending, what was deleted and trimmed, identifiers set by hand."""
        return list(self._stream(key))

    def _stream(self, key: bytes) -> Iterator[Request]:
        chance = self.chance
        last = 0
        if chance.random() < 0.2:
            yield [b"XGROUP", b"CREATE", key, b"g0", b"0", b"MKSTREAM"]
        for _ in range(chance.choice([0, 1, 3, 30, 120])):
            last += chance.randint(1, 3)
            fields = [self.value() for _ in range(2 * chance.randint(1, 3))]
            yield [b"XADD", key, b"%d-%d" % (last, chance.randint(0, 2)), *fields]
        if not last:
            yield [b"XADD", key, b"1-1", b"f", b"v"]
        for number in range(chance.randint(0, 3)):
            yield from self._group(key, b"g%d" % number, last)
        for _ in range(chance.randint(0, 4)):
            yield self._afterwards(key, last)

    def _group(self, key: bytes, name: bytes, last: int) -> Iterator[Request]:
        chance = self.chance
        yield [b"XGROUP", b"CREATE", key, name, chance.choice([b"0", b"$", b"%d-1" % max(last // 2, 1)])]
        for consumer in chance.sample([b"alice", b"bob", b"", b"\xff\r\n"], chance.randint(0, 4)):
            yield [b"XGROUP", b"CREATECONSUMER", key, name, consumer]
        for _ in range(chance.randint(0, 4)):
            consumer = chance.choice([b"alice", b"carol"])
            count = b"%d" % chance.randint(1, 20)
            yield [b"XREADGROUP", b"GROUP", name, consumer, b"COUNT", count, b"STREAMS", key, b">"]
        if chance.random() < 0.4:
            yield [b"XACK", key, name, *[b"%d-%d" % (number, number % 3) for number in range(1, last + 1)]]
        if chance.random() < 0.4:
            yield [b"XAUTOCLAIM", key, name, b"dora", b"0", b"0", b"COUNT", b"3"]
        if chance.random() < 0.3:
            yield [b"XGROUP", b"SETID", key, name, b"%d" % last, b"ENTRIESREAD", b"%d" % chance.randint(-1, 9)]

    def _afterwards(self, key: bytes, last: int) -> Request:
        chance = self.chance
        some = b"%d-%d" % (chance.randint(1, last + 1), chance.randint(0, 2))
        return chance.choice(
            [
                [b"XDEL", key, *[b"%d-%d" % (number, second) for number in (1, 2, 3, last) for second in (0, 1, 2)]],
                [b"XTRIM", key, b"MAXLEN", b"%d" % chance.randint(0, 20)],
                [b"XSETID", key, b"%d-5" % (last + 10)],
                [b"XSETID", key, some],
                [b"XSETID", key, b"%d-9" % (last + 9), b"ENTRIESADDED", b"500", b"MAXDELETEDID", some],
                [b"XADD", key, b"%d-0" % (last + 20), b"after", b"wards"],
            ]
        )


MAKERS = {
    STRING: Generator.make_string,
    LIST: Generator.make_list,
    SET: Generator.make_set,
    HASH: Generator.make_hash,
    ZSET: Generator.make_ranked,
    STREAM: Generator.make_stream,
}
ALL_KINDS = list(MAKERS)


def tell(server: Connection, requests: list[Request]) -> list[bytes]:
    """All requests in one piece, and each reply."""
    return tell_raw(server, [encode_request(request) for request in requests])


def tell_raw(server: Connection, requests: list[bytes]) -> list[bytes]:
    """The same for requests that are encoded already."""
    replies: list[bytes] = []
    for start in range(0, len(requests), 500):
        piece = requests[start : start + 500]
        server.send(b"".join(piece))
        data = server.receive(len(piece))
        position = 0
        while position < len(data):
            end = value_end(data, position)
            replies.append(data[position:end])
            position = end
    return replies


def keys_of(server: Connection) -> list[bytes]:
    """All keys of the selected database."""
    return sorted(payload(part) for part in elements(server.ask("KEYS", "*")))


def unit_of(server: Connection, key: bytes, kind: int) -> bytes:
    """What the server answers to one state read."""
    request, frames = state_request(key, kind)
    server.send(request)
    return server.receive(frames)


def read(server: Connection, key: bytes) -> bytes | None:
    """The record of one key, asked twice as when its kind is not known; what it tells is as a record foretells it."""
    kind, record, is_settled = record_of(UNKNOWN, unit_of(server, key, UNKNOWN))
    if is_settled:
        return record
    unit = unit_of(server, key, kind)
    told, record, is_settled = record_of(kind, unit)
    assert is_settled, unit
    assert record is not None
    assert told == kind
    assert is_proved(server, key, record), unit
    return record


def is_proved(server: Connection, key: bytes, record: bytes) -> bool:
    """Whether the server answers the proof of this record as it must."""
    request, due, hint = proof_of(key, record)
    server.send(request)
    answer = server.receive(len(RequestFramer(Limits()).feed(request)))
    return (canonical_answer(hint, answer) if hint else answer) == due


def records(server: Connection) -> dict[bytes, bytes]:
    """The records of all keys of the selected database."""
    found = {key: read(server, key) for key in keys_of(server)}
    return {key: record for key, record in found.items() if record is not None}


def restore(server: Connection, rows: dict[bytes, bytes], request_bytes_max: int = REQUEST_BYTES_MAX) -> None:
    """Make these keys where they are absent."""
    requests = [request for key, row in rows.items() for request in restore_requests(key, row, request_bytes_max)]
    errors = [reply for reply in tell_raw(server, requests) if reply.startswith(b"-")]
    assert errors == []
