"""Which command a request is, and what is refused whatever its arguments say. In Redis's order of checks and words.

Changes nothing.
"""

from .base import Command, Refusal, Treatment
from .session import Session

# What a connection may do before it has authenticated, and while it is subscribed (RESP2).
BEFORE_AUTH = frozenset(("auth", "hello", "quit", "reset"))
SUBSCRIBING = frozenset(("subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"))
WHILE_SUBSCRIBED = SUBSCRIBING | {"ping", "quit", "reset"}
NO_ROOM = "MISCONF quorate: the disk has no room for the journal, so writes are refused; reads are served"
NO_ROOM_TO_REAP = (
    "MISCONF quorate: the disk has no room to write down that keys expire, so nothing is served until it has"
)
# What of a request is shown in an error.
_SHOWN_MAX = 128


def look_up(table: dict[bytes, Command], arguments: list[bytes]) -> Command:
    """The command or subcommand. Raises `Refusal` when there is none."""
    name = arguments[0]
    command = table.get(name) or table.get(name.upper())
    if command is None:
        raise Refusal(_unknown(arguments))
    if command.subcommands and len(arguments) > 1:
        found = command.subcommands.get(arguments[1].upper())
        if found is None:
            shown = arguments[1][:_SHOWN_MAX].decode("latin-1")
            raise Refusal(f"ERR unknown subcommand '{shown}'. Try {command.name.upper()} HELP.")
        command = found
    return command


def check(session: Session, command: Command, count: int, is_memory_full: bool, is_journal_full: bool = False) -> None:
    """Raise `Refusal` when `session` may not ask for this command with `count` arguments, name included."""
    name = command.name
    if not command.fits(count) or command.treatment is Treatment.CONTAINER:
        raise Refusal(f"ERR wrong number of arguments for '{name}' command")
    if not session.is_authenticated and name not in BEFORE_AUTH:
        raise Refusal("NOAUTH Authentication required.")
    if command.treatment is Treatment.REFUSED:
        raise Refusal(f"ERR quorate refuses {shown_name(name)}: {command.reason}")
    if session.protocol == 2 and session.subscriptions and name not in WHILE_SUBSCRIBED:
        raise Refusal(
            f"ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET"
            " are allowed in this context"
        )
    if command.grows and is_memory_full:
        raise Refusal("OOM command not allowed when used memory > 'maxmemory'.")
    if command.is_write and is_journal_full:
        raise Refusal(NO_ROOM)


def shown_name(name: str) -> str:
    """A command's name as people write it."""
    return name.replace("|", " ").upper()


def _unknown(arguments: list[bytes]) -> str:
    """Redis's own words for an unknown command, cut where Redis cuts them."""
    shown = ""
    for argument in arguments[1:]:
        if len(shown) >= _SHOWN_MAX:
            break
        shown += f"'{argument[: _SHOWN_MAX - len(shown)].decode('latin-1')}' "
    name = arguments[0][:_SHOWN_MAX].decode("latin-1")
    return f"ERR unknown command '{name}', with args beginning with: {shown}"
