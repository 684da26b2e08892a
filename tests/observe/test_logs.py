"""The log goes to stderr, and nothing in it steers a terminal or forges a line."""

import json

import pytest
import structlog

from quorate.observe import logs

HOSTILE = "\x1b[2Jx\nforged line\r\u202e"


def test_human_lines_go_to_stderr_without_colour_or_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("human", "info")
    structlog.get_logger().warning("odd reply", reply=HOSTILE.encode(), text=HOSTILE, count=3, nothing=None)
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    assert "odd reply" in written.err
    assert "count=3" in written.err
    assert written.err.rstrip("\n").isprintable()


def test_json_lines_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    structlog.get_logger().info("started", cell="x", text=HOSTILE, list=[1, HOSTILE])
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["cell"]) == ("started", "info", "x")
    assert event["timestamp"].endswith("Z")
    assert all(str(value).isprintable() for value in event.values())


@pytest.mark.parametrize("style", ["human", "json"])
def test_levels_below_are_silent_and_tracebacks_are_kept(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style, "warning")
    logger = structlog.get_logger()
    logger.info("quiet")
    try:
        raise ValueError("reason")
    except ValueError:
        logger.exception("loud")
    written = capsys.readouterr().err
    assert "quiet" not in written
    assert "ValueError: reason" in written


def test_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    structlog.get_logger().info("long", value="x" * 100_000, more=b"\x00" * 100_000)
    assert len(capsys.readouterr().err) < 10 * logs.FIELD_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ü", "plain ü"), ("a\\n\n", "a\\\\n\\n"), (b"a\x00\\\xff", "a\\x00\\\\\\xff"), ("\x1b[0m", "\\x1b[0m")],
)
def test_printable_is_unambiguous(text: str | bytes, shown: str) -> None:
    assert logs.printable(text) == shown
