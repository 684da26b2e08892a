"""What trusted/ may use: a short list of pure standard modules and itself, and nothing whose outcome varies by run.

`shell.py` is the one door to sockets, clock and disk: it may use all of the standard library, and nothing here uses it.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TRUSTED = Path(__file__).resolve().parents[2] / "src" / "quorate" / "trusted"
FILES = sorted(TRUSTED.rglob("*.py"))
SHELL = TRUSTED / "shell.py"
PURE = [path for path in FILES if path != SHELL]
ALLOWED = frozenset(
    [
        "__future__",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "enum",
        "hashlib",
        "heapq",
        "hmac",
        "struct",
        "typing",
        "zlib",
    ]
)
# They differ from run to run (PYTHONHASHSEED, addresses), so two cells given the same input would part.
VARYING_CALLS = frozenset({"hash", "id"})
# They reach the outside, or undo what this test sees.
REACHING_CALLS = frozenset({"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint", "globals"})
ORDER_FREE = frozenset({"sorted", "len", "sum", "min", "max", "any", "all", "set", "frozenset", "bool"})
CONSUMERS_IN_ORDER = frozenset(
    {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "dict", "next"}
)
METHODS_IN_ORDER = frozenset({"join", "extend", "fromkeys", "extendleft"})
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})


def name_of(path: Path) -> str:
    return str(path.relative_to(TRUSTED))


def imports_of(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of each module imported; a relative one as `.` and its path inside trusted/."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.ImportFrom):
            depth = len(path.relative_to(TRUSTED).parts) - node.level
            outside = depth < 0
            yield node.lineno, "outside" if outside else "." + (node.module or "")


def foreign_imports(path: Path, tree: ast.AST) -> list[str]:
    return [
        f"line {line}: imports {name}"
        for line, name in imports_of(path, tree)
        if not name.startswith(".") and name not in ALLOWED
    ]


def called_name(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def called_method(node: ast.AST) -> str:
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""


def set_names(tree: ast.AST) -> frozenset[str]:
    """Names and attributes that are given a set, or annotated as one, anywhere in the file: the rule is by name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and is_set_annotation(node.annotation):
            names.add(node.arg if isinstance(node, ast.arg) else target_name(node.target))
        elif isinstance(node, ast.Assign) and is_set(node.value, frozenset()):
            names.update(target_name(target) for target in node.targets)
        elif isinstance(node, ast.FunctionDef) and is_set_annotation(node.returns):
            names.add(node.name + "()")
    return frozenset(names - {""})


def target_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def is_set_annotation(node: ast.AST | None) -> bool:
    base = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(base, ast.Name) and base.id in {"set", "frozenset", "AbstractSet", "Set", "MutableSet"}


def is_set(node: ast.AST, known: frozenset[str]) -> bool:
    """Whether the expression is plainly a set: by its form, or because its name is known for one in this file."""
    if isinstance(node, ast.Set | ast.SetComp) or called_name(node) in {"set", "frozenset"}:
        return True
    if called_name(node) + "()" in known or called_method(node) + "()" in known:
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return is_set(node.left, known) or is_set(node.right, known)
    if isinstance(node, ast.IfExp):
        return is_set(node.body, known) or is_set(node.orelse, known)
    if called_method(node) in SET_METHODS:
        return True
    return target_name(node) in known


def order_free_generators(tree: ast.AST) -> set[ast.AST]:
    """Generators and comprehensions whose order is lost at once, as in `sorted(x for x in names)`."""
    inside = {
        argument for node in ast.walk(tree) if called_name(node) in ORDER_FREE for argument in getattr(node, "args", [])
    }
    return inside | {node for node in ast.walk(tree) if isinstance(node, ast.SetComp)}


def iterated_in_order(tree: ast.AST) -> Iterator[ast.expr]:
    """Every expression whose elements are taken one after the other, where the order can be seen."""
    order_free = order_free_generators(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.YieldFrom):
            yield node.value if isinstance(node, ast.YieldFrom) else node.iter
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and node not in order_free:
            yield from (generator.iter for generator in node.generators)
        elif isinstance(node, ast.Starred):
            yield node.value
        elif called_name(node) in CONSUMERS_IN_ORDER or called_method(node) in METHODS_IN_ORDER:
            yield from getattr(node, "args", [])


