"""What the coordinator says about itself, as one server."""

import pytest

from quorate.trusted.protocols.redis.about import SETTINGS
from quorate.trusted.protocols.redis.table import ROWS
from quorate.trusted.protocols.redis.values import elements, payload
from tests.trusted.redis.conversation import Conversation, wire

TOP_LEVEL = [row[0] for row in ROWS if "|" not in row[0]]


def told(line: str, protocol: int = 2) -> bytes:
    client = Conversation().client(protocol)
    client.says(line)
    return client.hears()


def test_a_connection_is_described_in_one_line() -> None:
    text = payload(told("CLIENT INFO", 3)).decode()
    assert text == (
        "id=1 addr=test name= db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 user=default resp=3 lib-name= lib-ver=\n"
    )


@pytest.mark.parametrize("protocol", [2, 3])
def test_commands_are_described_by_the_table(protocol: int) -> None:
    described = {payload(elements(one)[0]).decode(): elements(one) for one in elements(told("COMMAND", protocol))}
    assert sorted(described) == sorted(TOP_LEVEL)
    kind = b"*" if protocol == 2 else b"~"
    assert described["set"][1:6] == [
        b":-3\r\n",
        kind + b"2\r\n+write\r\n+denyoom\r\n",
        *wire(":1 :1 :1").splitlines(True),
    ]
    assert described["get"][2] == kind + b"1\r\n+readonly\r\n"
    assert payload(elements(elements(described["object"][9])[0])[0]) == b"object|encoding"


def test_commands_are_counted_listed_and_looked_up() -> None:
    assert told("COMMAND COUNT") == b":%d\r\n" % len(TOP_LEVEL)
    assert len(elements(told("COMMAND LIST"))) == len(TOP_LEVEL)
    assert told("COMMAND INFO") == told("COMMAND")
    known, unknown = elements(told("COMMAND INFO GET nope"))
    assert elements(known)[0] == wire("$3 get")
    assert unknown == wire("*-1")
    assert elements(told("COMMAND INFO nope", 3)) == [b"_\r\n"]


def test_there_are_no_docs_of_commands() -> None:
    assert told("COMMAND DOCS get") == wire("*0")
    assert told("COMMAND DOCS get", 3) == wire("%0")


@pytest.mark.parametrize("line", ["INFO", "INFO all", "INFO DEFAULT", "INFO everything"])
def test_info_has_sections(line: str) -> None:
    text = payload(told(line))
    assert [part.split(b"\r\n")[0] for part in text.split(b"# ")[1:]] == [b"Server", b"Clients", b"Replication"]
    assert b"connected_clients:1\r\n" in text


def test_info_has_only_what_is_wanted() -> None:
    assert payload(told("INFO replication nope")) == b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
    assert payload(told("INFO nope")) == b""


def test_settings_can_be_asked_for_by_pattern() -> None:
    assert told("CONFIG GET save") == b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"
    assert len(elements(told("CONFIG GET *"))) == 2 * len(SETTINGS)
    assert told("CONFIG GET MAXMEMORY-* databases", 3).startswith(b"%2\r\n$9\r\ndatabases\r\n$2\r\n16\r\n")
    assert told("CONFIG GET nope") == wire("*0")


def test_help_lists_the_subcommands() -> None:
    lines = elements(told("OBJECT HELP"))
    assert lines[0] == b"+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
    assert b"+ENCODING\r\n" in lines
