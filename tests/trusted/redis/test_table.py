"""The table by itself. Against a real server: tests/real/test_command_table.py."""

from quorate.trusted.protocols.redis.base import Treatment
from quorate.trusted.protocols.redis.table import ROWS, commands


def test_no_row_is_there_twice() -> None:
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_refused_rows_and_no_others_have_a_reason() -> None:
    assert all(bool(row[5]) == (row[3] is Treatment.REFUSED) for row in ROWS)


def test_commands_are_found_in_both_cases_and_subcommands_in_their_container() -> None:
    table = commands()
    assert table[b"get"] is table[b"GET"]
    assert table[b"OBJECT"].subcommands[b"ENCODING"].name == "object|encoding"
    assert len(table) == 2 * sum("|" not in row[0] for row in ROWS)
    assert sum(len(table[name].subcommands) for name in table) == 2 * sum("|" in row[0] for row in ROWS)


def test_only_writes_may_grow_memory() -> None:
    assert all("w" in row[2] for row in ROWS if "m" in row[2])
