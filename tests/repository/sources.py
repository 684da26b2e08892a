"""The project's own files, as the repository tests read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRUSTED = ROOT / "src" / "quorate" / "trusted"
OURS = ("src", "tests", "scripts", "docs", "examples", "requirements", ".ci")
TEXT_SUFFIXES = {"", ".cfg", ".ini", ".json", ".lua", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".typed", ".yml"}


def name_of(path: Path) -> str:
    """The path as people write it: relative to the project."""
    return str(path.relative_to(ROOT))


def python_files(*folders: str) -> list[Path]:
    """All Python files below the named folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(), filename=str(path))


def text_files() -> Iterator[Path]:
    """All text files that belong to the project, hand-written or generated, without build results and caches."""
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and _is_text(path))
    for folder in OURS:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.is_file() and _is_text(path))


def _is_text(path: Path) -> bool:
    return path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts and not path.name.startswith(".coverage")
