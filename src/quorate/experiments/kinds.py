"""The kinds of requests that `bench core` measures, each with the replies that played replicas give. Data only."""

from dataclasses import dataclass

SEATS = 3


def request(*words: str) -> bytes:
    """A request as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request: what each of `clients` sends in a turn, and what each lane replies to it.

    `piece` holds `requests` requests, the unit of the result. `replies` are those of each lane, by seat, and `told` is
    what the client must be told. `opening` is what a client sent before, answered by the coordinator. `asked_again` is
    what every lane replies to the requests that the cell asks again by itself. `lost` seats have no replica any more.
    """

    name: str
    clients: int
    requests: int
    piece: bytes
    replies: tuple[bytes, ...]
    told: bytes
    opening: bytes = b""
    asked_again: bytes = b""
    lost: tuple[int, ...] = ()


def alike(name: str, clients: int, requests: int, piece: bytes, reply: bytes) -> Kind:
    """A kind whose replicas all say what the client is told."""
    return Kind(name, clients, requests, piece * requests, (reply * requests,) * SEATS, reply * requests)


GET, SET = request("GET", "key:000000000001"), request("SET", "key:000000000001", "xxx")
VALUE, OK, QUEUED = b"$3\r\nxxx\r\n", b"+OK\r\n", b"+QUEUED\r\n"
LIE = b"$3\r\nxxy\r\n"
FIELDS = (b"$1\r\na\r\n$1\r\n1\r\n", b"$1\r\nb\r\n$1\r\n2\r\n", b"$1\r\nc\r\n$1\r\n3\r\n", b"$1\r\nd\r\n$1\r\n4\r\n")
PAIRS = tuple(b"*8\r\n" + b"".join(FIELDS[seat:] + FIELDS[:seat]) for seat in range(SEATS))
RESULTS = b"*3\r\n" + OK + b":1\r\n" + VALUE
TRANSACTION = (
    request("MULTI"),
    request("SET", "key:000000000001", "xxx"),
    request("INCR", "counter:000000000001"),
    request("GET", "key:000000000001"),
    request("EXEC"),
)

KINDS = (
    alike("GET, 1 client", 1, 1, GET, VALUE),
    alike("GET, 50 clients", 50, 1, GET, VALUE),
    alike("GET, 50 clients, 16 deep", 50, 16, GET, VALUE),
    alike("SET, 1 client", 1, 1, SET, OK),
    alike("SET, 50 clients", 50, 1, SET, OK),
    alike("SET, 50 clients, 16 deep", 50, 16, SET, OK),
    alike("SET of 10,000 bytes, 50 clients", 50, 1, request("SET", "key:000000000001", "x" * 10_000), OK),
    alike("SET with EX, 50 clients, 16 deep", 50, 16, request("SET", "key:000000000001", "xxx", "EX", "100"), OK),
    alike("EXPIRE, 50 clients, 16 deep", 50, 16, request("EXPIRE", "key:000000000001", "100"), b":1\r\n"),
    Kind(
        "HGETALL of 4 fields in three orders, 50 clients",
        clients=50,
        requests=1,
        piece=request("HGETALL", "hash:000000000001"),
        replies=PAIRS,
        told=PAIRS[0],
    ),
    Kind(
        "MULTI of 3 with EXEC (as one), 50 clients",
        clients=50,
        requests=1,
        piece=b"".join(TRANSACTION),
        replies=(OK + QUEUED * 3 + RESULTS,) * SEATS,
        told=OK + QUEUED * 3 + RESULTS,
    ),
    alike("ECHO, answered here, 50 clients, 16 deep", 50, 16, request("ECHO", "hello"), b"$5\r\nhello\r\n"),
    Kind(
        "GET with RESP3, 50 clients, 16 deep",
        clients=50,
        requests=16,
        piece=GET * 16,
        replies=(VALUE * 16,) * SEATS,
        told=VALUE * 16,
        opening=request("HELLO", "3"),
    ),
    Kind(
        "GET, two replicas left, 50 clients, 16 deep",
        clients=50,
        requests=16,
        piece=GET * 16,
        replies=(VALUE * 16,) * SEATS,
        told=VALUE * 16,
        lost=(SEATS - 1,),
    ),
    Kind(
        "GET, one replica lies and each is asked again, 50 clients",
        clients=50,
        requests=1,
        piece=GET,
        replies=(VALUE, VALUE, LIE),
        told=VALUE,
        asked_again=VALUE,
    ),
)
