"""An example's configuration, changed as an experiment needs it, as text.

Knows how TOML is written as far as configurations use it; what the keys mean is `config`'s business.
"""

import json
import tomllib
from typing import Any

from .examples import example

Document = dict[str, Any]


def document(example_name: str) -> Document:
    """What the example says. Raises `OperatorFault` when this installation has none of that name."""
    return tomllib.loads(example(example_name).read_text())


def as_toml(changed: Document) -> str:
    """A configuration as text. What TOML and JSON write alike is all that a configuration holds."""
    lines: list[str] = []
    for section, content in changed.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(f"[[{section}]]" if isinstance(content, list) else f"[{section}]")
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value)
