"""The table against the server's own COMMAND and COMMAND DOCS: every command, its arity, access and keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from quorate.trusted.protocols.redis.base import Treatment
from quorate.trusted.protocols.redis.serving import COMPILERS, PLANNERS, RESPONDERS
from quorate.trusted.protocols.redis.table import ROWS, Row, commands
from quorate.trusted.protocols.redis.written import written_keys
from tests.real.differential import GROUPS
from tests.real.grammar import Grammar, usages
from tests.real.reference import Connection, Value, decoded, serving

pytestmark = pytest.mark.needs("redis-server")

BY_NAME = {row[0]: row for row in ROWS}
# Served by the dialect itself.
TRANSACTIONAL = {"multi", "exec", "discard", "watch", "unwatch"}
# In the table, though the server of Redis 7.0 does not know it: clients of later releases open with it.
LATER = {"client|setinfo"}
# What they do is not known to the server, so the table counts them among the writes.
SCRIPTS = {"eval", "evalsha"}
# It keeps what it counted in the value, which GET shows.
COUNTING = {"pfcount"}
WRITING = {b"OW", b"RW", b"insert", b"update", b"delete"}


@dataclass
class Described:
    """A command as the server describes it."""

    arity: int
    flags: list[Value]
    keys: tuple[Value, Value, Value]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with serving(tmp_path_factory.mktemp("table")) as path:
        connection = Connection(path)
        yield connection
        connection.close()


@pytest.fixture(scope="module")
def described(server: Connection) -> dict[str, Described]:
    found: dict[str, Described] = {}
    _describe(decoded(server.ask("COMMAND")), found)
    return found


def _describe(told: Value, found: dict[str, Described]) -> None:
    assert isinstance(told, list)
    for one in told:
        assert isinstance(one, list)
        name, arity, flags, first, last, step, _, _, _, inner = one
        assert isinstance(name, bytes)
        assert isinstance(arity, int)
        assert isinstance(flags, list)
        found[name.decode()] = Described(arity, flags, (first, last, step))
        _describe(inner, found)


def test_every_command_has_a_row_and_every_row_a_command(described: dict[str, Described]) -> None:
    assert set(described) - set(BY_NAME) == set()
    assert set(BY_NAME) - set(described) == LATER


def test_documented_commands_have_rows(server: Connection) -> None:
    assert {usage.name for usage in usages(server)} - set(BY_NAME) == set()


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] not in LATER], ids=lambda row: row[0])
def test_arity_access_and_keys_are_the_server_s(row: Row, described: dict[str, Described]) -> None:
    name, arity, access, _, keys, _ = row
    server = described[name]
    assert arity == server.arity
    assert ("w" in access) == (b"write" in server.flags or name in SCRIPTS | COUNTING)
    assert ("m" in access) == (b"denyoom" in server.flags or name in SCRIPTS)
    if b"movablekeys" not in server.flags:
        assert keys == server.keys


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_served_as_it_says(row: Row) -> None:
    name, _, _, treatment, _, reason = row
    assert (name in COMPILERS) >= (treatment is Treatment.FORMED)
    assert (name in PLANNERS) >= (treatment is Treatment.PLANNED)
    assert (name in RESPONDERS or name in TRANSACTIONAL) == (treatment is Treatment.HERE)
    assert bool(reason) == (treatment is Treatment.REFUSED)


def test_nothing_is_served_without_a_row() -> None:
    assert {*COMPILERS, *PLANNERS, *RESPONDERS} - set(BY_NAME) == set()


def test_containers_are_those_with_subcommands() -> None:
    containers = {name for name, row in BY_NAME.items() if row[3] is Treatment.CONTAINER}
    assert containers == {name.partition("|")[0] for name in BY_NAME if "|" in name} - {"command"}


def test_nine_in_ten_data_commands_work(server: Connection) -> None:
    data = [usage.name for usage in usages(server) if usage.group in GROUPS and not usage.name.endswith("|help")]
    refused = [name for name in data if BY_NAME[name][3] is Treatment.REFUSED]
    ratio = 1 - len(refused) / len(data)
    told = f"{len(data)} data commands, {ratio:.3f} of them work; refused: {', '.join(refused)}"
    print(told)  # noqa: T201 - pytest shows it with -rP
    assert ratio >= 0.9, told


def test_written_keys_are_those_of_the_server(server: Connection) -> None:
    grammar = Grammar(Random(7), [b"payload"])
    table = commands()
    compared = 0
    for usage in usages(server):
        command = table[usage.words[0].lower()]
        if len(usage.words) == 2 and command.subcommands:
            command = command.subcommands[usage.words[1].upper()]
        if not command.is_write or command.treatment is Treatment.REFUSED:
            continue
        for _ in range(40):
            words = grammar.request(usage)
            told = decoded(server.ask("COMMAND", "GETKEYSANDFLAGS", *words))
            found = written_keys(command, words) if isinstance(told, list) and command.fits(len(words)) else None
            if not isinstance(told, list) or found is None:
                continue
            compared += 1
            written = [one[0] for one in told if isinstance(one, list) and _is_written(one[1])]
            assert set(written) <= set(found), words
    assert compared > 1_000


def _is_written(flags: Value) -> bool:
    return isinstance(flags, list) and any(flag in WRITING for flag in flags)


def test_what_may_change_other_databases_is_not_narrowed(server: Connection) -> None:
    table = commands()
    for request in ("FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "MOVE k 1", "COPY k j DB 1"):
        words = request.encode().split()
        assert written_keys(table[words[0]], words) is None


def test_unreadable_key_counts_are_no_crash() -> None:
    table = commands()
    for count in (b"", b"-1", b"abc", b"9" * 40, b"0", b"2"):
        for name, before in ((b"EVAL", [b"text"]), (b"LMPOP", []), (b"BZMPOP", [b"0"])):
            assert written_keys(table[name], [name, *before, count, b"k", b"LEFT"]) is not None
