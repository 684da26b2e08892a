"""What a key holds after a write: a hint, by the command's name."""

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


def kind_written(name: str) -> int:
    """A hint at what a key holds after the command `name` changed it."""
    for kind, beginnings in _KINDS:
        if name.startswith(beginnings):
            return kind
    return UNKNOWN
