"""The table of commands, filled by the modules of `commands`. Knows what a command's entry is, not what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from .session import Session

Handler = Callable[[Session, list[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its full name, how many arguments it takes (negative: at least), and what executes it."""

    name: bytes
    arity: int
    execute: Handler
    queued: bool

    def accepts(self, count: int) -> bool:
        """Whether `count` arguments, the name included, are neither too few nor too many."""
        return count == self.arity if self.arity > 0 else count >= -self.arity


COMMANDS: dict[bytes, Command] = {}
CONTAINERS: dict[bytes, dict[bytes, Command]] = {}


def command(name: bytes, arity: int, queued: bool = True) -> Callable[[Handler], Handler]:
    """Enter a function as a command; `container|subcommand` names a subcommand; not `queued` runs inside MULTI too."""

    def enter(handler: Handler) -> Handler:
        entry = Command(name, arity, handler, queued)
        container, separator, subcommand = name.partition(b"|")
        if separator:
            CONTAINERS.setdefault(container, {})[subcommand] = entry
        else:
            COMMANDS[name] = entry
        return handler

    return enter
