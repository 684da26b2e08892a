"""What we say is checked: every command and every setting has its place in the docs.

A command has a heading that holds `quorate NAME`; a setting `key` is named, in backticks, under a heading that holds
its section as `[section]` or `[[section]]`.
"""

import re
from typing import Any

import pytest
import typer

from quorate import config
from quorate.cli import app
from tests.repository.sources import ROOT

HEADING = re.compile(r"^#+ +(?P<title>.+)$(?P<body>(?:\n(?!#+ ).*)*)", re.MULTILINE)
SECTIONS = [match for path in sorted((ROOT / "docs").rglob("*.md")) for match in HEADING.finditer(path.read_text())]


def commands_of(command: Any, path: str) -> list[str]:
    inner = getattr(command, "commands", {})  # only a group has them
    return [name for key in inner for name in commands_of(inner[key], f"{path} {key}")] if inner else [path]


@pytest.mark.parametrize("command", commands_of(typer.main.get_command(app), "quorate"))
def test_every_command_has_its_heading(command: str) -> None:
    assert any(command in section["title"] for section in SECTIONS)


@pytest.mark.parametrize("section", [*config.TABLES, *config.LISTS])
def test_every_setting_is_described(section: str) -> None:
    described = {
        word
        for match in SECTIONS
        if f"[{section}]" in match["title"]
        for word in re.findall(r"`(\w+)`", match["title"] + match["body"])
    }
    assert set(config.keys_of(section)) - described == set()