def iterations_over_sets(tree: ast.AST) -> list[str]:
    known = set_names(tree)
    loops = [f"line {node.lineno}: iterates over a set" for node in iterated_in_order(tree) if is_set(node, known)]
    pops = [
        f"line {node.lineno}: pops any element of a set"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop"
        if not node.args and is_set(node.func.value, known)
    ]
    return loops + pops


def forbidden_calls(tree: ast.AST, names: frozenset[str]) -> list[str]:
    return [
        f"line {node.lineno}: uses {node.id}()"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names
    ]


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_pure_part_imports_only_what_is_allowed(path: Path) -> None:
    assert foreign_imports(path, ast.parse(path.read_text())) == []


def test_the_shell_imports_only_the_standard_library() -> None:
    names = {name.split(".")[0] for _, name in imports_of(SHELL, ast.parse(SHELL.read_text()))}
    assert names - {""} - sys.stdlib_module_names == set()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_imports_the_shell(path: Path) -> None:
    assert [name for _, name in imports_of(path, ast.parse(path.read_text())) if name.endswith(".shell")] == []


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_pure_part_calls_nothing_that_varies_or_reaches_out(path: Path) -> None:
    assert forbidden_calls(ast.parse(path.read_text()), VARYING_CALLS | REACHING_CALLS) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_iterates_over_a_bare_set(path: Path) -> None:
    assert iterations_over_sets(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "import collections, time",
        "from asyncio import run",
        "from quorate.domains import port",
        "from ..domains import port",
        "def late():\n    import random",
    ],
)
def test_a_foreign_import_is_seen(code: str) -> None:
    assert foreign_imports(TRUSTED / "example.py", ast.parse(code))


@pytest.mark.parametrize(
    "code", ["from .errors import invariant", "from . import vote", "from collections.abc import Set"]
)
def test_an_allowed_import_passes(code: str) -> None:
    assert foreign_imports(TRUSTED / "example.py", ast.parse(code)) == []


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_protocol_may_import_from_all_of_trusted(level: int) -> None:
    code = ast.parse(f"from {'.' * level} import errors")
    assert foreign_imports(TRUSTED / "protocols" / "redis" / "example.py", code) == []


@pytest.mark.parametrize(
    "code",
    [
        "for x in {1, 2}: pass",
        "for x in set(names): pass",
        "for x in names | {1}: pass",
        "[x for x in frozenset(names)]",
        "{x: 1 for x in {y for y in names}}",
        "list({1, 2})",
        "b','.join({b'a'})",
        "(*{1, 2},)",
        "seen = set()\nfor x in seen: pass",
        "class A:\n    def f(self):\n        self.seen: set[int] = set()\n        return tuple(self.seen)",
        "def f(keys: frozenset[bytes]):\n    yield from keys",
        "def f() -> set[int]: ...\nfor x in f(): pass",
        "seen = set()\nseen.pop()",
        "for x in a.union(b): pass",
        "for number, x in enumerate({1, 2}): pass",
    ],
)
def test_an_iteration_over_a_set_is_seen(code: str) -> None:
    assert iterations_over_sets(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "for x in sorted({1, 2}): pass",
        "for x in sorted(set(names)): pass",
        "sorted(x for x in {1, 2})",
        "any(x for x in {1, 2})",
        "{x for x in {1, 2}}",
        "x in {1, 2}",
        "len({1, 2})",
        "for x in a - b: pass",
        "stack = []\nstack.pop()",
    ],
)
def test_a_use_of_a_set_whose_order_cannot_be_seen_passes(code: str) -> None:
    assert iterations_over_sets(ast.parse(code)) == []


def test_a_varying_call_is_seen_even_when_passed_on() -> None:
    assert forbidden_calls(ast.parse("sorted(names, key=hash)\nid(x)"), VARYING_CALLS) == [
        "line 2: uses id()",
        "line 1: uses hash()",
    ]
