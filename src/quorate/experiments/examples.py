"""Where the example configurations lie, and a private copy of one: another name, port and state, nothing else.

Knows the text of a configuration only as far as those three keys of `[cell]`; what they mean is `config`'s business.
"""

import json
import re
import tomllib
from pathlib import Path

from ..trusted.errors import OperatorFault

PACKAGE = Path(__file__).parents[1]
# A wheel carries the examples inside the package; a checkout has them at its root.
DIRECTORIES = (PACKAGE / "examples", PACKAGE.parents[1] / "examples")

_CELL = re.compile(r"^\[cell\][ \t]*\n", re.MULTILINE)
_REPLACED = re.compile(r"^(?:name|listen|state)[ \t]*=.*\n", re.MULTILINE)
_NEXT_SECTION = re.compile(r"^\[", re.MULTILINE)


def example(name: str) -> Path:
    """The example `name`, such as `redis.toml`. Raises `OperatorFault` when this installation has none."""
    for directory in DIRECTORIES:
        if (directory / name).is_file():
            return directory / name
    raise OperatorFault(f"the example {name} is not part of this installation", "run from a checkout of the project")


def private_copy(text: str, name: str, state: Path) -> str:
    """The configuration `text` for a cell called `name`, with its state in `state`, on a port that the kernel chooses.

    Raises `OperatorFault` when the text is not written as the examples are: then nothing is guessed.
    """
    replaced = {"name": name, "listen": "127.0.0.1:0", "state": str(state)}
    wanted = tomllib.loads(text)
    wanted["cell"] = wanted.get("cell", {}) | replaced
    opening = _CELL.search(text)
    if opening is not None:
        ending = _NEXT_SECTION.search(text, opening.end())
        end = ending.start() if ending else len(text)
        # JSON's strings are TOML's basic strings.
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in replaced.items())
        text = text[: opening.end()] + lines + _REPLACED.sub("", text[opening.end() : end]) + text[end:]
    if opening is None or tomllib.loads(text) != wanted:
        raise OperatorFault("the example's section [cell] cannot be adapted", "write it as in examples/kv.toml")
    return text
