"""What a key holds after a write: a hint, and the right one for every command whose name tells."""

import pytest

from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, UNKNOWN, ZSET
from quorate.trusted.protocols.redis.base import Treatment
from quorate.trusted.protocols.redis.kinds import kind_written
from quorate.trusted.protocols.redis.table import ROWS

# Of what may leave anything, or is known by its options only.
ANYTHING = {"blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin", "copy", "del", "eval"}
ANYTHING |= {
    "evalsha",
    "expire",
    "expireat",
    "flushall",
    "flushdb",
    "getdel",
    "move",
    "persist",
    "pexpire",
    "pexpireat",
}
ANYTHING |= {"rename", "renamenx", "swapdb", "unlink"}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("set append incrbyfloat getset getex mset msetnx psetex setbit bitop bitfield pfadd pfcount pfmerge", STRING),
        ("lpush rpush lpop rpoplpush linsert lset lrem ltrim lmove lmpop sort", LIST),
        ("sadd srem smove spop sinterstore sunionstore sdiffstore", SET),
        ("hset hdel hincrby hsetnx", HASH),
        ("zadd zunionstore zrangestore zmpop geoadd georadius geosearchstore", ZSET),
        ("xadd xtrim xreadgroup xgroup|create xclaim", STREAM),
        ("del rename copy eval", UNKNOWN),
    ],
)
def test_the_name_tells(names: str, kind: int) -> None:
    assert {name: kind_written(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_only_what_may_leave_anything_gives_no_hint() -> None:
    served = [row for row in ROWS if "w" in row[2] and row[3] is not Treatment.REFUSED]
    assert {name for name, *_ in served if kind_written(name) == UNKNOWN} == ANYTHING
