"""SPECIFICATION.md: nine promises, each with tests that exist, or with what is pending and why."""

import ast
import re

import pytest

from tests.repository.sources import ROOT, tree_of

PROMISES = 9
HEADING = re.compile(r"^## (?P<number>\d+)\. (?P<title>.+)$(?P<body>(?:\n(?!## ).*)*)", re.MULTILINE)
ITEM = re.compile(r"^- (?P<text>.+(?:\n  .+)*)", re.MULTILINE)
TEST = re.compile(r"`(tests/[^`]+)`")
PENDING = re.compile(r"\[pending: [^\]]+\] \S")
SECTIONS = [match.groupdict() for match in HEADING.finditer((ROOT / "SPECIFICATION.md").read_text())]


def problem_with(reference: str) -> str:
    """What is wrong with `file` or `file::test`, or nothing."""
    file, _, name = reference.partition("::")
    path = ROOT / file
    if not path.is_file() or not path.name.startswith("test_"):
        return f"{file}: there is no such file of tests"
    if not name:
        return ""
    defined = {
        node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return "" if name in defined and name.startswith("test_") else f"{reference}: there is no such test"


def test_there_are_nine_promises() -> None:
    assert [int(section["number"]) for section in SECTIONS] == list(range(1, PROMISES + 1))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section["title"])
def test_every_promise_is_held_by_tests_or_pending(section: dict[str, str]) -> None:
    items = [match["text"] for match in ITEM.finditer(section["body"])]
    assert items
    assert [item for item in items if not (TEST.match(item) or PENDING.match(item))] == []


@pytest.mark.parametrize("reference", TEST.findall((ROOT / "SPECIFICATION.md").read_text()))
def test_every_test_that_is_named_exists(reference: str) -> None:
    assert problem_with(reference) == ""


def test_a_test_that_does_not_exist_is_seen() -> None:
    here = "tests/repository/test_specification.py"
    assert problem_with(here) == ""
    assert problem_with(f"{here}::test_there_are_nine_promises") == ""
    assert "no such test" in problem_with(f"{here}::test_there_are_ten_promises")
    assert "no such file" in problem_with("tests/repository/sources.py")
