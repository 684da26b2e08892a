"""ARCHITECTURE.md names code that exists: files, classes, functions, members.

In that page a word in backticks is a name of the code, unless it holds a space or begins with what names have not. A
dotted name is a member of its class. In every page, `Class.member` is checked too.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.repository.sources import ROOT, name_of, python_files, tree_of

PAGE = ROOT / "ARCHITECTURE.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`]+)`")
NAME = re.compile(r"_?[A-Za-z]\w*(?:\.\w+)?(?:\(\))?")
FILE = re.compile(r"[\w./]+(?:\.py|\.toml|\.md|/)")
MEMBER = re.compile(r"([A-Z][a-z]\w+)\.(_?[a-z]\w+)")
PACKAGE = ROOT / "src" / "quorate"
# Where a file of ARCHITECTURE.md may lie; its tables name files relative to the folder that their heading gives.
INNER = ("", "trusted", "trusted/protocols", "trusted/protocols/redis", "state", "domains", "observe")
FOLDERS = [ROOT, *(PACKAGE / inner for inner in INNER)]
# Words of Python and of the configuration's values.
FOREIGN = {"hash()", "id()", "journal", "recover"}


@cache
def members() -> dict[str, set[str]]:
    """What each class of the package has: methods, attributes, constants, its bases' included."""
    own: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in python_files("src"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                own.setdefault(node.name, set()).update(members_of(node))
                bases.setdefault(node.name, set()).update(base.id for base in node.bases if isinstance(base, ast.Name))
    return {name: own[name].union(*(own.get(base, set()) for base in bases[name])) for name in own}


def members_of(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner.name
        elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "self":
            yield inner.attr
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


@cache
def names() -> set[str]:
    """Every name that the package gives: modules, classes and their members, functions, constants."""
    found = set(members()).union(*members().values())
    for path in python_files("src"):
        found |= {path.stem, path.parent.name}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def problem_with(word: str) -> str:
    """What is wrong with a word in backticks, or nothing."""
    if FILE.fullmatch(word):
        return "" if any((folder / word).exists() for folder in FOLDERS) else "no such file"
    if not NAME.fullmatch(word) or word in FOREIGN:
        return ""
    owner, _, member = word.removesuffix("()").partition(".")
    if owner not in names():
        return "no such name"
    if member and member not in members().get(owner, set()):
        return "no such member"
    return ""


def quoted(page: Path) -> list[str]:
    return QUOTED.findall(FENCE.sub("", page.read_text()))


def test_every_name_in_the_architecture_exists() -> None:
    wrong = {word: problem_with(word) for word in quoted(PAGE)}
    assert {word: problem for word, problem in wrong.items() if problem} == {}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_member_named_in_a_page_exists(page: Path) -> None:
    named = [match for word in quoted(page) if (match := MEMBER.fullmatch(word.removesuffix("()")))]
    assert [match[0] for match in named if match[2] not in members().get(match[1], set())] == []


def test_every_file_of_the_trusted_base_is_on_the_map() -> None:
    told = set(quoted(PAGE))
    files = [path.name for path in python_files("src/quorate/trusted") if path.name != "__init__.py"]
    assert sorted(set(files) - told) == []


def test_every_file_that_keeps_state_or_rebuilds_is_on_the_map() -> None:
    """Ring 1, but for `domains/`, which has a map of its own."""
    told = set(quoted(PAGE))
    files = [*(PACKAGE / "state").glob("*.py"), *PACKAGE.glob("*.py")]
    assert sorted({path.name for path in files if not path.name.startswith("__")} - told) == []


def test_wrong_names_are_seen() -> None:
    assert problem_with("Coordinator.client_sent") == ""
    assert problem_with("Coordinator.client_said") == "no such member"
    assert problem_with("Koordinator") == "no such name"
    assert problem_with("coordinate.py") == "no such file"
