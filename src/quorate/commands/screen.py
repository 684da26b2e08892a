"""How commands speak: data on stdout, talk on stderr, understood without colour.

Text that a client or a replica may have written is escaped before it gets here, and never read as markup.
"""

import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Tables that are piped into a file have no terminal's width to respect, only a reader's patience.
PIPED_WIDTH = 160


def output() -> Console:
    """The console for data, on stdout."""
    return _console(stderr=False)


def talk() -> Console:
    """The console for talk, on stderr."""
    return _console(stderr=True)


def print_json(value: dict[str, Any]) -> None:
    """Print one object on stdout, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def print_error(message: str, hint: str = "") -> None:
    """Say on stderr what went wrong, and what to do about it."""
    sys.stderr.write(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))
    sys.stderr.flush()


def print_warning(message: str) -> None:
    """Say on stderr what is allowed, yet weaker than it looks."""
    talk().print(Text(f"warning: {message}", style="bold yellow"), soft_wrap=True)


def table(title: str, *columns: str) -> Table:
    """A table whose columns show their cells literally; names that end in `#` hold numbers, aligned right."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        is_number = column.endswith("#")
        made.add_column(column.rstrip("#"), justify="right" if is_number else "left", overflow="fold")
    return made


def add(to: Table, *cells: object) -> None:
    """Add a row of plain texts."""
    to.add_row(*(Text(str(cell)) for cell in cells))


def size(count: int) -> str:
    """A number of bytes for people, or a dash for none."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if count else "-"
        amount /= 1024
    return f"{amount:.1f} GiB"


def stage(name: str, share: float) -> str:
    """Where a replica under way stands, for people; how much of that is done, while it is part of it."""
    words = name.replace("_", " ")
    return f"{words} {share:.0%}" if 0 < share < 1 else words


def shorten(text: str, characters_max: int = 60) -> str:
    """The beginning of `text`, with an ellipsis when something is left out."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
