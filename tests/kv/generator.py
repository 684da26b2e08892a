"""Seeded random commands over a small keyspace: mostly sensible, sometimes of the wrong type, sometimes malformed.

A template is words; `a|b` picks one, `?w` may be left out, `w*` comes one to three times, `~` binds words into one,
and `$name` is a random word of that kind. Deadlines are far ahead or long past, so that no clock decides a reply.
No key is stored already expired, because Redis may or may not count it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

Command = tuple[bytes, ...]

WRONG_TYPE_CHANCE = 0.07
MUTATION_CHANCE = 0.06

POOLS: dict[str, list[bytes]] = {
    "s": [b"s1", b"s2", b"s3", b"s\x00\xff"],
    "h": [b"h1", b"h2", b"h3"],
    "l": [b"l1", b"l2", b"l3"],
    "x": [b"x1", b"x2", b"x3", b"x4"],
    "z": [b"z1", b"z2", b"z3", b"z4"],
    "value": [
        b"",
        b"a",
        b"b",
        b"hello",
        b"\x00\xff\r\n",
        b"10",
        b"-3",
        b"7",
        b"3.5",
        b"0",
        b"12345678901234567890",
        b"x" * 70,
    ],
    "member": [b"a", b"b", b"c", b"d", b"e", b"1", b"2", b"10", b"", b"\xff"],
    "index": [b"0", b"1", b"2", b"-1", b"-2", b"5", b"-100", b"100", b"3", b"-3", b"x"],
    "count": [b"0", b"1", b"2", b"3", b"10", b"-1", b"x", b"1", b"2"],
    "number": [
        b"1",
        b"-1",
        b"5",
        b"100",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"x",
        b" 1",
        b"01",
        b"1.5",
        b"",
        b"-0",
    ],
    "float": [b"1", b"0.1", b"-2.5", b"3.0e3", b"1e2", b"inf", b"-inf", b"nan", b"x", b"", b" 1", b"5.25", b"0"],
    "score": [
        b"0",
        b"1",
        b"2",
        b"1",
        b"2",
        b"3",
        b"-1.5",
        b"0.1",
        b"1e20",
        b"1e-7",
        b"3.25",
        b"inf",
        b"-inf",
        b"nan",
        b"+2",
        b"x",
    ],
    "min": [b"-inf", b"0", b"1", b"(1", b"(0", b"-", b"2.5", b"(-inf", b"x", b"-inf", b"0"],
    "max": [b"+inf", b"inf", b"3", b"(2", b"(3", b"2", b"+", b"(inf", b"x", b"+inf", b"10"],
    "lexmin": [b"-", b"[a", b"(a", b"[b", b"-", b"[", b"(", b"+", b"a"],
    "lexmax": [b"+", b"[d", b"(d", b"[c", b"+", b"(", b"[", b"-", b"d"],
    "weight": [b"1", b"2", b"0.5", b"-1", b"inf", b"x", b"3", b"0"],
    "far": [b"100000", b"500000", b"900000", b"1000000000"],
    "offset": [b"0", b"1", b"3", b"10", b"-1", b"x", b"5"],
    "deadline": [b"33000000000", b"34000000000", b"35000000000"],
    "ms": [b"33000000000000", b"34000000000000", b"35000000000123"],
    "past": [b"1", b"1000"],
    "badtime": [b"0", b"-1", b"x", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775", b"1.5", b""],
    "glob": [b"*", b"s*", b"?1", b"[hl]?", b"[^s]*", b"[a-m]1", b"\\s1", b"x[", b"", b"*1*", b"z[2-1]", b"[hl"],
    "db": [b"0", b"1", b"0", b"0", b"16", b"-1", b"x"],
    "junk": [
        b"",
        b"NX",
        b"XX",
        b"LIMIT",
        b"\x00",
        b"foo bar",
        b"COUNT",
        b"WITHSCORES",
        b"-",
        b"36000000000000",
        b"junk'\n",
    ],
}
POOLS["k"] = [key for kind in "shlxz" for key in POOLS[kind]]

EXPIRY = "?EX~$far|PX~$far|EXAT~$deadline|PXAT~$ms|KEEPTTL|EX~$badtime"
STORE_TAIL = "?WEIGHTS~$weight~$weight ?AGGREGATE~SUM|MIN|MAX"
TEMPLATES = f"""
PING ?$value
ECHO $value
SELECT $db
DBSIZE
FLUSHDB ?ASYNC|SYNC|x
SWAPDB $db $db
HELLO 2|3|3|4|x ?SETNAME~me
CLIENT SETNAME|GETNAME|ID|SETINFO|NOSUCH ?$value
PUBLISH $k $value
NOSUCH $k $value*
DEL|UNLINK|EXISTS|TOUCH $k*
TYPE $k
RENAME|RENAMENX $k $k
RENAME|RENAMENX $s $s
COPY $k $k ?DB~$db ?REPLACE
MOVE $k $db
KEYS $glob
EXPIRE|PEXPIRE $k $far|$badtime ?NX|XX ?NX|XX
EXPIREAT $k $deadline|$deadline|$badtime|$past ?NX|XX|GT|LT|$junk ?NX|XX|GT|LT
PEXPIREAT $k $ms|$ms|$badtime|$past ?NX|XX|GT|LT|$junk ?NX|XX|GT|LT
TTL|PTTL|EXPIRETIME|PEXPIRETIME|PERSIST $k
GET|GETDEL|STRLEN $s
GET $k
SET $s $value {EXPIRY} ?NX|XX ?GET
SET $k $value ?GET ?XX
SETNX|GETSET|APPEND $s $value
SETEX|PSETEX $s $far|$badtime $value
GETEX $s {EXPIRY.replace("KEEPTTL", "PERSIST")}
MGET $k*
MSET|MSETNX $s $value $s $value
GETRANGE|SUBSTR $s $index $index
SETRANGE $s $index $value
INCR|DECR $s
INCRBY|DECRBY $s $number
SET $s $number
INCRBYFLOAT $s $float
HSET|HMSET $h $member $value
HSET|HMSET $h $member $value $member $value
HSET $h $member $number
HSETNX $h $member $value
HGET|HEXISTS|HSTRLEN $h $member
HMGET|HDEL $h $member*
HLEN|HGETALL|HKEYS|HVALS $h
HINCRBY $h $member $number
HINCRBYFLOAT $h $member $float
LPUSH|RPUSH|LPUSHX|RPUSHX $l $member*
LPUSH|RPUSH $l $member*
LPOP|RPOP $l ?$count
LLEN $l
LRANGE|LTRIM $l $index $index
LRANGE $l 0 -1
LINDEX $l $index
LSET $l $index $member
LINSERT $l BEFORE|AFTER|x $member $member
LREM $l $index $member
LMOVE $l $l LEFT|RIGHT|x LEFT|RIGHT
RPOPLPUSH $l $l
LPOS $l $member ?RANK~$index ?COUNT~$count ?MAXLEN~$count
LMPOP 1|2|0|x $l ?$l LEFT|RIGHT ?COUNT~$count
SADD $x $member*
SADD $x $member*
SREM|SMISMEMBER $x $member*
SISMEMBER $x $member
SCARD|SMEMBERS $x
SMOVE $x $x $member
SINTER|SUNION|SDIFF $x*
SINTERSTORE|SUNIONSTORE|SDIFFSTORE $x $x*
SINTERCARD 1|2|0|x $x ?$x ?LIMIT~$count
ZADD $z ?NX|XX ?GT|LT ?CH ?INCR $score $member
ZADD $z ?CH $score $member $score $member
ZADD $z $score $member $score $member $score $member
ZREM|ZMSCORE $z $member*
ZSCORE|ZRANK|ZREVRANK $z $member
ZINCRBY $z $score $member
ZCARD $z
ZCOUNT|ZREMRANGEBYSCORE $z $min $max
ZRANGE $z $index $index ?REV ?WITHSCORES
ZRANGE $z $min $max BYSCORE ?LIMIT~$offset~$index ?WITHSCORES
ZRANGE $z $max $min BYSCORE REV ?LIMIT~$offset~$index ?WITHSCORES
ZRANGE $z $lexmin $lexmax BYLEX ?LIMIT~$offset~$index
ZRANGE $z $lexmax $lexmin BYLEX REV ?LIMIT~$offset~$index ?WITHSCORES
ZRANGESTORE $z $z $index $index ?REV|BYSCORE|BYLEX
ZRANGESTORE $z $z $min $max BYSCORE ?LIMIT~$offset~$index
ZRANGEBYSCORE $z $min $max ?WITHSCORES ?LIMIT~$offset~$index
ZREVRANGEBYSCORE $z $max $min ?WITHSCORES ?LIMIT~$offset~$index
ZREVRANGE $z $index $index ?WITHSCORES
ZRANGE $z 0 -1 WITHSCORES
ZRANGEBYLEX $z $lexmin $lexmax ?LIMIT~$offset~$index
ZREVRANGEBYLEX $z $lexmax $lexmin ?LIMIT~$offset~$index
ZLEXCOUNT|ZREMRANGEBYLEX $z $lexmin $lexmax
ZREMRANGEBYRANK $z $index $index
ZPOPMIN|ZPOPMAX $z ?$count
ZMPOP 1|2|0|x $z ?$z MIN|MAX|x ?COUNT~$count
ZUNIONSTORE|ZINTERSTORE $z 1|2|0|x $z|$x ?$z|$x {STORE_TAIL}
ZUNIONSTORE|ZINTERSTORE $z 2 $z|$x $z|$x {STORE_TAIL}
ZUNION|ZINTER 2 $z|$x $z|$x {STORE_TAIL} ?WITHSCORES
ZDIFFSTORE $z 2 $z|$x $z|$x
ZDIFF 1|2|3|0 $z|$x $z|$x ?$z|$x ?WITHSCORES
ZINTERCARD 1|2|0|x $z|$x ?$z|$x ?LIMIT~$count
GETEX $s EXAT|PXAT $past
MULTI
EXEC
EXEC
DISCARD
WATCH $k*
UNWATCH
"""
LINES = [line.split() for line in TEMPLATES.split("\n") if line]
EMPTYING = frozenset(b"FLUSHDB SWAPDB SELECT MULTI WATCH HELLO".split())


def commands(seed: int, count: int) -> Iterator[Command]:
    """`count` commands; the same ones for the same seed. Those that hide the keyspace come rarely."""
    random = Random(seed)
    for _ in range(count):
        command = _command(random)
        while command[0] in EMPTYING and random.random() < 0.7:
            command = _command(random)
        yield command


def _command(random: Random) -> Command:
    words = [word for part in random.choice(LINES) for word in _expand(random, part)]
    if random.random() < MUTATION_CHANCE:
        _mutate(random, words)
    if random.random() < 0.05:
        words[0] = words[0].lower()
    return tuple(words)


def _mutate(random: Random, words: list[bytes]) -> None:
    at = random.randrange(1, len(words) + 1)
    match random.randrange(3):
        case 0:
            del words[at:]
        case 1:
            words.insert(at, random.choice(POOLS["junk"]))
        case _:
            words[at : at + 1] = [random.choice(POOLS["junk"])]


def _expand(random: Random, part: str) -> list[bytes]:
    if part.startswith("?"):
        return _expand(random, part[1:]) if random.random() < 0.4 else []
    if part.endswith("*"):
        return [word for _ in range(random.randint(1, 3)) for word in _expand(random, part[:-1])]
    # In `EX~$far|PX~$far` the choice is between bound words; in `AGGREGATE~SUM|MIN` the binding comes first.
    if part.startswith(("AGGREGATE~", "WEIGHTS~")):
        return [word for bound in part.split("~") for word in _expand(random, bound)]
    chosen = random.choice(part.split("|"))
    return [_word(random, word) for word in chosen.split("~")]


def _word(random: Random, word: str) -> bytes:
    if not word.startswith("$"):
        return word.encode()
    kind = word[1:]
    if len(kind) == 1 and random.random() < WRONG_TYPE_CHANCE:
        kind = "k"
    return random.choice(POOLS[kind])
