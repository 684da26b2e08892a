"""A private copy of an example differs from it in name, port and state, and in nothing else."""

import tomllib
from pathlib import Path

import pytest

from quorate.config import load
from quorate.experiments.examples import example, private_copy
from quorate.trusted.errors import OperatorFault


@pytest.mark.parametrize("name", ["redis.toml", "kv.toml"])
def test_only_name_port_and_state_differ(name: str) -> None:
    text = example(name).read_text()
    copied = tomllib.loads(private_copy(text, "other", Path('/a "quoted" \\ place')))
    original = tomllib.loads(text)
    assert copied["cell"].pop("name") == "other"
    assert copied["cell"].pop("listen") == "127.0.0.1:0"
    assert copied["cell"].pop("state") == '/a "quoted" \\ place'
    del original["cell"]["name"], original["cell"]["listen"]
    assert copied == original


@pytest.mark.needs("bwrap")
def test_a_copy_is_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "copy.toml"
    path.write_text(private_copy(example("kv.toml").read_text(), "copy", tmp_path / "state"))
    config = load(path)
    assert (config.cell.name, config.cell.listen.port, config.cell.state) == ("copy", 0, tmp_path / "state")


@pytest.mark.parametrize(
    "text",
    [
        'cell = { name = "a", listen = "127.0.0.1:1" }\n',
        '[[variant]]\nname = "v"\n',
        '[cell]\n"name" = "a"\n',
        '[cell]\nname = """\na\n"""\n',
    ],
)
def test_what_is_written_otherwise_is_not_guessed_at(text: str) -> None:
    with pytest.raises((OperatorFault, tomllib.TOMLDecodeError)):
        private_copy(text, "other", Path("/state"))


def test_a_missing_example_is_named() -> None:
    with pytest.raises(OperatorFault, match=r"none\.toml"):
        example("none.toml")
