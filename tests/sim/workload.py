"""What clients ask: requests drawn from the seed over few keys, so that clients meet.

`draw_request` gives what the reference can answer exactly, `draw_publication` and `draw_subscription` what goes through
the coordinator alone. `draw_rogue` gives the rest: garbage, half requests, several slots, waiting, and what is refused.
Rogues write to keys of their own, which begin with `x`. What is watched is written only by what changes it for certain:
so the coordinator, for whom any write that may change a key has changed it, must agree with the reference.
"""

from random import Random

from quorate.trusted.protocols.redis.framing import encode_request

TAGS = b"tags"


def _key(chance: Random) -> str:
    return f"k{chance.randrange(8)}"


def _watched(chance: Random) -> str:
    return f"v{chance.randrange(2)}"


def _word(chance: Random) -> str:
    return f"w{chance.randrange(6)}" * chance.choice((1, 1, 1, 20))


def _large(chance: Random) -> str:
    return "y" * chance.choice((500, 1000))


def _number(chance: Random) -> str:
    return str(chance.randint(-5, 20))


def _seconds(chance: Random) -> str:
    return str(chance.choice((1, 2, 100)))


def _milliseconds(chance: Random) -> str:
    return str(chance.choice((-1, 1, 5, 30, 100, 5000)))


# These words are drawn; what is in capitals and the rest stays.
DRAWN = {
    "key": _key,
    "watched": _watched,
    "word": _word,
    "large": _large,
    "number": _number,
    "seconds": _seconds,
    "milliseconds": _milliseconds,
}

PATTERNS = """
SET key word
SET key number
SET key word PX milliseconds
SET key word EX seconds
SET key word NX
SET key word XX GET
SET key word KEEPTTL
GET key
GET key
GETSET key word
GETDEL key
GETEX key PX milliseconds
GETEX key PERSIST
APPEND key word
INCR key
INCRBY key number
DECR key
STRLEN key
GETRANGE key 0 number
MSET key word key number
MGET key key key
SETNX key word
SETEX key seconds word
PSETEX key milliseconds word
DEL key
EXISTS key key
TYPE key
EXPIRE key seconds
PEXPIRE key milliseconds
PEXPIRE key milliseconds NX
PERSIST key
TTL key
PTTL key
RENAME key key
RENAMENX key key
COPY key key
LPUSH list word number
RPUSH list word
LPOP list
RPOP list
LRANGE list 0 number
LLEN list
LTRIM list 0 10
SADD set word number
SADD other number word
SREM set word
SMEMBERS set
SISMEMBER set word
SCARD set
SUNION set other
SINTER set other
SDIFF set other
SUNIONSTORE union set other
PEXPIRE set milliseconds
HSET hash word number
HGET hash word
HGETALL hash
HDEL hash word
HKEYS hash
HVALS hash
HINCRBY hash counter number
ZADD ranks number word
ZRANGE ranks 0 -1
ZSCORE ranks word
ZREM ranks word
PING
ECHO word
WATCH watched
WATCH watched watched
UNWATCH
SET watched number
INCR watched
GET watched
SADD key word
GET
INCR key key
NOSUCH word
""".strip().splitlines()


def fill(chance: Random, pattern: str) -> list[bytes]:
    """One request of this pattern."""
    return [(DRAWN[part](chance) if part in DRAWN else part).encode() for part in pattern.split()]


def draw_request(chance: Random) -> list[list[bytes]]:
    """One request, or the requests of one transaction."""
    kind = chance.random()
    if kind < 0.9:
        return [fill(chance, chance.choice(PATTERNS))]
    if kind < 0.93:
        return [[b"SELECT", b"%d" % chance.choice((0, 0, 1, 2))]]
    queued = [fill(chance, chance.choice(PATTERNS)) for _ in range(chance.randint(0, 5))]
    return [[b"MULTI"], *queued, [b"EXEC"] if chance.random() < 0.9 else [b"DISCARD"]]


MOVES = """
SET key word
SET key large
SET key large
MGET key key
MGET key key key
MGET key key key
SET key word PX milliseconds
RPUSH list word number
SADD set word number
GET key
LRANGE list 0 number
SMEMBERS set
TTL key
DEL key list
""".strip().splitlines()


def draw_move(chance: Random) -> list[list[bytes]]:
    """Requests to databases that nobody else uses, which swap them, or leave nothing of one."""
    home, other = chance.sample((b"3", b"4"), 2)
    asked = [fill(chance, chance.choice(MOVES)) for _ in range(chance.randint(1, 6))]
    whole = [b"SWAPDB", home, other] if chance.random() < 0.7 else [b"FLUSHDB"]
    return [[b"SELECT", home], *asked, whole, fill(chance, chance.choice(MOVES))]


CHANNELS = (b"news", b"newspaper", b"olds")


def draw_expiring_watch(chance: Random, key: bytes) -> list[list[bytes]]:
    """A watch on a new key that may expire before EXEC."""
    return [[b"SET", key, b"1", b"PX", chance.choice((b"1", b"5", b"30", b"100"))], [b"WATCH", key]]


def draw_publication(chance: Random, message: bytes) -> list[bytes]:
    """A PUBLISH of this message."""
    return [b"PUBLISH", chance.choice(CHANNELS), message]


def draw_subscription(chance: Random) -> list[bytes]:
    """To one channel or to one pattern, or from it."""
    if chance.random() < 0.3:
        return [chance.choice((b"PSUBSCRIBE", b"PSUBSCRIBE", b"PUNSUBSCRIBE")), b"news*"]
    return [chance.choice((b"SUBSCRIBE", b"SUBSCRIBE", b"UNSUBSCRIBE")), chance.choice(CHANNELS)]


ROGUE_PATTERNS = """
SADD xset word number
SPOP xset
SPOP xset 2
SRANDMEMBER xset
SCAN 0
RPUSH xlist word
BLPOP xlist xother 0.01
BLPOP xlist 0
BRPOP xlist 0.2
LPUSH xlist word word
SUBSCRIBE channel
PSUBSCRIBE chan*
UNSUBSCRIBE
PUBLISH channel word
PUBLISH chance word
WATCH xkey
MULTI
SET xkey word
SET xkey word PX milliseconds
EXEC
DISCARD
UNWATCH
CLIENT REPLY SKIP
CLIENT REPLY OFF
CLIENT REPLY ON
CLIENT SETNAME rogue
HELLO 3
HELLO 2
RESET
QUIT
INFO
TIME
DBSIZE
KEYS x*
RANDOMKEY
EVAL return 0
DEBUG SLEEP 1
CONFIG GET *
SHUTDOWN
FLUSHNOTHING
XADD xstream * field word
XRANGE xstream - +
OBJECT ENCODING xkey
SELECT 3
SORT xset ALPHA
""".strip().splitlines()


def draw_rogue(chance: Random) -> bytes:
    """Some bytes of a client that means no good."""
    kind = chance.random()
    if kind < 0.80:
        return b"".join(
            encode_request(fill(chance, chance.choice(ROGUE_PATTERNS))) for _ in range(chance.choice((1, 3, 30)))
        )
    if kind < 0.86:
        return chance.randbytes(chance.choice((1, 20, 3000)))
    if kind < 0.90:
        return encode_request([b"SET", b"xbig", b"y" * chance.choice((900, 5000))])
    if kind < 0.94:
        return b"GET xkey\r\n" * chance.choice((1, 40))
    whole = encode_request([b"SET", b"xkey", b"half"])
    return whole[: chance.randrange(len(whole))]
