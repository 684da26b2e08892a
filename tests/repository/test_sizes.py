"""Small on purpose: no long module, no long function."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.sources import ROOT, name_of, python_files, tree_of

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", python_files("src", "scripts"), ids=name_of)
def test_modules_and_functions_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES_MAX
    assert [(name, lines) for name, lines in functions_of(path) if lines > FUNCTION_LINES_MAX] == []


@pytest.mark.parametrize("path", [path for path in python_files("src") if path.read_text()], ids=name_of)
def test_the_head_of_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


def test_every_folder_of_the_package_is_a_package() -> None:
    """Coverage counts files that no test imports only in folders that say they are packages."""
    folders = {path.parent for path in python_files("src") if path.parent != ROOT / "src"}
    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
