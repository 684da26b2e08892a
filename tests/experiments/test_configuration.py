"""A changed example as text."""

import tomllib

import pytest

from quorate.experiments.configuration import as_toml, document


@pytest.mark.parametrize("name", ["kv.toml", "redis.toml", "counter.toml", "redis-durable.toml"])
def test_what_is_written_is_read_again(name: str) -> None:
    read = document(name)
    assert read["replica"]
    assert tomllib.loads(as_toml(read)) == read


def test_values_of_all_kinds_are_written() -> None:
    made = {"cell": {"name": 'a "b"', "f": 1, "drills": True}, "variant": [{"env": {"A B": "c"}, "args": ["x", "y"]}]}
    assert tomllib.loads(as_toml(made)) == made
