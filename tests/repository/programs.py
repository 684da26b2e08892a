"""Finds the external programs and libraries that the project starts, by reading its code, tests and examples.

Seen are: literal command lines given to whatever starts processes, or kept in a variable that is called a command;
names given to `which` and to the `needs` marker; `program` and `preload` in configurations, also inside strings.
What is put together at run time is not seen: write the program's name as a literal where it is first used.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.repository.sources import tree_of

STARTS_PROCESSES = re.compile(r"run|popen|exec|spawn|start|check_call|check_output", re.IGNORECASE)
LOOKS_FOR_PROGRAMS = re.compile(r"^(which|needs|\w*_program|program|is_missing|execvpe?|create_subprocess_exec)$")
HOLDS_COMMANDS = re.compile(r"command|argv", re.IGNORECASE)
PROGRAM = re.compile(r"(/[\w./+-]+/)?[a-z][a-z0-9_+-]*[a-z0-9]")
LIBRARY = re.compile(r"(/[\w./+-]+/)?lib[\w.+-]+\.so[\w.]*")
IN_CONFIGURATION = re.compile(r'^\s*(?:program|preload)\s*=\s*(\[[^\]]*\]|"[^"]*")', re.MULTILINE)


def named_in_code(path: Path) -> Iterator[str]:
    """The programs and libraries that one Python file names."""
    for node in ast.walk(tree_of(path)):
        for candidate in _candidates(node):
            if PROGRAM.fullmatch(candidate) or LIBRARY.fullmatch(candidate):
                yield candidate.rsplit("/", 1)[-1]


def named_in_example(path: Path) -> Iterator[str]:
    """The programs and libraries that one configuration file names."""
    for variant in tomllib.loads(path.read_text()).get("variant", []):
        for value in (variant["program"], *variant.get("preload", [])):
            yield value.strip("{}").rsplit("/", 1)[-1]  # {python} is the interpreter that runs quorate


def _candidates(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from _in_call(node)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value and _holds_command(node):
        yield from _first_word(node.value)
    elif isinstance(node, ast.List | ast.Tuple) and _has_flag(node):
        yield from _first_word(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        for value in IN_CONFIGURATION.findall(node.value):
            yield from re.findall(r'"([^"{]+)"', value)


def _holds_command(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(HOLDS_COMMANDS.search(_name(target)) for target in targets)


def _has_flag(node: ast.List | ast.Tuple) -> bool:
    return len(node.elts) > 1 and re.match(r"--?\w", _text(node.elts[1])) is not None


def _in_call(node: ast.Call) -> Iterator[str]:
    name = _name(node.func)
    if LOOKS_FOR_PROGRAMS.match(name):
        yield from (_text(argument) for argument in (node.args if name == "needs" else node.args[:1]))
    if STARTS_PROCESSES.search(name):
        for argument in node.args:
            yield from _first_word(argument)
    for keyword in node.keywords:
        if keyword.arg in {"program", "preload"}:
            values = keyword.value.elts if isinstance(keyword.value, ast.List | ast.Tuple) else [keyword.value]
            yield from map(_text, values)


def _first_word(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        yield _text(node.elts[0])
    elif isinstance(node, ast.BinOp):
        yield from _first_word(node.left)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
