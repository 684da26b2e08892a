"""Nobody changes a role but through the table of a replica's life, in `trusted/recover.py`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.sources import ROOT, name_of, python_files, tree_of

# Another replica takes a seat, and brings the role that it has come to.
OTHER_LIVES = {("src/quorate/seats.py", "role")}
BEGINNING = "Role.BOOTING"


def assigned(path: Path) -> Iterator[str]:
    """What is assigned to a role, or to one of several, as it is written."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_role(target) for target in targets):
                yield ast.unparse(node.value)


def _is_role(target: ast.AST) -> bool:
    if isinstance(target, ast.Tuple):
        return any(map(_is_role, target.elts))
    target = target.value if isinstance(target, ast.Subscript) else target
    return isinstance(target, ast.Attribute) and target.attr in ("role", "roles")


@pytest.mark.parametrize("path", python_files("src"), ids=name_of)
def test_roles_change_as_the_table_has_it(path: Path) -> None:
    for value in assigned(path):
        is_change = value.startswith(("become(", BEGINNING, f"[{BEGINNING}]"))
        assert is_change or (name_of(path), value) in OTHER_LIVES, f"{value} is assigned"


def test_such_changes_are_found() -> None:
    trusted = ROOT / "src/quorate/trusted/coordinator.py"
    assert sum(value.startswith("become(") for value in assigned(trusted)) == 3
