"""What each family of variants knows, and what a cell of several families refuses."""

import hashlib
from pathlib import Path

import pytest

from quorate.assemble import make_protocol
from quorate.config import Config, load
from quorate.config_warnings import warnings
from quorate.experiments.examples import example
from quorate.families import (
    FULL,
    SMALL,
    STORE,
    families,
    family_of,
    is_mixed,
    refusals,
    settings,
    unequal_strings,
    unserved,
)
from quorate.kv.dictionary.dispatch import TABLE as DICTIONARY
from quorate.kv.log.commands import TABLE as LOG
from quorate.kv.sqlite import commands as sqlite_commands
from quorate.kv.sqlite.registry import COMMANDS, CONTAINERS
from quorate.trusted.errors import OperatorFault
from quorate.trusted.protocols.redis.unserved import FORMS, on_lanes

# What a cell sends beside clients' commands: lanes' setup and switches, placeholders, transactions.
OWN = frozenset(("client|reply", "discard", "exec", "hello", "multi", "ping", "script|load", "select"))


def listed_by_dictionary() -> frozenset[str]:
    found = {(name, sub) for name, command in DICTIONARY.items() for sub in command.subcommands or [b""]}
    return frozenset(b"|".join(filter(None, pair)).decode().lower() for pair in found)


def listed_by_log() -> frozenset[str]:
    found = {(name, sub) for name, command in LOG.items() for sub in command.subcommands or [b""]}
    return frozenset(b"|".join(filter(None, pair)).decode() for pair in found)


def listed_by_sqlite() -> frozenset[str]:
    assert sqlite_commands.__all__  # its modules fill the registry when they are loaded
    inner = {f"{name.decode()}|{sub.decode()}" for name, subs in CONTAINERS.items() for sub in subs}
    return frozenset(name.decode() for name in COMMANDS) | inner


STORES = {"dictionary": listed_by_dictionary(), "sqlite": listed_by_sqlite(), "log": listed_by_log()}


@pytest.mark.parametrize("listed", STORES.values(), ids=STORES)
def test_what_the_small_stores_know_is_what_they_list(listed: frozenset[str]) -> None:
    assert listed >= OWN
    # ZREMRANGEBYLEX they know, and no cell asks for it.
    assert sorted(name for name in listed if name in on_lanes()) == sorted(SMALL)


def test_what_is_said_to_be_known_is_asked_of_replicas() -> None:
    assert [name for name in SMALL if name not in on_lanes()] == []
    assert not STORE.unserved & SMALL
    # What reaps keys, and reads their state.
    for name in ("evalsha", "keys", "dbsize", "type", "pexpiretime", "get", "lrange", "smembers", "hgetall", "zrange"):
        assert name in SMALL


@pytest.mark.parametrize(
    ("args", "family"),
    [
        (("-m", "quorate.kv.sqlite", "--socket", "{socket}"), STORE),
        (("-u", "-m", "quorate.kv.dictionary"), STORE),
        (("-m", "other.store"), FULL),
        (("quorate.kv.log",), FULL),
        (("service.py", "quorate.kv.log", "-m"), FULL),
        ((), FULL),
        (("--port", "0", "--unixsocket", "{socket}"), FULL),
    ],
)
def test_a_variant_is_known_by_what_it_runs(args: tuple[str, ...], family: object) -> None:
    assert family_of(args) is family


REDIS = '[[variant]]\nname = "redis"\nprogram = "{python}"\nargs = ["{socket}", "--proto-max-bulk-len", "33554432"]\n'
OTHER = '[[variant]]\nname = "other"\nprogram = "{python}"\nargs = ["{socket}", "--proto-max-bulk-len", "512mb"]\n'
SQLITE = '[[variant]]\nname = "sqlite"\nprogram = "{python}"\nargs = ["-m", "quorate.kv.sqlite", "{socket}"]\n'


def cell(tmp_path: Path, *variants: str, more: str = "") -> Config:
    path = tmp_path / "cell.toml"
    seats = "".join(f'[[replica]]\nname = "{name}"\nvariants = {list(variants)}\n' for name in "abc")
    path.write_text(f'[cell]\nname = "x"\n{more}{REDIS}{OTHER}{SQLITE}{seats}'.replace("'", '"'))
    return load(path)


def test_a_cell_of_redis_servers_refuses_nothing(tmp_path: Path) -> None:
    config = cell(tmp_path, "redis", "other")
    assert (is_mixed(config), unserved(config), refusals(config), unequal_strings(config)) == (
        False,
        frozenset(),
        [],
        [],
    )
    assert settings(config).unserved == frozenset()


def test_one_variant_that_a_rebuild_may_bring_is_enough(tmp_path: Path) -> None:
    config = cell(tmp_path, "redis", "sqlite")
    assert families(config) == {"redis": FULL, "sqlite": STORE}
    assert is_mixed(config)
    assert settings(config).is_mixed
    assert settings(config).unserved == STORE.unserved
    assert {"XADD", "PFCOUNT", "SORT", "XGROUP CREATE"} <= set(refusals(config))
    assert not {"BLPOP", "SPOP", "SCAN", "EVALSHA", "SRANDMEMBER", "GET"} & set(refusals(config))


def test_small_stores_alone_refuse_the_same_and_are_not_mixed(tmp_path: Path) -> None:
    config = cell(tmp_path, "sqlite")
    assert not is_mixed(config)
    assert not settings(config).is_mixed
    assert unserved(config) == STORE.unserved
    assert unequal_strings(config) == []


def test_all_that_is_refused_has_no_other_form(tmp_path: Path) -> None:
    refused = {name.replace(" ", "|").lower() for name in refusals(cell(tmp_path, "sqlite"))}
    assert STORE.unserved - refused == {name for name in STORE.unserved if set(FORMS.get(name, (name,))) <= SMALL}


def test_redis_servers_that_end_strings_elsewhere_are_warned_of(tmp_path: Path) -> None:
    config = cell(tmp_path, "redis", "other", "sqlite")
    assert unequal_strings(config) == ["other"]
    assert [warning for warning in warnings(config) if "proto-max" in warning] == [
        "other: without --proto-max-bulk-len 33554432 a long string can make it dissent from the small stores"
    ]


def test_scripts_of_clients_are_for_redis_servers_alone(tmp_path: Path) -> None:
    digest = hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest()
    scripts = f'scripts = ["{digest}"]\n'
    assert settings(cell(tmp_path, "redis", more=scripts)).scripts == frozenset((digest.encode(),))
    mixed = cell(tmp_path, "redis", "sqlite", more=scripts)
    with pytest.raises(OperatorFault, match="sqlite: a small store runs no scripts of clients") as fault:
        make_protocol(mixed)
    assert "cell.scripts" in fault.value.hint


@pytest.mark.needs("redis-server", "bwrap")
def test_the_mixed_example_is_one() -> None:
    config = load(example("mixed.toml"))
    assert is_mixed(config)
    assert unequal_strings(config) == []
    assert config.cell.listen.port == 7384
    assert {replica.variants[0] for replica in config.replicas} == {"redis", "dictionary", "sqlite"}
    for replica in config.replicas:
        assert set(replica.variants) == set(config.variants)
