"""The log: structlog on stderr, for people or as JSON lines. stdout belongs to data.

What a client or a replica wrote may reach the log; no byte of it may steer a terminal or forge a line.
"""

import io
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FIELD_CHARACTERS_MAX = 4_096
# What the renderers write themselves, several lines long.
OWN_FIELDS = frozenset({"exc_info", "exception", "stack"})
# What an error about a program says beside the reason: see the whole of it with `quorate check` and `quorate doctor`.
LEFT_OUT = ("command: ", "options: ", "console: (empty)")


class _Stderr(io.TextIOBase):
    """Today's stderr: a display that is being shown puts itself in its place for a while."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(style: str, level: str) -> None:
    """Send the log to stderr. `style` is `human` or `json`, `level` one of `LEVELS`."""
    is_human = style == "human"
    renderer: structlog.types.Processor
    if is_human:
        colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=32, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_human else "iso", utc=not is_human),
            structlog.processors.StackInfoRenderer(),
            *([] if is_human else [structlog.processors.format_exc_info]),
            make_printable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )


def make_printable(_logger: object, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: every text and byte string becomes printable characters, and not too many of them."""
    return {key: value if key in OWN_FIELDS else _printable(value) for key, value in event.items()}


def printable(text: str | bytes) -> str:
    """`text` with backslash escapes for all that is not printable; a backslash is doubled, so that none is forged."""
    if isinstance(text, bytes):
        return text.decode("latin-1").encode("unicode_escape").decode("ascii")
    return "".join(
        character if character.isprintable() and character != "\\" else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line(reason: str) -> str:
    """An error's text for one field: what went wrong and what was printed, without how the program was started."""
    lines = [line.strip() for line in reason.splitlines()]
    text = "; ".join(line for line in lines if line and not line.startswith(LEFT_OUT))
    # A backslash stays: it is doubled when it is written.
    return "".join(each if each == "\\" else printable(each) for each in text)


def _printable(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value[:FIELD_CHARACTERS_MAX] if isinstance(value, bytes) else str(value)[:FIELD_CHARACTERS_MAX])
