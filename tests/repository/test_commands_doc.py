"""The treatment of every Redis command is printed in the docs, as the table has it."""

import pytest

from quorate.trusted.protocols.redis.base import Treatment
from quorate.trusted.protocols.redis.table import ROWS
from scripts.commands_doc import BEGIN, END, PAGE, name_of, tables, updated


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == updated(PAGE.read_text()), "run scripts/commands_doc.py"


def test_every_command_is_on_the_page() -> None:
    printed = tables()
    assert [row[0] for row in ROWS if row[3] is not Treatment.CONTAINER and name_of(row) not in printed] == []


def test_a_page_without_a_place_for_the_tables_is_an_error() -> None:
    with pytest.raises(ValueError, match="unpack"):
        updated(f"no place {BEGIN}")
    assert updated(f"a {BEGIN} b {END} c").startswith(f"a {BEGIN}\n\n| treatment")
