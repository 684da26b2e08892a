"""What a key holds after a write, and what of others it may come to hold: hints, by the command's name."""

from ...changes import HASH, LIST, SET, STREAM, STRING, UNKNOWN, ZSET

# What a key holds after a write, by the beginning of the command's name; the others may leave anything.
_KINDS = (
    (STRING, ("set", "append", "incr", "decr", "getset", "getex", "mset", "psetex", "bit", "pf", "substr")),
    (LIST, ("lpush", "rpush", "lpop", "rpop", "linsert", "lset", "lrem", "ltrim", "lmove", "lmpop", "sort")),
    (SET, ("sadd", "srem", "smove", "spop", "sinterstore", "sunionstore", "sdiffstore")),
    (HASH, ("h",)),
    (ZSET, ("z", "geo")),
    (STREAM, ("x",)),
)

# What may make one key hold what others hold.
TAKING_OVER = frozenset(
    (
        *("copy", "move", "rename", "renamenx", "lmove", "rpoplpush", "sort"),
        *("sdiffstore", "sinterstore", "sunionstore", "zdiffstore", "zinterstore", "zunionstore", "zrangestore"),
        *("geosearchstore", "georadius", "georadiusbymember", "bitop", "pfmerge"),
    )
)


def kind_written(name: str) -> int:
    """A hint at what a key holds after the command `name` changed it."""
    for kind, beginnings in _KINDS:
        if name.startswith(beginnings):
            return kind
    return UNKNOWN
