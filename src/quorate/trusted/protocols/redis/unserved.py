"""Commands that some variant of the cell does not know. None of them ever reaches a replica: its error would dissent.

A command whose own name is not known may still be served, where it goes to the replicas in another form: a BLPOP as
LMPOP, a SCAN as KEYS. Then only those of its requests that would go as they came are refused (`check_known`).

Where variants differ in what all of them know, the command is looked at more closely than the table says (`scores.py`).
"""

from . import scores
from .base import NOT_KNOWN, Command, Settings, Treatment
from .table import ROWS

# What stands on the lane for a command that takes other forms, with its own name where that stands there too. A command
# that is not here goes by its own name alone. What goes as it came is looked at when it goes.
FORMS: dict[str, tuple[str, ...]] = {
    "blmove": ("lmove", "llen"),
    "blmpop": ("lmpop",),
    "blpop": ("lmpop",),
    "brpop": ("lmpop",),
    "brpoplpush": ("rpoplpush", "llen"),
    "bzmpop": ("zmpop",),
    "bzpopmax": ("zmpop",),
    "bzpopmin": ("zmpop",),
    "eval": ("evalsha",),
    "eval_ro": ("evalsha_ro",),
    "expire": ("expire", "pexpireat"),
    "expireat": ("expireat", "pexpireat"),
    "expiretime": ("pexpiretime",),
    "hkeys": ("hgetall",),
    "hrandfield": ("hgetall",),
    "hscan": ("hgetall",),
    "hvals": ("hgetall",),
    "pexpire": ("pexpire", "pexpireat"),
    "psetex": ("psetex", "set"),
    "pttl": ("pexpiretime",),
    "randomkey": ("keys",),
    "scan": ("keys", "type"),
    "setex": ("setex", "set"),
    "sort": ("sort", "type"),
    "sort_ro": ("sort_ro", "sort", "type"),
    "spop": ("smembers", "srem"),
    "srandmember": ("smembers",),
    "sscan": ("smembers",),
    "ttl": ("pexpiretime",),
    "xadd": ("xadd", "xinfo|stream"),
    "xread": ("xread", "xinfo|stream"),
    "xreadgroup": ("xreadgroup", "type"),
    "zlexcount": ("zlexcount", "zrange"),
    "zrandmember": ("zrange",),
    "zrangebylex": ("zrangebylex", "zrange"),
    "zrevrangebylex": ("zrevrangebylex", "zrange"),
    "zscan": ("zrange",),
}
_ON_LANES = frozenset((Treatment.PLAIN, Treatment.SORTED, Treatment.FORMED, Treatment.PLANNED))


def on_lanes() -> list[str]:
    """The names of all commands that come to replicas in some form, in order."""
    return sorted(row[0] for row in ROWS if row[3] in _ON_LANES)


def refused(unserved: frozenset[str]) -> list[str]:
    """What a cell cannot serve when some variant does not know the commands `unserved`, in order."""
    return [name for name in on_lanes() if any(form in unserved for form in FORMS.get(name, (name,)))]


def restrict(table: dict[bytes, Command], settings: Settings) -> None:
    """Have a dialect's table refuse what its cell cannot serve."""
    rows: dict[str, Command] = {}
    for command in table.values():
        rows[command.name] = command
        for subcommand in command.subcommands.values():
            rows[subcommand.name] = subcommand
    for name in refused(settings.unserved):
        rows[name].treat(Treatment.REFUSED, NOT_KNOWN)
    for name in on_lanes():
        rows[name].is_foreign = name in settings.unserved
    for name in scores.COMPILERS if settings.is_mixed else ():
        if name not in settings.unserved:
            rows[name].treat(Treatment.FORMED)
