"""Prints the size of the trusted base: code lines of trusted/ by part, and what is trusted in fact beside it.

Code lines are lines that hold code: no blank lines, no comments, no docstrings.
"""

import ast
import importlib.util
import io
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
import tokenize
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
TRUSTED = ROOT / "src" / "quorate" / "trusted"
CORE_LINES_AIM = 1_500
PROTOCOL_LINES_AIM = 2_500
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
BESIDE = (
    "CPython and its standard library",
    "the event loop (uvloop), and what else is loaded into the coordinator's process: below",
    "the host kernel, or for microVMs the VMM under them",
    "ring 1 of this package: assemble, compiled, config, domains (they hold host privilege), recovery and what it uses",
    "the keeper, a process of its own, and SQLite: they hold the state that replicas are rebuilt from",
    "bubblewrap, libseccomp and the C library",
    "where trusted/ is compiled: mypyc and the C compiler (docs/adr/0002-mypyc.md)",
    "the hardware",
)
BOOT_SECONDS_MAX = 120
IMPORTED = re.compile(r"^import time:[ 0-9]+\|[ 0-9]+\| *(\w+)", re.MULTILINE)


def docstring_lines(tree: ast.AST) -> set[int]:
    """The lines that docstrings occupy."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            lines.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return lines


def code_lines(path: Path) -> int:
    """How many lines of the file hold code."""
    source = path.read_text()
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstring_lines(ast.parse(source)))


def parts() -> dict[str, list[Path]]:
    """The files of trusted/ by part: the core, and each protocol."""
    found: dict[str, list[Path]] = {"core": []}
    for path in sorted(TRUSTED.rglob("*.py")):
        names = path.relative_to(TRUSTED).parts
        is_protocol = names[0] == "protocols" and len(names) > 2
        found.setdefault(f"protocols/{names[1]}" if is_protocol else "core", []).append(path)
    return found


def configuration(directory: Path) -> Path:
    """The kv example, on a free port and with its state in `directory`."""
    text = (ROOT / "examples" / "kv.toml").read_text()
    text = re.sub(r'^(listen|state) = ".*"$', "", text, flags=re.MULTILINE)
    place = f'[cell]\nlisten = "127.0.0.1:0"\nstate = "{directory / "state"}"'
    path = directory / "kv.toml"
    path.write_text(text.replace("[cell]", place, 1))
    return path


def loaded_modules() -> list[str]:
    """The third-party packages that a coordinator has loaded once it serves, sorted.

    Runs the cell of examples/kv.toml until it says that it serves. Raises `RuntimeError` with its log when it does not.
    """
    with tempfile.TemporaryDirectory(prefix="quorate-tcb-") as name, tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-X", "importtime", "-m", "quorate", "run", str(configuration(Path(name)))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as process:
            timer = threading.Timer(BOOT_SECONDS_MAX, process.kill)
            timer.start()
            is_serving = b"is serving" in (process.stdout.readline() if process.stdout else b"")
            process.terminate()
        timer.cancel()
        log.seek(0)
        text = log.read()
    if not is_serving:
        talk = [line for line in text.splitlines() if not line.startswith("import time:")]
        raise RuntimeError("\n".join(["no cell could be run:", *talk[-10:]]))
    return third_party(text)


def third_party(log: str) -> list[str]:
    """The installed packages in a log of imports, without ours and those that were looked for in vain, sorted."""
    tops = set(IMPORTED.findall(log)) - {"quorate"} - set(sys.stdlib_module_names)
    return sorted(top for top in tops if is_installed(top))


def is_installed(name: str) -> bool:
    """Whether the top-level module comes from an installed package."""
    spec = importlib.util.find_spec(name)
    return spec is not None and (spec.origin or "").startswith(sysconfig.get_path("platlib"))


def main() -> None:
    """Print the sizes, then the rest of what is trusted."""
    table = Table("part", "file", "code lines", "aim", title="trusted/: what decides what a client is told")
    total = 0
    for part, files in parts().items():
        sizes = {path: code_lines(path) for path in files}
        aim = CORE_LINES_AIM if part == "core" else PROTOCOL_LINES_AIM
        for path, size in sizes.items():
            table.add_row("", str(path.relative_to(TRUSTED)), f"{size:,}", "")
        table.add_row(part, "all", f"{sum(sizes.values()):,}", f"{aim:,}", style="bold", end_section=True)
        total += sum(sizes.values())
    table.add_row("trusted/", "all", f"{total:,}", "", style="bold")
    console = Console()
    console.print(table)
    console.print("\nTrusted in fact, beside the folder:")
    for text in BESIDE:
        console.print(f"  - {text}", soft_wrap=True)
    console.print("\nThird-party packages loaded in a running coordinator (examples/kv.toml):")
    console.print("  " + (", ".join(loaded_modules()) or "none"), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
