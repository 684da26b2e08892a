"""What the coordinator says about itself: COMMAND, INFO, CONFIG GET, HELP, and the line of a client in CLIENT LIST."""

from ...span import Effect
from .base import Call, Command, Dialect, Responder
from .glob import matches
from .session import Session
from .table import ROWS, commands
from .values import aggregate, array, bulk, integer, null_array

# The release whose behaviour the dialect declares (docs/commands-redis.md).
VERSION = b"7.0.15"

SETTINGS = {
    b"appendonly": b"no",
    b"databases": b"16",
    b"maxmemory-policy": b"noeviction",
    b"notify-keyspace-events": b"",
    b"save": b"",
    b"timeout": b"0",
}


def client_line(session: Session) -> bytes:
    """One line of CLIENT LIST: what the coordinator knows of a connection."""
    client = session.client
    text = (
        f"id={client.number} addr={client.address} name={session.name.decode()} db={session.database}"
        f" sub={len(session.channels)} psub={len(session.patterns)} ssub={len(session.shard_channels)}"
        f" multi={len(session.transaction.queued) if session.transaction is not None else -1}"
        f" watch={len(session.watched)} user=default resp={session.protocol}"
        f" lib-name={session.library.get(b'LIB-NAME', b'').decode()}"
        f" lib-ver={session.library.get(b'LIB-VER', b'').decode()}\n"
    )
    return text.encode()


def _described(command: Command, protocol: int) -> bytes:
    """A command's row as COMMAND tells it: name, arity, flags, keys; what only servers know is empty."""
    flags = [b"+write\r\n" if command.is_write else b"+readonly\r\n"]
    if command.grows:
        flags.append(b"+denyoom\r\n")
    first, last, step = command.keys
    none = aggregate(b"~", protocol, [])
    parts = [bulk(command.name.encode()), integer(command.arity), aggregate(b"~", protocol, flags)]
    parts += [integer(first), integer(last), integer(step), none, none, none]
    parts.append(array([_described(sub, protocol) for sub in command.subcommands.values()]))
    return array(parts)


def _top_level() -> list[Command]:
    return [command for name, command in commands().items() if name == command.name.encode()]


def _command(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return array([_described(command, call.session.protocol) for command in _top_level()])


def _command_count(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return integer(len(_top_level()))


def _command_list(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return array([bulk(command.name.encode()) for command in _top_level()])


def _command_info(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    if len(call.arguments) == 2:
        return _command(dialect, call, effects)
    table = commands()
    parts: list[bytes] = []
    for name in call.arguments[2:]:
        command = table.get(name.lower())
        protocol = call.session.protocol
        parts.append(_described(command, protocol) if command is not None else null_array(protocol))
    return array(parts)


def _command_docs(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    return aggregate(b"%", call.session.protocol, [])


def _info(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    sections = {
        b"server": b"redis_version:%b\r\nredis_mode:standalone\r\nserver_name:quorate\r\n" % VERSION,
        b"clients": b"connected_clients:%d\r\n" % len(dialect.sessions),
        b"replication": b"role:master\r\nconnected_slaves:0\r\n",
    }
    wanted = [name.lower() for name in call.arguments[1:]]
    is_all = not wanted or any(name in (b"all", b"default", b"everything") for name in wanted)
    shown = [b"# %b\r\n%b" % (name.capitalize(), text) for name, text in sections.items() if is_all or name in wanted]
    return bulk(b"\r\n".join(shown))


def _config_get(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    parts: list[bytes] = []
    for name, value in SETTINGS.items():
        if any(matches(pattern.lower(), name) for pattern in call.arguments[2:]):
            parts += (bulk(name), bulk(value))
    return aggregate(b"%", call.session.protocol, parts)


def _help(dialect: Dialect, call: Call, effects: list[Effect]) -> bytes:
    container = call.command.name.partition("|")[0]
    lines = [f"{container.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    lines += sorted(row[0].partition("|")[2].upper() for row in ROWS if row[0].startswith(container + "|"))
    return array([f"+{line}\r\n".encode() for line in lines])


RESPONDERS: dict[str, Responder] = {
    "command": _command,
    "command|count": _command_count,
    "command|docs": _command_docs,
    "command|info": _command_info,
    "command|list": _command_list,
    "config|get": _config_get,
    "info": _info,
    **{row[0]: _help for row in ROWS if row[0].endswith("|help")},
}
