"""Families of variants: which commands a variant knows, and what a cell of several families must refuse therefore.

A variant that runs one of this package's small stores is of the family `small`; any other is taken for a full Redis
server. A cell serves what all variants of all its replicas know, those that a rebuild may bring as well as those that
begin: what one of them answers with an error of its own would convict it, innocent. Knows no store's code: a test
compares what stands here with what the stores themselves list.
"""

from dataclasses import dataclass
from itertools import pairwise

from .config import Config, Variant
from .trusted.errors import OperatorFault
from .trusted.protocols.redis.allow_list import shown_name
from .trusted.protocols.redis.base import Settings
from .trusted.protocols.redis.unserved import on_lanes, refused

STORES = "quorate.kv."

# What every small store knows of what a cell sends to replicas, in the table's names.
_SMALL = """
append decr decrby get getdel getex getrange getset incr incrby incrbyfloat mget mset msetnx psetex set setex setnx
setrange strlen substr
hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hset hsetnx hstrlen hvals
lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx
sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove srem sunion sunionstore
zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrange
zrangebylex zrangebyscore zrangestore zrank zrem zremrangebyrank zremrangebyscore zrevrange zrevrangebylex
zrevrangebyscore zrevrank zscore zunion zunionstore
copy del exists expire expireat expiretime keys move persist pexpire pexpireat pexpiretime pttl rename renamenx touch
ttl type unlink
dbsize flushall flushdb swapdb publish evalsha
"""
SMALL = frozenset(_SMALL.split())
# Where the small stores end strings, and how a Redis is told to do so.
STRING_BYTES_MAX = 33_554_432
STRING_OPTION = "--proto-max-bulk-len"


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of variant: what it is for operators, and the commands that it does not know."""

    description: str
    unserved: frozenset[str]


FULL = Family("Redis server", frozenset())
STORE = Family("small store", frozenset(on_lanes()) - SMALL)


def family_of(args: tuple[str, ...]) -> Family:
    """The family of a variant whose program is given `args`."""
    modules = [module for option, module in pairwise(args) if option == "-m"]
    return STORE if modules and modules[0].startswith(STORES) else FULL


def used(config: Config) -> list[Variant]:
    """The variants that some replica may be, in the order of the file."""
    names = {name for replica in config.replicas for name in replica.variants}
    return [variant for variant in config.variants.values() if variant.name in names]


def families(config: Config) -> dict[str, Family]:
    """The family of each variant that some replica may be, by the variant's name."""
    return {variant.name: family_of(variant.args) for variant in used(config)}


def is_mixed(config: Config) -> bool:
    """Whether variants of different families may stand in one vote."""
    return len(set(families(config).values())) > 1


def unserved(config: Config) -> frozenset[str]:
    """The commands that some variant of the cell does not know."""
    return frozenset().union(*(family.unserved for family in families(config).values()))


def refusals(config: Config) -> list[str]:
    """The commands that the cell refuses for that reason, as people write them, in order."""
    return [shown_name(name) for name in refused(unserved(config))]


def partial_refusals(config: Config) -> list[str]:
    """What the cell refuses of commands that all of its variants know, but do not all do alike."""
    return ["ZUNIONSTORE and ZINTERSTORE with a weight below 1"] if is_mixed(config) else []


def settings(config: Config) -> Settings:
    """What the operator decided about the dialect. Raises `OperatorFault` when a variant cannot do it."""
    scripts = frozenset(digest.encode() for digest in config.cell.scripts)
    if scripts:
        unable = [name for name, family in families(config).items() if "eval" in family.unserved]
        if unable:
            raise OperatorFault(
                f"{', '.join(unable)}: a {STORE.description} runs no scripts of clients, and cell.scripts lists some",
                "leave cell.scripts out, or have Redis servers as the only variants",
            )
    return Settings(config.cell.password() or b"", scripts, unserved(config), is_mixed(config))


def unequal_strings(config: Config) -> list[str]:
    """In a mixed cell, the variants that do not end strings where the small stores do, as far as can be seen."""
    if not is_mixed(config):
        return []
    told = (STRING_OPTION, str(STRING_BYTES_MAX))
    return [
        variant.name
        for variant in used(config)
        if family_of(variant.args) is FULL and told not in pairwise(variant.args)
    ]
